-- Errors of the library: tables { code, message } whose message is one line and starts with "FILE:LINE: " where there is a place to point at.
-- The codes are those of sysexits.h, as in core/rt.h; the command exits with them.

local errors = {}

errors.USAGE = 64
errors.DATA = 65
errors.NO_INPUT = 66
errors.BUG = 70
errors.CANT_WRITE = 73

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

function errors.is(value) return type(value) == "table" and getmetatable(value) == "rtlua.error" end

--- Calls f(...) for the thing described at `where`: an error of ours without a place, and a plain string, get that place.
function errors.located(where, prefix, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local e = results[2]
  if type(e) == "string" then return errors.raise(errors.DATA, prefix .. e, where) end
  if errors.is(e) and not e.placed then
    local placed = errors.new(e.code, prefix .. e.message, where)
    placed.placed = true
    error(placed, 0)
  end
  error(e, 0)
end

--- Turns a binding's nil, message, code into an error; hands anything else on.
function errors.check(where, prefix, value, message, code)
  if value == nil then errors.raise(code or errors.DATA, prefix .. tostring(message), where) end
  return value
end

return errors
