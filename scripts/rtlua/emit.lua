-- Turns a description into calls of the core's scene builder.
--
-- A description is emitted once however often it is used: textures and materials by identity (constants by value),
-- shapes by identity and the material that they inherit. A shape that stays where it is goes straight into the group
-- around it; one that is placed goes into a group of its own, which an instance places, and every other placement of it
-- shares that group. What is in a group that stands once, where it is, without a name, goes straight into the group
-- around that: it is no level of nesting. Order follows the script's, so that the same script gives the same scene, ids
-- and hash.

local description = require "rtlua.description"
local errors = require "rtlua.errors"
local families = require "rtlua.families"
local image = require "rtlua.image"
local materials = require "rtlua.materials"
local transform = require "rtlua.transform"

local emit = {}

local Emitter = {}
Emitter.__index = Emitter

function emit.new(core)
  return setmetatable({
    core = core,
    constants = {}, -- "r g b" -> texture
    textures = {},  -- description -> factor -> texture
    materials = {}, -- description -> material
    groups = {},    -- shape -> inherited material (or false) -> group
    uses = {},      -- group -> how often it stands in the script's elements
  }, Emitter)
end

--- The result of a call of the builder, or the core's complaint at the description's place.
local function check(data, value, message, code)
  if value == nil then
    local own = data.record.name .. ": " -- the core names the kind, too
    if message:sub(1, #own) == own then message = message:sub(#own + 1) end
    description.fail(data, code or errors.DATA, message)
  end
  return value
end

-- ---- Textures

function Emitter:constant(data, r, g, b)
  local key = ("%a %a %a"):format(r, g, b)
  local id = self.constants[key]
  if not id then
    id = check(data, self.core:texture { kind = "constant", value = { r, g, b } })
    self.constants[key] = id
  end
  return id
end

--- The id of a colour, number or texture times a factor.
function Emitter:texture(data, value, factor)
  factor = factor or 1
  if type(value) == "number" then return self:constant(data, value * factor, value * factor, value * factor) end
  local own = description.data(value, families.texture)
  if not own then return self:constant(data, value[1] * factor, value[2] * factor, value[3] * factor) end
  local known = self.textures[value]
  if not known then
    known = {}
    self.textures[value] = known
  end
  if known[factor] then return known[factor] end
  local f, id = own.fields
  if own.record == image.checker then
    local a, b = self:texture(own, f.a, factor), self:texture(own, f.b, factor)
    id = check(own, self.core:texture { kind = "checker", a = a, b = b, scale = f.scale })
  else
    local by = { factor, factor, factor }
    id = check(own, self.core:texture { kind = "image", image = f.image, value = by, scale = f.scale })
  end
  known[factor] = id
  return id
end

-- ---- Materials

-- What a shape is made of that has no material, nor a group around it.
local grey = description.new(materials.diffuse, { color = { 0.8, 0.8, 0.8 } }, nil)

local function texture_fields(self, data, desc, names)
  for _, name in ipairs(names) do
    local value = data.fields[name]
    if value ~= nil then desc[name] = self:texture(data, value) end
  end
end

local function rough_fields(self, data, desc)
  local f = data.fields
  desc.roughness_is_alpha = f.alpha ~= nil
  desc.roughness = self:texture(data, f.alpha or f.roughness or 0)
end

local material_fields = {
  diffuse = function(self, data, desc) texture_fields(self, data, desc, { "color" }) end,
  mirror = function(self, data, desc) texture_fields(self, data, desc, { "color" }) end,
  metal = function(self, data, desc)
    texture_fields(self, data, desc, { "eta", "k", "color" })
    rough_fields(self, data, desc)
  end,
  glass = function(self, data, desc)
    texture_fields(self, data, desc, { "color", "ior" })
    rough_fields(self, data, desc)
  end,
  plastic = function(self, data, desc)
    texture_fields(self, data, desc, { "color", "ior" })
    rough_fields(self, data, desc)
  end,
  light = function(self, data, desc)
    local f = data.fields
    desc.emission = self:texture(data, f.color, f.power or f.radiance)
    desc.emission_two_sided = f.two_sided
    desc.emission_is_power = f.power ~= nil
  end,
  two_sided = function(self, data, desc)
    desc.a, desc.b = self:material(data.fields.front), self:material(data.fields.back)
  end,
  mix = function(self, data, desc)
    desc.a, desc.b = self:material(data.fields.a), self:material(data.fields.b)
    texture_fields(self, data, desc, { "amount" })
  end,
}

--- The id of a material.
function Emitter:material(material)
  local id = self.materials[material]
  if id then return id end
  local data = description.data(material, families.material)
  local desc = { kind = data.record.name }
  material_fields[desc.kind](self, data, desc)
  if data.fields.emission then
    desc.emission = self:texture(data, data.fields.emission)
    desc.emission_two_sided = true
  end
  id = check(data, self.core:material(desc))
  self.materials[material] = id
  return id
end

-- ---- Shapes

local function corners(f) return { f.A, f.B, f.C, f.D } end

local shape_fields = {
  sphere = function(f, desc) desc.center, desc.radius = f.center, f.radius end,
  quad = function(f, desc) desc.v = corners(f) end,
  triangle = function(f, desc) desc.v = corners(f) end,
  disk = function(f, desc) desc.center, desc.normal, desc.radius = f.center, f.normal, f.radius end,
  plane = function(f, desc) desc.point, desc.normal = f.point, f.normal end,
  box = function(f, desc) desc.min, desc.max = f.min, f.max end,
  cylinder = function(f, desc) desc.from, desc.to, desc.radius, desc.caps = f.from, f.to, f.radius, f.caps end,
  mesh = function(f, desc) desc.mesh = f.mesh end,
}

--- Does a material shine with a power? Its parts are known to the core, so it is not nested deeply.
local function has_power(material)
  local data = description.data(material, families.material)
  local f = data.fields
  if data.record == materials.light then
    return f.power ~= nil and f.power > 0 and math.max(table.unpack(f.color)) > 0
  end
  for _, part in ipairs { "front", "back", "a", "b" } do
    if f[part] and description.is(f[part], families.material) and has_power(f[part]) then return true end
  end
  return false
end

-- A primitive where it was described, into a group.
function Emitter:primitive(group, data, inherited, name, hidden)
  if data.record.name == "instances" then return self:instances(group, data, inherited, name, hidden) end
  local f = data.fields
  local own = f.material or inherited or grey
  local desc = { kind = data.record.name, name = name, hidden = hidden, materials = {} }
  shape_fields[desc.kind](f, desc)
  for i, material in ipairs(f.slots or { false }) do desc.materials[i] = self:material(material or own) end
  if desc.kind == "plane" and has_power(own) then
    description.fail(data, errors.DATA,
      "material: power is spread over the area of a shape, and an infinite plane has none: give radiance")
  end
  check(data, self.core:shape(group, desc))
end

--- The group that holds a shape without its placement.
function Emitter:group_of(shape, data, inherited)
  local known = self.groups[shape]
  if not known then
    known = {}
    self.groups[shape] = known
  end
  local key = inherited or false
  if not known[key] then
    self:prepare_inside(data, inherited) -- comes first: a group may only be placed in a later one
    local group = check(data, self.core:group())
    if data.record.name == "group" then
      self:children(group, data, inherited)
    else
      self:primitive(group, data, inherited, nil, not data.fields.visible) -- each placement has a name of its own
    end
    known[key] = group
  end
  return known[key]
end

--- What a described group holds, into a group of the core.
function Emitter:children(group, data, inherited)
  for _, child in ipairs(data.fields.children) do self:element(group, child, data.fields.material or inherited) end
end

--- Follows instances to what they place: the shape, its data, the whole placement, and the name and material nearest to
--- the outside.
local function resolve(shape, inherited)
  local data = description.data(shape, families.shape)
  local placement, name, hidden
  while data.record.name == "instance" do
    local f = data.fields
    placement = placement and f.placement and placement * f.placement or placement or f.placement
    name = name or f.name
    hidden = hidden or not f.visible
    inherited = f.material or inherited
    shape = f.shape
    data = description.data(shape, families.shape)
  end
  local own = data.fields.placement
  placement = placement and own and placement * own or placement or own
  return {
    shape = shape, data = data, placement = placement, name = name, hidden = hidden or false, material = inherited,
  }
end

local function stands_alone(r) return r.data.record.name ~= "group" and not r.placement end

--- Counts how often each group stands among the elements and in what they hold.
function Emitter:count(elements)
  for _, element in ipairs(elements) do
    if description.is(element, families.shape) then
      local r = resolve(element)
      if r.data.record.name == "group" then
        local before = self.uses[r.shape] or 0
        self.uses[r.shape] = before + 1
        if before == 0 then self:count(r.data.fields.children) end
      elseif r.data.record.name == "instances" then
        self:count { r.data.fields.shape }
      end
    end
  end
end

--- Is it a group that only collects: neither placed, named, hidden nor shared?
function Emitter:is_plain_group(r)
  local f = r.data.fields
  return r.data.record.name == "group" and self.uses[r.shape] == 1 and not r.placement and not (r.name or f.name)
    and not r.hidden and f.visible
end

-- Makes the groups that an element needs.
function Emitter:prepare(element, inherited)
  if not description.is(element, families.shape) then return end
  local r = resolve(element, inherited)
  if stands_alone(r) or self:is_plain_group(r) then
    self:prepare_inside(r.data, r.material)
  else
    self:group_of(r.shape, r.data, r.material)
  end
end

-- Makes the groups that the inside of a group, or of many instances, needs.
function Emitter:prepare_inside(data, inherited)
  local f = data.fields
  if data.record.name == "group" then
    for _, child in ipairs(f.children) do self:prepare(child, f.material or inherited) end
  elseif data.record.name == "instances" then
    local r = resolve(f.shape, f.material or inherited)
    self:group_of(r.shape, r.data, r.material)
  end
end

-- Many placements of one shape, into a group.
function Emitter:instances(group, data, inherited, name, hidden)
  local r = resolve(data.fields.shape, data.fields.material or inherited)
  local inner = r.data.fields
  check(data, self.core:instance(group, {
    group = self:group_of(r.shape, r.data, r.material), placements = data.fields.placements,
    name = name or r.name or inner.name, hidden = hidden or r.hidden or not inner.visible,
  }))
end

local function light_desc(data)
  local f = data.fields
  local strength = f.intensity or f.irradiance
  return {
    kind = data.record.name, position = f.position, direction = f.direction, angle = f.angle, blend = f.blend,
    intensity = { f.color[1] * strength, f.color[2] * strength, f.color[3] * strength },
  }
end

--- A shape or a light into a group.
function Emitter:element(group, element, inherited)
  local light = description.data(element, families.light)
  if light then
    check(light, self.core:light(group, light_desc(light)))
    return
  end
  local r = resolve(element, inherited)
  local f = r.data.fields
  if stands_alone(r) then
    self:primitive(group, r.data, r.material, r.name or f.name, r.hidden or not f.visible)
    return
  end
  if self:is_plain_group(r) then
    self:children(group, r.data, r.material)
    return
  end
  local placement = r.placement or transform.identity()
  local numbers = {}
  for i = 1, 12 do numbers[i] = placement[i] end
  check(r.data, self.core:instance(group, {
    group = self:group_of(r.shape, r.data, r.material), transform = numbers,
    name = r.name or f.name, hidden = r.hidden or not f.visible,
  }))
end

-- ---- The scene

local function background_desc(background)
  local data = description.data(background, families.background)
  if data then
    local f = data.fields
    return { kind = "image", image = f.image, scale = f.scale, rotate = f.rotate }
  end
  if background.color then return { kind = "constant", top = background.color } end
  return { kind = "gradient", top = background.top, bottom = background.bottom }
end

--- A whole scene: `fields` of rt.scene, `data` for errors that belong to none of its parts.
function Emitter:scene(data, fields)
  self:count(fields.children)
  for _, child in ipairs(fields.children) do self:element(0, child, nil) end
  if fields.background then check(data, self.core:background(background_desc(fields.background))) end
  local camera = description.data(fields.camera, families.camera)
  local f = camera.fields
  check(camera, self.core:camera {
    kind = f.type, from = f.from, to = f.to, up = f.up, fov = f.fov, height = f.height,
    aperture = f.aperture, focus = f.focus,
  })
end

return emit
