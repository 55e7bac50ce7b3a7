-- Mesh files: what is read, what is left out, what is refused.

local lfs = require "lfs"
local core_mesh = require "rtlua.core.mesh"
local folder = require "spec.support.folder"
local rt = require "rtlua"

local dir

before_each(function() dir = folder.new() end)
after_each(function() dir:remove() end)

local function load(name, text) return core_mesh.load(dir:write(name, text)) end

-- What a ray from (x, y, 5) straight down -z meets on a mesh that is a scene's only shape.
local function look(file, x, y)
  local scene = rt.scene { camera = rt.camera { from = { 0, 0, 5 }, to = { 0, 0, 0 } }, rt.mesh { file = file } }
  return scene:intersect { origin = { x, y, 5 }, direction = { 0, 0, -1 } }
end

describe("an OBJ file", function()
  it("has polygons of any size, cut into fans", function()
    local mesh = assert(load("a.obj", "v 0 0 0\nv 2 0 0\nv 3 1 0\nv 1 3 0\nv 0 1 0\nf 1 2 3 4 5\n"))
    assert.equal(3, mesh:triangles())
    assert.equal(5, mesh:vertices())
    assert.same({ min = { 0, 0, 0 }, max = { 3, 3, 0 } }, mesh:bounds())
  end)

  it("has negative indices, which count back from the last vertex so far", function()
    dir:write("a.obj", "v 9 9 9\nv -1 -1 0\nv 1 -1 0\nv 0 1 0\nf -3 -2 -1\nv 7 7 7\n")
    assert.near(5, look(dir.path .. "/a.obj", 0, 0).t, 0)
  end)

  it("has texture coordinates and normals of its own, mixed and missing", function()
    dir:write(
      "a.obj",
      [[
# a comment
mtllib none.mtl
o thing
v -1 -1 0
v 1 -1 0
v 1 1 0
v -1 1 0
vt 0 0
vt 1 0
vt 1 1
vn 0 0.6 0.8
s 1
f 1/1/1 2/2/1 \
  3/3/1
f 1//1 3 4
]]
    )
    local hit = look(dir.path .. "/a.obj", 0.5, -0.5)
    assert.near(0.75, hit.uv[1], 1e-6)
    assert.near(0.25, hit.uv[2], 1e-6)
    assert.same({ 0, 0, 1 }, { hit.normal[1], hit.normal[2], hit.normal[3] })
    assert.truthy(look(dir.path .. "/a.obj", -0.5, 0.5))
  end)

  it("gives usemtl's names to the keys of materials", function()
    dir:write("a.obj", "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nusemtl red\nf 1 2 3\nusemtl blue\nf 1 3 4\n")
    local scene = rt.scene {
      camera = rt.camera { from = { 0, 0, 5 }, to = { 0, 0, 0 }, fov = 40 },
      rt.mesh {
        file = dir.path .. "/a.obj",
        materials = {
          red = rt.light { radiance = 1, color = { 1, 0, 0 } },
          blue = rt.light { radiance = 1, color = { 0, 0, 1 } },
        },
      },
    }
    local image = scene:render { size = { 8, 8 }, spp = 1, filter = "box" }
    assert.same({ 1, 0, 0 }, image:pixel(5, 5))
    assert.same({ 0, 0, 1 }, image:pixel(2, 2))
  end)

  it(
    "may have Windows line ends, no last newline and blanks",
    function()
      assert.equal(1, assert(load("a.obj", "  v 0 0 0\r\nv\t1 0 0 \r\nv 0 1 0 1.0\r\n\r\nf 1 2 3")):triangles())
    end
  )

  for name, case in pairs {
    ["an index beyond the last vertex"] = { "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "a%.obj:4:" },
    ["index 0"] = { "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "a%.obj:4:" },
    ["a number that is none"] = { "v 0 0 zero\n", "a%.obj:1:" },
    ["a vertex of two numbers"] = { "v 0 0\n", "a%.obj:1:" },
    ["a vertex that is not finite"] = { "v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "a%.obj:1:" },
    ["no faces"] = { "v 0 0 0\n", "a%.obj" },
    ["nothing"] = { "", "a%.obj" },
  } do
    it("is refused, with its line, for " .. name, function()
      local mesh, message, code = load("a.obj", case[1])
      assert.is_nil(mesh)
      assert.equal(65, code)
      assert.truthy(message:find(case[2]), message)
      assert.is_nil(message:find "\n")
    end)
  end
end)

describe("a PLY file", function()
  local HEADER = "ply\nformat %s 1.0\ncomment made by hand\nelement vertex 4\nproperty double x\nproperty float y\n"
    .. "property float z\nproperty uchar red\nelement edge 1\nproperty int a\nelement face 2\nproperty uchar flags\n"
    .. "property list uchar int vertex_indices\nend_header\n"
  local POINTS = { { -1, -1, 0 }, { 1, -1, 0 }, { 1, 1, 0 }, { -1, 1, 0 } }

  local function binary(endian)
    local parts = { HEADER:format(endian == "<" and "binary_little_endian" or "binary_big_endian") }
    for _, p in ipairs(POINTS) do
      parts[#parts + 1] = string.pack(endian .. "dffB", p[1], p[2], p[3], 255)
    end
    parts[#parts + 1] = string.pack(endian .. "i4", 5)
    parts[#parts + 1] = string.pack(endian .. "BBi4i4i4", 0, 3, 0, 1, 2)
    parts[#parts + 1] = string.pack(endian .. "BBi4i4i4", 0, 3, 0, 2, 3)
    return table.concat(parts)
  end
  local function ascii()
    local parts = { HEADER:format "ascii" }
    for _, p in ipairs(POINTS) do
      parts[#parts + 1] = ("%g %g %g 255\n"):format(table.unpack(p))
    end
    return table.concat(parts) .. "5\n0 3 0 1 2\n0 3 0 2 3\n"
  end

  for name, text in pairs { ["little-endian"] = binary "<", ["big-endian"] = binary ">", ascii = ascii() } do
    it("is read, with properties and elements of no use skipped: " .. name, function()
      dir:write("a.ply", text)
      for _, at in ipairs { { 0.5, -0.4 }, { -0.5, 0.4 } } do
        assert.near(5, look(dir.path .. "/a.ply", at[1], at[2]).t, 0)
      end
      assert.is_nil(look(dir.path .. "/a.ply", 1.1, 0))
    end)

    it("is refused wherever it is cut off: " .. name, function()
      for n = 0, #text - 5, 7 do
        local mesh, _, code = load("a.ply", text:sub(1, n))
        assert.is_nil(mesh)
        assert.equal(65, code)
      end
    end)

    it("survives any byte that is wrong: " .. name, function()
      math.randomseed(1)
      for _ = 1, 2000 do
        local at = math.random(#text)
        local mesh, _, code = load("a.ply", text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1))
        assert.is_true(mesh ~= nil or code == 65)
      end
    end)
  end
end)

describe("a mesh from Lua", function()
  local flat = { vertices = { -1, -1, 0, 1, -1, 0, 0, 1, 0 }, indices = { 1, 2, 3 } }
  local tuples = { vertices = { { -1, -1, 0 }, { 1, -1, 0 }, { 0, 1, 0 } }, indices = { { 1, 2, 3 } } }

  it("may be flat arrays or tuples", function()
    for _, mesh in ipairs { flat, tuples } do
      local scene = rt.scene { camera = rt.camera { from = { 0, 0, 5 }, to = { 0, 0, 0 } }, rt.mesh(mesh) }
      assert.near(5, scene:intersect { origin = { 0, 0, 5 }, direction = { 0, 0, -1 } }.t, 0)
    end
  end)

  it("is refused with the element's number where it is wrong", function()
    local function refused(mesh, pattern)
      local ok, err = pcall(rt.mesh, mesh)
      assert.is_false(ok)
      assert.truthy(tostring(err.message or err):find(pattern), tostring(err.message or err))
    end
    refused({ vertices = { 0, 0, 0, 1, 0, 0, 0, 1, 0 }, indices = { 1, 2, 4 } }, "indices.*4")
    refused({ vertices = { 0, 0, 0, 1, 0, 0, 0, 1, 0 }, indices = { 1, 2, 0 } }, "indices")
    refused({ vertices = { 0, 0, 0, 1, 0, 0, 0, 1, 0 }, indices = { 1, 2, 1.5 } }, "indices")
    refused({ vertices = { 0, 0, 0, 1, 0, 0, 0, 1 }, indices = { 1, 2, 3 } }, "vertices")
    refused({ vertices = { 0, 0, 0, 1, 0, 0, 0, 0 / 0, 0 }, indices = { 1, 2, 3 } }, "vertices")
    refused({ vertices = flat.vertices, indices = { 1, 2 } }, "indices")
    refused({ vertices = flat.vertices, indices = flat.indices, normals = { 0, 0, 1 } }, "normals")
  end)
end)

describe("ordinary meshes of ../shared", function()
  local data = "../shared/data/"
  local expected = {
    ["bunny.obj"] = 6598,
    ["spot.obj"] = 23062,
    ["fuze.obj"] = 1000,
    ["fuze.ply"] = 1000,
    ["fuze_ascii.ply"] = 1000,
    ["negative_indices.obj"] = 12,
    ["featuretype.ply"] = 3476,
    ["cube_blender_uv.ply"] = 12,
    ["nancolor.obj"] = 12,
  }
  it("are read", function()
    if not lfs.attributes(data) then return pending "../shared is missing" end
    for name, triangles in pairs(expected) do
      local mesh = assert(core_mesh.load(data .. name))
      assert.equal(triangles, mesh:triangles(), name)
    end
  end)
  it("without faces are refused", function()
    if not lfs.attributes(data) then return pending "../shared is missing" end
    for _, name in ipairs {
      "obj_empty.obj",
      "obj_points.obj",
      "ply_empty_ascii.ply",
      "ply_empty_bin.ply",
      "ply_points_bin.ply",
    } do
      local mesh, message, code = core_mesh.load(data .. name)
      assert.is_nil(mesh)
      assert.equal(65, code)
      assert.truthy(message:find(name, 1, true))
    end
  end)
end)
