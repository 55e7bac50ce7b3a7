-- The schema: an option is one declarative record, and the check, the error, the default, the command-line flag, the
-- reference page and the LuaLS type all come from it.
--
--   { "radius", type = "number", above = 0, default = 1, doc = "Radius, scene units." }
--
-- A field record: [1] its name; type, one of schema.types, with that type's own limits (above, below, min, max, values,
-- texture, ...); default, as a user would write it, or required = true; position = i when it is given as element i
-- instead of by name; doc; and cli = { flag, metavar } where the command line has it too. A table's record: name, doc,
-- fields (a list), rest (a field record for all further elements), shorthand (the field that a value which is no table
-- stands for), exclusive (lists of fields of which one may be given) and together (pairs that come together).
--
-- A type: expected(field) -> "a number above 0"; read(value, field) -> normalized value, or nil, got, subpath, or nil,
-- nil, message; parse(text, field) -> what a command-line string says, or nil; luals(field) -> its LuaLS name.
-- Normalized values are what the rest of the library reads: never the user's own tables, except where a type says so.

local suggest = require "rtlua.suggest"

local schema = { types = {} }

-- ---- Saying what was met

local function number_text(n)
  if n ~= n then return "NaN" end
  if n == math.huge then return "inf" end
  if n == -math.huge then return "-inf" end
  return ("%.14g"):format(n)
end

--- What a value is, as an error says it.
function schema.show(value)
  local kind = type(value)
  if kind == "number" then return number_text(value) end
  if kind == "string" then
    local text = value:gsub("%c", " ")
    return #text > 40 and ("'%s...'"):format(text:sub(1, 40)) or ("'%s'"):format(text)
  end
  if kind == "nil" then return "nothing" end
  if kind == "boolean" then return tostring(value) end
  if kind == "table" then
    local meta = getmetatable(value)
    if type(meta) == "string" then return tostring(value) end
    return "a table"
  end
  return "a " .. kind
end

-- ---- Types without a domain; rtlua.types adds those of scenes

local function with_limits(noun, f)
  if f.above and f.below then
    return ("%s above %s and below %s"):format(noun, number_text(f.above), number_text(f.below))
  end
  if f.min and f.below then
    return ("%s of at least %s and below %s"):format(noun, number_text(f.min), number_text(f.below))
  end
  if f.above and f.max then
    return ("%s above %s, at most %s"):format(noun, number_text(f.above), number_text(f.max))
  end
  if f.above then return ("%s above %s"):format(noun, number_text(f.above)) end
  if f.min and f.max then return ("%s from %s to %s"):format(noun, number_text(f.min), number_text(f.max)) end
  if f.min then return ("%s of at least %s"):format(noun, number_text(f.min)) end
  if f.below then return ("%s below %s"):format(noun, number_text(f.below)) end
  if f.max then return ("%s of at most %s"):format(noun, number_text(f.max)) end
  return noun
end

--- Is the number within the record's limits, and finite unless it may be infinite?
function schema.within(n, f)
  if n ~= n then return false end
  if n == math.huge or n == -math.huge then return f.infinite == true and n > 0 end
  return not (f.above and n <= f.above or f.below and n >= f.below or f.min and n < f.min or f.max and n > f.max)
end

schema.types.number = {
  expected = function(f)
    return with_limits("a number", f) .. (f.infinite and ", or inf" or "")
  end,
  read = function(value, f)
    if type(value) ~= "number" or not schema.within(value, f) then return nil, schema.show(value) end
    return value
  end,
  parse = function(text, f)
    if f.infinite and (text == "inf" or text == "infinite") then return math.huge end
    return tonumber(text)
  end,
  luals = function() return "number" end,
}

schema.types.integer = {
  expected = function(f)
    return with_limits("a whole number", f) .. (f.infinite and ", or inf" or "")
  end,
  read = function(value, f)
    if type(value) ~= "number" or not schema.within(value, f) then return nil, schema.show(value) end
    if value == math.huge then return value end
    local whole = math.tointeger(value)
    if not whole then return nil, schema.show(value) end
    return whole
  end,
  parse = schema.types.number.parse,
  luals = function(f) return f.infinite and "number" or "integer" end,
}

