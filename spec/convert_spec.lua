-- The outputs of rtlua convert and rtlua render: standard output, and names that are given twice.

local folder = require "spec.support.folder"
local rt = require "rtlua"
local run = require "spec.support.run"

local SCENE = [[
local rt = require "rtlua"
return rt.scene { camera = rt.camera { from = { 0, 0, 5 } }, render = { size = { 4, 3 }, spp = 1%s }, rt.sphere {} }
]]

describe("rtlua convert", function()
  it("writes a PNG to standard output for -", function()
    local dir <close> = folder.new()
    local picture = rt.image.new(4, 3)
    picture:set(1, 1, { 0.5, 0.25, 1 })
    picture:save(dir.path .. "/a.pfm")
    picture:save(dir.path .. "/a.png")
    local result = run.rtlua({ "convert", "a.pfm", "-" }, { cwd = dir.path })
    assert.equal(0, result.code, result.stderr)
    assert.equal(dir:read "a.png", result.stdout)
    assert.same({ "a.pfm", "a.png" }, dir:list())
  end)
end)

describe("an output that is named twice", function()
  it("is a usage error on the command line", function()
    local dir <close> = folder.new()
    dir:write("scene.lua", SCENE:format "")
    for _, before in ipairs { { "render" }, {} } do
      local arguments = { table.unpack(before) }
      table.move({ "scene.lua", "-o", "a.png", "-o", "b.png", "-o", "a.png" }, 1, 7, #arguments + 1, arguments)
      local result = run.rtlua(arguments, { cwd = dir.path })
      assert.equal(64, result.code)
      assert.truthy(result.stderr:find("-o a.png: is given twice", 1, true), result.stderr)
      assert.same({ "scene.lua" }, dir:list())
    end
  end)
  it("is an error at a scene's line", function()
    local dir <close> = folder.new()
    dir:write("scene.lua", SCENE:format ', output = { "a.png", "a.png" }')
    local result = run.rtlua({ "render", "scene.lua" }, { cwd = dir.path })
    assert.equal(65, result.code)
    assert.truthy(result.stderr:find("scene.lua:2: .*output: expected .*'a.png' twice"), result.stderr)
  end)
end)
