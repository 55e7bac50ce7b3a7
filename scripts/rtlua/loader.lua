-- Loads scripts and scenes: reads the file, gives its chunk an environment, runs it under the guard, and turns
-- whatever goes wrong into one line and a code.
--
-- load(path, options) -> result, or nil and { code, message, traceback }. Options: sandbox, params (NAME = "text"),
-- args, time_limit (seconds), asset_paths, memory_limit (bytes of Lua memory of a sandbox; 4 GB), threads, traceback
-- (want one). A result has value (what the chunk returned; from a sandbox only a scene), scene (the same when it is
-- one), params_read and files.
--
-- A sandboxed scene runs in a Lua state of its own (rtlua.core.sandbox), where rtlua.sandbox calls loader.run, which
-- here runs a trusted script.

local boxes = require "rtlua.core.sandbox"
local context = require "rtlua.context"
local environment = require "rtlua.environment"
local errors = require "rtlua.errors"
local guard = require "rtlua.core.guard"
local render_options = require "rtlua.render_options"
local schema = require "rtlua.schema"
local system = require "rtlua.system"

local loader = {}

local function fault(code, message) return { code = code, message = message } end

-- ---- Files

--- The text of a Lua file, its first line empty when it is for the shell; nil and a fault.
local function read_text(path)
  local kind = system.exists(path)
  if kind == "folder" then return nil, fault(errors.NO_INPUT, path .. ": is a folder: give a Lua file") end
  local file = io.open(path, "rb")
  if not file then
    local problem = kind and "cannot be read: check its permissions" or "no such file: check the name"
    return nil, fault(errors.NO_INPUT, path .. ": " .. problem)
  end
  local text = file:read("a")
  file:close()
  if not text then return nil, fault(errors.NO_INPUT, path .. ": cannot be read") end
  text = text:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", "")
  if text:byte(1) == 27 then
    return nil, fault(errors.DATA, path .. ": is compiled Lua (bytecode), which is not run: give its source")
  end
  return text
end

local function folder_of(path)
  local folder = path:match("^(.*)/[^/]*$") or "."
  return folder == "" and "/" or folder
end

local function beside(folder, name)
  if folder == "." then return name end
  return folder .. (folder:sub(-1) == "/" and "" or "/") .. name
end

