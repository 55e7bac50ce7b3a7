-- Meshes: turns rt.mesh's fields into a mesh of the core and a list of materials, one for each of its slots. The arrays
-- from Lua are let go at once: a mesh of a million triangles exists once.

local context = require "rtlua.context"
local core = require "rtlua.core.mesh"
local suggest = require "rtlua.suggest"

local mesh = {}

local function quoted(names)
  local list = {}
  for i, name in ipairs(names) do list[i] = name == "" and "faces without a usemtl" or ("'%s'"):format(name) end
  return table.concat(list, ", ")
end

--- Every slot must have a material: a misspelt one would become grey unnoticed.
local function check_complete(slots, list, materials, fail)
  local missing, given = {}, {}
  for i, name in ipairs(slots) do
    if not list[i] then missing[#missing + 1] = name end
  end
  if not missing[1] then return end
  for key in pairs(materials) do given[#given + 1] = tostring(key) end
  table.sort(given)
  fail(("materials: nothing for %s of the file, %s: add it, or give a material for the rest"):format(
    quoted(missing), given[1] and "only for " .. quoted(given) or "nor for any other"))
end

--- The materials of a file's slots by name (false: the shape's own), after checking that every name belongs to a slot
--- and, when there is no fallback, that every slot has one.
local function by_name(slots, materials, fallback, fail)
  local known, list = {}, {}
  for i, name in ipairs(slots) do
    known[name], known[i] = true, true
    list[i] = materials[name] or materials[i] or false
  end
  local strangers = {}
  for key in pairs(materials) do
    if not known[key] then strangers[#strangers + 1] = tostring(key) end
  end
  table.sort(strangers)
  if strangers[1] then
    local hint = suggest.hint(strangers[1], slots)
    if hint == "" then hint = ": it has " .. (table.concat(slots, ", "):gsub("^$", "no usemtl names")) end
    fail(("materials: the mesh has no material '%s'%s"):format(strangers[1], hint))
  end
  if not fallback then check_complete(slots, list, materials, fail) end
  return list
end

local function by_number(ids, materials, fail)
  for i = 1, #ids do
    local id = ids[i]
    if math.type(id) ~= "integer" and not math.tointeger(id) then
      fail(("material_ids[%d]: expected a whole number, got %s"):format(i, tostring(id)))
    end
    if not materials[math.tointeger(id)] then
      fail(("material_ids[%d]: there is no material %d in materials"):format(i, id))
    end
  end
  local list, count = {}, 0
  for key in pairs(materials) do
    if type(key) ~= "number" then fail(("materials: '%s': expected a list when material_ids is given"):format(key)) end
    count = count + 1
  end
  for i = 1, count do
    if not materials[i] then fail(("materials: [%d] is missing: expected a list without gaps"):format(i)) end
    list[i] = materials[i]
  end
  return list
end

local function load_file(fields, fail)
  local path = context.resolve(fields.file, fail)
  local loaded, message, code = core.load(path)
  if not loaded then fail(message, code) end
  return loaded
end

local function from_arrays(fields, fail)
  local built, message, code = core.new {
    vertices = fields.vertices, indices = fields.indices, normals = fields.normals, uvs = fields.uvs,
    material_slots = fields.material_ids, name = fields.name or "its data",
  }
  if not built then fail(message, code) end
  return built
end

--- Completes rt.mesh's fields: `mesh` is the core's, `slots` its materials (false where none is given: the shape's
--- own).
function mesh.finish(fields, fail)
  if not fields.file and not fields.vertices then fail("expected a file, or vertices and indices") end
  if fields.material_ids and not fields.materials then fail("material_ids: needs materials beside it") end
  local slots
  if fields.file then
    fields.mesh = load_file(fields, fail)
    -- Without materials the whole mesh is made of one: its own or that of a group around it.
    slots = by_name(fields.mesh:slots(), fields.materials or {}, fields.material or not fields.materials, fail)
  else
    if fields.materials and not fields.material_ids then fail("materials: needs material_ids beside it") end
    slots = fields.material_ids and by_number(fields.material_ids, fields.materials, fail) or { false }
    fields.mesh = from_arrays(fields, fail)
  end
  for _, name in ipairs { "vertices", "indices", "normals", "uvs", "material_ids", "materials" } do
    fields[name] = nil
  end
  fields.slots = slots
end

return mesh
