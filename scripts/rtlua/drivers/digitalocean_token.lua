-- rtlua.drivers.digitalocean_token: the token and the endpoint of DigitalOcean's API, as doctl finds them.
--
-- The token: DIGITALOCEAN_ACCESS_TOKEN, DO_API_TOKEN, else doctl's own file, the context that is current there. It is
-- never part of a message, whatever is wrong with it. The endpoint: what is given, DIGITALOCEAN_API_URL, else
-- DigitalOcean's; plain http only on this computer, for a token would be readable on its way.

local errors = require "rtlua.errors"
local files = require "rtlua.files"

local token = {}

token.PUBLIC = "https://api.digitalocean.com"

local VARIABLES = { "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN" }

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- Where doctl keeps its configuration: the XDG folder, and macOS's.
local function doctl_files()
  local home, base = os.getenv "HOME" or ".", environment "XDG_CONFIG_HOME"
  local list = {}
  if base and base:sub(1, 1) == "/" then list[1] = base .. "/doctl/config.yaml" end
  list[#list + 1] = home .. "/.config/doctl/config.yaml"
  list[#list + 1] = home .. "/Library/Application Support/doctl/config.yaml"
  return list
end

-- A scalar as YAML writes one on a line of its own.
local function scalar(text)
  local quoted = text:match '^"(.-)"%s*$' or text:match "^'(.-)'%s*$" or text:match '^"(.-)"%s+#' or
    text:match "^'(.-)'%s+#"
  local value = quoted or text:gsub("%s+#.*$", ""):match "^%s*(.-)%s*$"
  return value ~= "" and value or nil
end

--- The current context's token in the text of doctl's config.yaml, or nil.
function token.of_doctl(text)
  local top, contexts, section = {}, {}, nil
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local indent, key, value = line:gsub("\r$", ""):match "^(%s*)([^%s:#][^:]*):%s*(.-)$"
    if key then
      key = scalar(key)
      if indent == "" then
        section, top[key] = key, scalar(value)
      elseif section == "auth-contexts" then
        contexts[key] = scalar(value)
      end
    end
  end
  local current = environment "DIGITALOCEAN_CONTEXT" or top.context or "default"
  if current == "default" then return top["access-token"] or contexts.default end
  return contexts[current]
end

local function checked(value, where)
  -- A header cannot hold anything else, and what is pasted with its line end would be refused as unknown.
  if value:find "[^\33-\126]" then
    errors.stage("check", errors.USAGE, where .. ": the token has characters that no token has",
      "set it again, without spaces and line ends")
  end
  return value
end

--- The token. Raises 64, stage "check", where there is none.
function token.find()
  for _, name in ipairs(VARIABLES) do
    local value = environment(name)
    if value then return checked(value, name) end
  end
  for _, path in ipairs(doctl_files()) do
    local text = files.read(path)
    local value = text and token.of_doctl(text)
    if value then return checked(value, "doctl's config.yaml") end
  end
  errors.stage("check", errors.USAGE, "there is no token for DigitalOcean",
    "set DIGITALOCEAN_ACCESS_TOKEN, or run: doctl auth init")
end

local function is_loopback(host)
  return host == "localhost" or host:match "^127%.%d+%.%d+%.%d+$" ~= nil or host == "[::1]"
end

--- Scheme, host with port, and path of a URL; nil where it is none of http or https, or has a user in it.
function token.parts(url)
  local scheme, authority, path = url:match "^(https?)://([^/?#]+)([^#]*)$"
  if not scheme or authority:find "[@%s%c\\]" then return nil end
  return scheme, authority:lower(), path
end

--- The endpoint, without "/v2" and the slash behind it. Raises 64, stage "check".
function token.endpoint(given)
  local url = given or environment "DIGITALOCEAN_API_URL" or token.PUBLIC
  local scheme, authority, path = token.parts(url)
  if not scheme or path:find "?" then
    errors.stage("check", errors.USAGE, "the endpoint of DigitalOcean's API is no URL of http or https",
      "set DIGITALOCEAN_API_URL to one, or unset it")
  elseif scheme == "http" and not is_loopback(authority:gsub(":%d+$", "")) then
    errors.stage("check", errors.USAGE, ("%s would send the token in the clear"):format(authority),
      "use https for DIGITALOCEAN_API_URL; http is for this computer alone")
  end
  return ("%s://%s%s"):format(scheme, authority, path:gsub("/+$", ""):gsub("/v2$", ""))
end

return token
