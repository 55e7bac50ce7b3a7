-- Transforms: affine maps as 3 x 4 row-major matrices for column vectors, in doubles. Values; `*` composes, applied
-- right to left, so that (a * b)(p) = a(b(p)). A product with a vector is the point that it becomes.
--
-- Rotations by whole quarter turns are exact: the angle is reduced to [-45, 45] degrees before sine and cosine are
-- taken.

local caller = require "rtlua.core.caller"
local elementary = require "rtlua.core.elementary"
local errors = require "rtlua.errors"
local schema = require "rtlua.schema"
local vec = require "rtlua.vec"

local transform = {}

local methods = {}
local meta = { __name = "rtlua.transform", __metatable = "rtlua.transform" }

local function new(m) return setmetatable(m, meta) end

function transform.is(value) return type(value) == "table" and getmetatable(value) == "rtlua.transform" end

function transform.identity() return new { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0 } end

function transform.is_identity(t)
  local one = transform.identity()
  for i = 1, 12 do
    if t[i] ~= one[i] then return false end
  end
  return true
end

--- The product a b. Without loops: it is made in millions.
function transform.compose(a, b)
  local b1, b2, b3, b4, b5, b6, b7, b8 = b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8]
  local b9, b10, b11, b12 = b[9], b[10], b[11], b[12]
  local x1, x2, x3, y1, y2, y3, z1, z2, z3 = a[1], a[2], a[3], a[5], a[6], a[7], a[9], a[10], a[11]
  return new {
    x1 * b1 + x2 * b5 + x3 * b9, x1 * b2 + x2 * b6 + x3 * b10, x1 * b3 + x2 * b7 + x3 * b11,
    x1 * b4 + x2 * b8 + x3 * b12 + a[4],
    y1 * b1 + y2 * b5 + y3 * b9, y1 * b2 + y2 * b6 + y3 * b10, y1 * b3 + y2 * b7 + y3 * b11,
    y1 * b4 + y2 * b8 + y3 * b12 + a[8],
    z1 * b1 + z2 * b5 + z3 * b9, z1 * b2 + z2 * b6 + z3 * b10, z1 * b3 + z2 * b7 + z3 * b11,
    z1 * b4 + z2 * b8 + z3 * b12 + a[12],
  }
end

function transform.determinant(m)
  return m[1] * (m[6] * m[11] - m[7] * m[10])
    - m[2] * (m[5] * m[11] - m[7] * m[9])
    + m[3] * (m[5] * m[10] - m[6] * m[9])
end

--- Sine and cosine of an angle in degrees.
local function sin_cos(degrees)
  local r = math.fmod(degrees, 360.0)
  local quarter = math.floor(r / 90.0 + 0.5)
  local radians = (r - 90.0 * quarter) * (math.pi / 180.0)
  local s, c = elementary.sin(radians), elementary.cos(radians)
  quarter = quarter % 4
  if quarter == 1 then return c, -s elseif quarter == 2 then return -s, -c elseif quarter == 3 then return -c, s end
  return s, c
end

function transform.translate(x, y, z) return new { 1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z } end

function transform.scale(x, y, z) return new { x, 0, 0, 0, 0, y, 0, 0, 0, 0, z, 0 } end

--- Rotation about an axis of any length but 0 by Rodrigues' formula, counter-clockwise seen from the axis' tip.
function transform.rotate(axis, degrees)
  local length = math.sqrt(axis[1] * axis[1] + axis[2] * axis[2] + axis[3] * axis[3])
  local x, y, z = axis[1] / length, axis[2] / length, axis[3] / length
  local s, c = sin_cos(degrees)
  local d = 1 - c
  return new {
    c + x * x * d, x * y * d - z * s, x * z * d + y * s, 0,
    y * x * d + z * s, c + y * y * d, y * z * d - x * s, 0,
    z * x * d - y * s, z * y * d + x * s, c + z * z * d, 0,
  }
end

