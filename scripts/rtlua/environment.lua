-- The environment of a script's chunk: what is global in it.
--
-- In both modes its Lua is exact, the same bits on every machine: math's elementary functions are rtlua's own,
-- random has a fixed seed and a generator of the script's own, table.sort does not look at the clock.
--
-- A trusted script has all of Lua besides: its environment is a plain table with all that is in _G, and what it makes
-- global is in there alone. A sandboxed scene has what is listed here and nothing else. It may change its own copies of
-- the libraries and no one else's; it cannot reach a metatable that it did not make, so that rtlua's values stay what
-- they are; it sees no address and no clock, and visits keys in order.

local caller = require "rtlua.core.caller"
local elementary = require "rtlua.core.elementary"
local errors = require "rtlua.errors"
local ordered = require "rtlua.core.ordered"
local output = require "rtlua.output"
local random = require "rtlua.core.random"

local environment = {}

-- Captured, so that a scene that finds a way to change a global of this state changes nothing here.
local error, load, next, pcall, rawget, rawset, select, setmetatable, tostring, type =
  error, load, next, pcall, rawget, rawset, select, setmetatable, tostring, type
local get_metatable, set_metatable = debug.getmetatable, debug.setmetatable -- without regard to __metatable
local format, find, gmatch = string.format, string.find, string.gmatch
local pack, unpack = table.pack, table.unpack

local function pick(library, names)
  local copy = {}
  for name in gmatch(names, "%S+") do copy[name] = library[name] end
  return copy
end

-- ---- What is exact

local function exact_math()
  local math = pick(math, "abs ceil deg floor fmod huge max maxinteger min mininteger modf pi rad tointeger type ult")
  for name in gmatch("sin cos tan asin acos atan exp log pow sqrt", "%S+") do math[name] = elementary[name] end
  math.random, math.randomseed = random.new()
  return math
end

local function exact_table()
  local table = pick(table, "concat insert move pack remove unpack")
  table.sort = elementary.sort
  return table
end

-- ---- Trusted scripts

--- The environment of a script that may do anything. `find_module(name)` gives the file of a module beside it, or
--- nil; run_module(path, name, env) runs it.
function environment.trusted(script, find_module, run_module)
  local env = {}
  for k, v in next, _G do env[k] = v end
  env._G, env.arg, env.math, env.table = env, script.arg, exact_math(), exact_table()

  function env.load(chunk, name, mode, ...)
    if select("#", ...) > 0 then return load(chunk, name, mode, (...)) end
    return load(chunk, name, mode, env)
  end
  function env.loadfile(path, mode, ...)
    if select("#", ...) > 0 then return loadfile(path, mode, (...)) end
    return loadfile(path, mode, env)
  end
  function env.dofile(path)
    local chunk, message = loadfile(path, nil, env)
    if not chunk then error(message, 0) end
    return chunk()
  end

  local exact = { _G = env, math = env.math, table = env.table }
  function env.require(name)
    if exact[name] then return exact[name] end
    local ours = type(name) == "string" and not find(name, "^rtlua%f[.\0]")
    local path = ours and package.loaded[name] == nil and not package.preload[name] and find_module(name)
    if not path then return require(name) end
    local result = run_module(path, name, env)
    if result ~= nil then package.loaded[name] = result end
    if package.loaded[name] == nil then package.loaded[name] = true end
    return package.loaded[name], path
  end

  return env
end

-- ---- Sandboxed scenes: refusals

local function refuse(name, where)
  return errors.raise(errors.DATA, name .. " is not allowed in a sandboxed scene: run it with --trust", where)
end

-- C, so that `return os.execute(...)` keeps its line.
local function refusing(name)
  return caller.constructor(function(where) return refuse(name, where) end)
end

local function refusing_library(name, functions, values)
  local library = {}
  for f in gmatch(functions, "%S+") do library[f] = refusing(name .. "." .. f) end
  local refused = {}
  for value in gmatch(values, "%S+") do refused[value] = true end
  return set_metatable(library, {
    __metatable = false,
    __index = caller.constructor(function(where, _, key)
      if refused[key] then refuse(name .. "." .. key, where) end
      return nil
    end),
  })
end

-- ---- Sandboxed scenes: values without addresses