schema.types.boolean = {
  expected = function() return "true or false" end,
  read = function(value)
    if type(value) ~= "boolean" then return nil, schema.show(value) end
    return value
  end,
  parse = function(text)
    if text == "true" then return true elseif text == "false" then return false end
    return nil
  end,
  luals = function() return "boolean" end,
}

schema.types.string = {
  expected = function(f) return f.noun or "a string" end,
  read = function(value)
    if type(value) ~= "string" or value == "" then return nil, schema.show(value) end
    return value
  end,
  parse = function(text) return text end,
  luals = function() return "string" end,
}

local function quote(v) return type(v) == "string" and ("%q"):format(v) or tostring(v) end

schema.types.enum = {
  expected = function(f)
    local quoted = {}
    for i, v in ipairs(f.values) do quoted[i] = quote(v) end
    local last = table.remove(quoted)
    return #quoted > 0 and table.concat(quoted, ", ") .. " or " .. last or last
  end,
  read = function(value, f)
    for _, v in ipairs(f.values) do
      if value == v then return v end
    end
    local hint = type(value) == "string" and type(f.values[1]) == "string" and suggest.hint(value, f.values) or ""
    return nil, schema.show(value) .. hint
  end,
  parse = function(text, f)
    for _, v in ipairs(f.values) do
      if tostring(v) == text then return v end
    end
    return text
  end,
  luals = function(f)
    local quoted = {}
    for i, v in ipairs(f.values) do quoted[i] = quote(v) end
    return table.concat(quoted, "|")
  end,
}

