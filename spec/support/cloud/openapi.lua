-- Compares a response with an OpenAPI 3.0 description: `openapi.load(path):problems("GET", "/v2/droplets/1", 200, body,
-- headers)` -> a list of texts, empty when all is as described. It knows what DigitalOcean's description uses: $ref,
-- type, nullable, enum, required, properties, items, minimum, allOf, anyOf and oneOf (where one that fits is enough).

local cjson = require "cjson"

local openapi = {}

local Description = {}
Description.__index = Description

--- Loads a description; nil when there is no such file.
function openapi.load(path)
  local file <close> = io.open(path, "rb")
  return file and setmetatable({ root = cjson.decode(file:read "a") }, Description) or nil
end

local function resolve(self, schema)
  while type(schema) == "table" and schema["$ref"] do
    local at = self.root
    for name in schema["$ref"]:gmatch "[^/#]+" do at = at[(name:gsub("~1", "/"):gsub("~0", "~"))] end
    schema = at
  end
  return schema
end

local TYPES = {
  integer = function(value) return math.type(value) ~= nil and value == math.floor(value) end,
  number = function(value) return type(value) == "number" end,
  string = function(value) return type(value) == "string" end,
  boolean = function(value) return type(value) == "boolean" end,
  array = function(value) return type(value) == "table" and (#value > 0 or next(value) == nil) end,
  object = function(value) return type(value) == "table" and #value == 0 end,
}

local check

local function check_fields(self, schema, value, where, problems)
  for _, name in ipairs(schema.required or {}) do
    if value[name] == nil then problems[#problems + 1] = ("%s.%s is missing"):format(where, name) end
  end
  for name, field in pairs(schema.properties or {}) do
    if value[name] ~= nil then check(self, field, value[name], where .. "." .. name, problems) end
  end
  for i, element in ipairs(schema.items and value or {}) do
    check(self, schema.items, element, ("%s[%d]"):format(where, i), problems)
  end
end

local function fits_one(self, list, value, where, problems)
  local why
  for _, schema in ipairs(list) do
    why = {}
    check(self, schema, value, where, why)
    if #why == 0 then return end
  end
  problems[#problems + 1] = where .. " fits none of its schemas: " .. why[1]
end

function check(self, schema, value, where, problems)
  schema = resolve(self, schema)
  if value == cjson.null then
    if schema.type and not schema.nullable then problems[#problems + 1] = where .. " is null" end
    return
  end
  if schema.type and not TYPES[schema.type](value) then
    problems[#problems + 1] = ("%s is no %s"):format(where, schema.type)
    return
  end
  local listed = not schema.enum
  for _, choice in ipairs(schema.enum or {}) do listed = listed or choice == value end
  if not listed then problems[#problems + 1] = ("%s: '%s' is not listed"):format(where, tostring(value)) end
  if schema.minimum and value < schema.minimum then problems[#problems + 1] = where .. " is too small" end
  if type(value) == "table" then check_fields(self, schema, value, where, problems) end
  for _, part in ipairs(schema.allOf or {}) do check(self, part, value, where, problems) end
  for _, name in ipairs { "anyOf", "oneOf" } do
    if schema[name] then fits_one(self, schema[name], value, where, problems) end
  end
end

-- The description's path for one that was asked for: as few {names} as can be.
local function operation(self, method, path)
  local found, fewest = nil, math.huge
  for template, methods in pairs(self.root.paths) do
    local names = select(2, template:gsub("{", ""))
    local pattern = "^" .. template:gsub("[%-]", "%%%0"):gsub("{[^}]*}", "[^/]+") .. "$"
    if path:find(pattern) and methods[method:lower()] and names < fewest then
      found, fewest = methods[method:lower()], names
    end
  end
  return found
end

--- What is not as described; the body is text.
function Description:problems(method, path, status, body, headers)
  local described = operation(self, method, path)
  if not described then return { ("%s %s is not described"):format(method, path) } end
  local response = resolve(self, described.responses[tostring(status)] or described.responses.default)
  local problems = {}
  for name in pairs(response.headers or {}) do
    local optional = name == "x-request-id" or name == "content-type"
    if not headers[name] and not optional then problems[#problems + 1] = "the header " .. name .. " is missing" end
  end
  local content = (response.content or {})["application/json"]
  if not content then
    if body ~= "" then problems[#problems + 1] = "a body, where none is described" end
  else
    check(self, content.schema, cjson.decode(body), "body", problems)
  end
  return problems
end

return openapi
