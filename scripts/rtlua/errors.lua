-- Errors of the library: tables { code, message } whose message is one line and starts with "FILE:LINE: " where there
-- is a place to point at. Those of machines have stage, reason, remedy and cause, too. The codes are those of
-- sysexits.h, as in core/rt.h; the command exits with them.

local errors = {}

errors.USAGE = 64
errors.DATA = 65
errors.NO_INPUT = 66
errors.UNAVAILABLE = 69
errors.BUG = 70
errors.NO_MEMORY = 71
errors.CANT_WRITE = 73
errors.TRY_AGAIN = 75
errors.REMAINS = 76 -- something that is billed may remain; outranks all others

local Error = {
  __name = "rtlua.error",
  __metatable = "rtlua.error",
  __tostring = function(e) return e.message end,
}

--- "scene.lua:12: " for the place that rtlua.core.caller found; "" where there is none.
function errors.place(where)
  if not where or not where.source then return "" end
  local file = where.source:gsub("^[@=]", "")
  if where.line and where.line > 0 then return ("%s:%d: "):format(file, where.line) end
  return file .. ": "
end

function errors.new(code, message, where)
  local line = errors.place(where) .. tostring(message):gsub("%s*[\r\n]+%s*", " ")
  return setmetatable({ code = code, message = line }, Error)
end

function errors.raise(code, message, where) error(errors.new(code, message, where), 0) end

--- An error of a machine's life: its stage ("check", "create", "ssh" and so on), what is wrong, what to do, and the
--- error that it came from. All are fields of it; its text is "STAGE: MESSAGE: REMEDY".
function errors.staged(stage, code, message, remedy, cause)
  local text = ("%s: %s%s"):format(stage, message, remedy and ": " .. remedy or "")
  local e = errors.new(code, text)
  e.stage, e.reason, e.remedy, e.cause = stage, message, remedy, cause
  return e
end

function errors.stage(...) error(errors.staged(...), 0) end

--- Keeps a failure by which something that is billed may be left: the command ends with its code and says it, whatever
--- else happens.
function errors.leave(e) errors.left = e end

--- A function fail(message[, code]) that raises for what was called as `name` at `where`: a scene's fault unless a code
--- is given.
function errors.failing(name, where)
  return function(message, code) errors.raise(code or errors.DATA, name .. ": " .. message, where) end
end

function errors.is(value) return type(value) == "table" and getmetatable(value) == "rtlua.error" end

return errors
