-- require "rtlua": the library that scenes are written with.
--
-- Reading order: schema.lua (records and their check), families.lua (types of scenes), shapes.lua, materials.lua,
-- lights.lua, camera.lua, image.lua and render_options.lua (the records), description.lua (what constructors return),
-- emit.lua (descriptions to the core), scene.lua and render.lua (the objects that scripts work with).

local camera = require "rtlua.camera"
local caller = require "rtlua.core.caller"
local description = require "rtlua.description"
local errors = require "rtlua.errors"
local image = require "rtlua.image"
local lights = require "rtlua.lights"
local materials = require "rtlua.materials"
local params = require "rtlua.params"
local scene = require "rtlua.scene"
local shapes = require "rtlua.shapes"
local suggest = require "rtlua.suggest"
local system = require "rtlua.system"
local transform = require "rtlua.transform"
local vec = require "rtlua.vec"

local rt = { version = system.version() }

local single = { image.checker, camera, scene.record }
for _, records in ipairs { shapes.records, materials.records, lights.records, single } do
  for _, record in ipairs(records) do rt[record.name] = description.constructor(record) end
end

local _, construct_image = description.constructor(image.texture)
rt.image = image.export(construct_image)

for _, functions in ipairs { transform.functions, vec.functions, params.functions } do
  for _, f in ipairs(functions) do rt[f.name] = f.call end
end

local names = {}
for name in pairs(rt) do names[#names + 1] = name end
table.sort(names)

return setmetatable(rt, {
  __metatable = "rtlua",
  __index = caller.constructor(function(where, _, name)
    name = tostring(name)
    errors.failing("rt." .. name, where)("there is no such function" .. suggest.hint(name, names))
  end),
})
