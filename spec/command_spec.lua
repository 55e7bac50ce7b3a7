-- The command as its user meets it: what it prints where, what it writes, and how it exits.

local cjson = require "cjson"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local run = require "spec.support.run"

local SCENE = [[
local rt = require "rtlua"
local p = rt.params { radius = 1, label = "ball", shown = true, at = {0, 0, 0} }
return rt.scene {
  camera = rt.camera { from = {0, 0, 5} },
  background = 0.5,
  render = { size = {8, 6}, spp = 2, quiet = true },
  rt.sphere { center = p.at, radius = p.radius, name = p.label, visible = p.shown },
}
]]

-- Runs in a folder that holds scene.lua; returns the result and the folder.
local function in_folder(dir, arguments, options)
  options = options or {}
  options.cwd = dir.path
  dir:write("scene.lua", SCENE)
  return run.rtlua(arguments, options)
end

local function png_size(bytes)
  assert.equal("\137PNG\r\n\26\n", bytes:sub(1, 8))
  local width, height = (">I4I4"):unpack(bytes, 17)
  return width, height
end

describe("rtlua --version", function()
  it("says what it is and stands on", function()
    local result = run.rtlua { "--version" }
    assert.equal(0, result.code)
    assert.truthy(result.stdout:find "^rtlua %d+%.%d+%.%d+\n")
    assert.truthy(result.stdout:find "\nlua 5%.4")
    -- What the specs' machine has, and a build takes when it is there.
    for _, library in ipairs { "libpng", "libjpeg", "openexr" } do
      assert.truthy(result.stdout:find("\n" .. library .. " %d+%.%d"), result.stdout)
    end
    assert.equal("", result.stderr)
  end)
end)

describe("rtlua --help", function()
  it("lists commands and options on standard output", function()
    for _, arguments in ipairs { { "--help" }, { "-h" }, { "render", "--help" }, { "diff", "-h" } } do
      local result = run.rtlua(arguments)
      assert.equal(0, result.code)
      assert.equal("", result.stderr)
      assert.truthy(result.stdout:find "Usage")
    end
    for _, option in ipairs { "--spp N", "--size WxH", "-D NAME=VALUE", "--time-limit DUR", "-o FILE" } do
      assert.truthy(run.rtlua({ "--help" }).stdout:find(option, 1, true), option)
    end
  end)
end)

describe("rtlua without a task", function()
  for _, arguments in ipairs {
    {}, { "--sponge" }, { "rendr" }, { "render" }, { "diff", "a.png" }, { "convert", "a.png" },
  } do
    it("exits 64 with one line: " .. table.concat(arguments, " "), function()
      local result = run.rtlua(arguments)
      assert.equal(64, result.code)
      assert.truthy(result.stderr:find "^rtlua: [^\n]+\n$")
      assert.equal("", result.stdout)
    end)
  end
end)