--- Object to world: the origin goes to `from`, -z points to `to`, y up as a camera has it.
function transform.look_at(from, to, up)
  local back = (vec.new(from[1], from[2], from[3]) - to):normalize()
  local right = vec.new(up[1], up[2], up[3]):cross(back):normalize()
  local y = back:cross(right)
  return new {
    right[1], y[1], back[1], from[1],
    right[2], y[2], back[2], from[2],
    right[3], y[3], back[3], from[3],
  }
end

-- ---- Methods

local function point(m, p)
  return vec.new(
    m[1] * p[1] + m[2] * p[2] + m[3] * p[3] + m[4],
    m[5] * p[1] + m[6] * p[2] + m[7] * p[3] + m[8],
    m[9] * p[1] + m[10] * p[2] + m[11] * p[3] + m[12])
end

methods.point = {
  params = { { "p", "rtlua.Vector" } }, returns = "rtlua.Vec", doc = "The point that p becomes.",
  call = function(self, p)
    if not vec.parts(p) then error(("point: expected 3 numbers, got %s"):format(schema.show(p)), 2) end
    return point(self, p)
  end,
}

methods.direction = {
  params = { { "d", "rtlua.Vector" } }, returns = "rtlua.Vec",
  doc = "The direction that d becomes: translation does not move it.",
  call = function(self, d)
    if not vec.parts(d) then error(("direction: expected 3 numbers, got %s"):format(schema.show(d)), 2) end
    return point(self, d) - { self[4], self[8], self[12] }
  end,
}

transform.methods = methods

function meta.__index(_, key)
  local method = methods[key]
  return method and method.call
end

function meta.__newindex() error("a transform does not change: make a new one", 2) end

function meta.__mul(a, b)
  if transform.is(a) and transform.is(b) then return transform.compose(a, b) end
  if transform.is(a) and vec.parts(b) then return point(a, b) end
  return error(("transform: *: expected a transform or a point on the right, got %s"):format(
    transform.is(a) and schema.show(b) or schema.show(a)), 2)
end

function meta.__eq(a, b)
  for i = 1, 12 do
    if a[i] ~= b[i] then return false end
  end
  return true
end

