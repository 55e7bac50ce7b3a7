-- rt.scene: checks the whole, builds the core's scene, and is the object that scripts render and ask.
--
-- A scene object holds the committed core scene and its settings, the checked `render` table without defaults. What
-- crosses from a sandbox is those two, scene.core(s) and scene.plain(s); scene.adopt makes an object of them again.

local caller = require "rtlua.core.caller"
local context = require "rtlua.context"
local core = require "rtlua.core.scene"
local description = require "rtlua.description"
local emit = require "rtlua.emit"
local errors = require "rtlua.errors"
local families = require "rtlua.families"
local options = require "rtlua.render_options"
local render = require "rtlua.render"
local schema = require "rtlua.schema"
local system = require "rtlua.system"
local vec = require "rtlua.vec"

local scene = {}

-- Scene object -> { core, settings }. Not in the object, where pairs would show it: the core is the builder, too.
local private = setmetatable({}, { __mode = "k" })
local methods = {}
local meta = { __name = "rtlua.scene", __metatable = "rtlua.scene" }

function meta.__index(_, key)
  local method = methods[key]
  return method and method.call
end

function meta.__newindex(_, key) error(("a scene does not change: '%s' cannot be set"):format(tostring(key)), 2) end

function meta.__tostring() return "a scene" end

local function data_of(value) return value ~= nil and private[value] or nil end

--- By what only this module knows: a metatable's name may be forged.
function scene.is(value) return data_of(value) ~= nil end

--- The committed core scene, which scripts do not get.
function scene.core(value) return data_of(value).core end

--- The render table as plain data, to be copied to another Lua state.
function scene.plain(value) return data_of(value).settings end

--- A scene object of a committed core scene and a render table that scene.plain gave.
function scene.adopt(built, settings)
  local object = setmetatable({}, meta)
  private[object] = { core = built, settings = settings or {} }
  return object
end

-- ---- The record

schema.types.render = {
  expected = function() return "a table of render options" end,
  read = function(value)
    local out, message = schema.read(options, value, true)
    if not out then return nil, nil, nil, message end
    return out
  end,
  luals = function() return "rtlua.RenderOptions" end,
}

scene.record = {
  name = "scene",
  doc = "A scene: a camera, a background, render options, and shapes and lights as elements. A script ends with "
    .. "`return rt.scene { ... }`.",
  family = families.scene,
  fields = {
    { "camera", type = "camera", required = true, doc = "The camera." },
    {
      "background", type = "background", default = 0,
      doc = "What rays meet that leave the scene: a colour, { top = ..., bottom = ... } or rt.envmap; black when "
        .. "absent.",
    },
    { "render", type = "render", default = {}, doc = "Render options." },
  },
  rest = { "children", type = "element", doc = "Shapes and lights." },
  make = function(fields, where)
    local data = { record = scene.record, fields = fields, where = where }
    local built, message, code = core.new()
    if not built then description.fail(data, code, message) end
    emit.new(built):scene(data, fields)
    local done
    done, message, code = built:commit(context.threads or system.threads())
    if not done then description.fail(data, code or errors.DATA, message) end
    return scene.adopt(built, fields.render)
  end,
}

-- ---- Methods

local function method(name, record, run)
  record.call = caller.constructor(function(where, self, ...)
    local data = data_of(self)
    local fail = errors.failing("scene:" .. name, where)
    if not data then fail("expected a scene before the colon") end
    return run(data, fail, ...)
  end)
  methods[name] = record
end

method("render", {
  params = { { "options?", "rtlua.RenderCall" } }, returns = "rtlua.Image",
  doc = "Renders and returns the image; options win over the scene's render table. on_progress(progress) is called "
    .. "ten times a second.",
}, function(data, fail, input) return render.run(data.core, render.settings(data.settings, input, fail), fail) end)

method("start", {
  params = { { "options?", "rtlua.RenderCall" } }, returns = "rtlua.Job",
  doc = "Starts rendering on threads of its own and returns a job at once.",
}, function(data, fail, input) return render.start(data.core, render.settings(data.settings, input, fail), fail) end)

method("describe", {
  params = {}, returns = "table",
  doc = "Counts of shapes, instances, groups, triangles, placed_triangles, placed_primitives, lights, materials, "
    .. "textures; bounds, bytes, build_seconds.",
}, function(data) return data.core:describe() end)

method("hash", {
  params = {}, returns = "string",
  doc = "SHA-256 of geometry, materials, lights, camera and the contents of files; render options are not part of it.",
}, function(data) return data.core:hash() end)

scene.ray_record = {
  name = "intersect",
  fields = {
    { "origin", type = "vector", required = true, doc = "Where the ray starts." },
    { "direction", type = "vector", nonzero = true, required = true, doc = "Where it goes; t is in lengths of it." },
    { "tnear", type = "number", min = 0, default = 0, doc = "Hits are beyond this t." },
    { "tfar", type = "number", min = 0, infinite = true, default = math.huge, doc = "Hits are at most at this t." },
  },
}

method("intersect", {
  params = { { "ray", "rtlua.Ray" } }, returns = "rtlua.Hit?",
  doc = "The nearest hit of a ray, { t, point, normal, shading_normal, uv, shape }, shape being its name; nil when "
    .. "there is none.",
}, function(data, fail, input)
  local ray, message = schema.read(scene.ray_record, input)
  if not ray then fail(message) end
  local o, d = ray.origin, ray.direction
  local hit = data.core:intersect(o[1], o[2], o[3], d[1], d[2], d[3], ray.tnear, ray.tfar)
  if not hit then return nil end
  return {
    t = hit.t,
    point = vec.new(table.unpack(hit.point)),
    normal = vec.new(table.unpack(hit.normal)),
    shading_normal = vec.new(table.unpack(hit.shading_normal)),
    uv = hit.uv,
    shape = hit.name,
  }
end)

scene.methods = methods

return scene
