-- Images: rt.image as a texture (rt.image "wood.png"), rt.image.load, rt.image.new and rt.image.compare, and the
-- checker.
--
-- An image object is a table around a core image, which stays private: methods raise where the core returns nil,
-- message, code, and a sandboxed scene, which writes nothing, cannot save.

local aovs = require "rtlua.aovs"
local caller = require "rtlua.core.caller"
local context = require "rtlua.context"
local core = require "rtlua.core.image"
local description = require "rtlua.description"
local errors = require "rtlua.errors"
local families = require "rtlua.families"
local render_options = require "rtlua.render_options"
local schema = require "rtlua.schema"

local image = { records = {} }

local CORE, LAYERS, LAYER = {}, {}, {} -- private keys: the core's image, its layers, and which layer it is itself

local methods = {}
local meta = { __name = "rtlua.image", __metatable = "rtlua.image" }
local properties = { width = true, height = true, channels = true }

--- layers: those of a picture (aovs.lua); layer: what an AOV's image is.
function image.wrap(picture, layers, layer)
  return setmetatable({ [CORE] = picture, [LAYERS] = layers or {}, [LAYER] = layer }, meta)
end

--- The core image of an image object; nil when it is something else.
function image.core(value)
  if type(value) ~= "table" or getmetatable(value) ~= "rtlua.image" then return nil end
  return rawget(value, CORE)
end

function meta.__index(self, key)
  if properties[key] then return rawget(self, CORE)[key] end
  local method = methods[key]
  return method and method.call
end

function meta.__newindex(_, key) error(("an image has no field '%s' to set"):format(tostring(key)), 2) end

function meta.__tostring(self)
  local picture = rawget(self, CORE)
  return ("an image of %d by %d pixels"):format(picture.width, picture.height)
end

local function method(name, record, run)
  record.call = caller.constructor(function(where, self, ...)
    local fail = errors.failing("image:" .. name, where)
    local picture = image.core(self)
    if not picture then fail("expected an image before the colon") end
    return run(picture, fail, self, ...)
  end)
  methods[name] = record
end

local function check_pixel(picture, fail, x, y)
  for i, c in ipairs { x or false, y or false } do
    local side = i == 1 and picture.width or picture.height
    if not math.tointeger(c) or c < 0 or c >= side then
      fail(
        ("%s: expected a whole number from 0 to %d, got %s"):format(("xy"):sub(i, i), side - 1, schema.show(c or nil))
      )
    end
  end
end

method("pixel", {
  params = { { "x", "integer" }, { "y", "integer" } }, returns = "number[]",
  doc = "The linear values of a pixel, one for each channel; (0, 0) is top left.",
}, function(picture, fail, _, x, y)
  check_pixel(picture, fail, x, y)
  return picture:pixel(x, y)
end)

method("set", {
  params = { { "x", "integer" }, { "y", "integer" }, { "values", "number[]" } },
  doc = "Sets the linear values of a pixel, one for each channel. An image that a scene uses does not change any more.",
}, function(picture, fail, _, x, y, values)
  check_pixel(picture, fail, x, y)
  local element = { type = "number" }
  local v, message = schema.value({ type = "numbers", count = picture.channels, element = element }, values, "values")
  if not v then fail(message) end
  local ran, problem = pcall(picture.set, picture, x, y, v)
  if not ran then fail(tostring(problem)) end
end)

--- The options of image:save: the part of the render table that says how pictures are encoded.
image.save_record = { name = "save", fields = render_options.encoding }

method("save", {
  params = { { "path", "string" }, { "options?", "rtlua.SaveOptions" } },
  doc = "Writes a file, its format told by its extension: .png, .jpg, .exr, .pfm or .hdr. The "
    .. "file is never half written.",
}, function(picture, fail, self, path, options)
  if context.sandbox then fail("is not allowed in a sandboxed scene: run it with --trust") end
  if type(path) ~= "string" then fail(("path: expected the name of a file, got %s"):format(schema.show(path))) end
  local o, message = schema.read(image.save_record, options)
  if not o then fail(message) end
  local encode, layer = render_options.encode(o), rawget(self, LAYER)
  local saved, problem, code
  if layer then
    saved, problem, code = aovs.save(path, layer, encode)
  else
    saved, problem, code = aovs.save_all(path, picture, rawget(self, LAYERS), encode)
  end
  if not saved then fail(problem, code) end
end)

method("aov", {
  params = { { "name", "string" } }, returns = "rtlua.Image",
  doc = "An AOV of a render that had it in its `aov`: its values, linear; docs/aovs.md says what each is.",
}, function(_, fail, self, name)
  local names = {}
  for i, layer in ipairs(rawget(self, LAYERS)) do
    if layer.name == name then return image.wrap(layer.image, nil, layer) end
    names[i] = layer.name
  end
  return fail(("the image has no AOV %s: %s"):format(schema.show(name), #names > 0
    and "it has " .. table.concat(names, ", ") or 'render with aov = "normal", say'))
end)

