-- rtlua.drivers.ec2_signature: AWS's Signature Version 4 for the requests that ec2_query sends.
--
-- libcurl signs, too, but by this computer's clock, and AWS refuses what is five minutes off. A machine has to be
-- destroyed all the same: here the time is given.
--
-- A request is reduced to a canonical text, that and its day, region and service to another, and its HMAC-SHA-256 by a
-- key derived from the secret one is the signature. The URL has no query.

local files = require "rtlua.files"

local ec2_signature = {}

local BLOCK = 64 -- bytes, of SHA-256

local function bytes(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function sha256(text) return bytes(files.sha256_text(text)) end

local function hmac(key, text)
  if #key > BLOCK then key = sha256(key) end
  key = key .. ("\0"):rep(BLOCK - #key)
  local function mixed(with)
    return (key:gsub(".", function(c) return string.char(c:byte() ~ with) end))
  end
  return sha256(mixed(0x5c) .. sha256(mixed(0x36) .. text))
end

local function hex(text) return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

-- The host as it is sent, and the path.
local function parts_of(url)
  local scheme, host, path = url:match "^(%a+)://([^/?#]+)([^?#]*)"
  if scheme == "https" then host = host:gsub(":443$", "") end
  if scheme == "http" then host = host:gsub(":80$", "") end
  return host, path == "" and "/" or path
end

-- Whatever a path has encoded is encoded once more.
local function canonical(path)
  return (path:gsub("[^%w_.~/-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- The headers to send with a request, `headers` among them. request: { method, url, body, headers }; keys: those of
--- ec2_credentials; time: unix seconds by AWS's clock.
function ec2_signature.sign(request, keys, region, service, time)
  local host, path = parts_of(request.url)
  local date = os.date("!%Y%m%dT%H%M%SZ", math.floor(time))
  local headers = { Host = host, ["X-Amz-Date"] = date, ["X-Amz-Security-Token"] = keys.session_token }
  for name, value in pairs(request.headers or {}) do headers[name] = value end
  local names, lines = {}, { request.method, canonical(path), "" }
  local values = {}
  for name, value in pairs(headers) do
    names[#names + 1] = name:lower()
    values[name:lower()] = value
  end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = name .. ":" .. values[name] end
  local signed = table.concat(names, ";")
  table.move({ "", signed, files.sha256_text(request.body or "") }, 1, 3, #lines + 1, lines)
  local day = date:sub(1, 8)
  local scope = table.concat({ day, region, service, "aws4_request" }, "/")
  local text = table.concat({ "AWS4-HMAC-SHA256", date, scope, files.sha256_text(table.concat(lines, "\n")) }, "\n")
  local key = hmac(hmac(hmac(hmac("AWS4" .. keys.secret_key, day), region), service), "aws4_request")
  headers.Authorization = ("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"):format(keys.access_key,
    scope, signed, hex(hmac(key, text)))
  return headers
end

return ec2_signature