--- tostring whose tables, functions and threads are numbered in the order in which they were first shown.
local function new_tostring()
  local numbers, count = set_metatable({}, { __mode = "k" }), 0
  return function(...)
    local value = ...
    local kind = type(value)
    if kind ~= "table" and kind ~= "function" and kind ~= "userdata" and kind ~= "thread" then
      if select("#", ...) == 0 then error("bad argument #1 to 'tostring' (value expected)", 2) end
      return tostring(value)
    end
    local meta = get_metatable(value)
    if meta and rawget(meta, "__tostring") ~= nil then
      local ran, text = pcall(tostring, value)
      if not ran then error(text, 0) end
      return text
    end
    if not numbers[value] then
      count = count + 1
      numbers[value] = count
    end
    local name = meta and rawget(meta, "__name")
    return (type(name) == "string" and name or kind) .. ": " .. format("%d", numbers[value])
  end
end

local objects = { table = true, ["function"] = true, userdata = true, thread = true }

local function new_format(show)
  return function(text, ...)
    local arguments = pack(...)
    if type(text) == "string" and find(text, "%%[^%a%%]*[sp]") then
      local i = 0
      for conversion in gmatch(text, "%%[^%a%%]*([%a%%])") do
        if conversion ~= "%" then i = i + 1 end
        if conversion == "p" then error("bad argument #1 to 'format' (%p shows an address, which varies)", 2) end
        if conversion == "s" and objects[type(arguments[i])] then arguments[i] = show(arguments[i]) end
      end
    end
    local ran, result = pcall(format, text, unpack(arguments, 1, arguments.n))
    if not ran then error(result, 2) end
    return result
  end
end

