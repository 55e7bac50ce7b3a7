-- The hit is defined without the tree: the least (t, ordinal) that the exact test accepts. Every hit by the tree is
-- bit-equal to brute force, occlusion agrees with it, and no ray slips between triangles that share an edge.

local rt = require "rtlua"
local core_of = require("rtlua.scene").core
local probe = require "rtlua.core.probe"
local estimate = require "spec.support.estimate"
local kernels = require "spec.support.kernels"
local system = require "rtlua.system"

local camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } }

-- A closed mesh: a sphere of nu by nv quads with bumps, its poles shared.
local function ball(nu, nv, radius, center)
  local vertices, indices = { { 0, radius, 0 } }, {}
  for j = 1, nv - 1 do
    for i = 0, nu - 1 do
      local theta, phi = math.pi * j / nv, 2 * math.pi * i / nu
      local r = radius * (1 + 0.1 * math.sin(5 * phi) * math.sin(3 * theta))
      vertices[#vertices + 1] =
        { r * math.sin(theta) * math.cos(phi), r * math.cos(theta), r * math.sin(theta) * math.sin(phi) }
    end
  end
  vertices[#vertices + 1] = { 0, -radius, 0 }
  local function id(i, j) return 2 + (j - 1) * nu + i % nu end
  for i = 0, nu - 1 do
    indices[#indices + 1] = { 1, id(i + 1, 1), id(i, 1) }
    for j = 1, nv - 2 do
      indices[#indices + 1] = { id(i, j), id(i + 1, j + 1), id(i, j + 1) }
      indices[#indices + 1] = { id(i, j), id(i + 1, j), id(i + 1, j + 1) }
    end
    indices[#indices + 1] = { id(i, nv - 1), id(i + 1, nv - 1), #vertices }
  end
  for _, v in ipairs(vertices) do
    for k = 1, 3 do
      v[k] = v[k] + (center and center[k] or 0)
    end
  end
  return vertices, indices
end

local function random_in(scale) return (2 * math.random() - 1) * scale end

-- Everything at once: all kinds of shapes, nested instances with uneven scales, duplicates, touching faces.
local function zoo(s)
  local vertices, indices = ball(16, 8, 0.5 * s)
  local mesh = rt.mesh { vertices = vertices, indices = indices }
  local pair = rt.group {
    rt.sphere { center = { 0, 0, 0 }, radius = 0.3 * s },
    mesh:at { translate = { 0.6 * s, 0, 0 }, scale = { 0.5, 1, 0.25 } },
    rt.cylinder { from = { 0, 0, 0 }, to = { 0, 0.7 * s, 0 }, radius = 0.1 * s, caps = true },
  }
  local shapes = {
    mesh,
    mesh, -- once more in the same place
    rt.box { min = { -s, -s, -s }, max = { -0.5 * s, -0.5 * s, -0.5 * s } },
    rt.box { min = { -0.5 * s, -s, -s }, max = { 0, -0.5 * s, -0.5 * s } }, -- shares a face with it
    rt.quad { { -s, -s, s }, { s, -s, s }, { s, -s, -s }, { -s, -s, -s } },
    rt.triangle { { 0, 0, 0 }, { s, 0, 0 }, { 0, s, 0 } },
    rt.disk { center = { 0, 0.8 * s, 0 }, normal = { 0, 1, 0.1 }, radius = 0.5 * s },
    rt.plane { point = { 0, -1.1 * s, 0 }, normal = { 0, 1, 0 } },
    rt.cylinder { from = { -s, 0, 0 }, to = { -s, s, 0.2 * s }, radius = 0.2 * s, caps = false },
    pair:at { translate = { 0, s, 0 } },
    rt.group { pair:at { rotate = { { 1, 1, 0 }, 70 }, scale = 0.4 }, pair }
      :at { translate = { s, 0, s }, scale = { 1, 2, 0.5 } },
    pair:at { translate = { 0, 0, s }, scale = { -1, 1, 1 } },
  }
  for i = 1, 40 do
    shapes[#shapes + 1] =
      rt.sphere { center = { random_in(s), random_in(s), random_in(s) }, radius = (0.02 + 0.1 * i / 40) * s }
  end
  return rt.scene { camera = camera, table.unpack(shapes) }, vertices, indices
end

-- Rays that are hard: aimed at vertices and edge middles, along axes, grazing, from far away.
local function ray(kind, s, vertices, indices)
  local ox, oy, oz = random_in(1.5 * s), random_in(1.5 * s), random_in(1.5 * s)
  local dx, dy, dz = random_in(1), random_in(1), random_in(1)
  if kind == "vertex" or kind == "edge" then
    local triangle = indices[math.random(#indices)]
    local a = vertices[triangle[1]]
    local b = kind == "vertex" and a or vertices[triangle[2]]
    dx, dy, dz = (a[1] + b[1]) / 2 - ox, (a[2] + b[2]) / 2 - oy, (a[3] + b[3]) / 2 - oz
  elseif kind == "axis" then
    local axis, sign = math.random(3), math.random() < 0.5 and -1 or 1
    dx, dy, dz = axis == 1 and sign or 0, axis == 2 and sign or -0.0, axis == 3 and sign or 0
    if math.random() < 0.5 then
      ox, oy, oz = s * math.floor(ox / s * 2) / 2, s * math.floor(oy / s * 2) / 2, s * math.floor(oz / s * 2) / 2
    end
  elseif kind == "grazing" then
    oy, dy = -s, math.random() < 0.5 and 0 or random_in(1e-7)
  elseif kind == "far" then
    ox, oy, oz = 1000 * ox, 1000 * oy, 1000 * oz
    dx, dy, dz = random_in(s) - ox, random_in(s) - oy, random_in(s) - oz
  elseif kind == "long" then
    dx, dy, dz = dx * 1e6, dy * 1e6, dz * 1e6
  end
  return ox, oy, oz, dx, dy, dz
end

-- f(exponent, kernel) for each scale and kernel.
local function each(f)
  for _, exponent in ipairs { -20, 0, 20 } do
    for _, kernel in ipairs(kernels) do f(exponent, kernel) end
  end
end

describe("a hit", function()
  local chosen = system.isa()
  after_each(function() system.isa(chosen) end)

  each(function(exponent, kernel)
    it(("is bit-equal to brute force over all primitives, at scale 2^%d, by %s"):format(exponent, kernel), function()
      math.randomseed(exponent)
      system.isa(kernel)
      local s = 2.0 ^ exponent
      local scene, vertices, indices = zoo(s)
      local hits, rays = 0, estimate.samples(8000 // #kernels)
      for _, kind in ipairs { "random", "vertex", "edge", "axis", "grazing", "far", "long" } do
        for _ = 1, rays do
          local ox, oy, oz, dx, dy, dz = ray(kind, s, vertices, indices)
          if dx ~= 0 or dy ~= 0 or dz ~= 0 then
            local t, ordinal = probe.hit(core_of(scene), ox, oy, oz, dx, dy, dz)
            local bt, bordinal = probe.brute_hit(core_of(scene), ox, oy, oz, dx, dy, dz)
            if t ~= bt or ordinal ~= bordinal then
              error(
                ("%s ray %.9g %.9g %.9g  %.9g %.9g %.9g: tree %s %s, brute force %s %s"):format(
                  kind,
                  ox,
                  oy,
                  oz,
                  dx,
                  dy,
                  dz,
                  t,
                  ordinal,
                  bt,
                  bordinal
                )
              )
            end
            assert(probe.occluded(core_of(scene), ox, oy, oz, dx, dy, dz) == (t ~= nil))
            if t then hits = hits + 1 end
          end
        end
      end
      assert.is_true(hits > 3 * rays)
    end)
  end)

  it("is the one of lower ordinal where two primitives coincide", function()
    local quad = { { -1, -1, 0 }, { 1, -1, 0 }, { 1, 1, 0 }, { -1, 1, 0 } }
    local scene = rt.scene {
      camera = camera,
      rt.quad { quad[1], quad[2], quad[3], quad[4], name = "first" },
      rt.quad { quad[1], quad[2], quad[3], quad[4], name = "second" },
    }
    for _ = 1, 100 do
      local hit = scene:intersect { origin = { random_in(0.9), random_in(0.9), 1 }, direction = { 0, 0, -1 } }
      assert.equal("first", hit.shape)
    end
  end)

  it("on a transformed shape is where the transformed shape is", function()
    local scene = rt.scene {
      camera = camera,
      rt.sphere { radius = 1, transform = rt.translate { 5, 0, 0 } * rt.rotate_z(90) * rt.scale { 2, 1, 1 } },
    }
    local hit = scene:intersect { origin = { 5, 9, 0 }, direction = { 0, -1, 0 } }
    assert.near(7, hit.t, 1e-5)
    assert.near(1, hit.normal[2], 1e-6)
    assert.is_nil(scene:intersect { origin = { 6.01, 9, 0 }, direction = { 0, -1, 0 } })
  end)
end)

describe("a closed mesh", function()
  local function escapes(scene, vertices, indices, center, to_world)
    math.randomseed(42)
    local escaped, n = 0, estimate.samples(340000)
    for _ = 1, n do
      local triangle, corner = indices[math.random(#indices)], math.random(3)
      local a, b = vertices[triangle[corner]], vertices[triangle[corner % 3 + 1]]
      local f = math.random() < 0.5 and 0 or math.random()
      local p = to_world(a[1] + f * (b[1] - a[1]), a[2] + f * (b[2] - a[2]), a[3] + f * (b[3] - a[3]))
      local ox, oy, oz = center[1] + random_in(0.2), center[2] + random_in(0.2), center[3] + random_in(0.2)
      if not probe.hit(core_of(scene), ox, oy, oz, p[1] - ox, p[2] - oy, p[3] - oz) then escaped = escaped + 1 end
    end
    return escaped
  end
  local function same(x, y, z) return { x, y, z } end

  it("lets no ray out that starts inside, aimed at its edges and vertices", function()
    local vertices, indices = ball(40, 20, 1)
    local scene = rt.scene { camera = camera, rt.mesh { vertices = vertices, indices = indices } }
    assert.equal(0, escapes(scene, vertices, indices, { 0, 0, 0 }, same))
  end)

  it("lets none out when it is an instance, turned and scaled", function()
    local vertices, indices = ball(40, 20, 1)
    local place = rt.rotate({ 1, 2, 3 }, 33) * rt.scale { 1, 1.5, 0.7 }
    local scene = rt.scene {
      camera = camera,
      rt.instance { rt.mesh { vertices = vertices, indices = indices }, transform = place },
    }
    assert.equal(
      0,
      escapes(scene, vertices, indices, { 0, 0, 0 }, function(x, y, z)
        local p = place:point { x, y, z }
        return { p[1], p[2], p[3] }
      end)
    )
  end)

  it("lets none out at a distance of 1e4 from the origin", function()
    local vertices, indices = ball(40, 20, 1, { 1e4, 1e4, 1e4 })
    local scene = rt.scene { camera = camera, rt.mesh { vertices = vertices, indices = indices } }
    assert.equal(0, escapes(scene, vertices, indices, { 1e4, 1e4, 1e4 }, same))
  end)
end)
