-- Writes docs/reference.md and types/rtlua.lua (for LuaLS) from the schema. With --check it writes nothing, and exits
-- with 1 when one of them is stale or something that rtlua exports is undocumented.
--
-- The schema is data, so this works without rtlua.so: what loading the library asks of the C modules is stood in for
-- below.

local root = arg[0]:match("^(.*)/scripts/[^/]*$") or (arg[0]:find("^scripts/") and "." or "..")
package.path = ("%s/scripts/?.lua;%s/scripts/?/init.lua;%s"):format(root, root, package.path)

for name, module in pairs {
  ["rtlua.core.caller"] = { constructor = function(f) return f end, value = function(f) return f end },
  ["rtlua.core.elementary"] = {}, ["rtlua.core.image"] = {}, ["rtlua.core.mesh"] = {}, ["rtlua.core.placements"] = {},
  ["rtlua.core.scene"] = {},
  ["rtlua.signal"] = {}, ["rtlua.system"] = { version = function() return "" end },
} do
  package.preload[name] = function() return module end
end

local rt = require "rtlua"
local camera = require "rtlua.camera"
local cli = require "rtlua.cli"
local families = require "rtlua.families"
local image = require "rtlua.image"
local lights = require "rtlua.lights"
local materials = require "rtlua.materials"
local params = require "rtlua.params"
local render = require "rtlua.render"
local render_options = require "rtlua.render_options"
local scene = require "rtlua.scene"
local schema = require "rtlua.schema"
local shapes = require "rtlua.shapes"
local transform = require "rtlua.transform"
local vec = require "rtlua.vec"

-- ---- What there is to document

local undocumented = {}

