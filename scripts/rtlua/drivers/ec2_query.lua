-- rtlua.drivers.ec2_query: requests in AWS's query protocol, signed, and their answers in XML.
--
--     local api = query.new { credentials = credentials, endpoint = nil, sts = nil }
--     local reply = api:call("DescribeInstances", { InstanceId = { "i-1" } }, { region = "us-east-1" })
--     for _, reservation in ipairs(query.list(reply.reservationSet)) do … end
--
-- Parameters are tables: { Filter = { { Name = "tag-key", Value = { "rtlua" } } } } is sent as Filter.1.Name=tag-key
-- and Filter.1.Value.1=rtlua. An answer is a table by the elements' names, `item`s its list, text a string.
--
-- Every action that is used here may be repeated: RunInstances by its ClientToken, what is created by its name. So what
-- was lost, refused for its rate, or failed at AWS (5xx) is sent again, with growing waits. A signature holds for five
-- minutes by AWS's clock, which is known from the Date header of its answers: ours may be wrong.

local clock = require "rtlua.drivers.clock"
local errors = require "rtlua.errors"
local http = require "rtlua.http"
local loop = require "rtlua.loop"
local signature = require "rtlua.drivers.ec2_signature"
local system = require "rtlua.system"

local query = {}

local VERSIONS = { ec2 = "2016-11-15", sts = "2011-06-15" }
local ATTEMPTS = 5
local SKEW = 60 -- seconds; a clock that turns out to be further off may be why a signature is refused

--- The endpoint that stands for AWS's own ones in all regions.
query.PUBLIC = "https://ec2.amazonaws.com"

-- ---- What is sent

