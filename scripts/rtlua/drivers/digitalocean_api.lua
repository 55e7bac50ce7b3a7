-- rtlua.drivers.digitalocean_api: requests of DigitalOcean's API v2: pages, errors, rate limits.
--
--     local api = digitalocean_api.new { endpoint = url }
--     local body = api:call("GET", "/account", { stage = "check", scope = "account:read" })
--     local body, kind = api:call("DELETE", "/droplets/17", { …, except = { [404] = true } })   --> nil, 404, message
--     local list = api:pages("/droplets", "droplets", { query = { tag_name = "rtlua" }, … })
--
-- Options: query; body (a table, sent as JSON); stage ("check") and scope, for messages; except, statuses that are
-- returned as nil, status, message; again = true for a POST that may be done twice.
--
-- What always holds: the token goes to the endpoint alone and into no message. Repeated are 429 (after the time that
-- the server names, for nothing was done), and failures and 5xx of all but a POST that would create something twice:
-- its error has unanswered = true when the server may have done it. `pending` is set where a droplet was busy (422). A
-- 404 counts as "is not there" only when it is the API's own answer.

local cjson = require "cjson"
local clock = require "rtlua.drivers.clock"
local errors = require "rtlua.errors"
local http = require "rtlua.http"
local json = require "rtlua.json"
local loop = require "rtlua.loop"
local system = require "rtlua.system"
local token = require "rtlua.drivers.digitalocean_token"

local digitalocean_api = {}

local ATTEMPTS = 5
local LONGEST_WAIT = 120 -- seconds that the server may ask us to wait, real ones
local PER_PAGE = 200
local MOST_PAGES = 1000

local Api = { __name = "rtlua.drivers.digitalocean_api" }
Api.__index = Api

-- ---- One request

-- Whatever a server writes: one line without control characters, and without the token, should it be echoed.
local function clean(self, text)
  text = tostring(text):gsub("%c+", " ")
  local secret = self.token:gsub("%p", "%%%0")
  return (text:gsub(secret, "…")):sub(1, 500)
end

-- JSON's null as nil, whole numbers as integers.
local function plain(value)
  if value == cjson.null then return nil end
  if type(value) == "number" then return math.tointeger(value) or value end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, element in pairs(value) do copy[key] = plain(element) end
  return copy
end

local function decode(text)
  local fine, value = pcall(cjson.decode, text)
  return fine and type(value) == "table" and plain(value) or nil
end

-- Seconds that a 429 asks for, or nil.
local function asked_wait(self, headers)
  local after = headers["retry-after"]
  local seconds = tonumber(after) or (clock.unix(after) and clock.unix(after) - self:now())
  if not seconds and tonumber(headers["ratelimit-remaining"] or 0) == 0 then
    local reset = tonumber(headers["ratelimit-reset"])
    seconds = reset and reset - self:now()
  end
  return seconds and math.max(seconds, 0)
end

local function backoff(attempt) return loop.pace(0.5 * 2 ^ attempt * (0.5 + math.random() / 2)) end

local function may_repeat(method, options) return method ~= "POST" or options.again == true end

-- One attempt: the response, or nil, message, code.
local function send(self, method, url, options)
  -- On a connection that was used before, libcurl sends a request again by itself when no answer comes.
  local fresh <close> = not may_repeat(method, options) and http.new() or nil
  local headers = { Authorization = "Bearer " .. self.token, Accept = "application/json" }
  local body = options.body and json.encode(options.body)
  if body then headers["Content-Type"] = "application/json" end
  local response, message, code = loop.request(fresh or self.client, {
    url = url, method = method, query = options.query, headers = headers, body = body,
    connect_timeout = math.max(5, loop.pace(10)), timeout = math.max(10, loop.pace(60)), retry = { attempts = 1 },
  })
  if not response then
    if code > 128 then errors.raise(code, message) end
    return nil, message, code
  end
  local date = clock.unix(response.headers.date)
  if date then self.offset = date - system.time() end
  return response
end

-- ---- What is wrong, and what to do

local function remedy_of(status, message, options)
  if status == 401 then
    return "make a new token at cloud.digitalocean.com/account/api/tokens and set DIGITALOCEAN_ACCESS_TOKEN"
  elseif message:lower():find "limit" and (status == 403 or status == 422) then
    return "destroy droplets that you do not need (rtlua machine ls), or ask DigitalOcean to raise the limit"
  elseif status == 403 then
    return ("give the token the scope %s"):format(options.scope or "that this needs")
  elseif status == 404 then
    return "look whether it is there (rtlua machine ls), and check DIGITALOCEAN_API_URL if it is set"
  elseif status == 422 then
    return "change what it names"
  elseif status == 429 then
    return "try again later, or with fewer machines at a time"
  elseif status >= 500 then
    return "try again; status.digitalocean.com says what does not work"
  end
  return "check DIGITALOCEAN_API_URL, and whether a proxy is in between"
end

local function failure(self, method, path, options, response)
  local said = decode(response.body) or {}
  local status = response.status
  local message = clean(self, type(said.message) == "string" and said.message or "no message")
  local id, request = said.id, said.request_id or response.headers["x-request-id"]
  local details = { tostring(status) }
  if type(id) == "string" then details[2] = clean(self, id) end
  local text = ("%s /v2%s: %s (%s%s)"):format(method, path, message, table.concat(details, " "),
    request and ", request " .. clean(self, request) or "")
  local code = (status == 429 or status >= 500) and errors.TRY_AGAIN or errors.UNAVAILABLE
  local e = errors.staged(options.stage or "check", code, text, remedy_of(status, message, options))
  e.status = status
  e.missing = status == 404 and id == "not_found" or nil
  local busy = message:lower()
  e.pending = status == 422 and (busy:find "pending" or busy:find "locked" or busy:find "in progress") ~= nil or nil
  return e
