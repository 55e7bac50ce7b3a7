-- A scene that nobody has read cannot leave its sandbox: whatever it tries is answered with 65 and one line, or does
-- nothing, and afterwards every file is as it was.

local cjson = require "cjson"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local loader = require "rtlua.loader"
local run = require "spec.support.run"

local HEAD = [[local rt = require "rtlua"
local function scene_of(...)
  return rt.scene { camera = rt.camera { from = {0,0,4}, to = {0,0,0} }, render = { size = {4, 4}, spp = 1 }, ... }
end
]]
local SECRET = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n" -- as a mesh it would be read
local PICTURE = "Pf\n1 1\n-1.0\n" .. string.pack("<f", 0.5)
local BYTECODE = string.dump(assert(load "return 1"))

-- A folder with a scene's folder, where its commands run, and one outside of it.
local function playground()
  local dir = folder.new()
  for _, name in ipairs { "scene", "outside" } do assert(lfs.mkdir(dir.path .. "/" .. name)) end
  dir:write("scene/inside.obj", SECRET)
  dir:write("scene/clib.so", "no library")
  dir:write("scene/compiled.lua", BYTECODE)
  dir:write("outside/secret.obj", SECRET)
  dir:write("outside/secret.pfm", PICTURE)
  dir:write("outside/secret.lua", "return 'secret'")
  assert(lfs.link("../outside/secret.obj", dir.path .. "/scene/link.obj", true))
  assert(lfs.link("../outside/secret.lua", dir.path .. "/scene/linked.lua", true))
  assert(lfs.link("../outside", dir.path .. "/scene/link", true))
  return dir
end

-- Every file below the folder with what is in it.
local function contents(path, into)
  into = into or {}
  for name in lfs.dir(path) do
    local full = path .. "/" .. name
    local mode = lfs.symlinkattributes(full, "mode")
    if mode == "directory" and name ~= "." and name ~= ".." then
      contents(full, into)
    elseif mode ~= "directory" then
      local file = assert(io.open(full, "rb"))
      into[full] = mode .. ":" .. (file:read "a" or "")
      file:close()
    end
  end
  return into
end

-- Runs `text` as a scene; nothing that was there may change, and nothing may be added but the files in `written`.
local function answer(text, arguments, written)
  local dir <close> = playground()
  dir:write("scene/scene.lua", (text:gsub("OUTSIDE", dir.path .. "/outside")))
  local before = contents(dir.path)
  local words = { "render", "scene.lua", "--quiet", table.unpack(arguments or {}) }
  local result = run.rtlua(words, { cwd = dir.path .. "/scene" })
  local after = contents(dir.path)
  for _, name in ipairs(written or {}) do
    assert.is_string(after[dir.path .. "/scene/" .. name], result.stderr)
    after[dir.path .. "/scene/" .. name] = nil
  end
  assert.same(before, after)
  return result
end

local function assert_line(result, pattern)
  assert.equal(65, result.code, result.stderr)
  assert.equal("", result.stdout)
  assert.truthy(result.stderr:find "^rtlua: scene%.lua:[^\n]*\n$", result.stderr)
  assert.truthy(result.stderr:find(pattern), result.stderr)
end

-- What a scene prints, which is on standard error before the line that it returned no scene.
local function printed(text, arguments)
  local result = answer(text, arguments)
  assert.equal(65, result.code, result.stderr)
  local lines, last = result.stderr:match "^(.*)rtlua: ([^\n]*)\n$"
  assert.truthy(last and last:find "returned no scene", result.stderr)
  return lines
end

local NOT_ALLOWED = "is not allowed in a sandboxed scene: run it with %-%-trust"
local NOT_BELOW = "a sandboxed scene reads only below its folder: give %-%-asset%-path, or run it with %-%-trust"
local NOT_BESIDE = "a sandboxed scene requires modules beside it or below: run it with %-%-trust"
local NOT_THERE = "there is no such module beside the scene"
local NO_WRITING = "a sandboxed scene writes nothing: run it with %-%-trust"
local NO_FIELDS = "a value of rtlua has no raw fields for scenes"

