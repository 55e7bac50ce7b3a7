-- rtlua.drivers.ec2_credentials: keys, region and endpoints, found where the aws command finds them.
--
--     local credentials = ec2_credentials.new()
--     local keys = credentials:get()        --> { access_key, secret_key, session_token? }, or raises 64
--     ec2_credentials.region()              --> "eu-central-1", or nil
--     ec2_credentials.endpoints()           --> ec2 and sts, each nil where it is AWS's own
--
-- Keys, the first that there are: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; the profile (AWS_PROFILE, else
-- "default") in ~/.aws/credentials, then its credential_process and its keys in ~/.aws/config; a container's; an
-- instance's (IMDSv2). A profile that assumes a role or signs in by SSO needs AWS's own tool: the message says how.
--
-- Always holds: no key is in a message, and none is written anywhere. Keys that end are fetched anew five minutes
-- before.

local cjson = require "cjson"
local clock = require "rtlua.drivers.clock"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local http = require "rtlua.http"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local query = require "rtlua.drivers.ec2_query"
local suggest = require "rtlua.suggest"
local system = require "rtlua.system"

local ec2_credentials = {}

local MARGIN = 300 -- seconds before their end in which keys are not used any more

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function refuse(message, remedy) errors.stage("check", errors.USAGE, message, remedy) end

-- ---- The two files

-- Sections of an INI file, by name; {} where there is none. What is indented belongs to a nested section.
local function sections_of(path)
  local text = files.read(path)
  local sections, current = {}, nil
  for line in ((text or "") .. "\n"):gmatch "([^\n]*)\n" do
    local name = line:match "^%[%s*(.-)%s*%]"
    local key, value = line:match "^([%w_]+)%s*=%s*(.-)%s*$"
    if name then
      current = sections[name] or {}
      sections[name] = current
    elseif key and current then
      current[key:lower()] = value:gsub("%s+[#;].*$", "")
    end
  end
  return sections
end

