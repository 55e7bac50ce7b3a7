-- rtlua info: what is in a scene, for people or as JSON.

local json = require "rtlua.json"
local output = require "rtlua.output"
local render = require "rtlua.render"
local run = require "rtlua.run"
local scene = require "rtlua.scene"
local stats = require "rtlua.stats"

local info = {}

local function bounds_text(bounds)
  if not bounds then return "none" end
  local function corner(v) return ("{%.6g, %.6g, %.6g}"):format(v[1], v[2], v[3]) end
  return corner(bounds.min) .. " to " .. corner(bounds.max)
end

function info.command(parsed, started)
  local path, options = parsed.arguments[1], parsed.options
  local result = run.load_scene(path, options, started)
  local core = scene.core(result.scene)
  local about = core:describe()
  local settings = render.merge(scene.plain(result.scene), {}, function(message) error(message, 0) end)
  if options.json then
    output.write(json.encode {
      schema = 1, scene = path, hash = core:hash(), files = result.files,
      shapes = about.shapes, instances = about.instances, groups = about.groups, triangles = about.triangles,
      placed_triangles = about.placed_triangles, placed_primitives = about.placed_primitives,
      lights = about.lights, materials = about.materials, textures = about.textures,
      bounds = about.bounds, bytes = about.bytes,
      width = settings.size[1], height = settings.size[2], spp = settings.spp, aov = settings.aov,
    } .. "\n")
    return 0
  end
  local lines = {
    { "scene", path },
    { "hash", core:hash() },
    { "shapes", ("%s in %s groups, %s instances"):format(
      stats.count(about.shapes), stats.count(about.groups), stats.count(about.instances)) },
    { "triangles", ("%s stored, %s placed"):format(stats.count(about.triangles), stats.count(about.placed_triangles)) },
    { "primitives", stats.count(about.placed_primitives) .. " placed" },
    { "lights", stats.count(about.lights) },
    { "materials", ("%s, %s textures"):format(stats.count(about.materials), stats.count(about.textures)) },
    { "bounds", bounds_text(about.bounds) },
    { "memory", stats.bytes(about.bytes) },
    { "picture", ("%d x %d, %d spp"):format(settings.size[1], settings.size[2], settings.spp) },
  }
  for i, file in ipairs(result.files) do lines[#lines + 1] = { i == 1 and "files" or "", file } end
  local text = {}
  for _, line in ipairs(lines) do text[#text + 1] = ("%-12s %s\n"):format(line[1], line[2]) end
  output.write(table.concat(text))
  return 0
end

return info
