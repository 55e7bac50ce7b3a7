-- rt.params: what the command line may set in a scene, -D NAME=VALUE. The type of a parameter is that of its default.

local caller = require "rtlua.core.caller"
local context = require "rtlua.context"
local errors = require "rtlua.errors"
local schema = require "rtlua.schema"
local suggest = require "rtlua.suggest"

local params = {}

--- The record that a default value implies; nil when it is of no type that a command line can give.
local function record_of(default)
  local kind = type(default)
  if kind == "number" then return { type = "number" } end
  if kind == "string" then return { type = "string" } end
  if kind == "boolean" then return { type = "boolean" } end
  if kind == "table" and #default > 0 then
    for i = 1, #default do
      if type(default[i]) ~= "number" then return nil end
    end
    return {
      type = "numbers", count = #default, join = ",", element = { type = "number" },
      noun = ("%d numbers with commas between"):format(#default),
    }
  end
  return nil
end

local construct = caller.constructor(function(where, defaults)
  local fail = errors.failing("rt.params", where)
  if type(defaults) ~= "table" or type(getmetatable(defaults)) == "string" then
    fail(("expected a table of names and defaults, got %s"):format(schema.show(defaults)))
  end
  local names = {}
  for name in pairs(defaults) do
    if type(name) ~= "string" then fail(("%s: expected names as keys"):format(schema.show(name))) end
    names[#names + 1] = name
  end
  table.sort(names)
  local values = {}
  for _, name in ipairs(names) do
    local record = record_of(defaults[name])
    if not record then
      fail(("%s: expected a number, a string, true or false, or numbers as default, got %s"):format(
        name, schema.show(defaults[name])))
    end
    values[name] = defaults[name]
    context.params_read[name] = true
    local text = context.params[name]
    if text ~= nil then
      local value, message = schema.text(record, text, "-D " .. name)
      if value == nil then errors.raise(errors.USAGE, message) end
      values[name] = value
    end
  end
  return setmetatable(values, {
    __index = caller.constructor(function(place, _, name)
      name = tostring(name)
      errors.failing("rt.params", place)(("there is no parameter '%s'%s"):format(name, suggest.hint(name, names)))
    end),
  })
end)

params.functions = {
  {
    name = "params", params = { { "defaults", "table<string, number|string|boolean|number[]>" } },
    returns = "table<string, any>", call = construct,
    doc = "Parameters of a scene and their defaults, `rt.params { turn = 0 }`: `-D turn=30` on the command line sets "
      .. "one, "
      .. "as a value of its default's type (a number, a string, true or false, or a list of numbers).",
  },
}

return params