local REFUSED = {
  -- The world.
  { 'os.execute "touch made"', "os%.execute " .. NOT_ALLOWED },
  { 'os.remove "inside.obj"', "os%.remove " .. NOT_ALLOWED },
  { 'os.rename("inside.obj", "made.obj")', "os%.rename " .. NOT_ALLOWED },
  { 'os.getenv "HOME"', "os%.getenv " .. NOT_ALLOWED },
  { "os.exit(0)", "os%.exit " .. NOT_ALLOWED },
  { "os.tmpname()", "os%.tmpname " .. NOT_ALLOWED },
  { "os.time()", "os%.time " .. NOT_ALLOWED },
  { "os.clock()", "os%.clock " .. NOT_ALLOWED },
  { 'io.popen "touch made"', "io%.popen " .. NOT_ALLOWED },
  { 'io.open("made", "w")', "io%.open " .. NOT_ALLOWED },
  { 'io.open "../outside/secret.obj"', "io%.open " .. NOT_ALLOWED },
  { 'io.lines "inside.obj"', "io%.lines " .. NOT_ALLOWED },
  { 'io.output "made"', "io%.output " .. NOT_ALLOWED },
  { 'io.stdout:write "x"', "io%.stdout " .. NOT_ALLOWED },
  -- Code.
  { 'dofile "../outside/secret.lua"', "dofile " .. NOT_ALLOWED },
  { 'loadfile "../outside/secret.lua"', "loadfile " .. NOT_ALLOWED },
  { "string.dump(function() end)", "string%.dump " .. NOT_ALLOWED },
  { '("").dump(function() end)', "string%.dump " .. NOT_ALLOWED },
  { "assert(load(BYTECODE))", "binary chunk" },
  { 'assert(load(BYTECODE, "x", "b"))', "binary chunk" },
  { 'assert(load((function() local n = 0 return function() n = n + 1 return n == 1 and BYTECODE or nil end end)()))',
    "binary chunk" },
  { 'require "compiled"', "compiled%.lua: is compiled Lua" },
  -- The state around it.
  { "debug.getregistry()", "debug%.getregistry " .. NOT_ALLOWED },
  { 'debug.getmetatable("")', "debug%.getmetatable " .. NOT_ALLOWED },
  { "debug.getupvalue(rt.sphere, 1)", "debug%.getupvalue " .. NOT_ALLOWED },
  { "debug.sethook()", "debug%.sethook " .. NOT_ALLOWED },
  { "return package.loaded", "package%.loaded " .. NOT_ALLOWED },
  { "return package.preload", "package%.preload " .. NOT_ALLOWED },
  { 'package.loadlib("./clib.so", "*")', "package%.loadlib " .. NOT_ALLOWED },
  { 'return getmetatable("").__index', "attempt to index a boolean" },
  { 'setmetatable(os, {})', "protected metatable" },
  { 'setmetatable({}, { __gc = function() end })', "__gc " .. NOT_ALLOWED },
  { "local m = {} setmetatable({}, m) m.__gc = print setmetatable({}, m)", "__gc " .. NOT_ALLOWED },
  { 'collectgarbage "count"', "only 'collect' and 'step'" },
  { 'collectgarbage "stop"', "only 'collect' and 'step'" },
  { 'string.format("%p", {})', "%%p shows an address" },
  { '("%-20p"):format(print)', "%%p shows an address" },
  { "for _ in pairs { [{}] = 1, [{}] = 2 } do end", "have no order that is the same every time" },
  -- Modules.
  { 'require "os"', "require 'os' " .. NOT_ALLOWED },
  { 'require "io"', "require 'io' " .. NOT_ALLOWED },
  { 'require "debug"', "require 'debug' " .. NOT_ALLOWED },
  { 'require "package"', "require 'package' " .. NOT_ALLOWED },
  { 'require "rtlua.core.mesh"', "require 'rtlua%.core%.mesh' " .. NOT_ALLOWED },
  { 'require "rtlua.core.sandbox"', "require 'rtlua%.core%.sandbox' " .. NOT_ALLOWED },
  { 'require "rtlua.loader"', "require 'rtlua%.loader' " .. NOT_ALLOWED },
  { 'require "rtlua/loader"', NOT_THERE },
  { 'require "cjson"', NOT_THERE },
  { 'require "lfs"', NOT_THERE },
  { 'require "clib"', NOT_THERE },
  { 'require "../outside/secret"', NOT_BESIDE },
  { 'require "...outside.secret"', NOT_BESIDE },
  { 'require "link/../../outside/secret"', NOT_BESIDE },
  { 'require "OUTSIDE/secret"', NOT_BESIDE },
  { 'require "link.secret"', NOT_THERE },
  { 'require "linked"', NOT_THERE },
  { 'require "compiled\\0x"', NOT_BESIDE },
  { "require(5)", "expected the name of a module" },
  -- Files that the library would read.
  { 'rt.mesh { file = "../outside/secret.obj" }', NOT_BELOW },
  { 'rt.mesh { file = "OUTSIDE/secret.obj" }', NOT_BELOW },
  { 'rt.mesh { file = "link.obj" }', NOT_BELOW },
  { 'rt.mesh { file = "link/secret.obj" }', NOT_BELOW },
  { 'rt.mesh { file = "link/../../outside/secret.obj" }', NOT_BELOW },
  { 'rt.mesh { file = "/nonexistent/x.obj" }', NOT_BELOW }, -- nor does it learn what exists
  { 'rt.mesh { file = "inside.obj\\0.ply" }', "no zero bytes" },
  { 'rt.image.load "../outside/secret.pfm"', NOT_BELOW },
  { 'rt.image "link/secret.pfm"', NOT_BELOW },
  { 'rt.envmap { file = "OUTSIDE/secret.pfm" }', NOT_BELOW },
  -- Files that it would write.
  { 'rt.image.new(4, 4):save "made.png"', "image:save: " .. NOT_ALLOWED },
  { 'scene_of():render():save "made.png"', "image:save: " .. NOT_ALLOWED },
  { 'assert(rt.diffuse { color = rt.image.new(4, 4) }.color.image:save("made.png", {}))', NO_WRITING },
  { 'assert(rt.diffuse { color = rt.image.new(4, 4) }.color.image:write_png(2, {}))', NO_WRITING },
  { 'return rt.scene { camera = rt.camera { from = {0,0,4}, to = {0,0,0} }, render = { output = "../made.png" } }',
    "output: expected a file name without a folder" },
  -- The library's values.
  { "setmetatable(rt, {})", "protected metatable" },
  { "setmetatable(rt.sphere {}, {})", "protected metatable" },
  { 'rawset(rt, "sphere", 1)', "rawset: " .. NO_FIELDS },
  { 'rawset(rt.sphere {}, "radius", -1)', "rawset: " .. NO_FIELDS },
  { "rawget(rt.sphere {}, 1)", "rawget: " .. NO_FIELDS },
  { "next(rt.sphere {})", "next: " .. NO_FIELDS },
  { "rt.sphere {}.radius = -1", "'radius' cannot be changed" },
  -- Exit codes of its own.
  { 'error { code = 0, message = "all is well" }', "all is well" },
  { 'error { code = 256, message = "all is well" }', "all is well" },
  { 'error(setmetatable({ code = 0, message = "all is well" }, { __metatable = "rtlua.error" }))', "all is well" },
  { 'error { code = 64, message = "all is well" }', "all is well" },
  { 'error { code = 76, message = "all is well" }', "all is well" },
  { 'error(setmetatable({ code = 73, message = "all is well" }, { __metatable = "rtlua.error" }))', "all is well" },
  { 'error("\\27[31m\\194\\155red\\127")', "\\x1B%[31m\\x9Bred\\x7F" },
  { 'error("two\\nlines")', "two lines" },
  { "error(setmetatable({}, { __tostring = function() return {} end }))", "error that is a table" },
}