end

-- How long to wait before this is asked again, or nil: it is not.
local function wait_before(self, method, options, attempt, response)
  if attempt >= ATTEMPTS then return nil end
  local status = response and response.status
  if status == 429 then
    local seconds = asked_wait(self, response.headers) or 0
    return seconds <= LONGEST_WAIT and math.max(seconds, backoff(attempt)) or nil
  end
  local passing = not status or status == 408 or status >= 500
  return passing and may_repeat(method, options) and backoff(attempt) or nil
end

-- Sends until there is an answer that counts: the response, or raises.
local function exchange(self, method, path, url, options)
  self.token = self.token or token.find()
  local attempt = 1
  while true do
    local response, message, code = send(self, method, url, options)
    if response and response.status < 400 and response.status ~= 408 then return response end
    local seconds = wait_before(self, method, options, attempt, response)
    if not seconds then
      local e
      if response then
        e = failure(self, method, path, options, response)
      else
        e = errors.staged(options.stage or "check", code, ("%s /v2%s: %s"):format(method, path, clean(self, message)),
          "check the network, and DIGITALOCEAN_API_URL if it is set")
      end
      -- 69: there was no connection to send it over.
      local open = response and (response.status >= 500 or response.status == 408) or code == errors.TRY_AGAIN
      if open and not may_repeat(method, options) then e.code, e.unanswered = errors.TRY_AGAIN, true end
      return nil, e
    end
    loop.sleep(seconds)
    attempt = attempt + 1
  end
end

local function fetch(self, method, path, url, options)
  local response, problem = exchange(self, method, path, url, options)
  if problem then
    local excepted = options.except and options.except[problem.status]
    -- A 404 of a proxy or of a wrong address says nothing about what we asked for.
    if excepted and (problem.status ~= 404 or problem.missing) then return nil, problem.status, problem.reason end
    error(problem, 0)
  end
  if response.status == 204 then return {} end
  local body = response.status < 300 and decode(response.body)
  if not body then
    local e = errors.staged(options.stage or "check", errors.UNAVAILABLE,
      ("%s /v2%s: the answer (%d) is not the API's"):format(method, path, response.status),
      "check DIGITALOCEAN_API_URL, and whether a proxy is in between")
    if response.status < 300 and not may_repeat(method, options) then
      e.code, e.unanswered = errors.TRY_AGAIN, true
    end
    error(e, 0)
  end
  return body
end

--- Asks; see above. The body of the answer (an empty table for 204), or raises.
function Api:call(method, path, options)
  return fetch(self, method, path, self.endpoint .. "/v2" .. path, options or {})
end

-- ---- Pages

-- The address of the next page. The token must not follow a link to elsewhere.
local function next_page(self, body, path, stage)
  local pages = type(body.links) == "table" and body.links.pages
  local link = type(pages) == "table" and pages.next
  if not link then return nil end
  local scheme, authority = token.parts(link)
  local own_scheme, own_authority = token.parts(self.endpoint)
  if scheme ~= own_scheme or authority ~= own_authority then
    errors.stage(stage, errors.UNAVAILABLE, ("GET /v2%s: the next page is said to be at another address"):format(path),
      "set DIGITALOCEAN_API_URL to the address that the API calls its own")
  end
  return link
end

--- All pages of a list: the elements of field `name`.
function Api:pages(path, name, options)
  local first = { per_page = self.per_page }
  for key, value in pairs(options.query or {}) do first[key] = value end
  local url, query = self.endpoint .. "/v2" .. path, first
  local items, seen = {}, {}
  for _ = 1, MOST_PAGES do
    seen[url] = true
    local body = fetch(self, "GET", path, url, {
      query = query, stage = options.stage, scope = options.scope,
    })
    if type(body[name]) ~= "table" then break end
    table.move(body[name], 1, #body[name], #items + 1, items)
    url, query = next_page(self, body, path, options.stage or "check"), nil
    if not url then return items end
    if seen[url] then break end
  end
  -- Half of a list must not look like all of it: what is missing would count as gone.
  errors.stage(options.stage or "check", errors.UNAVAILABLE, ("GET /v2%s: its pages do not end"):format(path),
    "check DIGITALOCEAN_API_URL, and whether a proxy is in between")
end

-- ---- Waiting

--- Asks f() until it returns something, at most `seconds`; a droplet that is busy (422, pending event) and nothing else
--- is asked again. Raises what it raised last.
function Api.patiently(seconds, interval, f)
  local last
  local result = loop.until_true(loop.pace(seconds), loop.pace(interval), function()
    local answered = table.pack(pcall(f))
    if answered[1] then return answered end
    last = answered[2]
    if type(last) ~= "table" or not last.pending then error(last, 0) end
    return nil
  end)
  if not result then error(last, 0) end
  return table.unpack(result, 2, result.n)
end

--- The provider's clock, as its last answer told it.
function Api:now() return system.time() + self.offset end

function Api:close() self.client:close() end

Api.__close = Api.close

--- Fields: endpoint, nil for the environment's. The token is looked for at the first request.
function digitalocean_api.new(fields)
  return setmetatable({
    endpoint = token.endpoint(fields.endpoint), client = http.new(), offset = 0, per_page = PER_PAGE,
  }, Api)
end

return digitalocean_api