image.methods = methods
image.properties = {
  { "width", "integer", "Pixels from left to right." }, { "height", "integer", "Pixels from top to bottom." },
  { "channels", "integer", "1 grey, 2 grey and alpha, 3 RGB, 4 RGBA." },
}

local function load_file(path, raw, fail)
  local full = context.resolve(path, fail)
  local picture, message, code = core.load(full, raw)
  if not picture then fail(message, code) end
  return picture
end

-- ---- Textures

local repetition = {
  "scale", type = "repetition", default = 1,
  doc = "How often it repeats over a unit of u and v: a number, or one for each.",
}

image.checker = {
  name = "checker",
  family = families.texture,
  doc = "A checkerboard by uv of two colours or textures: `rt.checker { 0.8, \"#a11212\", scale = 4 }`.",
  fields = {
    { "a", position = 1, type = "color", texture = true, required = true, doc = "The even squares." },
    { "b", position = 2, type = "color", texture = true, required = true, doc = "The odd squares." },
    { "scale", type = "repetition", default = 1, doc = "Squares over a unit of u and v: a number, or one for each." },
  },
}

image.texture = {
  name = "image",
  family = families.texture,
  doc = "A picture as a texture by uv, bilinear and repeated: `rt.image \"wood.png\"`.",
  shorthand = "file",
  fields = {
    {
      "file", type = "string", noun = "the name of a PNG, JPEG, EXR, HDR or PFM file", required = true,
      doc = "A picture, relative to the script.",
    },
    repetition,
    { "raw", type = "boolean", default = false, doc = "The file's numbers are data and not sRGB colours." },
  },
  finish = function(fields, fail) fields.image = load_file(fields.file, fields.raw, fail) end,
}

image.records = { image.checker, image.texture }

--- An image object in the place of a colour: the texture that it stands for.
function families.image_texture(value)
  return description.new(image.texture, { image = image.core(value), scale = { 1, 1 } }, nil)
end

-- ---- Functions

--- All metrics of the core image a against the reference b, and FLIP's map; or nil, message, code.
function image.compare(a, b, pixels_per_degree)
  local result, message, code = core.compare(a, b)
  if not result then return nil, message, code end
  local map
  result.ssim, message, code = core.ssim(a, b)
  if not result.ssim then return nil, message, code end
  result.flip, map, code = core.flip(a, b, pixels_per_degree)
  if not result.flip then return nil, map, code end
  return result, map
end

image.functions = {
  {
    name = "load", params = { { "path", "string" }, { "raw?", "boolean" } }, returns = "rtlua.Image",
    doc = "Reads a PNG, JPEG, EXR, HDR or PFM file, relative to the script; `raw` leaves its numbers as they are.",
    call = caller.constructor(function(where, path, raw)
      local fail = errors.failing("rt.image.load", where)
      if type(path) ~= "string" then fail(("expected the name of a file, got %s"):format(schema.show(path))) end
      return image.wrap(load_file(path, raw == true, fail))
    end),
  },
  {
    name = "new", params = { { "width", "integer" }, { "height", "integer" }, { "channels?", "integer" } },
    returns = "rtlua.Image",
    doc = "A black image of 1 to 4 channels, 3 unless said.",
    call = caller.constructor(function(where, width, height, channels)
      local fail = errors.failing("rt.image.new", where)
      local sides = { type = "integer", min = 1, max = 65536 }
      for i, side in ipairs { width or false, height or false } do
        local ok, message = schema.value(sides, side or nil, i == 1 and "width" or "height")
        if not ok then fail(message) end
      end
      if channels == nil then channels = 3 end
      local depth, message = schema.value({ type = "integer", min = 1, max = 4 }, channels, "channels")
      if not depth then fail(message) end
      local picture, problem, code = core.new(math.tointeger(width), math.tointeger(height), depth)
      if not picture then fail(problem, code) end
      return image.wrap(picture)
    end),
  },
  {
    name = "compare", params = { { "a", "rtlua.Image" }, { "b", "rtlua.Image" } },
    returns = "{ mse: number, relmse: number, psnr: number, ssim: number, flip: number }",
    doc = "How far a is from the reference b: mean squared error, relative mean squared error, PSNR in dB (inf when "
      .. "equal), SSIM (1 when equal) and FLIP (0 when equal); the last three of what a display shows.",
    call = caller.constructor(function(where, a, b)
      local fail = errors.failing("rt.image.compare", where)
      local one, other = image.core(a), image.core(b)
      if not one or not other then fail(("expected two images, got %s"):format(schema.show(one and b or a))) end
      local result, message, code = image.compare(one, other)
      if not result then fail(message, code) end
      return result
    end),
  },
}

--- rt.image: a function and a table at once.
function image.export(construct)
  local export = {}
  for _, f in ipairs(image.functions) do export[f.name] = f.call end
  return setmetatable(export, {
    __call = caller.constructor(function(where, _, ...) return construct(where, ...) end),
    __metatable = "rtlua.function",
    __tostring = function() return "rt.image" end,
  })
end

return image
