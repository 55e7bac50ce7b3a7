-- Runs the command as its user does: a process of its own with an argument list, whose output and exit code come back.
--
-- options: cwd (else the project's root), env = { NAME = "value" }, stdin (text), signal and after: a signal's name,
-- "INT", that it is sent after so many seconds, once and to it alone. A process that has not ended after five minutes
-- is killed.

local folder = require "spec.support.folder"
local lfs = require "lfs"

local run = {}

local ROOT = lfs.currentdir()
local LIMIT = 300 -- seconds

local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

--- Runs a program. Returns { code, stdout, stderr }.
function run.program(program, arguments, options)
  options = options or {}
  local dir <close> = folder.new()
  dir:write("stdin", options.stdin or "")
  local words = { "cd", quote(options.cwd or ROOT), "&&", "env" }
  for name, value in pairs(options.env or {}) do words[#words + 1] = quote(name .. "=" .. value) end
  -- timeout, unlike a shell's &, leaves SIGINT as it is; --foreground keeps it from signalling its whole group.
  words[#words + 1] = ("timeout --foreground --preserve-status -s %s %g"):format(
    options.signal or "KILL", options.signal and options.after or LIMIT)
  words[#words + 1] = quote(program)
  for _, argument in ipairs(arguments) do words[#words + 1] = quote(argument) end
  for _, stream in ipairs { { "<", "stdin" }, { ">", "stdout" }, { "2>", "stderr" } } do
    words[#words + 1] = stream[1] .. quote(dir.path .. "/" .. stream[2])
  end
  local _, how, number = os.execute(table.concat(words, " "))
  return {
    code = how == "exit" and number or 128 + number,
    stdout = dir:read "stdout",
    stderr = dir:read "stderr",
  }
end

--- Runs ./rtlua with a list of arguments.
function run.rtlua(arguments, options) return run.program(ROOT .. "/rtlua", arguments, options) end

return run
