-- Lights that are no surfaces (point, spot, sun) and the environments that may stand as a scene's background (envmap).

local context = require "rtlua.context"
local core = require "rtlua.core.image"
local families = require "rtlua.families"

local lights = { records = {} }

local function define(family, record)
  record.family = families[family]
  lights.records[#lights.records + 1] = record
  lights[record.name] = record
end

local tint = {
  "color", type = "color", min = 0, default = 1, doc = "Multiplies the strength; a kelvin colour has luminance 1.",
}

define("light", {
  name = "point",
  doc = "A light that shines from a point in all directions.",
  fields = {
    { "position", type = "vector", required = true, doc = "Where it is." },
    { "intensity", type = "number", min = 0, default = 1, doc = "Radiant intensity, W/sr." },
    tint,
  },
})

define("light", {
  name = "spot",
  doc = "A light that shines from a point into a cone.",
  fields = {
    { "position", type = "vector", required = true, doc = "Where it is." },
    { "direction", type = "vector", nonzero = true, default = { 0, -1, 0 }, doc = "Where it points, of any length." },
    { "intensity", type = "number", min = 0, default = 1, doc = "Radiant intensity along its axis, W/sr." },
    { "angle", type = "number", above = 0, max = 180, default = 45, doc = "The cone's full angle, degrees." },
    {
      "blend", type = "number", min = 0, max = 1, default = 0.15,
      doc = "The part of the cone's half angle over which it fades to its edge.",
    },
    tint,
  },
})

define("light", {
  name = "sun",
  doc = "Light from a direction: a disk at infinity.",
  fields = {
    { "direction", type = "vector", nonzero = true, default = { 0, 1, 0 }, doc = "Towards the sun, of any length." },
    { "irradiance", type = "number", min = 0, default = 1, doc = "Irradiance on a surface that faces it, W/m²." },
    {
      "angle", type = "number", min = 0, below = 180, default = 0,
      doc = "Full angle of its disk, degrees (the real one: 0.53); 0 casts sharp shadows.",
    },
    tint,
  },
})

define("background", {
  name = "envmap",
  doc = "An environment from a latitude-longitude picture: `background = rt.envmap \"sky.hdr\"`. Its middle is "
    .. "towards -z, its upper edge is +y.",
  shorthand = "file",
  fields = {
    {
      "file", type = "string", noun = "the name of an HDR, PNG or PFM file", required = true,
      doc = "A picture, relative to the script.",
    },
    { "scale", type = "number", min = 0, default = 1, doc = "Multiplies its radiance." },
    { "rotate", type = "number", default = 0, doc = "Turns it about +y, degrees." },
  },
  finish = function(fields, fail)
    local path = context.resolve(fields.file, fail)
    local image, message, code = core.load(path, false)
    if not image then fail(message, code) end
    fields.image = image
  end,
})

return lights
