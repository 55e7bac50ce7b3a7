-- Shapes: the records of sphere, quad, disk, plane, box, cylinder, triangle, mesh, group, instance and instances, and
-- shape:at.
--
-- Every shape takes a material, a name, visible, and a placement: transform, or scale, rotate and translate, applied in
-- that order. After its record is checked a shape holds the placement as one transform in `placement` (nil when it
-- stays where it is).

local caller = require "rtlua.core.caller"
local description = require "rtlua.description"
local errors = require "rtlua.errors"
local families = require "rtlua.families"
local mesh = require "rtlua.mesh"
local placements = require "rtlua.core.placements"
local schema = require "rtlua.schema"
local transform = require "rtlua.transform"

local shapes = { records = {} }

local placement_fields = {
  { "transform", type = "transform", doc = "Places the shape; instead of scale, rotate and translate." },
  { "scale", type = "scaling", doc = "Scales about the origin, before rotate and translate." },
  {
    "rotate", type = "rotation",
    doc = "Turns about an axis through the origin by an angle in degrees: { axis, degrees }.",
  },
  { "translate", type = "vector", doc = "Moves, after scale and rotate." },
}

local look_fields = {
  {
    "material", type = "material",
    doc = "What it is made of; 80 % grey diffuse when neither it nor a group around it has one.",
  },
  { "name", type = "string", doc = "What scene:intersect calls it." },
  {
    "visible", type = "boolean", default = true,
    doc = "false hides it from camera rays alone: it still lights and is reflected.",
  },
}

local exclusive_placement = { { "transform", "scale" }, { "transform", "rotate" }, { "transform", "translate" } }

--- Puts one transform in the place of the fields that describe it.
local function place(fields)
  local map = fields.transform
  if fields.scale then map = transform.scale(table.unpack(fields.scale)) end
  if fields.rotate then
    local turn = transform.rotate(fields.rotate.axis, fields.rotate.degrees)
    map = map and turn * map or turn
  end
  if fields.translate then
    local move = transform.translate(table.unpack(fields.translate))
    map = map and move * map or move
  end
  fields.transform, fields.scale, fields.rotate, fields.translate = nil, nil, nil, nil
  if map and not transform.is_identity(map) then fields.placement = map end
end

