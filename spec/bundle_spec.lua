-- Bundles: a scene and just the files that it depends on, which load elsewhere and give the same picture.

local bundle = require "rtlua.machine.bundle"
local errors = require "rtlua.errors"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local run = require "spec.support.run"

local OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"

local SCENE = [[
  local rt = require "rtlua"
  local parts = require "lib.parts"
  local p = rt.params { file = "tri.obj" }
  return rt.scene {
    camera = rt.camera { from = { 0.3, 0.3, 3 }, to = { 0.3, 0.3, 0 }, fov = 40 },
    render = { size = { 12, 8 }, spp = 2 },
    background = 0.8, parts.ball(), rt.mesh { file = p.file },
  }]]

local MODULE = [[
  local rt = require "rtlua"
  return { ball = function() return rt.sphere { center = { 0, 0, -1 }, radius = 0.5 } end }]]

-- A folder with a scene in scenes/, its module and mesh, and what it does not need.
local function project()
  local dir = folder.new()
  for _, name in ipairs { "scenes", "scenes/lib", "scenes/sub", "models", "elsewhere" } do
    lfs.mkdir(dir.path .. "/" .. name)
  end
  dir:write("scenes/scene.lua", SCENE)
  dir:write("scenes/lib/parts.lua", MODULE)
  dir:write("scenes/tri.obj", OBJ)
  dir:write("scenes/other.lua", "error 'not this one'")
  dir:write("scenes/large.obj", OBJ)
  dir:write("models/far.obj", OBJ)
  return dir
end

-- All files below a folder, sorted.
local function tree(path, below, list)
  list = list or {}
  for name in lfs.dir(path .. "/" .. (below or "")) do
    local rest = (below or "") .. name
    if name:sub(1, 1) ~= "." then
      if lfs.attributes(path .. "/" .. rest, "mode") == "directory" then
        tree(path, rest .. "/", list)
      else
        list[#list + 1] = rest
      end
    end
  end
  table.sort(list)
  return list
end

-- Renders what a bundle has in a folder of its own, when the scene's is gone: the files that travelled, the picture.
local function elsewhere(dir, options, where)
  local there <close> = folder.new()
  local made = bundle.make(where or dir.path .. "/scenes/scene.lua", options)
  made:write(there.path)
  assert(os.rename(dir.path .. "/scenes", dir.path .. "/gone"))
  local result = run.rtlua({ "render", made.file, "-o", "out.png", "--quiet", table.unpack(made.words) },
    { cwd = there.path })
  assert(os.rename(dir.path .. "/gone", dir.path .. "/scenes"))
  assert.equal(0, result.code, result.stderr)
  local picture = there:read "out.png"
  os.remove(there.path .. "/out.png")
  return tree(there.path), picture
end

local function here(dir, ...)
  local result = run.rtlua({ "render", "scenes/scene.lua", "-o", "here.png", "--quiet", ... }, { cwd = dir.path })
  assert.equal(0, result.code, result.stderr)
  return dir:read "here.png"
end

local function refused(...)
  local fine, problem = pcall(bundle.make, ...)
  assert.is_false(fine)
  assert.is_true(errors.is(problem))
  return problem.code, problem.message
end

describe("a bundle", function()
  it("has the scene, its modules and its files, and nothing else", function()
    local dir <close> = project()
    local files, picture = elsewhere(dir)
    assert.same({ "scene/lib/parts.lua", "scene/scene.lua", "scene/tri.obj" }, files)
    assert.is_true(picture == here(dir))
  end)
  it("has what the scene reads with its parameters", function()
    local dir <close> = project()
    local files, picture = elsewhere(dir, { params = { file = "large.obj" } })
    assert.same({ "scene/large.obj", "scene/lib/parts.lua", "scene/scene.lua" }, files)
    assert.is_true(picture == here(dir, "-Dfile=large.obj"))
  end)
  it("has a folder for each asset path", function()
    local dir <close> = project()
    local paths = { dir.path .. "/elsewhere", dir.path .. "/models" }
    local files, picture = elsewhere(dir, { params = { file = "far.obj" }, asset_path = paths })
    assert.same({ "assets-2/far.obj", "scene/lib/parts.lua", "scene/scene.lua" }, files)
    assert.is_true(picture == here(dir, "-Dfile=far.obj", "--asset-path=models"))
  end)
  it("is as deep as the scene reaches upwards", function()
    local dir <close> = project()
    local options = { params = { file = "../models/far.obj" }, asset_path = { dir.path .. "/models" } }
    local files, picture = elsewhere(dir, options)
    assert.same({ "scene/in/lib/parts.lua", "scene/in/scene.lua", "scene/models/far.obj" }, files)
    assert.is_true(picture == here(dir, "-Dfile=../models/far.obj", "--asset-path=models"))
  end)
  it("is the same by a path that is relative to the working directory", function()
    local dir <close> = project()
    local there <close> = folder.new()
    local script = dir:write("script.lua", [[
      require("rtlua.machine.bundle").make("../scenes/scene.lua", { params = { file = "far.obj" },
        asset_path = { "." } }):write(arg[1]) ]])
    local result = run.rtlua({ script, there.path }, { cwd = dir.path .. "/models" })
    assert.equal(0, result.code, result.stderr)
    assert.same({ "assets-1/far.obj", "scene/lib/parts.lua", "scene/scene.lua" }, tree(there.path))
  end)
  it("cannot have a path that is absolute, and says what to do", function()
    local dir <close> = project()
    local options = { params = { file = dir.path .. "/models/far.obj" }, asset_path = { dir.path .. "/models" } }
    local code, message = refused(dir.path .. "/scenes/scene.lua", options)
    assert.equal(65, code)
    assert.matches("a path that a machine does not have: name it relative to the scene, and give its folder by "
      .. "%-%-asset%-path$", message)
  end)
  it("is not made of a scene that is missing or wrong: it says what rendering it would", function()
    local dir <close> = project()
    assert.same({ 66, "no/such.lua: no such file: check the name" }, { refused("no/such.lua") })
    local path = dir:write("scenes/wrong.lua", 'local rt = require "rtlua"\nreturn rt.sphere { radus = 1 }')
    local code, message = refused(path)
    assert.equal(65, code)
    assert.matches("wrong.lua:2: rt.sphere: unknown field 'radus' %(did you mean 'radius'%?%)$", message)
    assert.equal(65, (refused(dir:write("scenes/none.lua", "return 1"))))
    assert.equal(66, (refused(dir.path .. "/scenes/scene.lua", { params = { file = "none.obj" } })))
    code, message = refused(dir.path .. "/scenes/scene.lua", { params = { fiel = "tri.obj" } })
    assert.equal(64, code)
    assert.matches("did you mean 'file'", message)
  end)
  it("loads its scene in a sandbox, unless it is trusted", function()
    local dir <close> = project()
    local path = dir:write("scenes/bold.lua", 'os.execute "true"\n' .. SCENE)
    assert.equal(65, (refused(path)))
    assert.same({ "--trust" }, bundle.make(path, { trust = true }).words)
  end)
end)
