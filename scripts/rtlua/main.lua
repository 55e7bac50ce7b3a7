-- The command: what `rtlua ARGS` does, and its exit code.
--
-- Reading order: cli.lua (commands and options), run.lua (scripts and rendering), info.lua, diff.lua, convert.lua,
-- merge.lua, repl.lua, machine_command.lua. An error is one line on standard error, `rtlua: FILE:LINE: what is wrong:
-- what to do`, and an exit code of sysexits.h.

local cli = require "rtlua.cli"
local errors = require "rtlua.errors"
local isa = require "rtlua.isa"
local output = require "rtlua.output"
local signal = require "rtlua.signal"
local suggest = require "rtlua.suggest"
local system = require "rtlua.system"

local main = { traceback = false } -- traceback: is it to be shown?

-- Loaded when they are asked for: a diff needs no scene library.
local modules = {
  render = "rtlua.run", info = "rtlua.info", diff = "rtlua.diff", convert = "rtlua.convert",
  merge = "rtlua.merge", repl = "rtlua.repl", bench = "rtlua.bench",
}

local function version()
  local lines = { "rtlua " .. system.version() }
  local features, names = system.features(), {}
  for name in pairs(features) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = ("%s %s"):format(name, tostring(features[name])) end
  return table.concat(lines, "\n") .. "\n"
end

local function looks_like_a_command(word) return not word:find("[./]") and not system.exists(word) end

local function usage_error(message, ...) errors.raise(errors.USAGE, message:format(...)) end

local function dispatch(args, started)
  local first = args[1]
  if first == nil then usage_error("nothing to do: give it a script, or see rtlua --help") end
  if first == "--help" or first == "-h" then
    output.write(cli.help())
    return 0
  end
  if first == "--version" then
    output.write(version())
    return 0
  end
  local rest = table.move(args, 2, #args, 1, {})
  if first == "machine" then return require("rtlua.machine_command").command(rest) end
  local command = cli.commands[first]
  if command then
    local parsed = cli.parse(command, rest, true)
    if parsed.help then
      output.write(parsed.help)
      return 0
    end
    main.traceback = parsed.options.traceback
    return require(modules[first]).command(parsed, started)
  end
  if first:sub(1, 1) == "-" then
    local hint = suggest.hint(first, { "--help", "--version" })
    usage_error("unknown option '%s'%s: options follow a script or a command: see rtlua --help", first, hint)
  end
  if looks_like_a_command(first) then
    local names = { "machine" }
    for _, c in ipairs(cli.commands) do names[#names + 1] = c.name end
    usage_error("there is no command and no script '%s'%s: see rtlua --help", first, suggest.hint(first, names))
  end
  if not system.exists(first) then errors.raise(errors.NO_INPUT, ("%s: no such file: check the name"):format(first)) end
  main.traceback = cli.peek(rest).traceback
  return require("rtlua.run").script(first, rest, started)
end

local function perform(args, started)
  isa.choose()
  local code = dispatch(args, started)
  if code == 0 then output.finish() end
  return code
end

-- An error that nobody raised on purpose is a bug of ours, and where it came from is kept.
local function on_error(e)
  if errors.is(e) then return e end
  local found
  if type(e) == "table" and e.code and e.message then
    found = errors.new(e.code, e.message)
  else
    found = errors.new(errors.BUG, ("a bug: %s: please report it"):format(tostring(e)))
  end
  found.traceback = debug.traceback("", 2)
  return found
end

--- Runs the command and returns its exit code.
function main.main(args)
  local started = system.now()
  signal.install()
  local ok, result = xpcall(perform, on_error, args, started)
  if not ok then
    output.say("rtlua: " .. result.message)
    if main.traceback and result.traceback then output.say(result.traceback) end
  end
  local code = ok and result or result.code
  -- One that came at the very end, when __close handlers put it off, was not seen by anybody.
  if code == 0 and signal.number() then code = 128 + signal.number() end
  local said = ok and code == errors.REMAINS or result == errors.left
  if errors.left and not said then
    output.say("rtlua: " .. errors.left.message)
    code = errors.REMAINS
  end
  return code
end

return main
