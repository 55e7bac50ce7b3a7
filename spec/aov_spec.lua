-- AOVs against what is known of a scene: planes, spheres, lights and textures whose every value has a closed form; and
-- the same to the bit for parts, however they are joined.

local core_film = require "rtlua.core.film"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local rt = require "rtlua"
local run = require "spec.support.run"

local ALL = {
  "albedo", "normal", "depth", "position", "uv", "emission", "direct", "indirect", "variance", "samples", "shape",
  "material", "error", "albedo_error", "normal_error", "depth_error",
}

-- What a scene shows to a camera that looks along -z from 5 before the origin and sees 4 by 4.
local function render(options, ...)
  local fields = {
    camera = rt.camera { type = "orthographic", height = 4, from = { 0, 0, 5 }, to = { 0, 0, 0 } },
    background = options.background,
  }
  for i = 1, select("#", ...) do fields[i] = (select(i, ...)) end
  return rt.scene(fields):render {
    size = { 8, 8 }, spp = options.spp or 16, filter = "box", aov = options.aov or ALL, max_depth = 4,
  }
end

local function near(expected, got, tolerance)
  assert.equal(#expected, #got)
  for i, value in ipairs(expected) do
    local fits = got[i] == value or math.abs(got[i] - value) <= tolerance
    assert.is_true(fits, ("[%d] is %.9g, not %.9g"):format(i, got[i], value))
  end
end

local WALL = { { -2, -2, 1 }, { 2, -2, 1 }, { 2, 2, 1 }, { -2, 2, 1 } }

local function wall(material)
  return rt.quad { WALL[1], WALL[2], WALL[3], WALL[4], material = material or rt.diffuse { color = { 0.2, 0.4, 0.8 } } }
end

describe("an AOV", function()
  it("says where a plane is and how it lies", function()
    local image = render({}, wall())
    for _, at in ipairs { { 0, 0 }, { 7, 0 }, { 3, 5 } } do
      local x, y = at[1], at[2]
      near({ 4 }, image:aov("depth"):pixel(x, y), 1e-6)
      near({ 0, 0, 1 }, image:aov("normal"):pixel(x, y), 0)
      -- Sixteen samples, one in each cell of a 4 by 4 grid of the pixel: the mean is off by an eighth of a cell's side.
      near({ -1.75 + x / 2, 1.75 - y / 2, 1 }, image:aov("position"):pixel(x, y), 0.05)
      near({ (x + 0.5) / 8, (7.5 - y) / 8, 1 }, image:aov("uv"):pixel(x, y), 0.0125)
      near({ 0.2, 0.4, 0.8 }, image:aov("albedo"):pixel(x, y), 1e-6)
      near({ 16 }, image:aov("samples"):pixel(x, y), 0)
    end
  end)

  it("of a back side turns the normal to the viewer", function()
    local image = render({}, rt.quad { WALL[4], WALL[3], WALL[2], WALL[1], material = rt.diffuse { color = 1 } })
    near({ 0, 0, 1 }, image:aov("normal"):pixel(4, 4), 0)
  end)

  it("is a sphere's normal, and leaves out what met nothing", function()
    local image = render({ spp = 64 }, rt.sphere { center = { 0, 0, 0 }, radius = 1.5 })
    -- Through the centre of pixel (5, 3), (0.75, 0.25): the normal there, and its mean nearly so.
    local z = math.sqrt(1.5 ^ 2 - 0.75 ^ 2 - 0.25 ^ 2)
    near({ 0.5, 0.25 / 1.5, z / 1.5 }, image:aov("normal"):pixel(5, 3), 0.02)
    near({ math.huge }, image:aov("depth"):pixel(0, 0), 0)
    near({ 0, 0, 0 }, image:aov("normal"):pixel(0, 0), 0)
    near({ 0, 0, 0 }, image:aov("uv"):pixel(0, 0), 0)
    -- On the edge: the depth is that of points of the sphere, and the normal's mean counts the background as 0.
    local function at(name) return image:aov(name):pixel(1, 2) end
    local uv, depth, normal = at "uv", at "depth", at "normal"
    assert.is_true(uv[3] > 0.2 and uv[3] < 0.95)
    assert.is_true(depth[1] > 3.5 and depth[1] < 5)
    local length = math.sqrt(normal[1] ^ 2 + normal[2] ^ 2 + normal[3] ^ 2)
    assert.is_true(length < uv[3] + 1e-6 and length > 0.8 * uv[3])
  end)

  it("is the albedo of what a mirror shows, with its tint", function()
    local red = rt.quad {
      { -9, -9, 9 }, { -9, 9, 9 }, { 9, 9, 9 }, { 9, -9, 9 }, material = rt.diffuse { color = { 0.5, 0.1, 0 } },
    }
    local image = render({}, wall(rt.mirror { color = { 0.8, 0.6, 1 } }), red)
    near({ 0.4, 0.06, 0 }, image:aov("albedo"):pixel(2, 2), 1e-6)
    near({ 4 }, image:aov("depth"):pixel(2, 2), 1e-6) -- the mirror's own
    image = render({ background = 0.5 }, wall(rt.mirror { color = { 0.8, 0.6, 1 } }))
    near({ 0.8, 0.6, 1 }, image:aov("albedo"):pixel(2, 2), 1e-6)
    image = render({ background = 0.5 }, wall(rt.light { radiance = 3 }))
    near({ 1, 1, 1 }, image:aov("albedo"):pixel(2, 2), 0)
  end)

  it("takes the light apart", function()
    -- A point light of 10 W/sr, 2 before the wall: color / pi * intensity * cos / d^2, and cos = 2 / d.
    local image = render({ background = 0 }, wall(), rt.point { position = { 0, 0, 3 }, intensity = 10 })
    local x, y = 6, 2
    local p = image:aov("position"):pixel(x, y)
    local d2 = p[1] ^ 2 + p[2] ^ 2 + 4
    local expected = 10 * 2 / d2 ^ 1.5 / math.pi
    near({ 0.2 * expected, 0.4 * expected, 0.8 * expected }, image:aov("direct"):pixel(x, y), 0.01 * expected)
    near({ 0, 0, 0 }, image:aov("indirect"):pixel(x, y), 0)
    near({ 0, 0, 0 }, image:aov("emission"):pixel(x, y), 0)
    image = render({}, wall(rt.light { radiance = 3 }))
    near({ 3, 3, 3 }, image:aov("emission"):pixel(x, y), 0)
    near({ 0, 0, 0 }, image:aov("direct"):pixel(x, y), 0)
  end)

  it("of all light is the picture", function()
    local dir <close> = folder.new()
    assert.equal(0, run.rtlua({
      "scenes/cornell.lua", "--size", "24x18", "--spp", "9", "--quiet", "--aov", "direct,indirect,emission", "-o",
      dir.path .. "/a.pfm",
    }).code)
    local parts = {}
    for i, name in ipairs { "emission", "direct", "indirect" } do
      parts[i] = rt.image.load(("%s/a.%s.pfm"):format(dir.path, name))
    end
    local whole, lit = rt.image.load(dir.path .. "/a.pfm"), { 0, 0, 0 }
    for y = 0, 17 do
      for x = 0, 23 do
        local sum = { 0, 0, 0 }
        for i, part in ipairs(parts) do
          for c, v in ipairs(part:pixel(x, y)) do
            sum[c], lit[i] = sum[c] + v, lit[i] + v
          end
        end
        for c, v in ipairs(whole:pixel(x, y)) do assert.is_true(math.abs(v - sum[c]) <= 1e-6 * v) end
      end
    end
    for i = 1, 3 do assert.is_true(lit[i] > 0) end
  end)

  it("numbers shapes and materials from 1 on, by the pixel's first sample", function()
    local blue, green = rt.diffuse { color = { 0, 0, 1 } }, rt.diffuse { color = { 0, 1, 0 } }
    local function box(x)
      return rt.box { min = { x - 0.4, -1, -1 }, max = { x + 0.4, 1, 1 }, material = x > 0 and blue or green }
    end
    local image = render({}, box(-1), box(1))
    local function ids(x, y) return { image:aov("shape"):pixel(x, y)[1], image:aov("material"):pixel(x, y)[1] } end
    local left, right = ids(1, 4), ids(5, 4)
    assert.same({ 1, 2 }, { left[1], right[1] })
    assert.is_true(left[2] > 0 and right[2] > 0 and left[2] ~= right[2])
    assert.same({ 0, 0 }, ids(0, 0))
    assert.same({ 0, 0 }, ids(3, 4))
  end)

  it("is the variance of the mean that the samples say", function()
    -- A light that covers part of the edge's pixels: luminances of 2 and 0, so that the share of the former says all.
    local light = rt.quad {
      { -2, -2, 1 }, { 0.3, -2, 1 }, { 0.3, 2, 1 }, { -2, 2, 1 }, material = rt.light { radiance = 2 },
    }
    local image = render({ spp = 50 }, light)
    local share = image:aov("uv"):pixel(4, 4)[3]
    assert.is_true(share > 0.3 and share < 0.9)
    near({ 4 * share * (1 - share) / 49 }, image:aov("variance"):pixel(4, 4), 1e-7)
    near({ 0 }, image:aov("variance"):pixel(0, 0), 1e-7)
  end)

  -- Means a and b of halves of n and m samples: (a - b) sqrt(n m) / (n + m). Halves are 0 to 7 and 16 to 23, and 8 to
  -- 15.
  it("of errors is the difference of two halves", function()
    local edge = rt.quad {
      { -2, -2, 1 }, { 0.3, -2, 1 }, { 0.4, 2, 0 }, { -2, 2, 1 },
      material = rt.light { color = { 2, 1, 4 }, radiance = 1 },
    }
    local scene = rt.scene {
      camera = rt.camera { type = "orthographic", height = 4, from = { 0, 0, 5 }, to = { 0, 0, 0 } }, edge,
    }
    local function part(first, last, aov)
      return scene:render { size = { 8, 8 }, samples = { first, last }, filter = "gaussian", aov = aov }
    end
    local bases = { error = false, albedo_error = "albedo", normal_error = "normal", depth_error = "depth" }
    local names = { "albedo", "normal", "depth", "error", "albedo_error", "normal_error", "depth_error" }
    local whole = part(0, 24, names)
    local one, two, three = part(0, 8, names), part(8, 16, names), part(16, 24, names)
    for name, base in pairs(bases) do
      -- On the edge, but for depths, whose halves are of what met something: inside, where all do.
      local x = name == "depth_error" and 2 or 4
      local function mean(image, c) return (base and image:aov(base) or image):pixel(x, 4)[c] end
      for c, got in ipairs(whole:aov(name):pixel(x, 4)) do
        local a, b, n, m = (mean(one, c) + mean(three, c)) / 2, mean(two, c), 16, 8
        near({ (a - b) * math.sqrt(n * m) / (n + m) }, { got }, 1e-5)
      end
    end
    assert.is_true(whole:aov("depth_error"):pixel(2, 4)[1] ~= 0)
    assert.is_true(whole:aov("error"):pixel(4, 4)[1] ~= 0)
    near({ 0, 0, 0 }, whole:aov("error"):pixel(2, 4), 1e-6)
    local few = part(0, 8, { "error", "albedo_error", "albedo", "variance" })
    near({ math.sqrt(few:aov("variance"):pixel(4, 4)[1]) }, { few:aov("error"):pixel(4, 4)[2] }, 1e-6)
    near({ 0, 0, 0 }, few:aov("albedo_error"):pixel(4, 4), 0)
  end)

  it("that was not rendered, or does not exist, is an error that names those there are", function()
    local image = render({ aov = "depth" }, wall())
    assert.has_error(function() image:aov "normal" end)
    local ran, problem = pcall(image.aov, image, "normal")
    assert.is_false(ran)
    assert.matches("image:aov: the image has no AOV .normal.: it has depth", tostring(problem))
    local result = run.rtlua { "scenes/cornell.lua", "--aov", "albedo,norml" }
    assert.equal(64, result.code)
    assert.matches("%-%-aov: expected names .*did you mean 'normal'", result.stderr)
  end)
end)

describe("AOVs in files", function()
  local function render_files(dir, ...)
    local words = { "scenes/stacked_spheres.lua", "--size", "40x29", "--quiet", ... }
    local result = run.rtlua(words)
    assert.equal(0, result.code, result.stderr)
    return dir
  end

  it("are the same however parts are joined", function()
    local dir <close> = folder.new()
    local function at(name) return dir.path .. "/" .. name end
    local list = table.concat(ALL, ",")
    render_files(dir, "--aov", list, "--spp", "11", "-o", at "whole.exr", "-o", at "whole.pfm", "--threads", "1")
    render_files(dir, "--aov", list, "--samples", "0:4", "-o", at "a.part")
    render_files(dir, "--aov", list, "--samples", "4:11", "--crop", "0,0,19,29", "-o", at "b.part")
    render_files(dir, "--aov", list, "--samples", "4:11", "--crop", "19,0,40,29", "-o", at "c.part", "--threads", "3")
    for _, order in ipairs { { "a", "b", "c" }, { "c", "b", "a" } } do
      local words = { "merge", "-o", at "m.exr", "-o", at "m.pfm" }
      for _, name in ipairs(order) do words[#words + 1] = at(name .. ".part") end
      local result = run.rtlua(words)
      assert.equal(0, result.code, result.stderr)
      assert.is_true(dir:read "whole.exr" == dir:read "m.exr")
      for _, name in ipairs(ALL) do
        assert.is_true(dir:read(("whole.%s.pfm"):format(name)) == dir:read(("m.%s.pfm"):format(name)), name)
      end
    end
    render_files(dir, "--aov", "albedo", "--samples", "0:4", "-o", at "other.part")
    local result = run.rtlua { "merge", "-o", at "m.pfm", at "b.part", at "other.part" }
    assert.equal(65, result.code)
    assert.matches("other.part: has another aov", result.stderr)
  end)

  it("go on from a checkpoint", function()
    local dir <close> = folder.new()
    local function at(name) return dir.path .. "/" .. name end
    render_files(dir, "--aov", "normal,shape,variance", "--spp", "3", "--checkpoint", at "c.part", "-o", at "a.pfm")
    render_files(dir, "--aov", "normal,shape,variance", "--spp", "9", "--checkpoint", at "c.part", "--resume", "-o",
      at "a.pfm")
    render_files(dir, "--aov", "normal,shape,variance", "--spp", "9", "-o", at "b.pfm")
    for _, name in ipairs { "normal", "shape", "variance" } do
      assert.is_true(dir:read(("a.%s.pfm"):format(name)) == dir:read(("b.%s.pfm"):format(name)), name)
    end
  end)

  it("are one PNG each, beside the picture", function()
    local dir <close> = folder.new()
    local picture = dir.path .. "/a"
    render_files(dir, "--aov", "normal,material", "--spp", "2", "-o", picture .. ".png", "-o", picture .. ".pfm")
    for _, name in ipairs { "a.png", "a.normal.png", "a.material.png" } do
      assert.is_truthy(lfs.attributes(dir.path .. "/" .. name), name)
    end
    local shown, normals = rt.image.load(picture .. ".normal.png", true), rt.image.load(picture .. ".normal.pfm")
    for x = 0, 39 do
      local codes = shown:pixel(x, 14)
      for c, v in ipairs(normals:pixel(x, 14)) do near({ v / 2 + 0.5 }, { codes[c] }, 0.5001 / 255) end
    end
  end)
end)

describe("a film", function()
  it("takes the memory that docs/aovs.md says, whatever its samples", function()
    local dir <close> = folder.new()
    local function bytes(aov, ...)
      local path = dir.path .. "/a.part"
      local words = { "scenes/cornell.lua", "--size", "31x17", "--quiet", "--aov", aov, "-o", path, ... }
      assert.equal(0, run.rtlua(words).code)
      local film <close> = core_film.load(path)
      return film:about().bytes / (31 * 17)
    end
    assert.equal(64 + 48 + 48 + 16, bytes("albedo,normal,depth", "--spp", "1"))
    assert.equal(64 + 48 + 48 + 16, bytes("albedo,normal,depth", "--spp", "20"))
    assert.equal(64 + 64 + 16, bytes("error", "--spp", "1"))
    assert.equal(64 + 32 + 12 + 16, bytes("uv,shape,samples", "--spp", "1", "--noise", "0.5"))
  end)
end)
