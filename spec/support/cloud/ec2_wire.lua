-- What EC2 speaks: signed forms come in, XML goes out. For ec2.lua; nothing of the client's code is in it.
--
--     local scope, code, message = wire.verify(request, secret_of, now)      --> { region, service, access_key }
--     local parameters = wire.parse "Filter.1.Name=a"                        --> { Filter = { { Name = "a" } } }
--     wire.xml("RunInstancesResponse", { instancesSet = { { instanceId = "i-1" } } })

local files = require "rtlua.files"

local wire = {}

local WINDOW = 300 -- seconds that a signature holds, before and after

-- ---- Signature 4

local function bytes(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function hmac(key, text)
  if #key > 64 then key = bytes(files.sha256_text(key)) end
  key = key .. ("\0"):rep(64 - #key)
  local function padded(with)
    return (key:gsub(".", function(c) return string.char(c:byte() ~ with) end))
  end
  return bytes(files.sha256_text(padded(0x5c) .. bytes(files.sha256_text(padded(0x36) .. text))))
end

local function hex(text) return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function escape(text)
  return (text:gsub("[^%w_.~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function canonical_query(raw)
  local pairs_of = {}
  for pair in (raw or ""):gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    pairs_of[#pairs_of + 1] = escape(unescape(name)) .. "=" .. escape(unescape(value))
  end
  table.sort(pairs_of)
  return table.concat(pairs_of, "&")
end

--- The signature of a request whose header names in `signed` ("host;x-amz-date") are signed, 64 hexadecimal digits.
function wire.signature(request, signed, secret, region, service)
  local date = request.headers["x-amz-date"]
  local lines = { request.method, (request.path:gsub("[^/]+", escape)), canonical_query(request.raw_query) }
  for name in signed:gmatch "[^;]+" do
    local value = (request.headers[name] or ""):gsub("^%s+", ""):gsub("%s+$", ""):gsub("%s+", " ")
    lines[#lines + 1] = name .. ":" .. value
  end
  table.move({ "", signed, files.sha256_text(request.body or "") }, 1, 3, #lines + 1, lines)
  local day = date:sub(1, 8)
  local scope = ("%s/%s/%s/aws4_request"):format(day, region, service)
  local text = table.concat({ "AWS4-HMAC-SHA256", date, scope, files.sha256_text(table.concat(lines, "\n")) }, "\n")
  local key = hmac(hmac(hmac(hmac("AWS4" .. secret, day), region), service), "aws4_request")
  return hex(hmac(key, text))
end

local function seconds_of(date)
  local year, month, day, hour, minute, second = date:match "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$"
  if not year then return nil end
  local fields = { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
  local guess = os.time(fields)
  return guess + os.difftime(guess, os.time(os.date("!*t", guess)))
end

local function all_there(request, signed)
  for name in signed:gmatch "[^;]+" do
    if not request.headers[name] then return false end
  end
  return true
end

--- Is a request signed by a secret that secret_of(access_key) knows, at a time near `now`? Its scope, or nil and AWS's
--- status, code and message.
function wire.verify(request, secret_of, now)
  local header = request.headers.authorization
  if not header then return nil, 401, "AuthFailure", "AWS was not able to validate the provided access credentials" end
  local access, day, region, service, signed, signature = header:match(
    "^AWS4%-HMAC%-SHA256 Credential=([^/]+)/(%d+)/([%w-]+)/(%w+)/aws4_request, ?SignedHeaders=([%w;-]+), ?"
    .. "Signature=(%x+)$")
  local date = request.headers["x-amz-date"]
  if not access or not date or not (";" .. signed .. ";"):find(";host;", 1, true)
    or not (";" .. signed .. ";"):find(";x-amz-date;", 1, true)
    or not all_there(request, signed)
    or request.headers["x-amz-security-token"] and not signed:find("x-amz-security-token", 1, true)
  then
    return nil, 400, "IncompleteSignature", "The request signature does not conform to AWS standards."
  end
  local secret, token = secret_of(access)
  local time = seconds_of(date)
  if not secret or token ~= request.headers["x-amz-security-token"] then
    if service == "sts" then
      return nil, 403, "InvalidClientTokenId", "The security token included in the request is invalid."
    end
    return nil, 401, "AuthFailure", "AWS was not able to validate the provided access credentials"
  end
  if not time or day ~= date:sub(1, 8) or math.abs(now - time) > WINDOW then
    if service == "sts" then
      return nil, 403, "SignatureDoesNotMatch", "Signature expired: " .. date .. " is not within five minutes of now"
    end
    return nil, 400, "RequestExpired", "Request has expired."
  end
  if wire.signature(request, signed, secret, region, service) ~= signature:lower() then
    if service == "sts" then
      return nil, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you "
        .. "provided. Check your AWS Secret Access Key and signing method."
    end
    return nil, 401, "AuthFailure", "AWS was not able to validate the provided access credentials"
  end
  return { region = region, service = service, access_key = access }
end

-- ---- Parameters

--- A form's fields as nested tables; numbers in their names are places in lists.
function wire.parse(body)
  local root = {}
  for pair in body:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    local at, last = root, nil
    for part in unescape(name):gmatch "[^.]+" do
      local key = math.tointeger(tonumber(part)) or part
      if last ~= nil then
        if type(at[last]) ~= "table" then at[last] = {} end
        at = at[last]
      end
      last = key
    end
    at[last] = unescape(value)
  end
  return root
end

--- The bytes of a base64 text, or nil where it is none.
function wire.decode(text)
  if #text % 4 ~= 0 or text:find "[^%w+/=]" or text:find "=[^=]" then return nil end
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local value = {}
  for i = 1, 64 do value[alphabet:byte(i)] = i - 1 end
  local out = {}
  for a, b, c, d in text:gmatch "(.)(.)(.)(.)" do
    local bits = value[a:byte()] << 18 | value[b:byte()] << 12 | (value[c:byte()] or 0) << 6 | (value[d:byte()] or 0)
    local three = string.char(bits >> 16 & 255, bits >> 8 & 255, bits & 255)
    out[#out + 1] = three:sub(1, c == "=" and 1 or d == "=" and 2 or 3)
  end
  return table.concat(out)
end

-- ---- XML

local ESCAPES = { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ['"'] = "&quot;" }

local function element(name, value, out)
  if type(value) ~= "table" then
    local text = tostring(value):gsub('[<>&"]', ESCAPES)
    out[#out + 1] = text == "" and ("<%s/>"):format(name) or ("<%s>%s</%s>"):format(name, text, name)
    return
  end
  if next(value) == nil then
    out[#out + 1] = ("<%s/>"):format(name)
    return
  end
  out[#out + 1] = ("<%s>"):format(name)
  for _, item in ipairs(value) do element("item", item, out) end
  local keys = {}
  for key in pairs(value) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do element(key, value[key], out) end
  out[#out + 1] = ("</%s>"):format(name)
end

--- A document. Lists are `item`s; an empty table is an empty element.
function wire.xml(name, value, namespace)
  local out = {}
  element(name, value, out)
  if namespace then out[1] = out[1]:gsub("^<([%w]+)", "<%1 xmlns=\"" .. namespace .. "\"", 1) end
  return '<?xml version="1.0" encoding="UTF-8"?>\n\n' .. table.concat(out)
end

return wire
