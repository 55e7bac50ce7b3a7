-- Scenes from Lua: what is shared, what is inherited, which forms a field takes, and where complaints point.

local folder = require "spec.support.folder"
local rt = require "rtlua"

local camera = rt.camera { from = { 0, 0, 9 } }

local function scene(elements)
  elements.camera = elements.camera or camera
  return rt.scene(elements)
end

local function at(s, x, y)
  return s:intersect { origin = { x, y or 0, 50 }, direction = { 0, 0, -1 } }
end

-- The picture's only pixel, seen along the z axis from (0, 0, 9).
local function pixel(elements, options)
  elements.camera = rt.camera { type = "orthographic", height = 1e-3, from = { 0, 0, 9 } }
  local settings = { size = { 1, 1 }, spp = 64, filter = "box" }
  for k, v in pairs(options or {}) do settings[k] = v end
  return rt.scene(elements):render(settings):pixel(0, 0)
end

local function complaint(f, ...)
  local ok, e = pcall(f, ...)
  assert.is_false(ok)
  assert.equal("rtlua.error", getmetatable(e))
  return e.message, e.code
end

local function tetrahedron(more)
  more.vertices = { 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1 }
  more.indices = { { 1, 3, 2 }, { 1, 2, 4 }, { 1, 4, 3 }, { 2, 3, 4 } }
  return rt.mesh(more)
end