describe("rtlua SCENE.lua", function()
  it("writes SCENE.png in the working directory and nothing on either stream", function()
    local dir <close> = folder.new()
    local result = in_folder(dir, { "scene.lua" })
    assert.same({ code = 0, stdout = "", stderr = "" }, result)
    assert.same({ "scene.lua", "scene.png" }, dir:list())
    assert.same({ 8, 6 }, { png_size(dir:read "scene.png") })
  end)
  it("writes every -o, by extension", function()
    local dir <close> = folder.new()
    assert.equal(0, in_folder(dir, { "scene.lua", "-o", "a.png", "-ob.pfm" }).code)
    assert.same({ "a.png", "b.pfm", "scene.lua" }, dir:list())
    assert.equal("PF", dir:read("b.pfm"):sub(1, 2))
  end)
  it("writes a PNG to standard output for -o -", function()
    local dir <close> = folder.new()
    local result = in_folder(dir, { "render", "scene.lua", "-o", "-" })
    assert.equal(0, result.code, result.stderr)
    assert.same({ 8, 6 }, { png_size(result.stdout) })
    assert.same({ "scene.lua" }, dir:list())
  end)
  it("lets the command line win over the render table, and a crop cut", function()
    local dir <close> = folder.new()
    assert.equal(0, in_folder(dir, { "scene.lua", "--size", "16x8", "--crop", "2,1,7,5", "-o", "a.png" }).code)
    assert.same({ 5, 4 }, { png_size(dir:read "a.png") })
  end)
  it("reads its parameters with -D", function()
    local dir <close> = folder.new()
    local function mesh(...)
      local result = in_folder(dir, { "info", "scene.lua", "--json", ... })
      assert.equal(0, result.code, result.stderr)
      return cjson.decode(result.stdout).bounds.max
    end
    assert.same({ 1, 1, 1 }, mesh())
    assert.same({ 2, 2, 2 }, mesh("-D", "radius=2"))
    assert.same({ 3, 1, 1 }, mesh("-Dradius=1", "-D", "at=2,0,0", "-Dlabel=a=b", "-Dshown=false"))
    for _, wrong in ipairs { "radius=big", "shown=maybe", "at=1,2", "radus=1" } do
      assert.equal(64, in_folder(dir, { "info", "scene.lua", "-D", wrong }).code, wrong)
    end
  end)
  it("says how it went on standard error, unless --quiet", function()
    local dir <close> = folder.new()
    local text = SCENE:gsub(", quiet = true", "")
    dir:write("loud.lua", text)
    local result = run.rtlua({ "loud.lua" }, { cwd = dir.path })
    assert.truthy(result.stderr:find "^loud%.png: 8x6, 2 spp in [%d.]+ s\n$", result.stderr)
    assert.equal("", run.rtlua({ "loud.lua", "--quiet" }, { cwd = dir.path }).stderr)
  end)
  it("gives events as JSON lines with --json", function()
    local dir <close> = folder.new()
    local result = in_folder(dir, { "scene.lua", "--json", "--stats" })
    assert.equal("", result.stderr)
    local kinds = {}
    for line in result.stdout:gmatch "[^\n]+" do
      local event = cjson.decode(line)
      assert.equal(1, event.schema)
      kinds[#kinds + 1] = event.event
    end
    assert.same({ "start", "done", "written", "stats" }, kinds)
    local piped = in_folder(dir, { "scene.lua", "--json", "-o", "-" })
    png_size(piped.stdout)
    assert.truthy(piped.stderr:find '"event":"done"', 1, true)
  end)
  it("reports triangles, build time, memory, rays and threads with --stats", function()
    local dir <close> = folder.new()
    local result = in_folder(dir, { "scene.lua", "--stats" })
    for _, word in ipairs { "triangles", "build time", "memory", "rays", "not finite", "threads" } do
      assert.truthy(result.stderr:find(word, 1, true), word)
    end
  end)
  it("says in the PNG what made it, and not where or when", function()
    local dir <close> = folder.new()
    in_folder(dir, { "scene.lua", "-o", "a.png", "--seed", "7" })
    in_folder(dir, { "scene.lua", "-o", "b.png", "--seed", "7", "--threads", "1" })
    local bytes = dir:read "a.png"
    assert.equal(bytes, dir:read "b.png")
    for _, text in ipairs { "Software\0rtlua ", "Scene hash\0", "spp\0002", "seed\0007" } do
      assert.truthy(bytes:find(text, 1, true), text)
    end
  end)
end)

describe("rtlua SCRIPT.lua", function()
  it("runs a script that returns no scene, whose arguments are its own", function()
    local dir <close> = folder.new()
    dir:write("script.lua", "print(#arg, arg[0], ...) os.exit(7)")
    local result = run.rtlua({ "script.lua", "--help", "-x", "--spp", "-3" }, { cwd = dir.path })
    assert.equal("4\tscript.lua\t--help\t-x\t--spp\t-3\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(7, result.code)
  end)
  it("renders from a script and works with what came out", function()
    local dir <close> = folder.new()
    dir:write("script.lua", [[
      local rt = require "rtlua"
      local scene = rt.scene {
        camera = rt.camera { from = {0, 0, 5} }, background = 0.25, render = { size = {4, 4}, spp = 1 },
        rt.sphere { radius = 0.5, name = "ball", material = rt.light { radiance = 2 } },
      }
      local calls = 0
      local image = scene:render { spp = 2, on_progress = function(p) calls = calls + 1; assert(p.total == 32) end }
      assert(image.width == 4 and image.height == 4 and image.channels == 3 and calls > 0)
      assert(image:pixel(0, 0)[1] == 0.25)
      image:save("a.pfm")
      assert(rt.image.compare(image, rt.image.load "a.pfm").mse == 0)
      local hit = scene:intersect { origin = {0, 0, 5}, direction = {0, 0, -1} }
      assert(hit.t == 4.5 and hit.shape == "ball" and hit.normal == rt.vec(0, 0, 1))
      assert(scene:intersect { origin = {0, 5, 5}, direction = {0, 0, -1} } == nil)
      local job <close> = scene:start { spp = 1000000 }
      assert(job:wait(0.01) == false)
      job:stop()
      assert(job:wait() == true and job:progress().done and job:image().width == 4)
    ]])
    assert.same({ code = 0, stdout = "", stderr = "" }, run.rtlua({ "script.lua" }, { cwd = dir.path }))
  end)
end)

describe("rtlua info", function()
  it("says what is in a scene, the same every time", function()
    local dir <close> = folder.new()
    local text = in_folder(dir, { "info", "scene.lua" })
    assert.equal(0, text.code, text.stderr)
    assert.equal("", text.stderr)
    for _, word in ipairs { "scene", "hash", "shapes", "triangles", "lights", "bounds", "memory", "files" } do
      assert.truthy(text.stdout:find(word, 1, true), word)
    end
    local json = in_folder(dir, { "info", "scene.lua", "--json" })
    assert.equal(json.stdout, in_folder(dir, { "info", "scene.lua", "--json" }).stdout)
    local info = cjson.decode(json.stdout)
    assert.equal(1, info.schema)
    assert.equal(1, info.shapes)
    assert.equal(64, #info.hash)
    assert.same({ "scene.lua" }, dir:list())
  end)
end)

describe("rtlua diff and convert", function()
  it("measure and convert pictures", function()
    local dir <close> = folder.new()
    in_folder(dir, { "scene.lua", "-o", "a.pfm" })
    local function diff(...) return run.rtlua({ "diff", ... }, { cwd = dir.path }) end
    local same = diff("a.pfm", "a.pfm", "--json", "--max-mse", "0")
    assert.equal(0, same.code)
    assert.same(
      { schema = 1, mse = 0, relmse = 0, psnr = cjson.null, ssim = 1, flip = 0, equal = true },
      cjson.decode(same.stdout)
    )

    local result = run.rtlua({ "convert", "a.pfm", "b.png", "--exposure", "-1" }, { cwd = dir.path })
    assert.same({ code = 0, stdout = "", stderr = "" }, result)
    assert.same({ 8, 6 }, { png_size(dir:read "b.png") })
    assert.equal(0, diff("a.pfm", "b.png").code)
    assert.equal(1, diff("a.pfm", "b.png", "--max-mse", "1e-9").code)
    assert.equal(1, diff("a.pfm", "b.png", "--min-psnr", "60").code)
    assert.equal(0, diff("a.pfm", "b.png", "--max-mse", "1").code)

    in_folder(dir, { "scene.lua", "-o", "c.pfm", "--size", "4x4" })
    assert.equal(65, diff("a.pfm", "c.pfm").code)
    assert.equal(66, diff("a.pfm", "gone.pfm").code)
    assert.equal(64, run.rtlua({ "convert", "a.pfm", "b.gif" }, { cwd = dir.path }).code)
  end)
end)

describe("a pipe that nobody reads", function()
  -- What a pipeline whose reader has gone gives; "exit CODE" is on the stream that is left.
  local function into_closed(dir, redirect, ...)
    dir:write("scene.lua", (SCENE:gsub(", quiet = true", "")))
    local command = ("exec 3>&1; { sleep .2; %q scene.lua %s; echo exit $? >&3; } %s | true; wait"):format(
      lfs.currentdir() .. "/rtlua", table.concat({ ... }, " "), redirect)
    return run.program("bash", { "-c", "exec 4>&2; " .. command }, { cwd = dir.path })
  end

  it("on standard error takes no picture away", function()
    local dir <close> = folder.new()
    local result = into_closed(dir, "2>&1", "-o", "a.png")
    assert.equal("exit 0\n", result.stdout)
    assert.same({ "a.png", "scene.lua" }, dir:list())
  end)

  it("for --json takes no picture away, and is told", function()
    local dir <close> = folder.new()
    local result = into_closed(dir, "2>&4", "-o", "a.png", "--json")
    assert.equal("exit 73\n", result.stdout)
    assert.equal("rtlua: standard output: cannot be written\n", result.stderr)
    assert.same({ "a.png", "scene.lua" }, dir:list())
  end)
end)

describe("rtlua repl", function()
  it("prints values, goes on after errors, and keeps a history", function()
    local dir <close> = folder.new()
    local state = dir.path .. "/state"
    local function repl(text)
      return run.rtlua({ "repl" }, { cwd = dir.path, stdin = text, env = { RTLUA_STATE = state } })
    end
    local result = repl "x = 20\nx + 1\nrt.sphere { radus = 1 }\nfor i = 1, 2 do\nprint(i)\nend\n"
    assert.equal(0, result.code)
    assert.equal("21\n1\n2\n", result.stdout)
    assert.truthy(result.stderr:find "did you mean 'radius'", 1, true)
    local again = repl "!2\nhistory()\n"
    assert.truthy(again.stdout:find("x + 1\n", 1, true))
    assert.truthy(again.stdout:find("4  for i = 1, 2 do print(i) end\n", 1, true), again.stdout)
    assert.same({ "state" }, dir:list())
  end)
end)
