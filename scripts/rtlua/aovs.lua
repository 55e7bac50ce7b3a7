-- AOVs: what a film keeps of its samples besides radiance, as images and in files. The core has the list
-- (core/render/aov.c), docs/aovs.md says what each is.
--
-- An EXR holds them beside the picture, as layers of one file. Of any other picture NAME.EXT each is a file of its own,
-- NAME.AOV.EXT: its values in a PFM, and what can be looked at of them in a PNG, a JPEG or an HDR.

local core_film = require "rtlua.core.film"
local core_image = require "rtlua.core.image"
local schema = require "rtlua.schema"

local aovs = { all = core_film.aovs(), by_name = {}, names = {} }

for i, aov in ipairs(aovs.all) do
  aovs.by_name[aov.name], aovs.names[i] = aov, aov.name
end

local NAME = { type = "enum", values = aovs.names }

--- A list of AOVs' names; on the command line with commas. In the core's order, each once.
schema.types.aovs = {
  expected = function() return "a list of " .. table.concat(aovs.names, ", ") end,
  read = function(value)
    local list = type(value) == "string" and { value } or value
    if type(list) ~= "table" or getmetatable(list) ~= nil then return nil, schema.show(value) end
    local wanted, out = {}, {}
    for i, given in ipairs(list) do
      local name, got = schema.types.enum.read(given, NAME)
      if not name then return nil, got, ("[%d]"):format(i) end
      wanted[name] = true
    end
    for _, name in ipairs(aovs.names) do
      if wanted[name] then out[#out + 1] = name end
    end
    return out
  end,
  parse = function(text)
    local list = {}
    for name in (text .. ","):gmatch "(.-)," do list[#list + 1] = name end
    return list
  end,
  luals = function() return "string|string[]" end,
}

local function extension_of(file) return file:lower():match "%.[^./]*$" or "" end

--- The file of an AOV beside a picture's: a.png, "normal" -> a.normal.png.
function aovs.file(picture, name)
  local extension = extension_of(picture)
  return picture:sub(1, #picture - #extension) .. "." .. name .. picture:sub(#picture - #extension + 1)
end

--- All files that a picture with AOVs is written into.
function aovs.files(picture, names)
  local files = { picture }
  local alone = extension_of(picture) == ".exr" or extension_of(picture) == ".part" or picture == "-"
  for _, name in ipairs(not alone and names or {}) do files[#files + 1] = aovs.file(picture, name) end
  return files
end

--- Layers of what has a film, source:image(name): { name, channels, show, image } each. nil, message, code where one
--- cannot be made.
function aovs.layers(source, names)
  local layers = {}
  for i, name in ipairs(names) do
    local image, message, code = source:image(name)
    if not image then return nil, message, code end
    local aov = aovs.by_name[name]
    layers[i] = { name = name, channels = aov.channels, show = aov.show, image = image }
  end
  return layers
end

-- Exposure and tone curve are for radiance alone.
local function plain(encode)
  local out = {}
  for key, value in pairs(encode) do out[key] = value end
  out.exposure, out.tonemap, out.white_balance, out.dither = 0, "none", nil, false
  return out
end

--- Writes an AOV alone. Returns true, or nil, message, code.
function aovs.save(file, layer, encode)
  if extension_of(file) == ".exr" then return core_image.save_layers({ layer }, file, encode) end
  if layer.show == "color" or extension_of(file) == ".pfm" then return layer.image:save(file, encode) end
  local shown, message, code = layer.image:show(layer.show)
  if not shown then return nil, message, code end
  return shown:save(file, plain(encode))
end

--- The channels of a picture, by their number.
aovs.LETTERS = { "Y", "YA", "RGB", "RGBA" }

--- Writes a picture and its layers into aovs.files. Returns true, or nil, message, code.
function aovs.save_all(file, picture, layers, encode)
  if extension_of(file) == ".exr" and #layers > 0 then
    local list = { { name = "", channels = aovs.LETTERS[picture.channels], image = picture } }
    return core_image.save_layers(table.move(layers, 1, #layers, 2, list), file, encode)
  end
  local saved, message, code = picture:save(file, encode)
  for _, layer in ipairs(layers) do
    if not saved then return nil, message, code end
    if not layer.only_in_exr then saved, message, code = aovs.save(aovs.file(file, layer.name), layer, encode) end
  end
  return saved, message, code
end

return aovs
