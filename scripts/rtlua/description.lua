-- Descriptions: what the constructors return. A description is a value that knows its record (type, family), its
-- checked fields and the place in the script that made it. Its fields can be read (`ball.radius`) and not changed: what
-- a scene emits is what was checked.

local caller = require "rtlua.core.caller"
local errors = require "rtlua.errors"
local schema = require "rtlua.schema"

local description = {}

local DATA = {} -- the private key

--- A family of descriptions ("shape", "material", ...) with the methods that they share, each { doc, params, returns,
--- call }.
function description.family(name, methods)
  methods = methods or {}
  local family = { name = name, methods = methods }
  family.meta = {
    __name = "rtlua." .. name,
    __metatable = "rtlua." .. name,
    __index = function(self, key)
      local method = methods[key]
      if method then return method.call end
      return rawget(self, DATA).fields[key]
    end,
    __newindex = function(self, key)
      error(
        ("rt.%s: '%s' cannot be changed: describe a new one"):format(rawget(self, DATA).record.name, tostring(key)), 2
      )
    end,
    __tostring = function(self) return "a " .. rawget(self, DATA).record.name end,
    __pairs = function(self) return pairs(rawget(self, DATA).fields) end,
  }
  return family
end

--- A description made by the library itself, of fields that are checked.
function description.new(record, fields, where)
  return setmetatable({ [DATA] = { record = record, fields = fields, where = where } }, record.family.meta)
end

--- The record, fields and place of a description of that family; nil when the value is something else.
function description.data(value, family)
  if type(value) ~= "table" or getmetatable(value) ~= family.meta.__metatable then return nil end
  return rawget(value, DATA)
end

function description.is(value, family) return description.data(value, family) ~= nil end

--- Raises an error about a description, at the place that made it.
function description.fail(data, code, message)
  return errors.failing("rt." .. data.record.name, data.where)(message, code)
end

--- The constructor of a record: checks its argument by the record's fields, lets record.finish(fields, fail) complete
--- them, and returns a
-- description. `finish` may change fields and calls fail(message[, code]) for what a single field's record cannot say.
function description.constructor(record)
  local function construct(where, input, extra)
    local fail = errors.failing("rt." .. record.name, where)
    if extra ~= nil then fail("expected one table of fields: write { } around them") end
    local fields, message = schema.read(record, input)
    if not fields then fail(message) end
    if record.finish then record.finish(fields, fail) end
    if record.make then return record.make(fields, where, fail) end
    return description.new(record, fields, where)
  end
  return caller.constructor(construct), construct
end

return description
