-- JSON out, with keys in order, so that the same answer is the same text. Numbers that JSON does not know (inf, NaN)
-- become null.

local cjson = require "cjson"

local json = {}

-- cjson escapes slashes for the sake of HTML, which spoils paths.
local function scalar(value) return (cjson.encode(value):gsub("\\/", "/")) end

local function encode(value, out)
  if type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then
    out[#out + 1] = "null"
  elseif type(value) ~= "table" then
    out[#out + 1] = scalar(value)
  elseif #value > 0 or next(value) == nil then
    out[#out + 1] = "["
    for i, element in ipairs(value) do
      if i > 1 then out[#out + 1] = "," end
      encode(element, out)
    end
    out[#out + 1] = "]"
  else
    local keys = {}
    for key in pairs(value) do keys[#keys + 1] = key end
    table.sort(keys)
    out[#out + 1] = "{"
    for i, key in ipairs(keys) do
      if i > 1 then out[#out + 1] = "," end
      out[#out + 1] = scalar(key) .. ":"
      encode(value[key], out)
    end
    out[#out + 1] = "}"
  end
end

--- One line of JSON. A table with elements, and an empty one, is a list.
function json.encode(value)
  local out = {}
  encode(value, out)
  return table.concat(out)
end

return json
