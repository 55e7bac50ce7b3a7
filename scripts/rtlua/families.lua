-- The families of descriptions and the schema's types that stand for them: a vector, a colour, a texture, a material, a
-- shape, ...

local color = require "rtlua.color"
local description = require "rtlua.description"
local schema = require "rtlua.schema"
local transform = require "rtlua.transform"
local vec = require "rtlua.vec"

local families = {
  texture = description.family("texture"),
  material = description.family("material"),
  shape = description.family("shape"),
  light = description.family("light"),
  camera = description.family("camera"),
  background = description.family("background"),
}

local types = schema.types

types.vector = {
  expected = function(f) return f.nonzero and "3 numbers that are not all 0" or "3 numbers" end,
  read = function(value, f)
    local meta = type(value) == "table" and getmetatable(value)
    if type(value) ~= "table" or (type(meta) == "string" and meta ~= "rtlua.vec") then
      return nil, schema.show(value)
    end
    if #value ~= 3 then return nil, tostring(#value) end
    local x, y, z = vec.parts(value)
    for i = 1, 3 do
      if type(value[i]) ~= "number" or value[i] ~= value[i] or math.abs(value[i]) == math.huge then
        return nil, schema.show(value[i]), ("[%d]"):format(i), nil, "a number"
      end
    end
    if f.nonzero and x == 0 and y == 0 and z == 0 then return nil, "{0, 0, 0}" end
    return { x, y, z }
  end,
  parse = function(text) return types.numbers.parse(text, { count = 3, join = "," }) end,
  luals = function() return "rtlua.Vector" end,
}

--- Checks the constants inside a texture against the limits of the field that uses it. Returns what is out of range, or
--- nil.
local function constant_outside(data, f)
  for _, part in ipairs { data.fields.a or false, data.fields.b or false } do
    if part then
      local inner = description.data(part, families.texture)
      if inner then
        local bad = constant_outside(inner, f)
        if bad then return bad end
      else
        for i = 1, 3 do
          if not schema.within(part[i], f) then return part[i] end
        end
      end
    end
  end
  return nil
end

--- A texture where `field` allows one; else nil.
local function texture_of(value, f)
  if not f.texture or type(value) ~= "table" then return nil end
  if getmetatable(value) == "rtlua.image" then value = families.image_texture(value) end
  local data = description.data(value, families.texture)
  if not data then return nil end
  local bad = constant_outside(data, f)
  if bad then
    return nil, nil, nil, ("its texture has %s: expected %s"):format(schema.show(bad), types.number.expected(f))
  end
  return value
end

types.color = {
  expected = function(f)
    local range = (f.min or f.max or f.above) and types.number.expected(f) or "a number"
    return ('a colour (%s, {r, g, b}, "#rrggbb" or "4000K"%s)'):format(range, f.texture and ", or a texture" or "")
  end,
  read = function(value, f)
    local texture, got, subpath, message = texture_of(value, f)
    if texture or message then return texture, got, subpath, message end
    return color.read(value, f)
  end,
  luals = function(f) return f.texture and "rtlua.Color|rtlua.Texture|rtlua.Image" or "rtlua.Color" end,
}

--- A number that may be a texture; a texture gives its red.
types.factor = {
  expected = function(f) return types.number.expected(f) .. ", or a texture" end,
  read = function(value, f)
    local limits = { texture = true, min = f.min, max = f.max, above = f.above }
    local texture, got, subpath, message = texture_of(value, limits)
    if texture or message then return texture, got, subpath, message end
    return types.number.read(value, f)
  end,
  luals = function() return "number|rtlua.Texture|rtlua.Image" end,
}

local function family_type(name, noun, luals)
  types[name] = {
    expected = function() return noun end,
    read = function(value)
      if not description.is(value, families[name]) then return nil, schema.show(value) end
      return value
    end,
    luals = function() return luals end,
  }
end

family_type("material", "a material such as rt.diffuse { color = 0.5 }", "rtlua.Material")
family_type("shape", "a shape", "rtlua.Shape")
family_type("camera", "a camera: rt.camera { from = ..., to = ... }", "rtlua.Camera")

--- What a group holds: shapes and lights.
types.element = {
  expected = function() return "a shape or a light" end,
  read = function(value)
    if description.is(value, families.shape) or description.is(value, families.light) then return value end
    return nil, schema.show(value)
  end,
  luals = function() return "rtlua.Shape|rtlua.LightSource" end,
}

types.transform = {
  expected = function() return "a transform such as rt.translate(0, 1, 0)" end,
  read = function(value)
    if not transform.is(value) then return nil, schema.show(value) end
    return value
  end,
  luals = function() return "rtlua.Transform" end,
}

