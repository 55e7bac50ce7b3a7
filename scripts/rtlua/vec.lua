-- rt.vec: vectors with arithmetic. A vector is a table { x, y, z } whose elements also answer to .x, .y, .z, so that it
-- goes wherever a plain {x, y, z} goes. Vectors are values: operations make new ones.

local caller = require "rtlua.core.caller"
local errors = require "rtlua.errors"
local schema = require "rtlua.schema"

local vec = {}

local index_of = { x = 1, y = 2, z = 3 }
local methods = {}
local meta = { __name = "rtlua.vec", __metatable = "rtlua.vec" }

function vec.new(x, y, z) return setmetatable({ x, y, z }, meta) end

function vec.is(value) return type(value) == "table" and getmetatable(value) == "rtlua.vec" end

--- x, y, z of a vector or a table of three numbers; nil when it is neither.
function vec.parts(value)
  if type(value) ~= "table" then return nil end
  local x, y, z = value[1], value[2], value[3]
  if type(x) == "number" and type(y) == "number" and type(z) == "number" and #value == 3 then return x, y, z end
  return nil
end

local function operand(value, what)
  local x, y, z = vec.parts(value)
  if x then return x, y, z end
  return error(("rt.vec: %s: expected a vector, got %s"):format(what, schema.show(value)), 3)
end

function meta.__index(self, key)
  local i = index_of[key]
  if i then return rawget(self, i) end
  local method = methods[key]
  return method and method.call
end

function meta.__newindex(self, key, value)
  local i = index_of[key]
  if not i then error(("rt.vec: no field '%s': it has x, y and z"):format(tostring(key)), 2) end
  rawset(self, i, value)
end

function meta.__tostring(self) return ("{%.14g, %.14g, %.14g}"):format(self[1], self[2], self[3]) end

function meta.__eq(a, b)
  return a[1] == b[1] and a[2] == b[2] and a[3] == b[3]
end

function meta.__unm(a) return vec.new(-a[1], -a[2], -a[3]) end

function meta.__add(a, b)
  local ax, ay, az = operand(a, "+")
  local bx, by, bz = operand(b, "+")
  return vec.new(ax + bx, ay + by, az + bz)
end

function meta.__sub(a, b)
  local ax, ay, az = operand(a, "-")
  local bx, by, bz = operand(b, "-")
  return vec.new(ax - bx, ay - by, az - bz)
end

function meta.__mul(a, b)
  if type(a) == "number" then return vec.new(a * b[1], a * b[2], a * b[3]) end
  if type(b) == "number" then return vec.new(a[1] * b, a[2] * b, a[3] * b) end
  local ax, ay, az = operand(a, "*")
  local bx, by, bz = operand(b, "*")
  return vec.new(ax * bx, ay * by, az * bz)
end

function meta.__div(a, b)
  if type(b) == "number" then return vec.new(a[1] / b, a[2] / b, a[3] / b) end
  local ax, ay, az = operand(a, "/")
  local bx, by, bz = operand(b, "/")
  return vec.new(ax / bx, ay / by, az / bz)
end

methods.dot = {
  params = { { "other", "rtlua.Vector" } }, returns = "number", doc = "The dot product.",
  call = function(a, b)
    local x, y, z = operand(b, "dot")
    return a[1] * x + a[2] * y + a[3] * z
  end,
}

methods.cross = {
  params = { { "other", "rtlua.Vector" } }, returns = "rtlua.Vec", doc = "The cross product, right-handed.",
  call = function(a, b)
    local x, y, z = operand(b, "cross")
    return vec.new(a[2] * z - a[3] * y, a[3] * x - a[1] * z, a[1] * y - a[2] * x)
  end,
}

methods.length = {
  params = {}, returns = "number", doc = "The Euclidean length.",
  call = function(a) return math.sqrt(a[1] * a[1] + a[2] * a[2] + a[3] * a[3]) end,
}

methods.normalize = {
  params = {}, returns = "rtlua.Vec", doc = "The same direction with length 1; an error for the zero vector.",
  call = function(a)
    local length = math.sqrt(a[1] * a[1] + a[2] * a[2] + a[3] * a[3])
    if not (length > 0 and length < math.huge) then
      error(("rt.vec: normalize: expected a finite vector other than 0, got %s"):format(tostring(a)), 2)
    end
    return vec.new(a[1] / length, a[2] / length, a[3] / length)
  end,
}

vec.methods = methods

vec.functions = {
  {
    name = "vec", params = { { "x", "number|rtlua.Vector" }, { "y?", "number" }, { "z?", "number" } },
    returns = "rtlua.Vec",
    doc = "A vector with arithmetic: `rt.vec(x, y, z)` or `rt.vec { x, y, z }`. +, -, * and / work by component, * "
      .. "and / with numbers too; "
      .. "fields x, y and z can be read and set.",
    call = caller.constructor(function(where, x, y, z)
      local fail = errors.failing("rt.vec", where)
      if type(x) == "table" and y == nil then
        local a, b, c = vec.parts(x)
        if a then return vec.new(a, b, c) end
        fail(("expected 3 numbers, got a table of %d"):format(#x))
      end
      for i, v in ipairs { x or false, y or false, z or false } do
        if type(v) ~= "number" then
          fail(("%s: expected a number, got %s"):format(("xyz"):sub(i, i), schema.show(v or nil)))
        end
      end
      return vec.new(x, y, z)
    end),
  },
}

return vec
