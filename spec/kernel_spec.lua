-- Kernels: which one runs, and what trees of odd geometry give whichever it is: what brute force gives.

local core_of = require("rtlua.scene").core
local estimate = require "spec.support.estimate"
local folder = require "spec.support.folder"
local kernels = require "spec.support.kernels"
local probe = require "rtlua.core.probe"
local rt = require "rtlua"
local run = require "spec.support.run"
local system = require "rtlua.system"

local camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } }

-- A mesh of triangles, each a list of nine numbers.
local function mesh(triangles)
  local vertices, indices = {}, {}
  for i, t in ipairs(triangles) do
    for k = 1, 9 do vertices[9 * i - 9 + k] = t[k] end
    for k = 1, 3 do indices[3 * i - 3 + k] = 3 * i - 3 + k end
  end
  return rt.mesh { vertices = vertices, indices = indices }
end

-- Rays to random points of the cube of side 2 s around the origin, from 3 s off; each kernel's hit is brute force's.
local function same_as_brute_force(scene, s, rays)
  local core, hits, chosen = core_of(scene), 0, system.isa()
  math.randomseed(5)
  local function random() return (2 * math.random() - 1) * s end
  for _ = 1, rays do
    local ox, oy, oz = 3 * random(), 3 * random(), 3 * s
    local dx, dy, dz = random() - ox, random() - oy, random() - oz
    local t, ordinal = probe.brute_hit(core, ox, oy, oz, dx, dy, dz)
    for _, kernel in ipairs(kernels) do
      system.isa(kernel)
      local kt, kordinal = probe.hit(core, ox, oy, oz, dx, dy, dz)
      assert(kt == t and kordinal == ordinal, ("%s: %s %s, not %s %s"):format(kernel, kt, kordinal, t, ordinal))
      assert(probe.occluded(core, ox, oy, oz, dx, dy, dz) == (t ~= nil), kernel)
    end
    hits = hits + (t and 1 or 0)
  end
  system.isa(chosen)
  return hits
end

local function scene_of(...) return rt.scene { camera = camera, ... } end

local function random_triangle(size)
  local t = {}
  for axis = 1, 3 do
    local at = 2 * math.random() - 1
    for vertex = 0, 2 do t[3 * vertex + axis] = at + (2 * math.random() - 1) * size end
  end
  return t
end

describe("a tree", function()
  it("of one triangle, of eight and of nine is a leaf, a leaf and a node", function()
    math.randomseed(3)
    local triangles = {}
    for n = 1, 9 do
      triangles[n] = random_triangle(1)
      if n == 1 or n >= 8 then assert.is_true(same_as_brute_force(scene_of(mesh(triangles)), 1, 300) > 0) end
    end
  end)

  it("of many triangles in one place gives the first of them", function()
    local n, triangle = estimate.samples(100000), { -1, -1, 0, 1, -1, 0, 0, 1, 0 }
    local triangles = {}
    for i = 1, n do triangles[i] = triangle end
    local core = core_of(scene_of(mesh(triangles)))
    for _, kernel in ipairs(kernels) do
      system.isa(kernel)
      assert.same({ 2, 0 }, { probe.hit(core, 0.1, 0.1, 2, 0, 0, -1) })
    end
  end)

  it("of degenerate, tiny, huge and subnormal triangles gives what brute force gives", function()
    math.randomseed(4)
    local triangles = {}
    for i = 1, 200 do
      local t = random_triangle(i % 5 == 0 and 1e-3 or 0.3)
      if i % 7 == 0 then t[4], t[5], t[6] = t[1], t[2], t[3] end -- two vertices in one place
      if i % 11 == 0 then t = { t[1], t[2], t[3], t[1], t[2], t[3], t[1], t[2], t[3] } end
      if i % 13 == 0 then -- on one line
        for k = 1, 3 do t[6 + k] = t[k] + 2 * (t[3 + k] - t[k]) end
      end
      if i % 17 == 0 then t[1] = t[1] + 1e30 end
      if i % 19 == 0 then
        for k = 1, 9 do t[k] = t[k] * 1e-40 end
      end
      triangles[i] = t
    end
    assert.is_true(same_as_brute_force(scene_of(mesh(triangles)), 1, estimate.samples(4000)) > 0)
  end)

  for _, scale in ipairs { 1e-6, 1e8 } do
    it(("holds at a scale of %g"):format(scale), function()
      math.randomseed(6)
      local triangles = {}
      for i = 1, 300 do
        triangles[i] = random_triangle(0.3)
        for k = 1, 9 do triangles[i][k] = triangles[i][k] * scale end
      end
      assert.is_true(same_as_brute_force(scene_of(mesh(triangles)), scale, estimate.samples(4000)) > 100 * 1 / 16)
    end)
  end

  it("is met along its axes from where an origin divided by a direction is no float", function()
    math.randomseed(7)
    local triangles, hits = {}, 0
    for i = 1, 300 do
      triangles[i] = random_triangle(0.3)
      for k = 1, 9 do triangles[i][k] = triangles[i][k] * 1e30 end
    end
    local core, chosen = core_of(scene_of(mesh(triangles))), system.isa()
    for i = 1, estimate.samples(2000) do
      local o, d = {}, {}
      for axis = 1, 3 do
        o[axis] = (2 * math.random() - 1) * 1e30
        d[axis] = math.random() < 0.5 and 0.0 or -0.0
      end
      o[i % 3 + 1], d[i % 3 + 1] = 4e30, -1e20 * (i % 2) - 1e-3
      local t, ordinal = probe.brute_hit(core, o[1], o[2], o[3], d[1], d[2], d[3])
      hits = hits + (t and 1 or 0)
      for _, kernel in ipairs(kernels) do
        system.isa(kernel)
        assert.same({ t, ordinal }, { probe.hit(core, o[1], o[2], o[3], d[1], d[2], d[3]) })
      end
    end
    system.isa(chosen)
    assert.is_true(hits > 10)
  end)

  it("is as deep as it needs to be: each triangle twice the size of the one before", function()
    local triangles = {}
    for i = 1, 120 do
      local s = 2.0 ^ (i - 60)
      triangles[i] = { 0, 0, -s, s, 0, -s, 0, s, -s }
    end
    assert.is_true(same_as_brute_force(scene_of(mesh(triangles)), 1, estimate.samples(2000)) > 0)
  end)
end)