local function define(record)
  record.family = families.shape
  record.own_fields = #record.fields
  table.move(look_fields, 1, #look_fields, #record.fields + 1, record.fields)
  table.move(placement_fields, 1, #placement_fields, #record.fields + 1, record.fields)
  record.exclusive = record.exclusive or {}
  table.move(exclusive_placement, 1, #exclusive_placement, #record.exclusive + 1, record.exclusive)
  local finish = record.finish
  function record.finish(fields, fail)
    place(fields)
    if finish then finish(fields, fail) end
  end
  shapes.records[#shapes.records + 1] = record
  shapes[record.name] = record
end

local function corner(i, doc)
  return { ("ABCD"):sub(i, i), position = i, type = "vector", required = true, doc = doc }
end

local function cross_is_zero(a, b, c)
  local ux, uy, uz = b[1] - a[1], b[2] - a[2], b[3] - a[3]
  local vx, vy, vz = c[1] - a[1], c[2] - a[2], c[3] - a[3]
  return uy * vz - uz * vy == 0 and uz * vx - ux * vz == 0 and ux * vy - uy * vx == 0
end

define {
  name = "sphere",
  doc = "A sphere; its normal points outwards.",
  fields = {
    { "center", type = "vector", default = { 0, 0, 0 }, doc = "Its centre." },
    { "radius", type = "number", above = 0, default = 1, doc = "Radius, scene units." },
  },
}

define {
  name = "quad",
  doc = "A quadrilateral A B C D: the triangles A B C and A C D. The normal is on the side from which A, B, C, D go "
    .. "counter-clockwise.",
  fields = {
    corner(1, "First corner."), corner(2, "Second corner."), corner(3, "Third corner."), corner(4, "Fourth corner."),
  },
  finish = function(fields, fail)
    if cross_is_zero(fields.A, fields.B, fields.C) and cross_is_zero(fields.A, fields.C, fields.D) then
      fail("its corners lie on a line: expected a quadrilateral with an area")
    end
  end,
}

define {
  name = "triangle",
  doc = "A triangle A B C. The normal is on the side from which A, B, C go counter-clockwise.",
  fields = { corner(1, "First corner."), corner(2, "Second corner."), corner(3, "Third corner.") },
  finish = function(fields, fail)
    if cross_is_zero(fields.A, fields.B, fields.C) then
      fail("its corners lie on a line: expected a triangle with an area")
    end
  end,
}

define {
  name = "disk",
  doc = "A flat disk.",
  fields = {
    { "center", type = "vector", default = { 0, 0, 0 }, doc = "Its centre." },
    {
      "normal", type = "vector", nonzero = true, default = { 0, 1, 0 },
      doc = "The direction that it faces, of any length.",
    },
    { "radius", type = "number", above = 0, default = 1, doc = "Radius, scene units." },
  },
}

define {
  name = "plane",
  doc = "An infinite plane.",
  fields = {
    { "point", type = "vector", default = { 0, 0, 0 }, doc = "A point on it." },
    {
      "normal", type = "vector", nonzero = true, default = { 0, 1, 0 },
      doc = "The direction that it faces, of any length.",
    },
  },
}

define {
  name = "box",
  doc = "A box along the axes, from its lowest to its highest corner; turn it by rotate or transform. Normals point "
    .. "outwards.",
  fields = {
    { "min", type = "vector", default = { -1, -1, -1 }, doc = "The corner with the least x, y and z." },
    { "max", type = "vector", default = { 1, 1, 1 }, doc = "The corner with the greatest x, y and z." },
  },
  finish = function(fields, fail)
    for i = 1, 3 do
      local low, high = fields.min[i], fields.max[i]
      if low >= high then
        local axis = ("xyz"):sub(i, i)
        fail(("max: expected %s above min's %s, got %s"):format(axis, schema.show(low), schema.show(high)))
      end
    end
  end,
}

define {
  name = "cylinder",
  doc = "A circular cylinder; normals point outwards.",
  fields = {
    { "from", type = "vector", default = { 0, 0, 0 }, doc = "The centre of one end." },
    { "to", type = "vector", default = { 0, 1, 0 }, doc = "The centre of the other end." },
    { "radius", type = "number", above = 0, default = 1, doc = "Radius, scene units." },
    { "caps", type = "boolean", default = true, doc = "Closed by disks at both ends." },
  },
  finish = function(fields, fail)
    local a, b = fields.from, fields.to
    if a[1] == b[1] and a[2] == b[2] and a[3] == b[3] then fail("to: expected a point other than from") end
  end,
}

define {
  name = "mesh",
  doc = "A triangle mesh, from an OBJ or PLY file or from Lua. Triangles are counter-clockwise seen from outside.",
  fields = {
    {
      "file", type = "string", noun = "the name of an OBJ or PLY file",
      doc = "An OBJ or PLY file, relative to the script. Polygons are cut into fans.",
    },
    {
      "vertices", type = "array", noun = "an array of numbers or of {x, y, z}",
      doc = "Positions, as a flat array of numbers or an array of {x, y, z}.",
    },
    {
      "indices", type = "array", noun = "an array of whole numbers or of {i, j, k}",
      doc = "Three vertices for each triangle, counted from 1.",
    },
    {
      "normals", type = "array", noun = "an array of numbers or of {x, y, z}",
      doc = "Shading normals, one for each vertex; flat triangles without them.",
    },
    {
      "uvs", type = "array", noun = "an array of numbers or of {u, v}",
      doc = "Texture coordinates, one pair for each vertex; the origin is bottom left.",
    },
    {
      "materials", type = "material_table",
      doc = "Materials by an OBJ's usemtl names, or a list that material_ids counts into. Names that it leaves out are "
        .. "made of `material`, which must then be given.",
    },
    {
      "material_ids", type = "array", luals = "integer[]", noun = "an array of whole numbers",
      doc = "For each triangle, which of `materials` it is made of, counted from 1.",
    },
  },
  exclusive = {
    { "file", "vertices" }, { "file", "indices" }, { "file", "normals" }, { "file", "uvs" }, { "file", "material_ids" },
  },
  together = { { "vertices", "indices" } },
  finish = mesh.finish,
}

define {
  name = "group",
  doc = "Shapes and lights that are placed together. Its material is for those inside that have none. A group that "
    .. "stands in several places is stored once. Placements nest up to 8 deep; a group without one, without a name, "
    .. "that stands once does not count.",
  fields = {},
  rest = { "children", type = "element", doc = "Shapes and lights." },
}

define {
  name = "instance",
  doc = "A placement of a shape that shares its geometry: placed after the shape's own transform. Its material is "
    .. "for what has none inside. Placements nest up to 8 deep.",
  fields = { { "shape", position = 1, type = "shape", required = true, doc = "The shape that is placed." } },
}

-- ---- Many instances

local placement_record = { name = "placement", fields = placement_fields, exclusive = exclusive_placement }

--- The transform that rt.instances' function means by a value that is none.
local function placement_of(value)
  if type(value) ~= "table" or type(getmetatable(value)) == "string" then
    error(("expected a transform, got %s"):format(schema.show(value)), 0)
  end
  if #value > 0 then
    local full = table.move(value, 1, #value, 1, {})
    if #full == 12 then table.move({ 0, 0, 0, 1 }, 1, 4, 13, full) end
    return transform.matrix(full, function(message) error(message, 0) end)
  end
  local fields, message = schema.read(placement_record, value)
  if not fields then error(message, 0) end
  place(fields)
  return fields.placement or transform.identity()
end

--- What is placed, and by which transform before each of ours: as emit resolves it.
local function inner_placement(shape)
  local inner
  while shape do
    local data = description.data(shape, families.shape)
    local own = data.fields.placement
    inner = inner and own and inner * own or inner or own
    shape = data.record.name == "instance" and data.fields.shape
  end
  return inner
end

--- Completes rt.instances' fields: `placements` is the core's, and holds each transform after the shape's own.
local function fill(fields, fail)
  local made, message, code = placements.new(fields.count)
  if not made then fail(message, code) end
  local ran, done, problem, status = pcall(made.fill, made, fields.count, fields.make, placement_of,
    inner_placement(fields.shape))
  if ran and done then
    fields.placements, fields.make = made, nil
    return
  end
  local cause = ran and problem or done
  if errors.is(cause) then cause, status = cause.message, cause.code end
  if type(cause) == "table" and cause.code then error(cause, 0) end -- a stop
  if type(cause) ~= "string" then cause = "its function raised " .. schema.show(cause) end
  fail(("instance %d: %s"):format(#made + 1, cause), status)
end

define {
  name = "instances",
  doc = "Many instances of a shape, as if each were an rt.instance, in the memory of their transforms alone: 96 bytes "
    .. "each where they are more than a million, else 192.",
  fields = {
    { "shape", position = 1, type = "shape", required = true, doc = "The shape that is placed." },
    { "count", type = "integer", min = 1, required = true, doc = "How many." },
    {
      "make", position = 2, type = "maker", required = true,
      doc = "Is called with 1 to `count` and returns the placement of that instance: a transform, 12 or 16 numbers as "
        .. "rt.matrix has them (the fastest), or { scale, rotate, translate }.",
    },
  },
  finish = fill,
}

-- ---- shape:at

shapes.at = {
  name = "at",
  fields = { look_fields[2], look_fields[3] },
  exclusive = exclusive_placement,
}
table.move(placement_fields, 1, #placement_fields, #shapes.at.fields + 1, shapes.at.fields)

families.shape.methods.at = {
  doc = "A new placement of the shape, after its own transform: `blob:at { translate = {1, 0, 0}, scale = 0.5 }`. "
    .. "Geometry is shared.",
  params = { { "placement", "rtlua.Placement" } },
  returns = "rtlua.Shape",
  call = caller.constructor(function(where, shape, input)
    local data = description.data(shape, families.shape)
    if not data then errors.raise(errors.DATA, "at: expected shape:at { ... }", where) end
    local fail = errors.failing(("rt.%s: at"):format(data.record.name), where)
    local fields, message = schema.read(shapes.at, input)
    if not fields then fail(message) end
    fields.shape = shape
    place(fields)
    return description.new(shapes.instance, fields, where)
  end),
}

return shapes
