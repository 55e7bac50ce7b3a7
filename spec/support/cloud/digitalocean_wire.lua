-- How DigitalOcean's API says things: JSON replies, errors { id, message, request_id }, and pages with links to others.

local json = require "spec.support.cloud.json"

local wire = {}

local IDS = {
  [400] = "bad_request", [401] = "unauthorized", [403] = "forbidden", [404] = "not_found", [405] = "method_not_allowed",
  [422] = "unprocessable_entity", [429] = "too_many_requests", [500] = "server_error", [503] = "service_unavailable",
}
local MESSAGES = {
  [401] = "Unable to authenticate you", [403] = "You are not authorized to perform this operation",
  [404] = "The resource you requested could not be found.", [429] = "API Rate limit exceeded.",
  [422] = "Droplet already has a pending event.", [500] = "Server was unable to give you a response.",
}

-- ---- Replies

local function uuid()
  local bytes = {}
  for i = 1, 16 do bytes[i] = ("%02x"):format(math.random(0, 255)) end
  return (table.concat(bytes):gsub("^(%w+)(%w%w%w%w)(%w%w%w%w)(%w%w%w%w)(%w%w%w%w%w%w%w%w%w%w%w%w)$", "%1-%2-%3-%4-%5"))
end

--- A response with this status and JSON value, or none.
function wire.reply(status, value)
  return { status = status, headers = value and { ["Content-Type"] = "application/json; charset=utf-8" } or {},
    body = value and json.encode(value) or "" }
end

--- An error as the API says it.
function wire.failure(status, message)
  local request_id = uuid()
  local response = wire.reply(status, { id = IDS[status] or "error", request_id = request_id,
    message = message or MESSAGES[status] or "some error" })
  response.headers["x-request-id"] = request_id
  return response
end

--- Gives up what a handler does: wire.answer answers with this error.
function wire.refuse(status, message, headers)
  local response = wire.failure(status, message)
  for name, value in pairs(headers or {}) do response.headers[name] = value end
  error({ refusal = response }, 0)
end

--- f's response, or the one that it refused with.
function wire.answer(f)
  local ok, response = pcall(f)
  if ok then return response end
  if type(response) ~= "table" or not response.refusal then error(response, 0) end
  return response.refusal
end

--- A time as the API writes it.
function wire.iso(time) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(time)) end

-- ---- Pages

local function whole(text, default, most)
  local number = text == nil and default or math.tointeger(tonumber(text))
  if not number or number < 1 then wire.refuse(422, "page and per_page must be numbers from 1") end
  return math.min(number, most)
end

--- One page of a list, with links to the others.
function wire.paged(cloud, request, name, list)
  local size, page = whole(request.query.per_page, 20, 200), whole(request.query.page, 1, math.huge)
  local last, links = math.max((#list + size - 1) // size, 1), json.object {}
  local function link(number)
    local query = request.raw_query:gsub("&?per_page=[^&]*", ""):gsub("&?%f[%w_]page=[^&]*", ""):gsub("^&", "")
    return ("%s%s?page=%d&per_page=%d%s"):format(cloud.base, request.raw_path, number, size,
      query ~= "" and "&" .. query or "")
  end
  if last > 1 then
    links.pages = {}
    if page > 1 then links.pages.first, links.pages.prev = link(1), link(math.min(page - 1, last)) end
    if page < last then links.pages.next, links.pages.last = link(page + 1), link(last) end
  end
  return wire.reply(200, { [name] = table.move(list, (page - 1) * size + 1, math.min(page * size, #list), 1, {}),
    links = links, meta = { total = #list } })
end

return wire