--- A function that rt.instances calls for each placement.
types.maker = {
  expected = function() return "a function(i) that returns a transform" end,
  read = function(value)
    if type(value) ~= "function" then return nil, schema.show(value) end
    return value
  end,
  luals = function()
    return "fun(i: integer): rtlua.Transform|number[]|rtlua.Placement"
  end,
}

--- A factor for all axes or one for each; none may be 0.
types.scaling = {
  expected = function() return "a number or 3 numbers, none of them 0" end,
  read = function(value)
    local v
    if type(value) == "number" then v = { value, value, value } else v = types.vector.read(value, {}) end
    if not v then return nil, schema.show(value) end
    for i = 1, 3 do
      if v[i] == 0 or v[i] ~= v[i] or math.abs(v[i]) == math.huge then return nil, schema.show(v[i]) end
    end
    return v
  end,
  luals = function() return "number|rtlua.Vector" end,
}

--- { axis, degrees }
types.rotation = {
  expected = function() return "{ axis, degrees }, such as { {0, 1, 0}, 45 }" end,
  read = function(value)
    if type(value) ~= "table" or getmetatable(value) ~= nil then return nil, schema.show(value) end
    if #value ~= 2 then return nil, ("%d elements"):format(#value) end
    local axis, got, subpath = types.vector.read(value[1], { nonzero = true })
    if not axis then
      return nil, got, "[1]" .. (subpath or ""), nil, subpath and "a number" or types.vector.expected { nonzero = true }
    end
    local degrees = types.number.read(value[2], {})
    if not degrees then return nil, schema.show(value[2]), "[2]", nil, "an angle in degrees" end
    return { axis = axis, degrees = degrees }
  end,
  luals = function() return "{ [1]: rtlua.Vector, [2]: number }" end,
}

--- Repetitions of a texture along u and v.
types.repetition = {
  expected = function() return "a number or 2 numbers, none of them 0" end,
  read = function(value)
    local pair = type(value) == "number" and { value, value } or value
    if type(pair) ~= "table" or getmetatable(pair) ~= nil or #pair ~= 2 then return nil, schema.show(value) end
    for i = 1, 2 do
      local n = types.number.read(pair[i], {})
      if not n or n == 0 then return nil, schema.show(pair[i]) end
    end
    return { pair[1], pair[2] }
  end,
  luals = function() return "number|number[]" end,
}

--- A list from Lua whose elements the binding checks (a mesh may have millions).
types.array = {
  expected = function(f) return f.noun end,
  read = function(value)
    if type(value) ~= "table" or type(getmetatable(value)) == "string" then return nil, schema.show(value) end
    if #value == 0 then return nil, "an empty table" end
    return value
  end,
  luals = function(f) return f.luals or "number[]|number[][]" end,
}

--- The materials of a mesh: a list, or a table by usemtl name.
types.material_table = {
  expected = function() return "a table of materials, by usemtl name or numbered from 1" end,
  read = function(value)
    if type(value) ~= "table" or getmetatable(value) ~= nil then return nil, schema.show(value) end
    local out, names = {}, {}
    for key in pairs(value) do
      if type(key) ~= "string" and math.type(key) ~= "integer" then
        return nil, nil, nil, ("expected names or numbers as keys, got %s"):format(schema.show(key))
      end
      names[#names + 1] = key
    end
    table.sort(names, function(a, b)
      if type(a) == type(b) then return a < b end
      return type(a) == "number"
    end)
    for _, key in ipairs(names) do
      if not description.is(value[key], families.material) then
        return nil, schema.show(value[key]), ("[%s]"):format(type(key) == "string" and ("%q"):format(key) or key), nil,
          "a material"
      end
      out[key] = value[key]
    end
    if #names == 0 then return nil, "an empty table" end
    return out
  end,
  luals = function() return "table<string|integer, rtlua.Material>" end,
}

--- A colour all around, { top =, bottom = }, or an environment.
types.background = {
  expected = function() return 'a colour, { top = ..., bottom = ... } or rt.envmap "file.hdr"' end,
  read = function(value)
    if description.is(value, families.background) then return value end
    if type(value) == "table" and getmetatable(value) == nil and (value.top ~= nil or value.bottom ~= nil) then
      local fields, message = schema.read(families.gradient, value)
      if not fields then return nil, nil, nil, message end
      return { top = fields.top, bottom = fields.bottom }
    end
    local c, got, subpath, message, expected = color.read(value, { min = 0 })
    if c then return { color = c } end
    return nil, got, subpath, message, expected
  end,
  luals = function() return "rtlua.Color|{ top: rtlua.Color, bottom: rtlua.Color }|rtlua.Background" end,
}

families.gradient = {
  name = "background",
  fields = {
    { "top", type = "color", min = 0, default = 0, doc = "Radiance from straight above." },
    {
      "bottom", type = "color", min = 0, default = 0,
      doc = "Radiance from straight below; linear in the direction's y between.",
    },
  },
}

return families