describe("geometry that stands in several places", function()
  it("is stored once", function()
    local mesh = tetrahedron { name = "t" }
    local elements = { mesh }
    for i = 1, 9 do elements[#elements + 1] = mesh:at { translate = { 3 * i, 0, 0 } } end
    elements[#elements + 1] = rt.instance { mesh, translate = { 0, 5, 0 } }
    local info = scene(elements):describe()
    assert.equal(4, info.triangles)
    assert.equal(44, info.placed_triangles)
    assert.equal(1, info.groups)
    assert.equal(10, info.instances)
  end)
  it("may be a group in groups", function()
    local row = rt.group { tetrahedron {}, rt.sphere { center = { 5, 0, 0 } } }
    local grid = rt.group { row, row:at { translate = { 0, 9, 0 } }, rt.group { row:at { translate = { 0, 0, 9 } } } }
    local info = scene({ grid, grid:at { scale = 2 } }):describe()
    assert.equal(4, info.triangles)
    assert.equal(2 * 3 * 4, info.placed_triangles)
    assert.equal(2 * 3 * 5, info.placed_primitives)
  end)
  it("nests 8 deep, and deeper in groups that only collect", function()
    local plain = rt.sphere { name = "ball" }
    for _ = 1, 40 do plain = rt.group { plain } end
    local s = scene { plain }
    assert.equal(0, s:describe().instances)
    assert.equal("ball", at(s, 0).shape)
    local placed = rt.sphere {}
    for _ = 1, 8 do placed = rt.group { rt.group { placed }, translate = { 1, 0, 0 } } end
    assert.truthy(at(scene { placed }, 8))
    local message = complaint(scene, { rt.group { placed, translate = { 1, 0, 0 } } })
    assert.truthy(message:find("nested", 1, true), message)
  end)
  it("keeps what a group that only collects says of its material", function()
    local red, blue = rt.diffuse { color = 0, emission = { 1, 0, 0 } }, rt.diffuse { color = 0, emission = { 0, 0, 1 } }
    assert.same({ 1, 0, 0 }, pixel { rt.group { rt.group { rt.sphere {}, material = red }, material = blue } })
    local shared = rt.group { rt.group { rt.sphere {} } }
    local here = rt.instance { shared, material = blue }
    local there = rt.instance { shared, material = red, translate = { 9, 0, 0 } }
    assert.same({ 0, 0, 1 }, pixel { here, there })
  end)
  it("is placed after its own transform: scale, rotate, translate", function()
    local ball = rt.sphere { translate = { 1, 0, 0 }, name = "ball" }
    local s = scene { ball:at { translate = { 10, 0, 0 }, rotate = { { 0, 0, 1 }, 90 }, scale = 3, name = "other" } }
    -- (1, 0, 0) * 3, turned to (0, 3, 0), moved to (10, 3, 0); radius 3.
    assert.is_nil(at(s, 1))
    local hit = at(s, 10, 3)
    assert.near(47, hit.t, 1e-4)
    assert.equal("other", hit.shape)
  end)
  it("takes a composed transform", function()
    local s = scene { rt.sphere { transform = rt.translate(2, 0, 0) * rt.scale(.5) } }
    assert.near(49.5, at(s, 2).t, 1e-5)
    assert.is_nil(at(s, 2.6))
  end)
end)

describe("a scene", function()
  it("shows neither its builder nor its settings", function()
    local s = scene { rt.sphere {} }
    assert.is_nil(s.core)
    assert.is_nil(s.settings)
    assert.is_nil(next(s))
    assert.has_error(function() s.settings = {} end)
  end)
end)

describe("a hit", function()
  it("has the name of its shape, or of the nearest named one around it", function()
    local inner = rt.group { rt.sphere {}, rt.sphere { center = { 4, 0, 0 }, name = "named" }, name = "inner" }
    local s = scene { rt.group { inner, name = "outer" }, rt.sphere { center = { 8, 0, 0 } } }
    assert.equal("inner", at(s, 0).shape)
    assert.equal("named", at(s, 4).shape)
    assert.is_nil(at(s, 8).shape)
  end)
end)

describe("a material", function()
  local glow = rt.diffuse { color = 0, emission = { 1, 2, 3 } }
  it("is inherited from the group, or the placement, around a shape that has none", function()
    assert.same({ 1, 2, 3 }, pixel { rt.group { rt.sphere {}, material = glow } })
    assert.same({ 1, 2, 3 }, pixel { rt.group { rt.group { rt.sphere {} }, material = glow }:at {} })
    assert.same({ 1, 2, 3 }, pixel { rt.instance { rt.sphere {}, material = glow } })
    local own = rt.diffuse { color = 0, emission = 5 }
    assert.same({ 5, 5, 5 }, pixel { rt.group { rt.sphere { material = own }, material = glow } })
  end)
  it("may differ between two groups that share a shape", function()
    local ball = rt.sphere {}
    local s = scene { rt.group { ball, material = glow }, rt.group { ball, translate = { 3, 0, 0 } } }
    assert.equal(2, s:describe().materials)
  end)
  it("is 80 % grey when there is none", function()
    -- A sphere of albedo a in a uniform environment of radiance 1 that meets nothing else: a.
    local v = pixel({ rt.sphere {}, background = 1 }, { max_depth = 1 })
    for i = 1, 3 do assert.near(.8, v[i], .02) end
  end)
  it("emits by radiance times color", function()
    assert.same({ 6, 3, 0 }, pixel { rt.sphere { material = rt.light { radiance = 3, color = { 2, 1, 0 } } } })
  end)
  it("emits by power over pi, area and sides", function()
    -- A disk of radius 1: L = P / (pi area) = P / pi^2, half of it when both sides emit.
    local function disk(two_sided)
      return { rt.disk { normal = { 0, 0, 1 }, material = rt.light { power = 10, two_sided = two_sided } } }
    end
    assert.near(10 / math.pi ^ 2, pixel(disk(false))[1], 1e-6)
    assert.near(5 / math.pi ^ 2, pixel(disk(true))[1], 1e-6)
  end)
  it("emits a picture times radiance, and a checker", function()
    local picture = rt.image.new(1, 1)
    picture:set(0, 0, { .5, .25, 1 })
    local quad = { { -1, -1, 0 }, { 1, -1, 0 }, { 1, 1, 0 }, { -1, 1, 0 } }
    quad.material = rt.light { radiance = 4, color = picture }
    assert.same({ 2, 1, 4 }, pixel { rt.quad(quad) })
    quad.material = rt.light { radiance = 4, color = rt.checker { 1, rt.checker { 1, 1 }, scale = { 3, 5 } } }
    assert.same({ 4, 4, 4 }, pixel { rt.quad(quad) })
  end)
  it("may be textured wherever it has a colour or a number", function()
    local t = rt.checker { .1, "#203040" }
    scene {
      rt.sphere { material = rt.metal { eta = t, k = t, roughness = t } },
      rt.sphere { material = rt.glass { color = t, alpha = t } },
      rt.sphere { material = rt.plastic { color = t, ior = rt.checker { 1.3, 1.5 } } },
      rt.sphere { material = rt.mix { a = rt.mirror {}, b = rt.diffuse {}, amount = t } },
    }
  end)
  it("of a mesh goes by triangle, and by usemtl name", function()
    local dir <close> = folder.new()
    local path = dir:write("two.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\nusemtl blue\nf 3 2 1\n")
    scene { rt.mesh { file = path, materials = { red = rt.mirror {}, blue = rt.glass {} } } }
    scene { rt.mesh { file = path, materials = { red = rt.mirror {} }, material = rt.glass {} } }
    scene { tetrahedron { material_ids = { 1, 2, 1, 2 }, materials = { rt.mirror {}, rt.glass {} } } }
    local message = complaint(rt.mesh, { file = path, materials = { rde = rt.mirror {} } })
    assert.truthy(message:find("the mesh has no material 'rde' (did you mean 'red'?)", 1, true), message)
    message = complaint(rt.mesh, { file = path, materials = { red = rt.mirror {} } })
    assert.truthy(message:find("rt.mesh: materials: nothing for 'blue' of the file, only for 'red'", 1, true), message)
    message = complaint(tetrahedron, { material_ids = { 1, 2, 3, 1 }, materials = { rt.mirror {}, rt.glass {} } })
    assert.truthy(message:find("material_ids[3]: there is no material 3", 1, true), message)
    message = complaint(tetrahedron, { material_ids = { 1, 2 }, materials = { rt.mirror {}, rt.glass {} } })
    assert.truthy(message:find "triangles", message)
  end)
end)

describe("a background", function()
  it("is a colour, a gradient or black", function()
    assert.same({ 0, 0, 0 }, pixel {})
    assert.same({ .5, .5, .5 }, pixel { background = .5 })
    assert.same({ 1, .25, 0 }, pixel { background = { 1, .25, 0 } })
    local v = pixel { background = { top = 1, bottom = { .5, 0, 0 } } }
    for i, half in ipairs { .75, .5, .5 } do assert.near(half, v[i], 1e-3) end
  end)
  it("is an environment map", function()
    local dir <close> = folder.new()
    local picture = rt.image.new(4, 2)
    for y = 0, 1 do
      for x = 0, 3 do picture:set(x, y, { .5, .25, .125 }) end
    end
    picture:save(dir.path .. "/sky.pfm")
    local v = pixel { background = rt.envmap { file = dir.path .. "/sky.pfm", scale = 2, rotate = 30 } }
    for i, c in ipairs { 1, .5, .25 } do assert.near(c, v[i], 1e-6) end
    assert.truthy(pixel { background = rt.envmap(dir.path .. "/sky.pfm") })
  end)
end)

describe("visible = false", function()
  it("hides from the camera alone, also inside of a placed group", function()
    local lamp = rt.sphere { material = rt.light { radiance = 5 }, visible = false }
    assert.same({ 0, 0, 0 }, pixel { lamp })
    assert.same({ 0, 0, 0 }, pixel { rt.group { lamp } })
    assert.same({ 0, 0, 0 }, pixel { rt.sphere { material = rt.light {} }:at { visible = false } })
    -- The mirror behind it shows it.
    local mirror = rt.disk { center = { 0, 0, -3 }, normal = { 0, 0, 1 }, material = rt.mirror {} }
    assert.same({ 5, 5, 5 }, pixel { lamp, mirror })
  end)
end)

describe("a complaint", function()
  for _, case in ipairs {
    { "a shape among fields",
      function() return rt.sphere { rt.sphere {} } end,
      "rt%.sphere: %[1%]: expected named fields" },
    { "a hole among the elements",
      function() return rt.group { [1] = rt.sphere {}, [3] = rt.sphere {} } end,
      "rt%.group: %[3%]" },
    { "a material as a shape",
      function() return rt.group { rt.mirror {} } end,
      "%[1%]: expected a shape or a light, got a mirror" },
    { "a shape as a material", function() return rt.sphere { material = rt.sphere {} } end, "got a sphere" },
    { "no camera", function() return rt.scene {} end, "rt%.scene: camera: missing" },
    { "a wrong render table",
      function() return rt.scene { camera = camera, render = { spp = 0 } } end,
      "rt%.scene: render: spp: expected" },
    { "metal without data", function() return rt.metal {} end, "rt%.metal: expected a preset, eta and k, or color" },
    { "eta alone", function() return rt.metal { eta = 1 } end, "eta: needs k" },
    { "two ways to say it",
      function() return rt.glass { roughness = .1, alpha = .1 } end,
      "alpha: give it or roughness" },
    { "a preset that is none", function() return rt.metal { preset = "golt" } end, "did you mean 'gold'" },
    { "a texture out of range",
      function() return rt.diffuse { color = rt.checker { .5, 2 } } end,
      "its texture has 2" },
    { "a flat triangle", function() return rt.triangle { { 0, 0, 0 }, { 1, 1, 1 }, { 2, 2, 2 } } end, "on a line" },
    { "a box inside out",
      function() return rt.box { min = { 0, 0, 0 }, max = { 1, -1, 1 } } end,
      "max: expected y above" },
    { "a camera that looks nowhere", function() return rt.camera { from = { 0, 0, 0 } } end, "to: expected a point" },
    { "an orthographic camera without height",
      function() return rt.camera { from = { 0, 0, 1 }, type = "orthographic" } end, "height: missing" },
    { "a name that is none",
      function() return rt.spere end,
      "rt%.spere: there is no such function %(did you mean 'sphere'" },
    { "an index out of range",
      function() return rt.mesh { vertices = { 0, 0, 0, 1, 0, 0, 0, 1, 0 }, indices = { 1, 2, 4 } } end,
      "indices%[3%]" },
    { "scale and transform",
      function() return rt.sphere { scale = 2, transform = rt.scale(2) } end,
      "give it or transform" },
    { "at with a misspelt field",
      function() return rt.sphere {}:at { tranlate = { 1, 0, 0 } } end,
      "rt%.sphere: at: .*translate" },
  } do
    it("points at its line: " .. case[1], function()
      local line = debug.getinfo(case[2], "S").linedefined
      local message, code = complaint(case[2])
      assert.equal(65, code)
      assert.truthy(message:find(("scene_spec.lua:%d: "):format(line), 1, true), message)
      assert.truthy(message:find(case[3]), message)
    end)
  end
  it("points at an infinite plane that shines with a power, wherever it has its material from", function()
    local power = rt.light { power = 3 }
    for _, material in ipairs {
      power, rt.two_sided { front = rt.diffuse {}, back = power }, rt.mix { a = rt.mirror {}, b = power },
    } do
      local own, inherited = rt.plane { material = material }, rt.plane {}
      local line = debug.getinfo(1, "l").currentline - 1
      for _, element in ipairs { own, rt.group { inherited, material = material, translate = { 0, 1, 0 } } } do
        local message = complaint(scene, { element })
        assert.truthy(message:find(("scene_spec.lua:%d: rt.plane: material: power"):format(line), 1, true), message)
      end
    end
    scene { rt.plane { material = rt.light { power = 0 } }, rt.plane { material = rt.light { radiance = 1 } } }
  end)
  it("points at a light whose power has a texture for a colour", function()
    for _, color in ipairs { rt.checker { 0, 1 }, rt.image.new(2, 2) } do
      local message = complaint(rt.light, { power = 1, color = color })
      assert.truthy(message:find("rt.light: color: power needs a plain colour", 1, true), message)
    end
  end)
  it("has code 66 for a file that is missing", function()
    for _, f in ipairs {
      function() return rt.mesh { file = "gone.ply" } end, function() return rt.image "gone.png" end,
      function() return rt.image.load "gone.png" end, function() return rt.envmap "gone.hdr" end,
    } do
      local message, code = complaint(f)
      assert.equal(66, code)
      assert.truthy(message:find "gone%.", message)
    end
  end)
  it("is made when a description is changed", function()
    local ball = rt.sphere { radius = 2 }
    assert.equal(2, ball.radius)
    assert.has_error(function() ball.radius = -1 end)
  end)
end)
