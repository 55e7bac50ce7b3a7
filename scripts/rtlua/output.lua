-- Standard output and standard error of the command: what was asked for goes to the first, the rest to the second.

local errors = require "rtlua.errors"

local output = {}

--- Writes what was asked for; an output that cannot be written is an error.
function output.write(text)
  local ok, message = io.stdout:write(text)
  if ok then ok, message = io.stdout:flush() end
  if not ok then errors.raise(errors.CANT_WRITE, ("standard output: cannot be written: %s"):format(message)) end
end

--- A line of anything else; that nobody listens is no error.
function output.say(text)
  io.stderr:write(text, "\n")
end

return output