--- debug.traceback that shows no more than the script's own frames, and with them no path of this machine.
local function new_traceback(sources)
  local function is_shown(line)
    if find(line, '^\t%[string "') then return true end
    for source in next, sources do
      local short = debug.getinfo(load("", source), "S").short_src
      if line:sub(1, #short + 2) == "\t" .. short .. ":" then return true end
    end
    return false
  end
  return function(...)
    local arguments = pack(...)
    local first = type(arguments[1]) == "thread" and 2 or 1
    local message = arguments[first]
    if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
    arguments[first] = nil
    if first == 1 and (arguments[2] == nil or math.type(arguments[2]) == "integer") then
      arguments[2] = (arguments[2] or 1) + 2 -- this function and pcall
    end
    local ran, text = pcall(debug.traceback, unpack(arguments, 1, first + 1))
    if not ran then error(text, 2) end
    local lines = { "stack traceback:" }
    for line in gmatch(text, "[^\n]+") do
      if is_shown(line) then lines[#lines + 1] = line end
    end
    return (message and message .. "\n" or "") .. table.concat(lines, "\n")
  end
end

-- ---- Sandboxed scenes: tables

--- setmetatable, getmetatable, pairs, next, rawget, rawset. A table is opaque when its metatable was not made by the
--- scene.
local function table_functions()
  local mine = set_metatable({}, { __mode = "k" })
  local f = {}

  local function opaque(t)
    local meta = get_metatable(t)
    return meta ~= nil and not mine[meta]
  end

  function f.setmetatable(t, meta)
    if type(t) == "table" and opaque(t) then error("cannot change a protected metatable", 2) end
    if type(meta) == "table" then
      if rawget(meta, "__gc") ~= nil then error("__gc is not allowed in a sandboxed scene: run it with --trust", 2) end
      mine[meta] = true
    end
    local ran, result = pcall(setmetatable, t, meta)
    if not ran then error(result, 2) end
    return result
  end

  function f.getmetatable(value)
    local meta = get_metatable(value)
    if meta == nil then return nil end
    local shown = rawget(meta, "__metatable")
    if shown ~= nil then return shown end
    return mine[meta] and meta or false
  end

  -- The fields of an opaque value that are not behind a private key.
  local function shown_fields(t)
    local copy = {}
    for k, v in next, t do
      if type(k) == "string" or type(k) == "number" then copy[k] = v end
    end
    return copy
  end

  local function expect_table(name, t)
    if type(t) ~= "table" then error(("bad argument #1 to '%s' (table expected, got %s)"):format(name, type(t)), 3) end
    if opaque(t) then error(name .. ": a value of rtlua has no raw fields for scenes", 3) end
  end

  function f.pairs(t)
    local meta = get_metatable(t)
    if meta == nil or rawget(meta, "__pairs") == nil then
      if type(t) ~= "table" then error(("bad argument #1 to 'pairs' (table expected, got %s)"):format(type(t)), 2) end
      if meta and not mine[meta] then t = shown_fields(t) end
    end
    return ordered.pairs(t)
  end

  function f.next(t, key)
    expect_table("next", t)
    return ordered.next(t, key)
  end

  function f.rawget(t, key)
    expect_table("rawget", t)
    return rawget(t, key)
  end

  function f.rawset(t, key, value)
    expect_table("rawset", t)
    return rawset(t, key, value)
  end

  return f
end

--- A copy of the library's table for the scene, which may do with it what it likes.
local function copy_library(t)
  local copy = {}
  for k, v in next, t do copy[k] = type(v) == "table" and copy_library(v) or v end
  return set_metatable(copy, get_metatable(t))
end

-- ---- Sandboxed scenes: the whole

local string_functions = "byte char find gmatch gsub len lower match pack packsize rep reverse sub unpack upper"

--- The environment of a scene that nobody has read, and the guarded state's string methods. find_module and
--- run_module as above.
function environment.sandboxed(script, find_module, run_module)
  local env = table_functions()
  for name in gmatch("_VERSION assert error ipairs pcall rawequal rawlen select tonumber type xpcall", "%S+") do
    env[name] = _G[name]
  end
  env._G, env.arg = env, script.arg
  env.tostring = new_tostring()

  env.math, env.table = exact_math(), exact_table()
  env.coroutine = pick(coroutine, "close create isyieldable resume running status wrap yield")
  env.utf8 = pick(utf8, "char charpattern codepoint codes len offset")
  env.string = pick(string, string_functions)
  env.string.format, env.string.dump = new_format(env.tostring), refusing "string.dump"

  -- Methods of strings, ("x"):rep(3), come from a table that the scene cannot reach.
  local methods = pick(env.string, string_functions .. " format dump")
  local string_meta = get_metatable("")
  string_meta.__index, string_meta.__metatable = methods, false

  env.os = refusing_library("os", "clock date difftime execute exit getenv remove rename setlocale time tmpname", "")
  env.io = refusing_library("io", "close flush input lines open output popen read tmpfile type write",
    "stdin stdout stderr")
  env.package = refusing_library("package", "loadlib searchpath", "config cpath loaded path preload searchers")
  env.debug = refusing_library("debug", "debug gethook getinfo getlocal getmetatable getregistry getupvalue "
    .. "getuservalue sethook setlocal setmetatable setupvalue setuservalue upvalueid upvaluejoin setcstacklimit", "")
  env.debug.traceback = new_traceback(script.sources)
  env.dofile, env.loadfile = refusing "dofile", refusing "loadfile"

  function env.print(...)
    local texts = pack(...)
    for i = 1, texts.n do texts[i] = env.tostring(texts[i]) end
    output.say(table.concat(texts, "\t", 1, texts.n))
  end

  function env.load(chunk, name, _, ...)
    if select("#", ...) > 0 then return load(chunk, name, "t", (...)) end
    return load(chunk, name, "t", env)
  end

  function env.collectgarbage(option)
    if option ~= nil and option ~= "collect" and option ~= "step" then
      error("collectgarbage: only 'collect' and 'step' are allowed in a sandboxed scene", 2)
    end
    collectgarbage()
    return 0
  end

  local loaded, loading = pick(env, "_G math string table utf8 coroutine"), {}
  env.require = caller.constructor(function(where, name)
    local function fail(message) return errors.raise(errors.DATA, message, where) end
    if type(name) ~= "string" then fail("require: expected the name of a module") end
    if loaded[name] ~= nil then return loaded[name] end
    if name == "rtlua" then
      loaded.rtlua = copy_library(require "rtlua")
      return loaded.rtlua
    end
    if find(name, "^rtlua%.") or env[name] then return refuse(("require '%s'"):format(name), where) end
    if not find(name, "^[%w_-]+[%w_./-]*$") or find(name, "..", 1, true) or find(name, "//", 1, true) then
      fail(("require '%s': a sandboxed scene requires modules beside it or below: run it with --trust"):format(name))
    end
    local path = find_module(name)
    if not path then fail(("require '%s': there is no such module beside the scene"):format(name)) end
    if loading[name] then fail(("require '%s': the module requires itself"):format(name)) end
    loading[name] = true
    local result = run_module(path, name, env)
    loading[name] = nil
    loaded[name] = result == nil and true or result
    return loaded[name], path
  end)

  return env
end

return environment
