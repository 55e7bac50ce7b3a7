-- rt.camera's record.

local families = require "rtlua.families"

local function same(a, b) return a[1] == b[1] and a[2] == b[2] and a[3] == b[3] end

local camera = {
  name = "camera",
  family = families.camera,
  doc = "The camera: perspective with a thin lens, or orthographic.",
  fields = {
    {
      "type", type = "enum", values = { "perspective", "orthographic" }, default = "perspective",
      doc = "How it projects.",
    },
    { "from", type = "vector", required = true, doc = "Where it stands." },
    { "to", type = "vector", default = { 0, 0, 0 }, doc = "What it looks at." },
    { "up", type = "vector", nonzero = true, default = { 0, 1, 0 }, doc = "What is up in the picture." },
    {
      "fov", type = "number", above = 0, below = 180, default = 40,
      doc = "Vertical field of view, degrees; perspective.",
    },
    { "height", type = "number", above = 0, doc = "What an orthographic camera sees from top to bottom, scene units." },
    {
      "aperture", type = "number", min = 0, default = 0,
      doc = "Radius of the lens, scene units; 0 is a pinhole, sharp everywhere.",
    },
    {
      "focus", type = "number", above = 0,
      doc = "Distance along the axis at which it is sharp; |to - from| when absent.",
    },
  },
  finish = function(fields, fail)
    local a, b, u = fields.from, fields.to, fields.up
    if same(a, b) then fail("to: expected a point other than from") end
    local x, y, z = b[1] - a[1], b[2] - a[2], b[3] - a[3]
    if y * u[3] - z * u[2] == 0 and z * u[1] - x * u[3] == 0 and x * u[2] - y * u[1] == 0 then
      fail("up: lies along the line of sight: expected another direction")
    end
    if fields.type == "orthographic" and not fields.height then
      fail("height: missing: expected what the camera sees from top to bottom")
    end
    if fields.type == "perspective" and fields.height then
      fail('height: only type = "orthographic" has it: a perspective camera has fov')
    end
  end,
}

return camera