local WITH_BYTECODE = ("local BYTECODE = %q\n"):format(BYTECODE)
  :gsub("[\0\r\26\128-\255]", function(c) return ("\\%03d"):format(c:byte()) end)

local function attempt(code) return HEAD .. (code:find "BYTECODE" and WITH_BYTECODE or "") .. code end

describe("a sandboxed scene", function()
  for _, case in ipairs(REFUSED) do
    it("is answered with 65: " .. case[1], function() assert_line(answer(attempt(case[1])), case[2]) end)
  end

  it("that catches the refusals gets no further", function()
    local lines = { HEAD, WITH_BYTECODE }
    for _, case in ipairs(REFUSED) do
      lines[#lines + 1] = ("print((pcall(function()\n%s\nend)))"):format(case[1]:gsub("^return rt", "local _ = rt"))
    end
    assert.equal(("false\n"):rep(#REFUSED), printed(table.concat(lines, "\n")))
  end)

  it("may look, and finds nothing", function()
    local harmless = {
      { 'getmetatable("")', "false" }, { "getmetatable(rt)", "rtlua" }, { "getmetatable(rt.sphere {})", "rtlua.shape" },
      { "os.nonsense", "nil" }, { "_G == _ENV and _G._G == _G", "true" }, { 'load("return _G")() == _G', "true" },
      { 'load("return os.execute")() == os.execute', "true" }, { 'require "math" == math', "true" },
      { "tostring(print)", "function: 1" }, { "tostring(coroutine.create(print))", "thread: 2" },
      { 'string.format("%s", {})', "table: 3" }, { '("%5s|%%p"):format(print)', "function: 1|%p" },
      { "tostring(setmetatable({}, { __name = 'mine' }))", "mine: 4" }, { "rawlen(rt.sphere {})", "0" },
      { "setmetatable({}, { __metatable = 5 }) and getmetatable(setmetatable({}, { __metatable = 5 }))", "5" },
      { "#arg .. arg[0]", "0scene.lua" }, { 'pcall(error) and 1 or select("#", pcall(error))', "2" },
    }
    local text, expected = { HEAD }, {}
    for i, case in ipairs(harmless) do
      text[#text + 1] = ("print((%s))"):format(case[1])
      expected[i] = case[2]
    end
    local got = {}
    for line in printed(table.concat(text, "\n")):gmatch "[^\n]+" do got[#got + 1] = line end
    assert.same(expected, got)
  end)

  it("shows no address in an error's text or in a traceback", function()
    local lines = printed(HEAD .. [[
      print(pcall(error, setmetatable({}, { __name = "x" })))
      print(xpcall(function() local t = {} return t.x.y end, debug.traceback))
      print(debug.traceback("m", 1), debug.traceback(coroutine.create(print)), debug.traceback {})
      print(pcall(string.rep, print), pcall(ipairs), pcall(rt.sphere, { radius = print }))]])
    assert.is_nil(lines:find "0x%x%x", lines)
  end)

  it("sees in a traceback its own frames alone", function()
    local lines = printed [[
      local function f() return (debug.traceback("m")) end
      local s = f()
      print(s)
      print((xpcall(error, debug.traceback, "x")), debug.traceback(coroutine.create(f)))]]
    assert.equal("m\nstack traceback:\n\tscene.lua:1: in local 'f'\n\tscene.lua:2: in main chunk\n"
      .. "false\tstack traceback:\n", lines)
  end)

  it("prints no control characters to a terminal", function()
    assert.equal("\\x1B[31m\ta\n", printed 'print("\\27[31m", "a")')
  end)

  it("may lie in the root folder", function()
    local unique = os.tmpname()
    os.remove(unique)
    local path = "/rtlua_spec_" .. unique:match "[^/]*$" .. ".lua"
    local file = io.open(path, "w")
    if not file then return pending "needs leave to write there" end
    file:write 'error("it " .. "ran")'
    file:close()
    local result = run.rtlua { "render", path }
    os.remove(path)
    assert.equal(65, result.code)
    assert.equal(("rtlua: %s:1: it ran\n"):format(path), result.stderr)
  end)

  it("that is a folder is said to be one", function()
    local result = run.rtlua { "info", "/tmp" }
    assert.equal(66, result.code)
    assert.equal("rtlua: /tmp: is a folder: give a Lua file\n", result.stderr)
  end)

  it("that calls its picture by a path is refused", function()
    local text = [[local rt = require "rtlua"
      local camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } }
      return rt.scene { camera = camera, render = { output = %q }, rt.sphere {} }]]
    for _, output in ipairs { "../outside/made.png", "OUTSIDE/made.png", "OUTSIDE/secret.pfm" } do
      local dir <close> = playground()
      local before = contents(dir.path .. "/outside")
      dir:write("scene/scene.lua", (text:format(output):gsub("OUTSIDE", dir.path .. "/outside")))
      local result = run.rtlua({ "render", "scene.lua", "--quiet" }, { cwd = dir.path .. "/scene" })
      assert.equal(65, result.code, result.stderr)
      assert.same(before, contents(dir.path .. "/outside"))
    end
  end)

  it("that wrecks all that it can reach wrecks only its own", function()
    local wreck = [[
      local s = scene_of(rt.sphere {})
      local function wreck(t, depth)
        if type(t) ~= "table" or depth == 0 then return end
        local keys = {}
        for k in pairs(t) do keys[#keys + 1] = k end
        for _, k in ipairs(keys) do
          if t ~= _G then wreck(t[k], depth - 1) end
          pcall(function() t[k] = nil end)
        end
      end
      for _, library in ipairs { string, table, math, coroutine, utf8, os, io, debug, rt.image, rt } do
        wreck(library, 2)
      end
      local again = require "rtlua"
      assert(again == rt and not pcall(function() return rt.sphere end), "the copy is not the scene's")
      local global = _G
      for k in pairs(global) do global[k] = nil end
      return s
    ]]
    local hashes = {}
    for i, text in ipairs { wreck, "return scene_of(rt.sphere {})" } do
      local dir <close> = playground()
      dir:write("scene/scene.lua", HEAD .. text)
      local result = run.rtlua({ "info", "--json", "scene.lua" }, { cwd = dir.path .. "/scene" })
      assert.equal(0, result.code, result.stderr)
      hashes[i] = cjson.decode(result.stdout).hash
    end
    assert.equal(hashes[2], hashes[1])
  end)

  it("is not given files beside it that are named like the library's", function()
    local dir <close> = playground()
    assert(lfs.mkdir(dir.path .. "/scene/rtlua"))
    assert(lfs.mkdir(dir.path .. "/scene/rtlua/core"))
    local trap = 'error "not the library"'
    for _, name in ipairs { "rtlua", "rtlua/init", "rtlua/core/mesh", "lfs", "cjson", "argparse" } do
      dir:write(("scene/%s.lua"):format(name), trap)
    end
    dir:write("scene/scene.lua", HEAD .. "return scene_of(rt.sphere {})")
    for _, cwd in ipairs { dir.path, dir.path .. "/scene" } do
      local result = run.rtlua({ "info", dir.path .. "/scene/scene.lua" }, { cwd = cwd })
      assert.equal(0, result.code, result.stderr)
    end
  end)

  it("is not believed when it forges a scene", function()
    local dir <close> = playground()
    dir:write("scene/scene.lua", 'return setmetatable({}, { __metatable = "rtlua.scene" })')
    assert.equal(65, run.rtlua { "render", dir.path .. "/scene/scene.lua" }.code)
  end)

  it("requires modules beside it and below, once, in its own environment", function()
    local dir <close> = playground()
    assert(lfs.mkdir(dir.path .. "/scene/parts"))
    dir:write("scene/parts/init.lua", "loads = (loads or 0) + 1 return { name = ..., load = load }")
    dir:write("scene/parts/leaf.lua", 'return pcall(function() return os.execute "touch made" end)')
    dir:write("scene/loop.lua", 'require "loop"')
    dir:write("scene/scene.lua", [[
      local parts = require "parts"
      print(parts.name, require "parts" == parts, loads, require "parts.leaf", parts.load("return loads")())
      require "loop"]])
    local result = run.rtlua({ "render", "scene.lua" }, { cwd = dir.path .. "/scene" })
    assert.equal("parts\ttrue\t1\tfalse\t1\nrtlua: loop.lua:1: require 'loop': the module requires itself\n",
      result.stderr)
    assert.equal(65, result.code)
  end)

  it("that is compiled Lua is not run, in any mode", function()
    local dir <close> = playground()
    for _, arguments in ipairs { { "render", "compiled.lua" }, { "compiled.lua" }, { "info", "compiled.lua" } } do
      local result = run.rtlua(arguments, { cwd = dir.path .. "/scene" })
      assert.equal(65, result.code)
      assert.equal("rtlua: compiled.lua: is compiled Lua (bytecode), which is not run: give its source\n",
        result.stderr)
    end
  end)

  it("is sandboxed by info, too", function()
    local dir <close> = playground()
    dir:write("scene/scene.lua", 'return os.execute "touch made"')
    local before = contents(dir.path)
    assert_line(run.rtlua({ "info", "scene.lua" }, { cwd = dir.path .. "/scene" }), "os%.execute " .. NOT_ALLOWED)
    assert.same(before, contents(dir.path))
  end)

  it("reads in the folders that --asset-path gives, and nowhere else", function()
    local reads = HEAD .. [[
      print(rt.image.load("secret.pfm").width, rt.image.load("OUTSIDE/secret.pfm"):pixel(0, 0)[1])
      print(rt.mesh { file = "inside.obj" }, rt.mesh { file = "link.obj" })
      print(pcall(require, "secret"))]]
    local lines = printed(reads, { "--asset-path", "../outside" })
    assert.truthy(lines:find "^1\t0%.5\na mesh\ta mesh\nfalse\t", lines)
    assert_line(answer(HEAD .. 'rt.image.load "../outside/secret.pfm"', { "--asset-path", "." }), NOT_BELOW)
    assert_line(answer(HEAD .. 'rt.mesh { file = "/etc/passwd" }', { "--asset-path", "../outside" }), NOT_BELOW)
  end)

  it("is free with --trust", function()
    local free = HEAD .. [[
      rt.mesh { file = "../outside/secret.obj" }
      io.open("made", "w"):close()
      assert(os.getenv "PATH" and debug.getregistry() and getmetatable("").__index == string)
      return scene_of()]]
    assert_line(answer(free), NOT_BELOW)
    assert.equal(0, answer(free, { "--trust" }, { "made", "scene.png" }).code)
  end)
end)

describe("a sandbox's memory", function()
  local LIMIT = 24 << 20
  local BOMBS = {
    ["a table"] = "local t = {} for i = 1, math.huge do t[i] = i end",
    ["many tables"] = "local t = {} while true do t = { t, {}, {} } end",
    ["one string"] = 'return ("x"):rep(1 << 30)',
    ["strings that double"] = 'local s = "x" while true do s = s .. s end',
    ["gsub"] = 'return (("x"):rep(1 << 20):gsub("x", ("y"):rep(1 << 10)))',
    ["concat"] = 'local t = {} for i = 1, 9e4 do t[i] = ("x"):rep(199) end return table.concat(t)',
    ["coroutines"] = "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
    ["closures"] = "local t = {} for i = 1, math.huge do t[i] = function() return i end end",
    ["a long source"] = 'return assert(load(function() return "x = { 1, 2, 3 } " end))',
    ["shapes"] = 'local rt, t = require "rtlua", {} while true do t[#t + 1] = rt.sphere { radius = #t + 1 } end',
  }

  local function load_text(text)
    local dir <close> = folder.new()
    local path = dir:write("scene.lua", text)
    local result, failure = loader.load(path, { sandbox = true, memory_limit = LIMIT, time_limit = 20 })
    assert.same({ "scene.lua" }, dir:list())
    return result, failure
  end

  for name, bomb in pairs(BOMBS) do
    it("is limited: " .. name, function()
      local result, failure = load_text(bomb)
      assert.is_nil(result)
      assert.equal(65, failure.code, failure.message)
      assert.truthy(failure.message:find "^[^\n]*scene%.lua: out of memory: a sandboxed scene's Lua may use 0%.0234 GB",
        failure.message)
    end)
  end

  it("is given back when an error for want of it was caught", function()
    local result, failure = load_text(HEAD .. [[
      for _ = 1, 3 do
        assert(not pcall(function() local t = {} for i = 1, math.huge do t[i] = i end end))
        collectgarbage()
      end
      return scene_of(rt.sphere {})]])
    assert.is_nil(failure and failure.message)
    assert.equal(1, result.scene:describe().shapes)
  end)

  it("is limited under the command", function()
    local result = answer('local s = ("x"):rep(1 << 25) return ' .. ("s .. "):rep(128) .. "s")
    assert_line(result, "out of memory: a sandboxed scene's Lua may use 4 GB: .*%-%-trust")
  end)
end)
