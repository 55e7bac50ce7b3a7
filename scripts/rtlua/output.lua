-- Standard output and standard error of the command: what was asked for goes to the first, the rest to the second.

local errors = require "rtlua.errors"
local system = require "rtlua.system"

local output = {}

local stdout = io.stdout -- the process's, whatever a script makes of io

local function fail(message)
  local reason = message and ": " .. message or ""
  errors.raise(errors.CANT_WRITE, "standard output: cannot be written" .. reason)
end

--- Writes what was asked for; an output that cannot be written is an error.
function output.write(text)
  local ok, message = stdout:write(text)
  if ok then ok, message = stdout:flush() end
  if not ok then fail(message) end
end

--- For the end: an error if anything that was printed got lost.
function output.finish()
  if io.type(stdout) ~= "file" then return end -- a script closed it
  local ok, message = stdout:flush()
  if not ok or system.failed(stdout) then fail(message) end
end

--- Text with its control characters, but for line ends and tabs, made visible: a terminal would obey them.
function output.harmless(text)
  text = text:gsub("[\0-\8\11-\31\127]", function(c) return ("\\x%02X"):format(c:byte()) end)
  return (text:gsub("\xC2([\x80-\x9F])", function(c) return ("\\x%02X"):format(c:byte()) end))
end

--- A line of anything else; that nobody listens is no error.
function output.say(text)
  io.stderr:write(output.harmless(text), "\n")
end

return output
