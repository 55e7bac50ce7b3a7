-- What is sampled follows the density that is stated: the sampler, the pixel filters, every BSDF, every light.

local rt = require "rtlua"
local core_of = require("rtlua.scene").core
local probe = require "rtlua.core.probe"
local system = require "rtlua.system"
local chi_squared = require "spec.support.chi_squared"

describe("Sobol's sequence", function()
  -- Joe and Kuo's direction numbers, points 1 to 4 in binary order.
  local first = { [0] = { 0.5, 0.25, 0.75, 0.125 }, { 0.5, 0.75, 0.25, 0.625 }, { 0.5, 0.75, 0.25, 0.375 } }
  for dimension, points in pairs(first) do
    it("begins as published in dimension " .. dimension, function()
      for i, expected in ipairs(points) do
        assert.equal(expected, probe.sobol(i, dimension))
      end
    end)
  end
end)

describe("the sampler", function()
  it("keeps Sobol's stratification: 256 samples fall one into each of 256 intervals and 16 by 16 squares", function()
    for set = 0, 3 do
      local lines, squares = { {}, {}, {}, {} }, {}
      for sample = 0, 255 do
        local u = { probe.sampler(3, 5, sample, 7, set) }
        for d = 1, 4 do
          local i = math.floor(u[d] * 256)
          assert.is_nil(lines[d][i])
          lines[d][i] = true
        end
        local square = math.floor(u[1] * 16) * 16 + math.floor(u[2] * 16)
        assert.is_nil(squares[square])
        squares[square] = true
      end
    end
  end)

  it("is a pure function of pixel, sample, dimension and seed", function()
    local a = { probe.sampler(1, 2, 3, 4, 5) }
    probe.sampler(9, 9, 9, 9, 9)
    assert.same(a, { probe.sampler(1, 2, 3, 4, 5) })
    for i = 1, 5 do
      local key = { 1, 2, 3, 4, 5 }
      key[i] = key[i] + 1
      assert.not_same(a, { probe.sampler(table.unpack(key)) })
    end
  end)

  it("is the same for every instruction set, and gives the next set's numbers behind those of one", function()
    local chosen, numbers = system.isa(), {}
    for _, isa in ipairs { "sse2", "avx2", "avx512", "neon" } do
      if pcall(system.isa, isa) then
        local all = {}
        for _, sample in ipairs { 0, 1, 2, 77, 65535, 65536, 65537, 16777215, 4294967295 } do
          local u = { probe.sampler(3, 5, sample, 7, 4) }
          assert.same({ table.unpack(u, 5, 8) }, { table.unpack({ probe.sampler(3, 5, sample, 7, 5) }, 1, 4) })
          table.move(u, 1, 8, #all + 1, all)
        end
        numbers[#numbers + 1] = all
        assert.same(numbers[1], all)
      end
    end
    system.isa(chosen)
    assert.is_true(#numbers > 0)
  end)

  it("is uniform and uncorrelated between sets and pixels", function()
    local n, sums, product = 4096, { 0, 0 }, 0
    for i = 0, n - 1 do
      local a, _, _, _, b = probe.sampler(i, 0, 0, 0, 0)
      sums[1], sums[2], product = sums[1] + a, sums[2] + b, product + (a - 0.5) * (b - 0.5)
    end
    -- Standard deviations of the means: sqrt(1 / 12 n), and 1 / (12 sqrt(n)) for the product.
    for _, sum in ipairs(sums) do
      assert.near(0.5, sum / n, 4 * math.sqrt(1 / 12 / n))
    end
    assert.near(0, product / n, 4 / 12 / math.sqrt(n))
  end)
end)

describe("a pixel filter", function()
  local pdfs = {
    box = function(x) return math.abs(x) < 0.5 and 1 or 0 end,
    gaussian = function(x) return math.exp(-2 * x * x) end,
    ["blackman-harris"] = function(x)
      local t = math.pi * (x / 1.5 + 1)
      return 0.35875 - 0.48829 * math.cos(t) + 0.14128 * math.cos(2 * t) - 0.01168 * math.cos(3 * t)
    end,
  }
  for name, shape in pairs(pdfs) do
    local filter = probe.filter(name)
    local half = name == "box" and 0.5 or 1.5
    it("is sampled as its density says: " .. name, function()
      chi_squared.line {
        low = -half,
        high = half,
        sample = function(u) return filter:sample(u) end,
        pdf = function(x) return filter:pdf(x) end,
      }
    end)
    it("has the shape of its formula: " .. name, function()
      local sum, n = 0, 3000
      for i = 1, n do
        sum = sum + shape(-half + 2 * half * (i - 0.5) / n) * 2 * half / n
      end
      chi_squared.line {
        low = -half,
        high = half,
        sample = function(u) return filter:sample(u) end,
        pdf = function(x) return shape(x) / sum end,
      }
    end)
  end
end)

-- A sphere of the material, and the material's BSDF.
local function bsdf_of(material, front)
  local scene = rt.scene {
    camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } },
    rt.sphere { radius = 1, material = material },
  }
  local hit = core_of(scene):intersect(0, 0, 4, 0, 0, -1)
  return probe.bsdf(core_of(scene), hit.material, front ~= false)
end

local function direction(degrees)
  local a = math.rad(degrees)
  return math.sin(a), 0, math.cos(a)
end

describe("a BSDF", function()
  local cases = {
    { "diffuse", rt.diffuse { color = 0.5 } },
    { "rough gold", rt.metal { preset = "gold", roughness = 0.5 } },
    { "very rough metal", rt.metal { color = 0.9, roughness = 1 } },
    { "rough glass from outside", rt.glass { ior = 1.5, roughness = 0.6 } },
    { "rough glass from inside", rt.glass { ior = 1.5, roughness = 0.6 }, inside = true },
    { "rough plastic", rt.plastic { color = 0.5, roughness = 0.5 } },
    { "smooth plastic", rt.plastic { color = 0.5, roughness = 0 }, specular = true },
  }
  for _, case in ipairs(cases) do
    local name, material = case[1], case[2]
    for _, degrees in ipairs { 0, 30, 60, 85 } do
      it(("is sampled as its density says: %s at %d degrees"):format(name, degrees), function()
        local bsdf = bsdf_of(material, not case.inside)
        local x, y, z = direction(degrees)
        if case.inside then z = -z end
        chi_squared.directions {
          sample = function(u1, u2, u3)
            local wx, wy, wz, _, _, _, _, delta = bsdf:sample(x, y, z, u1, u2, u3)
            if delta then return nil end
            return wx, wy, wz
          end,
          pdf = function(wx, wy, wz)
            local _, _, _, pdf = bsdf:eval(x, y, z, wx, wy, wz)
            return pdf
          end,
        }
      end)

      it(("gives the weight f cos / pdf: %s at %d degrees"):format(name, degrees), function()
        local bsdf = bsdf_of(material, not case.inside)
        local x, y, z = direction(degrees)
        if case.inside then z = -z end
        math.randomseed(7)
        for _ = 1, 2000 do
          local wx, wy, wz, r, g, b, pdf, delta = bsdf:sample(x, y, z, math.random(), math.random(), math.random())
          if wx and not delta then
            local er, eg, eb, epdf = bsdf:eval(x, y, z, wx, wy, wz)
            assert.near(1, pdf / epdf, 2e-3)
            assert.near(r, er / epdf, 2e-3 * math.max(1, r))
            assert.near(g, eg / epdf, 2e-3 * math.max(1, g))
            assert.near(b, eb / epdf, 2e-3 * math.max(1, b))
          end
        end
      end)
    end
  end

  it("that only reflects is reciprocal", function()
    math.randomseed(3)
    for _, case in ipairs { cases[1], cases[2], cases[3], cases[6] } do
      local bsdf = bsdf_of(case[2])
      for _ = 1, 500 do
        local ax, ay, az = direction(math.random() * 85)
        local radius, _, bz = direction(math.random() * 85)
        local turn = math.random() * 6
        local bx, by = radius * math.cos(turn), radius * math.sin(turn)
        local there, back = bsdf:eval(ax, ay, az, bx, by, bz), bsdf:eval(bx, by, bz, ax, ay, az)
        assert.near(there / bz, back / az, 1e-4 * math.max(1, there / bz))
      end
    end
  end)
end)

describe("a light", function()
  local lamp = rt.light { radiance = 3 }
  local function envmap()
    local image = rt.image.new(16, 8, 3)
    math.randomseed(11)
    for y = 0, 7 do
      for x = 0, 15 do
        image:set(x, y, { math.random() < 0.2 and 20 * math.random() or 0.1 * math.random(), 0.2, 0.1 })
      end
    end
    local path = os.tmpname() .. ".pfm"
    image:save(path)
    local map = rt.envmap { file = path, rotate = 25 }
    os.remove(path)
    return map
  end
  local cases = {
    sphere = { rt.sphere { center = { 1, 2, 1 }, radius = 1, material = lamp } },
    ["sphere around the point"] = {
      rt.sphere { center = { 0.2, 0, 0 }, radius = 3, material = rt.light { radiance = 1, two_sided = true } },
    },
    ["a scaled sphere"] = {
      rt.sphere { radius = 1, material = lamp, transform = rt.translate { 1, 2, 1 } * rt.scale { 1, 0.5, 2 } },
    },
    ["a disk"] = { rt.disk { center = { 1, 2, 0 }, normal = { 0, -1, 0.2 }, radius = 1.5, material = lamp } },
    ["a scaled disk"] = {
      rt.disk {
        center = { 0, 0, 0 },
        normal = { 0, -1, 0 },
        radius = 1,
        material = lamp,
        transform = rt.translate { 1, 2, 0 } * rt.rotate_x(20) * rt.scale { 2, 1, 0.5 },
      },
    },
    ["a quad"] = { rt.quad { { -1, 2, -1 }, { 1, 2, -1 }, { 1, 2, 1 }, { -1, 2, 1 }, material = lamp } },
    ["a box"] = { rt.box { min = { 1, 1, 1 }, max = { 2, 2.5, 3 }, material = lamp } },
    ["a cylinder"] = {
      rt.cylinder { from = { 1, 1, 0 }, to = { 2, 2, 1 }, radius = 0.5, caps = true, material = lamp },
    },
    ["a squeezed cylinder"] = {
      rt.cylinder {
        from = { 0, 0, 0 },
        to = { 0, 1, 0 },
        radius = 1,
        material = lamp,
        transform = rt.translate { 1, 1, 1 } * rt.scale { 0.5, 1, 1.5 },
      },
    },
    ["two of them"] = {
      rt.sphere { center = { 3, 1, 0 }, radius = 0.5, material = lamp },
      rt.quad { { -1, 2, -1 }, { 1, 2, -1 }, { 1, 2, 1 }, { -1, 2, 1 }, material = rt.light { power = 40 } },
    },
    ["a sun"] = { rt.sun { direction = { 1, 1, 0 }, irradiance = 2, angle = 40 } },
    ["a lamp under a constant background"] = {
      rt.quad { { -1, 2, -1 }, { 1, 2, -1 }, { 1, 2, 1 }, { -1, 2, 1 }, material = lamp },
      background = { 0.5, 0.5, 0.6 },
    },
    ["a gradient background"] = { background = { top = { 0.1, 0.2, 1 }, bottom = { 1, 0.5, 0 } } },
    ["an environment map"] = { background = envmap() },
  }
  local function scene_of(parts)
    local description = { camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } }, background = parts.background }
    for _, part in ipairs(parts) do
      description[#description + 1] = part
    end
    return rt.scene(description)
  end

  for name, parts in pairs(cases) do
    it("is sampled as its density says: " .. name, function()
      local scene = scene_of(parts)
      local test = (name:find "cylinder" or name:find "scaled sphere") and chi_squared.solid_angles
        or chi_squared.directions
      test {
        sample = function(u1, u2, u3)
          local x, y, z, _, _, _, pdf = probe.light_sample(core_of(scene), 0, 0, 0, u1, u2, u3)
          return x, y, z, pdf
        end,
        -- Of all lights along the direction: they do not hide each other in these scenes. By area the density of a
        -- round light has a pole at its silhouette, which no quadrature of these bins resolves: solid_angles it is
        -- for those.
        pdf = function(x, y, z)
          local _, _, _, pdf = probe.light_pdf(core_of(scene), 0, 0, 0, x, y, z)
          return pdf
        end,
      }
    end)

    it("gives the radiance that a ray sees: " .. name, function()
      local scene = scene_of(parts)
      math.randomseed(5)
      local compared, off = 0, 0
      for _ = 1, 500 do
        local x, y, z, r, _, _, pdf =
          probe.light_sample(core_of(scene), 0, 0, 0, math.random(), math.random(), math.random())
        if x then
          local sr, _, _, spdf = probe.light_pdf(core_of(scene), 0, 0, 0, x, y, z)
          compared = compared + 1
          -- Rays at the very rim may miss.
          if math.abs(r - sr) > 1e-3 * r or math.abs(pdf - spdf) > 1e-2 * pdf then off = off + 1 end
        end
      end
      assert.is_true(compared >= 100)
      assert.is_true(
        off <= compared / 50,
        ("%d of %d samples disagree with the ray that goes there"):format(off, compared)
      )
    end)
  end
end)
