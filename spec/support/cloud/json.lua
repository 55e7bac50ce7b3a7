-- JSON out, for the double: unlike rtlua's own, it tells an empty object (json.object {}) from an empty list, since
-- providers do. Keys are in order. json.null is null; decoding is cjson's.

local cjson = require "cjson"

local json = { decode = cjson.decode, null = cjson.null }

local OBJECT = {}

--- Marks a table as an object, even when it is empty.
function json.object(fields) return setmetatable(fields, OBJECT) end

local function scalar(value)
  if math.type(value) == "float" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then
    return ("%d"):format(value)
  end
  return (cjson.encode(value):gsub("\\/", "/"))
end

--- One line of JSON.
function json.encode(value)
  if type(value) ~= "table" then return scalar(value) end
  local out = {}
  if getmetatable(value) ~= OBJECT and (#value > 0 or next(value) == nil) then
    for i, element in ipairs(value) do out[i] = json.encode(element) end
    return "[" .. table.concat(out, ",") .. "]"
  end
  for key in pairs(value) do out[#out + 1] = key end
  table.sort(out)
  for i, key in ipairs(out) do out[i] = scalar(key) .. ":" .. json.encode(value[key]) end
  return "{" .. table.concat(out, ",") .. "}"
end

return json