--- A fixed number of numbers: `count`, `element` the record for each, `join` what stands between them on the command
--- line.
schema.types.numbers = {
  expected = function(f) return f.noun or ("%d numbers"):format(f.count) end,
  read = function(value, f)
    if type(value) ~= "table" then return nil, schema.show(value) end
    if #value ~= f.count then return nil, tostring(#value) end
    local kind = schema.types[f.element.type]
    local out = {}
    for i = 1, f.count do
      local v, got, _, message = kind.read(value[i], f.element)
      if v == nil then return nil, got, ("[%d]"):format(i), message, kind.expected(f.element) end
      out[i] = v
    end
    return out
  end,
  parse = function(text, f)
    local out = {}
    for part in (text .. f.join):gmatch("(.-)" .. (f.join:gsub("%p", "%%%0"))) do
      local n = tonumber(part)
      if not n then return nil end
      out[#out + 1] = n
    end
    return #out == f.count and out or nil
  end,
  luals = function() return "number[]" end,
}

-- ---- Checking

--- One value against its record. Returns the normalized value, or nil and the message "path: expected ..., got ...".
function schema.value(field, value, path)
  local kind = schema.types[field.type]
  local normal, got, subpath, message, expected = kind.read(value, field)
  if normal ~= nil then return normal end
  local full = path .. (subpath or "")
  if message then return nil, full .. ": " .. message end
  return nil, ("%s: expected %s, got %s"):format(full, expected or kind.expected(field), got)
end

--- One value that the command line gave as text. Returns it, or nil and a message.
function schema.text(field, text, path)
  local kind = schema.types[field.type]
  local value = kind.parse(text, field)
  local normal, got, subpath, message -- luacheck: ignore subpath
  if value ~= nil then
    normal, got, subpath, message = kind.read(value, field)
    if normal ~= nil then return normal end
    if message then return nil, path .. ": " .. message end
  end
  local expected = field.cli and field.cli.noun or kind.expected(field)
  local hint = got and got:match(" %(did you mean.*%)$") or ""
  return nil, ("%s: expected %s, got '%s'%s"):format(path, expected, text, hint)
end

local function default_of(field)
  if field.default == nil then return nil end
  local kind = schema.types[field.type]
  local value = kind.read(field.default, field)
  assert(value ~= nil, field[1])
  return value
end

--- Prepares a table's record once: looks names up, checks that types exist.
local function prepare(record)
  if record.prepared then return record.prepared end
  local p = { by_key = {}, names = {}, positions = 0 }
  for _, f in ipairs(record.fields) do
    assert(schema.types[f.type], f[1] .. ": no such type")
    p.by_key[f.position or f[1]] = f
    if f.position then
      p.positions = math.max(p.positions, f.position)
    else
      p.names[#p.names + 1] = f[1]
    end
  end
  record.prepared = p
  return p
end

local function key_order(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
  return type(a) < type(b)
end

local function unknown_key(record, p, input)
  local strangers = {}
  for key in pairs(input) do
    local element = math.type(key) == "integer" and key >= 1
    local known = p.by_key[key] or (element and record.rest and key <= #input)
    if not known then strangers[#strangers + 1] = key end
  end
  if #strangers == 0 then return nil end
  table.sort(strangers, key_order)
  local key = strangers[1]
  if type(key) == "string" then
    local hint = suggest.hint(key, p.names)
    if hint == "" and #p.names > 0 then hint = ": its fields are " .. table.concat(p.names, ", ") end
    return ("unknown field '%s'%s"):format(key, hint)
  end
  if type(key) == "number" then
    if record.rest then
      return ("[%s]: elements must be numbered from 1 without gaps: is one of them nil?"):format(key)
    end
    if p.positions > 0 then return ("[%s]: expected %d elements at most"):format(key, p.positions) end
    return ("[%s]: expected named fields: %s"):format(key, table.concat(p.names, ", "))
  end
  return ("unknown field %s"):format(schema.show(key))
end

local function read_fields(record, p, input, out)
  local met = 0
  for _, f in ipairs(record.fields) do
    local value = input[f.position or f[1]]
    if value ~= nil then
      met = met + 1
      local normal, message = schema.value(f, value, f.position and ("[%d]"):format(f.position) or f[1])
      if normal == nil then return nil, message end
      out[f[1]] = normal
    end
  end
  local rest = record.rest
  if rest then
    local list = {}
    for i = p.positions + 1, #input do
      local normal, message = schema.value(rest, input[i], ("[%d]"):format(i))
      if normal == nil then return nil, message end
      list[#list + 1] = normal
      met = met + 1
    end
    out[rest[1]] = list
  end
  return met
end

local function check_combinations(record, input, out)
  for _, names in ipairs(record.exclusive or {}) do
    local first
    for _, name in ipairs(names) do
      if input[name] ~= nil then
        if first then return ("%s: give it or %s, not both"):format(name, first) end
        first = name
      end
    end
  end
  for _, pair in ipairs(record.together or {}) do
    for i = 1, 2 do
      if input[pair[i]] ~= nil and input[pair[3 - i]] == nil then
        return ("%s: needs %s beside it"):format(pair[i], pair[3 - i])
      end
    end
  end
  for _, f in ipairs(record.fields) do
    if out[f[1]] == nil and f.required then
      local kind = schema.types[f.type]
      return ("%s: missing: expected %s"):format(f.position and ("[%d]"):format(f.position) or f[1], kind.expected(f))
    end
  end
  return nil
end

--- A table of fields against its record. Returns the normalized fields with defaults filled in (unless `sparse`), or
--- nil and a message.
function schema.read(record, input, sparse)
  local p = prepare(record)
  if input == nil then input = {} end
  local plain = type(input) == "table" and type(getmetatable(input)) ~= "string"
  if not plain and record.shorthand then
    input = { [record.shorthand] = input }
  elseif type(input) ~= "table" then
    return nil, ("expected a table of fields, got %s"):format(schema.show(input))
  elseif not plain then
    return nil, ("expected a table of fields in { }, got %s"):format(schema.show(input))
  end
  local out = {}
  local met, message = read_fields(record, p, input, out)
  if not met then
    -- A misspelt field often leaves its proper one missing or odd: the misspelling is the better answer.
    return nil, unknown_key(record, p, input) or message
  end
  local count = 0
  for _ in pairs(input) do count = count + 1 end
  if count ~= met then
    local problem = unknown_key(record, p, input)
    if problem then return nil, problem end
  end
  local problem = check_combinations(record, input, out)
  if problem then return nil, problem end
  if not sparse then
    for _, f in ipairs(record.fields) do
      if out[f[1]] == nil then out[f[1]] = default_of(f) end
    end
  end
  return out
end

return schema