--- context.open_asset of one script: the first of its candidates that is a file and may be read.
local function asset_opener(folder, asset_paths)
  return function(path)
    if path:find("\0", 1, true) then errors.raise(errors.DATA, "a file's name has no zero bytes") end
    local candidates = { path:sub(1, 1) == "/" and path or beside(folder, path) }
    if path:sub(1, 1) ~= "/" then
      for _, other in ipairs(asset_paths) do candidates[#candidates + 1] = beside(other, path) end
    end
    local refusal
    for _, candidate in ipairs(candidates) do
      local why = boxes.refusal(candidate)
      refusal = refusal or why
      if not why and system.exists(candidate) == "file" then
        context.note_file(candidate)
        return candidate
      end
    end
    if refusal then errors.raise(errors.DATA, refusal) end
    local looked_for = table.concat(candidates, ", ")
    return errors.raise(errors.NO_INPUT, ("%s: no such file: looked for %s"):format(path, looked_for))
  end
end

-- ---- Errors

--- Lua's messages name at most 60 characters of a file; `names` knows the whole of those that were cut.
local function whole_name(text, names)
  for short, path in pairs(names) do
    if text:sub(1, #short + 1) == short .. ":" then return path .. text:sub(#short + 1) end
  end
  return text
end

--- The place in one of the script's files that is running, innermost first; `level` as debug.getinfo's.
local function running_place(sources, level)
  local info = debug.getinfo(level, "Sl")
  while info do
    local line = info.currentline
    if sources[info.source] and line > 0 then return ("%s:%d: "):format(info.source:sub(2), line) end
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  return nil
end

--- Can a process that failed exit with it?
local function is_failure(code) return math.type(code) == "integer" and code > 0 and code < 256 end

--- Code and text of whatever was raised.
local function read_error(value)
  if type(value) == "string" then return errors.DATA, value end
  if type(value) == "table" then
    local code, message = rawget(value, "code"), rawget(value, "message")
    if type(message) == "string" then return is_failure(code) and code or errors.DATA, message end
  end
  local shown, text = pcall(tostring, value)
  local meta = debug.getmetatable(value)
  if not (shown and type(meta) == "table" and meta.__tostring) then
    text = value == nil and "error without a message" or ("error that is a %s, not a message"):format(type(value))
  end
  return errors.DATA, text
end

--- Makes the fault of a raised value: one line that begins with a place.
local function describe(script, value, place, traceback)
  local code, text = read_error(value)
  text = whole_name(text, script.names):gsub("%s*[\r\n]+%s*", " ")
  text = text:gsub("^([^:]+:%d+: )%1", "%1") -- coroutine.wrap says it twice
  if text == "not enough memory" then text = "out of memory: build less in Lua, or run it with more" end
  local staged = errors.is(value) and value.stage -- which says where it belongs
  if not staged and not text:find("^[^:]+:%d+: ") and text:sub(1, #script.path + 2) ~= script.path .. ": " then
    text = (place or script.path .. ": ") .. text
  end
  return { code = code, message = text, traceback = traceback }
end

-- ---- Running, in this state

--- Compiles a file for the script; raises a fault.
local function compile(script, path, env)
  local text, problem = read_text(path)
  if not text then error(problem, 0) end
  local name = "@" .. path
  script.sources[name] = true
  local short = debug.getinfo(load("", name), "S").short_src
  if short ~= path then script.names[short] = path end
  context.note_file(path)
  local chunk, message = load(text, name, "t", env)
  if not chunk then error(fault(errors.DATA, whole_name(message, script.names)), 0) end
  return chunk
end

local function make_environment(script, options)
  local function find_module(name)
    local stem = beside(script.folder, (name:gsub("%.", "/")))
    for _, candidate in ipairs { stem .. ".lua", stem .. "/init.lua" } do
      if not boxes.refusal(candidate) and system.exists(candidate) == "file" then return candidate end
    end
    return nil
  end
  local function run_module(path, name, env) return compile(script, path, env)(name, path) end
  local make = options.sandbox and environment.sandboxed or environment.trusted
  return make(script, find_module, run_module)
end

--- Tells the library about the script.
local function set_context(script, options)
  context.scene_path, context.scene_dir = script.path, script.folder
  context.sandbox, context.threads = options.sandbox or false, options.threads
  context.asset_paths, context.params = options.asset_paths or {}, options.params or {}
  context.params_read, context.files = {}, {}
  context.open_asset = asset_opener(script.folder, context.asset_paths)
end

local depth = 0    -- of scripts that load scripts
local sources = {} -- "@FILE" = true for every file of a script: what errors and stops point at

--- Calls f with the library's context set for the script; afterwards an outer script has its own again.
local function with_context(script, options, f)
  local outer = {}
  for k, v in pairs(context) do outer[k] = v end
  set_context(script, options)
  depth = depth + 1
  local results = table.pack(f())
  depth = depth - 1
  results.params_read, results.files = context.params_read, context.files
  if depth > 0 then
    for k in pairs(context) do context[k] = nil end
    for k, v in pairs(outer) do context[k] = v end
  end
  return results
end

-- What an error is while it passes the script's __close handlers, which see its fields, and may change them.
local function caught_errors()
  return {
    __tostring = function(caught) return tostring(rawget(caught, "value")) end,
    __index = function(caught, key)
      local value = rawget(caught, "value")
      return type(value) == "table" and value[key] or nil
    end,
    __newindex = function(caught, key, new)
      local value = rawget(caught, "value")
      if type(value) == "table" then value[key] = new end
    end,
  }
end

--- Runs a file in this state. In a sandbox's state the guard is there already.
function loader.run(path, options)
  local arg = table.move(options.args or {}, 1, #(options.args or {}), 1, { [0] = path })
  local script = { path = path, folder = folder_of(path), arg = arg, sources = sources, names = {} }
  guard.sources(sources)

  local Caught = caught_errors()
  local function on_error(value)
    local traceback = options.traceback and debug.traceback(nil, 2) or nil
    return setmetatable({ value = value, place = running_place(script.sources, 3), traceback = traceback }, Caught)
  end
  local function run()
    local env = make_environment(script, options)
    return xpcall(function() return compile(script, path, env)(table.unpack(arg)) end, on_error)
  end

  local results = with_context(script, options, function()
    if options.sandbox then return true, run() end
    return guard.call({ name = path, time_limit = options.time_limit }, run)
  end)
  if not results[1] then return nil, results[2] end
  if not results[2] then
    local raised = results[3]
    if getmetatable(raised) ~= Caught then return nil, describe(script, raised) end
    return nil, describe(script, rawget(raised, "value"), rawget(raised, "place"), rawget(raised, "traceback"))
  end
  local value = results[3]
  local is_scene = require("rtlua.scene").is(value)
  return { value = value, scene = is_scene and value or nil, params_read = results.params_read, files = results.files }
end

-- ---- Running, in a sandbox

local function roots_of(path, asset_paths)
  local roots = {}
  for i, folder in ipairs { folder_of(path), table.unpack(asset_paths) } do
    local root = system.realpath(folder)
    if not root then
      local problem = i == 1 and path .. ": no such file: check the name" or folder .. ": no such folder for assets"
      return nil, fault(errors.NO_INPUT, problem)
    end
    roots[i] = root
  end
  return roots
end

local function run_boxed(path, options)
  local roots, problem = roots_of(path, options.asset_paths or {})
  if not roots then return nil, problem end
  local made, message, code = boxes.new {
    path = package.path, cpath = package.cpath, roots = roots, memory_limit = options.memory_limit,
  }
  if not made then return nil, fault(code, message) end
  local box <close> = made
  local ran, result = box:call({ name = path, time_limit = options.time_limit }, "rtlua.sandbox", "run", {
    path = path,
    options = {
      sandbox = true, args = options.args, params = options.params, asset_paths = options.asset_paths,
      threads = options.threads, traceback = options.traceback,
    },
  })
  local failure = not ran and result or result.failure
  -- A stop has the code of its signal; a scene does not choose what the process exits with. USAGE is for a value that
  -- was given with -D.
  local given = next(options.params or {}) ~= nil
  if ran and failure and failure.code ~= errors.NO_INPUT and not (given and failure.code == errors.USAGE) then
    failure.code = errors.DATA
  end
  if failure then
    if box:exhausted() and failure.message:find("memory") then
      local gigabytes = (options.memory_limit or 4 << 30) / (1 << 30)
      failure.message = ("%s: out of memory: a sandboxed scene's Lua may use %.3g GB: build less in it, or run it with "
        .. "--trust"):format(path, gigabytes)
    end
    return nil, failure
  end
  local scene
  if result.core then
    -- Checked again: the settings say which files are written, and the scene may have got hold of them.
    local settings, wrong = schema.read(render_options, result.settings, true)
    if not settings then return nil, fault(errors.DATA, ("%s: rt.scene: render: %s"):format(path, wrong)) end
    scene = require("rtlua.scene").adopt(result.core, settings)
  end
  context.threads = options.threads
  return { value = scene, scene = scene, params_read = result.params_read, files = result.files }
end

function loader.load(path, options)
  if options.sandbox then return run_boxed(path, options) end
  guard.install()
  return loader.run(path, options)
end

return loader