local function documented(what, doc)
  if not doc or doc == "" then undocumented[#undocumented + 1] = what end
  return doc or ""
end

local known = { version = true } -- names of rt that the pages below have

local constructors = {
  { title = "Shapes", records = shapes.records, class = "rtlua.Shape" },
  { title = "Materials", records = materials.records, class = "rtlua.Material" },
  { title = "Textures", records = image.records, class = "rtlua.Texture" },
  { title = "Lights and environments", records = lights.records },
  { title = "Camera", records = { camera }, class = "rtlua.Camera" },
}

local light_classes = { light = "rtlua.LightSource", background = "rtlua.Background" }

local function class_of(section, record) return section.class or light_classes[record.family.name] end

local function camel(name)
  return (("_" .. name):gsub("_(%l)", string.upper))
end

local function default_text(f)
  local value = f.default
  if value == nil then return nil end
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "table" then
    local parts = {}
    for i, v in ipairs(value) do parts[i] = ("%s"):format(v) end
    return #parts > 0 and "{" .. table.concat(parts, ", ") .. "}" or nil
  end
  return value == math.huge and "math.huge" or tostring(value)
end

-- ---- docs/reference.md

-- Types whose errors say more than a table's cell should.
local short_types = {
  color = function(f) return "colour" .. (f.max == 1 and ", 0 to 1" or "") .. (f.texture and ", or texture" or "") end,
  vector = function(f) return f.nonzero and "vector, not 0" or "vector" end,
  material = function() return "material" end,
  shape = function() return "shape" end,
  element = function() return "shapes and lights" end,
  camera = function() return "rt.camera" end,
  transform = function() return "transform" end,
  rotation = function() return "{ axis, degrees }" end,
  background = function() return "colour, { top, bottom } or rt.envmap" end,
  render = function() return "render options" end,
}

local function type_text(f)
  local short = short_types[f.type]
  local text = short and short(f) or schema.types[f.type].expected(f)
  return (text:gsub("^an? ", ""):gsub("|", "\\|"))
end

local page = {}
local function put(text, ...) page[#page + 1] = select("#", ...) > 0 and text:format(...) or text end

local function field_rows(fields, owner)
  put "| field | value | default | |"
  put "|---|---|---|---|"
  for _, f in ipairs(fields) do
    local default = default_text(f)
    local name = f.position and ("%s, element %d"):format(f[1], f.position) or ("`%s`"):format(f[1])
    default = default and ("`%s`"):format(default) or f.required and "required" or ""
    put("| %s | %s | %s | %s |", name, type_text(f), default,
      (documented(owner .. "." .. f[1], f.doc):gsub("|", "\\|")))
  end
  put ""
end

local function method_rows(owner, methods)
  local names = {}
  for name in pairs(methods) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local m, list = methods[name], {}
    for i, p in ipairs(m.params) do list[i] = (p[1]:gsub("%?$", "")) end
    put("- `%s:%s(%s)` — %s", owner, name, table.concat(list, ", "), documented(owner .. ":" .. name, m.doc))
  end
  put ""
end

local function function_rows(prefix, functions)
  for _, f in ipairs(functions) do
    local list = {}
    for i, p in ipairs(f.params) do list[i] = (p[1]:gsub("%?$", "")) end
    put("- `%s%s(%s)` — %s", prefix, f.name, table.concat(list, ", "), documented(prefix .. f.name, f.doc))
  end
  put ""
end

-- A table of a few rows: { name, type, doc }.
local function property_rows(owner, properties)
  for _, p in ipairs(properties) do put("- `%s.%s` — %s", owner, p[1], documented(owner .. "." .. p[1], p[3])) end
  put ""
end

local function list_of(record, count) return table.move(record.fields, 1, count or #record.fields, 1, {}) end

local function constructor_entry(record, own)
  known[record.name] = true
  put("### rt.%s", record.name)
  put ""
  put(documented("rt." .. record.name, record.doc))
  put ""
  if record.rest then
    put("Elements: %s", documented("rt." .. record.name .. "[...]", record.rest.doc))
    put ""
  end
  local fields = list_of(record, own)
  if #fields > 0 then field_rows(fields, "rt." .. record.name) end
end

local function reference()
  put "# Reference"
  put ""
  put "Made from the schema by `lua5.4 scripts/docs.lua`: do not edit."
  put ""
  put [[
Lengths are scene units, angles full angles in degrees, y is up, coordinates right-handed. A vector is `{x, y, z}` or an
`rt.vec`. A colour is linear Rec. 709 as a number (grey) or `{r, g, b}`, or a string: `"#rrggbb"` is sRGB, `"4000K"` a
black body of luminance 1. Radiance is in W/(m² sr), power in W. A texture stands wherever a field says so, and an image
object (rt.image.load) is one, too. `rt.version` is the version of rtlua.
]]
  put "## The scene"
  put ""
  constructor_entry(scene.record)
  put "A scene object has methods:"
  put ""
  method_rows("scene", scene.methods)
  put "scene:intersect takes:"
  put ""
  field_rows(scene.ray_record.fields, "scene:intersect")
  put "### Render options"
  put ""
  put(render_options.doc)
  put ""
  field_rows(render.call_record.fields, "render")
  for _, section in ipairs(constructors) do
    put("## %s", section.title)
    put ""
    if section.records == shapes.records then
      put "Every shape has, besides its own fields:"
      put ""
      local sphere = shapes.sphere
      field_rows(table.move(sphere.fields, sphere.own_fields + 1, #sphere.fields, 1, {}), "shape")
      method_rows("shape", families.shape.methods)
    end
    for _, record in ipairs(section.records) do constructor_entry(record, record.own_fields) end
    if section.records == lights.records then
      put "A gradient as background, `background = { top = ..., bottom = ... }`:"
      put ""
      field_rows(families.gradient.fields, "background")
    end
  end
  put "## Transforms"
  put ""
  put [[
Transforms are composed with `*`, applied right to left: `rt.translate(0, 1, 0) * rt.rotate_y(45)` turns first. A
transform times a vector is the point that it becomes.
]]
  function_rows("rt.", transform.functions)
  method_rows("transform", transform.methods)
  put "## Vectors"
  put ""
  function_rows("rt.", vec.functions)
  method_rows("v", vec.methods)
  put "## Parameters"
  put ""
  function_rows("rt.", params.functions)
  put "## Images"
  put ""
  function_rows("rt.image.", image.functions)
  property_rows("image", image.properties)
  method_rows("image", image.methods)
  put "image:save takes:"
  put ""
  field_rows(image.save_record.fields, "image:save")
  put "## Jobs"
  put ""
  put "scene:start returns a job, which is to-be-closed."
  put ""
  method_rows("job", render.methods)
  put "Its progress:"
  put ""
  property_rows("progress", render.progress_fields)
  put "## The command"
  put ""
  for _, use in ipairs(cli.usage) do put("    %-34s %s", use[1], use[2]) end
  put ""
  for _, command in ipairs(cli.commands) do
    put("### rtlua %s", table.concat({ command.name, table.unpack(command.arguments) }, " "))
    put ""
    put(documented("rtlua " .. command.name, command.summary))
    put ""
    if #command.options > 0 then
      put "| option | |"
      put "|---|---|"
      for _, f in ipairs(command.options) do
        local flag = f.cli.flag .. (f.cli.metavar and " " .. f.cli.metavar or "")
        put("| `%s` | %s |", flag, (documented(f.cli.flag, cli.option_doc(f)):gsub("|", "\\|")))
      end
      put ""
    end
  end
  while page[#page] == "" do page[#page] = nil end
  return table.concat(page, "\n") .. "\n"
end

-- ---- types/rtlua.lua

local code = {}
local function line(text, ...) code[#code + 1] = select("#", ...) > 0 and text:format(...) or text end

local function comment(doc) line("---%s", (doc:gsub("\n", " "))) end

local function field_lines(fields)
  for _, f in ipairs(fields) do
    local name = f.position and ("[%d]"):format(f.position) or f[1]
    local optional = not f.required and not f.position and "?" or ""
    local default = default_text(f)
    default = default and (" Default: %s."):format(default) or ""
    line("---@field %s%s %s %s%s", name, optional, schema.types[f.type].luals(f), f.doc, default)
  end
end

local function class(name, doc)
  if doc then comment(doc) end
  line("---@class %s", name)
end

local function callable(name, f, colon)
  comment(f.doc)
  local list = {}
  for i, p in ipairs(f.params) do
    list[i] = p[1]:gsub("%?$", "")
    line("---@param %s %s", p[1], p[2])
  end
  if f.returns then line("---@return %s", f.returns) end
  line("function %s(%s) end", colon and name:gsub("%.", ":", 1) or name, table.concat(list, ", "))
  line ""
end

local function methods_of(owner, methods)
  local names = {}
  for name in pairs(methods) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do callable(owner .. "." .. name, methods[name], true) end
end

local function object(variable, name, doc, methods, properties, operators)
  class(name, doc)
  for _, p in ipairs(properties or {}) do line("---@field %s %s %s", p[1], p[2], p[3]) end
  for _, operator in ipairs(operators or {}) do line("---@operator %s", operator) end
  line("local %s = {}", variable)
  line ""
  methods_of(variable, methods)
end

local function fields_class(name, doc, fields, rest)
  class(name, doc)
  if rest then line("---@field [integer] %s %s", schema.types[rest.type].luals(rest), rest.doc) end
  field_lines(fields)
  line ""
end

local function type_file()
  line "---@meta rtlua"
  line ""
  line "-- Types of rtlua for the Lua language server. Made from the schema by `lua5.4 scripts/docs.lua`: do not edit."
  line ""
  line "---@alias rtlua.Vector rtlua.Vec|number[]"
  line "---@alias rtlua.Color number|number[]|string|rtlua.Vec"
  line ""
  object("vector", "rtlua.Vec", "A vector with arithmetic.", vec.methods, {
    { "x", "number", "The first component." }, { "y", "number", "The second component." },
    { "z", "number", "The third component." },
  }, {
    "add(rtlua.Vector): rtlua.Vec", "sub(rtlua.Vector): rtlua.Vec", "mul(number|rtlua.Vector): rtlua.Vec",
    "div(number|rtlua.Vector): rtlua.Vec", "unm: rtlua.Vec",
  })
  object("transform", "rtlua.Transform", "An affine transform; `*` composes.", transform.methods, nil, {
    "mul(rtlua.Transform): rtlua.Transform", "mul(rtlua.Vector): rtlua.Vec",
  })
  object("shape", "rtlua.Shape", "A shape.", families.shape.methods)
  for _, name in ipairs { "Material", "Texture", "LightSource", "Background", "Camera" } do
    class("rtlua." .. name)
    line ""
  end
  object("image", "rtlua.Image", "A picture in memory, with linear values.", image.methods, image.properties)
  object("job", "rtlua.Job", "A render under way.", render.methods)
  object("scene", "rtlua.Scene", "A committed scene.", scene.methods)
  class("rtlua.Progress", "How far a render is.")
  for _, p in ipairs(render.progress_fields) do line("---@field %s %s %s", p[1], p[2], p[3]) end
  line ""
  class("rtlua.Hit", "What a ray met.")
  line "---@field t number In lengths of the ray's direction."
  line "---@field point rtlua.Vec Where."
  line "---@field normal rtlua.Vec The surface's outward normal."
  line "---@field shading_normal rtlua.Vec The interpolated normal."
  line "---@field uv number[] Texture coordinates."
  line "---@field shape string? The name of the shape, or of the nearest named one around it."
  line ""
  fields_class("rtlua.Ray", "What scene:intersect takes.", scene.ray_record.fields)
  fields_class("rtlua.RenderOptions", render_options.doc, render_options.fields)
  fields_class("rtlua.RenderCall", "Render options of one call.", render.call_record.fields)
  fields_class("rtlua.SaveOptions", "How a picture is encoded.", image.save_record.fields)
  fields_class("rtlua.Placement", "What shape:at takes.", shapes.at.fields)

  line "---@class rtlua"
  line "---@field version string The version of rtlua."
  line "local rt = {}"
  line ""
  local function constructor(record, returned)
    local name = ("rtlua.%sFields"):format(camel(record.name))
    fields_class(name, nil, record.fields, record.rest)
    comment(record.doc)
    line("---@param fields%s %s%s", record.shorthand and "" or "?", name, record.shorthand and "|string" or "")
    line("---@return %s", returned)
    line("function rt.%s(fields) end", record.name)
    line ""
  end
  for _, section in ipairs(constructors) do
    for _, record in ipairs(section.records) do
      if record ~= image.texture then constructor(record, class_of(section, record)) end
    end
  end
  constructor(scene.record, "rtlua.Scene")
  fields_class("rtlua.ImageFields", nil, image.texture.fields)
  comment(image.texture.doc)
  line "---@class rtlua.ImageLibrary"
  line "---@overload fun(fields: rtlua.ImageFields|string): rtlua.Texture"
  line "rt.image = {}"
  line ""
  for _, f in ipairs(image.functions) do callable("rt.image." .. f.name, f) end
  for _, functions in ipairs { transform.functions, vec.functions, params.functions } do
    for _, f in ipairs(functions) do
      known[f.name] = true
      callable("rt." .. f.name, f)
    end
  end
  line "return rt"
  return table.concat(code, "\n") .. "\n"
end

-- ---- Writing and checking

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local files = { { root .. "/docs/reference.md", reference() }, { root .. "/types/rtlua.lua", type_file() } }
for name in pairs(rt) do
  if not known[name] then undocumented[#undocumented + 1] = "rt." .. name end
end
for name in pairs(rt.image) do
  local found = false
  for _, f in ipairs(image.functions) do found = found or f.name == name end
  if not found then undocumented[#undocumented + 1] = "rt.image." .. name end
end
table.sort(undocumented)

local failed = false
local function complain(text, ...)
  io.stderr:write(("docs.lua: " .. text):format(...), "\n")
  failed = true
end

for _, name in ipairs(undocumented) do complain("%s: has no documentation: add a doc to its record", name) end
for _, file in ipairs(files) do
  local path, text = file[1], file[2]
  if arg[1] == "--check" then
    if read(path) ~= text then complain("%s: is stale: run lua5.4 scripts/docs.lua", path) end
  elseif read(path) ~= text then
    local out = assert(io.open(path, "wb"))
    assert(out:write(text))
    assert(out:close())
  end
end
os.exit(failed and 1 or 0)