describe("RTLUA_ISA", function()
  it("chooses a kernel, and changes no picture", function()
    local dir <close> = folder.new()
    local first
    for _, kernel in ipairs(kernels) do
      local env = { RTLUA_ISA = kernel }
      assert.matches("\nkernel " .. kernel .. "\n", run.rtlua({ "--version" }, { env = env }).stdout)
      local result = run.rtlua({
        "scenes/stacked_spheres.lua", "--size", "40x30", "--spp", "4", "--quiet", "-o", dir.path .. "/a.pfm",
      }, { env = env })
      assert.equal(0, result.code, result.stderr)
      first = first or dir:read "a.pfm"
      assert.is_true(first == dir:read "a.pfm", kernel)
    end
  end)

  it("names one that there is", function()
    local result = run.rtlua({ "--version" }, { env = { RTLUA_ISA = "mmx" } })
    assert.equal(64, result.code)
    assert.matches("^rtlua: RTLUA_ISA=mmx: [^\n]*: the best that there is here is %w+\n$", result.stderr)
  end)
end)

describe("rtlua bench traversal", function()
  it("prints what it built and traced", function()
    local dir <close> = folder.new()
    local path = dir:write("t.obj", "v -1 -1 0\nv 1 -1 0\nv 0 1 0\nf 1 2 3\n")
    for i, set in ipairs { "primary", "bounce", "occl", "random" } do
      local rays = {}
      for k = 1, 10 do rays[k] = ("<ffffffff"):pack(0, 0, 2, 0, 0, 0, k <= i and -1 or 1, 1e30) end
      dir:write("t." .. set, table.concat(rays))
    end
    local result = run.rtlua { "bench", "traversal", path, "--rays", dir.path .. "/t", "--threads", "1" }
    assert.equal(0, result.code, result.stderr)
    assert.matches("BUILD,rtlua%-%w+,t,1,1,[%d.]+,[%d.]+,[%d.-]+\n", result.stdout)
    for i, set in ipairs { "primary", "bounce", "occl", "random" } do
      local line = "RAY,rtlua%%-%%w+,t,%s,1,10,%d,[%%d.]+,[%%d.]+,[%%d.]+,%s\n"
      assert.matches(line:format(set, i, set == "occl" and 0 or 2), result.stdout)
    end
    dir:write("t.primary", ("<ffffffff"):pack(0, 0, 2, -1, 0, 0, -1, 1e30))
    local behind = run.rtlua { "bench", "traversal", path, "--rays", dir.path .. "/t", "--threads", "1" }
    assert.equal(65, behind.code)
    assert.matches("ray 0 begins at t = %-1: it must be at least 0\n$", behind.stderr)
    local missing = run.rtlua { "bench", "traversal", path, "--rays", dir.path .. "/none" }
    assert.equal(66, missing.code)
    assert.equal(64, run.rtlua({ "bench", "speed", path }).code)
  end)
end)