-- A profile's section in the credentials' file and in the configuration's, {} where there is none, and its name.
local function profile_sections()
  local home = environment "HOME" or "."
  local function path_of(variable, default)
    return ((environment(variable) or default):gsub("^~", function() return home end))
  end
  local secrets = sections_of(path_of("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
  local config = sections_of(path_of("AWS_CONFIG_FILE", "~/.aws/config"))
  local asked = environment "AWS_PROFILE" or environment "AWS_DEFAULT_PROFILE"
  local name = asked or "default"
  local secret, configured = secrets[name], config["profile " .. name] or name == "default" and config.default or nil
  if asked and not secret and not configured then
    local names, known = {}, {}
    for _, sections in ipairs { secrets, config } do
      for section in pairs(sections) do
        local profile = section:match "^profile%s+(.+)$" or (sections == secrets or section == "default") and section
        if profile and not known[profile] then names[#names + 1], known[profile] = profile, true end
      end
    end
    table.sort(names)
    refuse(("AWS_PROFILE: there is no profile '%s'%s"):format(name, suggest.hint(name, names)),
      #names > 0 and "profiles are: " .. table.concat(names, ", ") or "make it: aws configure --profile " .. name)
  end
  return secret or {}, configured or {}, name
end

-- ---- Where keys may be

-- Keys out of a table by the names that a source uses; nil where they are not all there.
local function keys_of(found, access, secret, token, ending)
  if type(found) ~= "table" or type(found[access]) ~= "string" or type(found[secret]) ~= "string" then return nil end
  local session = found[token]
  local ends = type(found[ending]) == "string" and clock.unix(found[ending]) or nil
  return {
    access_key = found[access], secret_key = found[secret], ends = ends,
    session_token = type(session) == "string" and session ~= "" and session or nil,
  }
end

local function from_environment()
  local access, secret = environment "AWS_ACCESS_KEY_ID", environment "AWS_SECRET_ACCESS_KEY"
  if access and not secret then
    refuse("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not", "set both, or neither")
  end
  return access and { access_key = access, secret_key = secret, session_token = environment "AWS_SESSION_TOKEN" }
end

-- The words of a command line: separated by blanks, quoted by ' or ".
local function words_of(line)
  local words, word, quote = {}, nil, nil
  for c in line:gmatch "." do
    if quote then
      if c == quote then quote = nil else word = word .. c end
    elseif c == "'" or c == '"' then
      quote, word = c, word or ""
    elseif c:match "%s" then
      words[#words + 1], word = word, nil
    else
      word = (word or "") .. c
    end
  end
  words[#words + 1] = word
  return words
end

local function from_process(line, profile)
  local command = words_of(line)
  command.timeout = math.max(60, loop.pace(60)) -- it may ask its user
  local result, message = process.run(command)
  local what = ("the credential_process of profile '%s'"):format(profile)
  if not result then errors.stage("check", errors.UNAVAILABLE, ("%s: %s"):format(what, message), "run it by hand") end
  local fine, answer = pcall(cjson.decode, result.stdout)
  local keys = result.code == 0 and fine and keys_of(answer, "AccessKeyId", "SecretAccessKey", "SessionToken",
    "Expiration")
  return keys or errors.stage("check", errors.UNAVAILABLE, what .. " gives no keys", "run it by hand")
end

-- Fields of a profile whose keys only AWS's own tool can fetch.
local FOREIGN = {
  role_arn = "assumes a role", web_identity_token_file = "assumes a role", sso_session = "signs in by SSO",
  sso_start_url = "signs in by SSO", login_session = "signs in by aws login",
}

local function from_profile()
  local secret, config, name = profile_sections()
  local export = ("run: eval $(aws configure export-credentials --profile %s --format env)"):format(name)
  for field, what in pairs(FOREIGN) do
    if secret[field] or config[field] then
      refuse(("the profile '%s' %s, which rtlua leaves to the aws command"):format(name, what), export)
    end
  end
  local function static(section)
    return keys_of(section, "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
  end
  local line = secret.credential_process or config.credential_process
  return static(secret) or line and from_process(line, name) or static(config)
end

-- A short answer from this machine's surroundings, or nil.
local function ask(url, method, headers)
  local client <close> = http.new()
  local response = loop.request(client, {
    url = url, method = method, headers = headers, connect_timeout = 1, timeout = 2, retry = { attempts = 1 },
  })
  return response and response.status == 200 and response.body or nil
end

local function decoded(text)
  local fine, value = pcall(cjson.decode, text or "")
  return fine and keys_of(value, "AccessKeyId", "SecretAccessKey", "Token", "Expiration") or nil
end

-- Only to where a container's keys can be, as the token goes there.
local function is_near(url)
  local host = url:match "^http://%[([%x:]+)%]" or url:match "^http://([^/:]+)"
  return url:match "^https://" or host == "localhost" or host == "::1" or host == "fd00:ec2::23"
    or (host or ""):match "^127%.%d+%.%d+%.%d+$" or host == "169.254.170.2" or host == "169.254.170.23"
end

local function from_container()
  local relative, full = environment "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    environment "AWS_CONTAINER_CREDENTIALS_FULL_URI"
  if not relative and not full then return nil end
  local url = relative and "http://169.254.170.2" .. relative or full
  if not is_near(url) then
    refuse("AWS_CONTAINER_CREDENTIALS_FULL_URI: is neither https nor this machine", "correct it")
  end
  local token, path = environment "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    environment "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
  if path then token = (files.read(path) or ""):gsub("%s+$", "") end
  return decoded(ask(url, "GET", token and { Authorization = token }))
end

local function from_instance()
  if (environment "AWS_EC2_METADATA_DISABLED" or ""):lower() == "true" then return nil end
  local base = (environment "AWS_EC2_METADATA_SERVICE_ENDPOINT" or "http://169.254.169.254"):gsub("/+$", "")
  local token = ask(base .. "/latest/api/token", "PUT", { ["X-aws-ec2-metadata-token-ttl-seconds"] = "300" })
  if not token then return nil end
  local headers = { ["X-aws-ec2-metadata-token"] = token }
  local path = base .. "/latest/meta-data/iam/security-credentials/"
  local role = (ask(path, "GET", headers) or ""):match "^[%w+=,.@_-]+"
  return role and decoded(ask(path .. role, "GET", headers))
end

-- ---- For the driver

local Credentials = { __name = "rtlua.drivers.ec2_credentials" }
Credentials.__index = Credentials

--- The keys that hold now. Raises stage "check", 64 where there are none.
function Credentials:get()
  local keys = self.keys
  if not keys or keys.ends and keys.ends - MARGIN < system.time() then
    keys = from_environment() or from_profile() or from_container() or from_instance()
    if not keys then
      refuse("there are no AWS credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure")
    end
    self.keys = keys
  end
  return keys
end

function ec2_credentials.new() return setmetatable({}, Credentials) end

--- The region that is set, or nil.
function ec2_credentials.region()
  local region = environment "AWS_REGION" or environment "AWS_DEFAULT_REGION"
  if region then return region end
  local secret, config = profile_sections()
  return config.region or secret.region
end

--- The addresses of EC2 and STS that are set in the place of AWS's own, each nil where there is none. `given` is an
--- address of EC2 that comes before those of the environment, and serves as STS's, too, unless the environment has one
--- that belongs to it.
function ec2_credentials.endpoints(given)
  local ec2, sts, all = environment "AWS_ENDPOINT_URL_EC2", environment "AWS_ENDPOINT_URL_STS",
    environment "AWS_ENDPOINT_URL"
  if given == query.PUBLIC then return nil, nil end
  if not (ec2 or all) and not given then
    local _, config = profile_sections()
    all = config.endpoint_url
  end
  if given and given ~= (ec2 or all) then return given, sts or given end
  return ec2 or all, sts or all
end

return ec2_credentials