local function escape(text)
  return (text:gsub("[^%w_.~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function flatten(prefix, value, out)
  if type(value) ~= "table" then
    out[#out + 1] = escape(prefix) .. "=" .. escape(tostring(value))
    return
  end
  for key, element in pairs(value) do flatten(prefix == "" and key or ("%s.%s"):format(prefix, key), element, out) end
end

--- The body of a request.
function query.encode(parameters)
  local out = {}
  flatten("", parameters, out)
  table.sort(out)
  return table.concat(out, "&")
end

-- ---- What comes back

local ENTITIES = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" }

local function unescape(text)
  return (text:gsub("&(#?x?)(%w+);", function(kind, name)
    if kind == "" then return ENTITIES[name] end
    local code = tonumber(name, kind == "#x" and 16 or 10)
    return code and code < 0x110000 and utf8.char(code) or nil
  end))
end

-- A table by names for an element with elements in it, else its text.
local function value_of(element)
  if #element == 0 then return unescape(element.text) end
  local value = {}
  for _, child in ipairs(element) do
    if child.name == "item" or child.name == "member" then
      value[#value + 1] = child.value
    elseif value[child.name] == nil then
      value[child.name] = child.value
    end
  end
  return value
end

--- What the root element of an XML document holds, and its name; nil where the text is none.
function query.parse(text)
  local stack, root = { { text = "" } }, nil
  local at = 1
  for from, tag, to in text:gmatch "()<([^>]+)>()" do
    local top = stack[#stack]
    top.text = top.text .. text:sub(at, from - 1)
    at = to
    local name = tag:match "^/?([%w_:.-]+)"
    if tag:sub(1, 1) == "/" then
      if name ~= top.name then return nil end
      top.value = value_of(top)
      table.remove(stack)
      table.insert(stack[#stack], top)
      root = #stack == 1 and top or root
    elseif name then
      stack[#stack + 1] = { name = name, text = "" }
      if tag:sub(-1) == "/" then
        local empty = table.remove(stack)
        empty.value = ""
        table.insert(stack[#stack], empty)
        root = #stack == 1 and empty or root
      end
    end
  end
  if #stack ~= 1 or not root then return nil end
  return root.value, root.name
end

--- The items of an element that may be empty or missing.
function query.list(value) return type(value) == "table" and value or {} end

-- ---- What is wrong

local REFUSED = { errors.UNAVAILABLE, "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" }
local EXPIRED = { errors.UNAVAILABLE, "get fresh credentials, e.g. by: aws sso login" }
local NOT_ALLOWED = { errors.UNAVAILABLE }
local LIMIT = { errors.UNAVAILABLE, "take a smaller size, or ask AWS for more (Service Quotas, Amazon EC2)" }
local NO_NETWORK = { errors.UNAVAILABLE, "make the region's default VPC: aws ec2 create-default-vpc" }
local CROWDED = { errors.TRY_AGAIN, "try again later, or take another size or region" }
local BUSY = { errors.TRY_AGAIN, "try again in a minute" }
local WRONG = { errors.USAGE, "see rtlua machine sizes, regions and images with --driver ec2" }

-- AWS's codes: ours, and what to do.
local KNOWN = {
  AuthFailure = REFUSED, InvalidClientTokenId = REFUSED, SignatureDoesNotMatch = REFUSED, IncompleteSignature = REFUSED,
  UnrecognizedClientException = REFUSED, MissingAuthenticationToken = REFUSED, InvalidAccessKeyId = REFUSED,
  ExpiredToken = EXPIRED, ExpiredTokenException = EXPIRED,
  RequestExpired = { errors.UNAVAILABLE, "set this computer's clock" },
  UnauthorizedOperation = NOT_ALLOWED, AccessDenied = NOT_ALLOWED, AccessDeniedException = NOT_ALLOWED,
  OptInRequired = { errors.UNAVAILABLE, "finish signing up for EC2, or enable the region, in AWS's console" },
  PendingVerification = { errors.UNAVAILABLE, "wait until AWS has verified the account" },
  Blocked = { errors.UNAVAILABLE, "ask AWS's support why the account is blocked" },
  InsufficientInstanceCapacity = CROWDED, InsufficientHostCapacity = CROWDED, InsufficientCapacity = CROWDED,
  InstanceLimitExceeded = LIMIT, VcpuLimitExceeded = LIMIT, MaxIOPSLimitExceeded = LIMIT, VolumeLimitExceeded = LIMIT,
  SecurityGroupLimitExceeded = { errors.UNAVAILABLE, "delete groups that nobody uses: rtlua machine reap" },
  VPCIdNotSpecified = NO_NETWORK, MissingDefaultVpc = NO_NETWORK, DefaultVpcDoesNotExist = NO_NETWORK,
  Unsupported = WRONG, UnsupportedOperation = WRONG, InvalidInstanceType = WRONG, ["InvalidAMIID.NotFound"] = WRONG,
  ["InvalidAMIID.Malformed"] = WRONG, ["InvalidAMIID.Unavailable"] = WRONG,
  IncorrectInstanceState = { errors.TRY_AGAIN, "see rtlua machine status, and try again in a minute" },
  OperationNotPermitted = { errors.UNAVAILABLE, "see whether somebody switched on its termination protection" },
  RequestLimitExceeded = BUSY, Throttling = BUSY, ThrottlingException = BUSY, RequestThrottled = BUSY,
  InternalError = BUSY, InternalFailure = BUSY, Unavailable = BUSY, ServiceUnavailable = BUSY,
}

-- Those that say: not done, later.
local LATER = { RequestLimitExceeded = true, Throttling = true, ThrottlingException = true, RequestThrottled = true }

-- Those by which a wrong clock shows.
local BY_CLOCK = { RequestExpired = true, AuthFailure = true, SignatureDoesNotMatch = true }

-- The code and the message of an answer that is no success.
local function fault_of(response)
  local value = query.parse(response.body)
  if type(value) ~= "table" then return "HTTP " .. response.status, "the answer is not AWS's" end
  local inner = value.Error or type(value.Errors) == "table" and value.Errors.Error
  if type(inner) ~= "table" then return "HTTP " .. response.status, "the answer has no error code" end
  -- Behind it comes what only `aws sts decode-authorization-message` reads.
  local message = tostring(inner.Message):gsub("%s*Encoded authorization failure message:.*$", "")
  local request = value.RequestID or value.RequestId
  if type(request) == "string" and request ~= "" then message = ("%s [request %s]"):format(message, request) end
  return inner.Code, message
end

local function remedy_of(code, action, status)
  local known = KNOWN[code]
  if known == NOT_ALLOWED then
    return errors.UNAVAILABLE, ("let its IAM user or role do %s"):format(action)
  elseif known then
    return known[1], known[2]
  elseif status >= 500 then
    return BUSY[1], BUSY[2]
  end
  return errors.UNAVAILABLE, "look the code up among EC2's error codes"
end

-- ---- Asking

local Api = { __name = "rtlua.drivers.ec2_query" }
Api.__index = Api

local function url_of(self, service, region)
  local endpoint = self.endpoint
  if service == "sts" then endpoint = self.sts end
  if endpoint and endpoint ~= query.PUBLIC then return endpoint end
  local suffix = region:match "^cn%-" and ".cn" or ""
  return ("https://%s.%s.amazonaws.com%s/"):format(service, region, suffix)
end

--- AWS's clock, unix seconds, as far as it is known.
function Api:now() return system.time() + self.offset end

local function send(self, service, body, options)
  local region = options.region
  local request = {
    url = url_of(self, service, region), method = "POST", body = body,
    headers = { ["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8" },
  }
  local response, message, code = loop.request(self.client, {
    url = request.url, method = request.method, body = body,
    headers = signature.sign(request, self.credentials:get(), region, service, self:now()),
    connect_timeout = math.max(5, loop.pace(10)), timeout = math.max(10, loop.pace(60)), max_body = 64 << 20,
    retry = { attempts = ATTEMPTS, base = loop.pace(0.5), cap = loop.pace(20), max_wait = 45, always = true },
  })
  if not response then
    if code > 128 then errors.raise(code, message) end
    local e = errors.staged(options.stage or "check", options.launches and errors.TRY_AGAIN or code, message,
      "check the network, and AWS_ENDPOINT_URL if it is set")
    e.unanswered = options.launches
    error(e, 0)
  end
  local date, before = clock.unix(response.headers.date), self.offset
  if date then self.offset = date - system.time() end
  return response, math.abs(self.offset - before) > SKEW
end

--- Asks for an action. Options: region (required); service ("ec2"); stage ("check"); except = { [AWS's code] = true },
--- codes that are returned as nil, code, message and not raised; launches = true: an error that leaves open whether the
--- action was done has the code 75 and unanswered = true. An error that AWS named has its code as `aws`.
function Api:call(action, parameters, options)
  local service, stage = options.service or "ec2", options.stage or "check"
  local sent = { Action = action, Version = VERSIONS[service] }
  for key, value in pairs(parameters) do sent[key] = value end
  local body = query.encode(sent)
  local response, code, message
  for attempt = 1, ATTEMPTS do
    local moved
    response, moved = send(self, service, body, options)
    if response.status < 300 then
      local value = query.parse(response.body)
      if value then return value end
      errors.stage(stage, errors.UNAVAILABLE, ("%s: the answer is no XML"):format(action),
        "check AWS_ENDPOINT_URL, and whether a proxy is in between")
    end
    code, message = fault_of(response)
    if options.except and options.except[code] then return nil, code, message end
    if not (BY_CLOCK[code] and moved) then
      -- 429 and 5xx were repeated already.
      if not LATER[code] or response.status >= 429 then break end
      if attempt < ATTEMPTS then loop.sleep(loop.pace(0.5 * 2 ^ attempt * (0.5 + math.random() / 2))) end
    end
  end
  local number, remedy = remedy_of(code, service .. ":" .. action, response.status)
  local e = errors.staged(stage, number, ("%s: %s (%s)"):format(action, message, code), remedy)
  e.aws = code
  -- What AWS itself failed in may have been done nevertheless.
  if options.launches and response.status >= 500 and (KNOWN[code] or BUSY) == BUSY and not LATER[code] then
    e.code, e.unanswered = errors.TRY_AGAIN, true
  end
  error(e, 0)
end

--- All pages of a Describe action: the items of element `set`.
function Api:pages(action, parameters, set, options)
  local asked, items = {}, {}
  for key, value in pairs(parameters) do asked[key] = value end
  local reply, code, message
  repeat
    reply, code, message = self:call(action, asked, options)
    if not reply then return nil, code, message end
    table.move(query.list(reply[set]), 1, #query.list(reply[set]), #items + 1, items)
    asked.NextToken = reply.nextToken ~= "" and reply.nextToken or nil
  until not asked.NextToken
  return items
end

--- Fields: credentials (ec2_credentials), endpoint and sts: addresses in the place of AWS's own.
function query.new(fields)
  return setmetatable({
    credentials = fields.credentials, endpoint = fields.endpoint, sts = fields.sts, client = http.new(), offset = 0,
  }, Api)
end

function Api:close() self.client:close() end

Api.__close = Api.close

return query