function meta.__tostring(self)
  local rows = {}
  for row = 0, 2 do
    rows[#rows + 1] = ("{%.14g, %.14g, %.14g, %.14g}"):format(table.unpack(self, 4 * row + 1, 4 * row + 4))
  end
  return "rt.matrix " .. table.concat(rows, " ")
end

-- ---- The functions of rt

local function finite(n) return type(n) == "number" and n - n == 0 end

--- Checks that a map is finite and does not flatten space.
local function invertible(m, fail)
  local d = transform.determinant(m) -- is finite only where the numbers are that it is made of
  if d ~= 0 and finite(d) and finite(m[4]) and finite(m[8]) and finite(m[12]) then return m end
  for i = 1, 12 do
    if not finite(m[i]) then fail(("expected finite numbers, got %s"):format(schema.show(m[i]))) end
  end
  return fail("expected a transform that can be undone, got one that flattens space")
end

--- Three numbers given one by one or as one table.
local function triple(x, y, z, fail)
  if finite(x) and finite(y) and finite(z) then return x, y, z end
  if type(x) == "table" and y == nil then
    local v, message = schema.value({ type = "vector" }, x, "vector")
    if not v then fail(message) end
    return v[1], v[2], v[3]
  end
  for i, v in ipairs { x or false, y or false, z or false } do
    if not finite(v) then fail(("%s: expected a number, got %s"):format(("xyz"):sub(i, i), schema.show(v or nil))) end
  end
  return x, y, z
end

transform.functions = {}

local function define(name, doc, params, make)
  local function fail(message) return errors.failing("rt." .. name, caller.place())(message) end
  transform.functions[#transform.functions + 1] = {
    name = name, doc = doc, params = params, returns = "rtlua.Transform",
    call = caller.value(function(...) return invertible(make(fail, ...), fail) end),
  }
end

define("translate", "Moves by a vector: `rt.translate(x, y, z)` or `rt.translate { x, y, z }`.",
  { { "x", "number|rtlua.Vector" }, { "y?", "number" }, { "z?", "number" } },
  function(fail, x, y, z) return transform.translate(triple(x, y, z, fail)) end)

define("scale",
  "Scales about the origin: by one factor, `rt.scale(s)`, or by one for each axis, `rt.scale(x, y, z)` or "
    .. "`rt.scale { x, y, z }`.",
  { { "x", "number|rtlua.Vector" }, { "y?", "number" }, { "z?", "number" } },
  function(fail, x, y, z)
    if type(x) == "number" and y == nil then y, z = x, x end
    return transform.scale(triple(x, y, z, fail))
  end)

local axes = { x = { 1, 0, 0 }, y = { 0, 1, 0 }, z = { 0, 0, 1 } }
for _, name in ipairs { "x", "y", "z" } do
  define("rotate_" .. name,
    ("Turns about the %s axis by an angle in degrees, counter-clockwise seen from the axis' tip."):format(name),
    { { "degrees", "number" } },
    function(fail, degrees)
      if not finite(degrees) then fail(("expected an angle in degrees, got %s"):format(schema.show(degrees))) end
      return transform.rotate(axes[name], degrees)
    end)
end

define("rotate",
  "Turns about any axis by an angle in degrees: `rt.rotate(axis, degrees)` or `rt.rotate { axis, degrees }`.",
  { { "axis", "rtlua.Vector|table" }, { "degrees?", "number" } },
  function(fail, axis, degrees)
    if type(axis) == "table" and type(axis[1]) == "table" and degrees == nil then axis, degrees = axis[1], axis[2] end
    local v, message = schema.value({ type = "vector", nonzero = true }, axis, "axis")
    if not v then fail(message) end
    if not finite(degrees) then fail(("degrees: expected a number, got %s"):format(schema.show(degrees))) end
    return transform.rotate(v, degrees)
  end)

--- A matrix of 16 numbers as rt.matrix takes it.
function transform.matrix(numbers, fail)
  if type(numbers) ~= "table" then fail(("expected 16 numbers, got %s"):format(schema.show(numbers))) end
  if #numbers ~= 16 then fail(("expected 16 numbers, got %d"):format(#numbers)) end
  for i = 1, 16 do
    local n = numbers[i]
    if not finite(n) then fail(("[%d]: expected a number, got %s"):format(i, schema.show(n))) end
    if i > 12 and n ~= i // 16 then fail(("[%d]: expected the last row to be 0, 0, 0, 1"):format(i)) end
  end
  return new { table.unpack(numbers, 1, 12) }
end

define("matrix", "A matrix of 16 numbers, row-major, for column vectors; its last row is 0, 0, 0, 1.",
  { { "numbers", "number[]" } },
  function(fail, numbers) return transform.matrix(numbers, fail) end)

define("look_at",
  "Object to world: puts the origin at `from` and turns -z towards `to`, with y as near to `up` ({0, 1, 0}) as it can "
    .. "be: `rt.look_at(from, to, up)` or `rt.look_at { from = ..., to = ..., up = ... }`.",
  {
    { "from", "rtlua.Vector|{ from: rtlua.Vector, to: rtlua.Vector, up?: rtlua.Vector }" },
    { "to?", "rtlua.Vector" }, { "up?", "rtlua.Vector" },
  },
  function(fail, from, to, up)
    local fields = from
    if type(from) ~= "table" or to ~= nil or vec.parts(from) then fields = { from = from, to = to, up = up } end
    local record = {
      fields = {
        { "from", type = "vector", required = true }, { "to", type = "vector", required = true },
        { "up", type = "vector", default = { 0, 1, 0 } },
      },
    }
    local f, message = schema.read(record, fields)
    if not f then fail(message) end
    local ahead = vec.new(f.to[1], f.to[2], f.to[3]) - f.from
    if ahead:length() == 0 then fail("to: expected a point other than from") end
    if ahead:cross(f.up):length() == 0 then fail("up: lies along the line of sight: expected another direction") end
    return transform.look_at(f.from, f.to, f.up)
  end)

return transform
