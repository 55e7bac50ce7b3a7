-- The double's process: an HTTP server that plays providers, and a second port by which specs look at it and break
-- it.
--
-- Each connection is a coroutine over one select; keep-alive, slow replies and effects that land later go on side by
-- side. What a request does is done in one go, by its provider: digitalocean.lua below /v2, ec2.lua below /ec2, both
-- with handle(cloud, request) -> { status, headers, body }, fault(cloud, request, what, seconds) -> the same or nil.
-- request: { method, path, query, raw_query, headers, body, call, kind, lag? }.
--
-- `cloud`, which they are given: registry, ledger, faults, base (its URL, without a slash at the end), now() (the
-- provider's clock), clock() (ours), seconds(n) (n at this pace), after(n, f) (f in n seconds at this pace), latencies,
-- limits, token, read_token, real, and access_key and secret_key for EC2.
--
-- Always holds: it ends when its standard input does (unless until_signal is set), and takes its machines with it.

local faults = require "spec.support.cloud.faults"
local json = require "spec.support.cloud.json"
local ledger = require "spec.support.cloud.ledger"
local registry = require "spec.support.cloud.registry"
local socket = require "socket"

local server = {}

local REASONS = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content", [400] = "Bad Request",
  [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [411] = "Length Required", [422] = "Unprocessable Entity", [429] = "Too Many Requests",
  [500] = "Internal Server Error", [503] = "Service Unavailable",
}
local LONGEST_HEAD, LONGEST_BODY, IDLE = 65536, 1 << 22, 0.5

local LATENCIES = { reply = 0.05, boot = 20, destroy = 2, power = 5, snapshot = 10 } -- seconds at pace 1
local REAL_BOOT = 2 -- seconds until it is said to run; the machine takes its own
local LIMITS = { requests = 5000, keys = 10, droplets = 10, instances = 32 } -- requests an hour, reads of keys a minute

-- ---- One loop

local Loop = {}
Loop.__index = Loop

local function new_loop() return setmetatable({ timers = {}, waiting = {}, running = true }, Loop) end

function Loop:after(seconds, f) table.insert(self.timers, { at = socket.gettime() + seconds, f = f }) end

-- A coroutine yields what it waits for: "read" or "write" on its socket, or seconds.
function Loop:resume(co, sock)
  self.waiting[co] = nil
  local ok, what = coroutine.resume(co, sock)
  if not ok then io.stderr:write("double: ", debug.traceback(co, tostring(what)), "\n") end
  if not ok or coroutine.status(co) == "dead" then
    sock:close()
  elseif type(what) == "number" then
    self:after(what, function() self:resume(co, sock) end)
  else
    self.waiting[co] = { sock = sock, what = what }
  end
end

function Loop:run_timers()
  local due, now = {}, socket.gettime()
  for i = #self.timers, 1, -1 do
    if self.timers[i].at <= now then table.insert(due, table.remove(self.timers, i)) end
  end
  table.sort(due, function(a, b) return a.at < b.at end)
  for _, timer in ipairs(due) do
    local ok, message = xpcall(timer.f, debug.traceback)
    if not ok then io.stderr:write("double: ", tostring(message), "\n") end
  end
end

-- listeners: socket -> function (connection), run in a coroutine; input: what ends the loop when it can be read, or
-- nil.
function Loop:run(listeners, input)
  while self.running do
    local reads, writes, of = { input }, {}, {}
    for listener in pairs(listeners) do reads[#reads + 1] = listener end
    for co, wait in pairs(self.waiting) do
      of[wait.sock] = co
      table.insert(wait.what == "read" and reads or writes, wait.sock)
    end
    local next_timer = IDLE
    for _, timer in ipairs(self.timers) do next_timer = math.min(next_timer, timer.at - socket.gettime()) end
    local readable, writable = socket.select(reads, writes, math.max(next_timer, 0))
    self:run_timers()
    for _, list in ipairs { readable, writable } do
      for _, sock in ipairs(list) do
        if sock == input then
          self.running = false
        elseif listeners[sock] then
          local connection = sock:accept()
          if connection then
            connection:settimeout(0)
            connection:setoption("tcp-nodelay", true)
            self:resume(coroutine.create(listeners[sock]), connection)
          end
        else
          self:resume(of[sock], sock)
        end
      end
    end
  end
end

-- ---- HTTP

-- Reads more of the connection; nil when it is over.
local function read_more(connection, buffer)
  local data, message, part = connection:receive(65536)
  data = data or part
  if data and data ~= "" then return buffer .. data end
  if message == "closed" then return nil end
  coroutine.yield "read"
  return buffer
end

local function write_all(connection, text)
  local from = 1
  while from <= #text do
    local last, message, part = connection:send(text, from)
    if not last and message ~= "timeout" then return false end
    from = (last or part) + 1
    if from <= #text then coroutine.yield "write" end
  end
  return true
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- Names and values of a query or a form.
function server.parse_query(text)
  local query = {}
  for pair in text:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    query[unescape(name)] = unescape(value)
  end
  return query
end

local function parse_head(head)
  local method, target = head:match "^(%u+) (%S+) HTTP/1%.[01]\r\n"
  if not method then return nil end
  local path, raw_query = target:match "^([^?]*)%??(.*)$"
  local headers = {}
  for name, value in head:gmatch "\n([^:\r\n]+):%s*([^\r\n]*)" do headers[name:lower()] = value end
  return { method = method, path = unescape(path), raw_path = path, raw_query = raw_query,
    query = server.parse_query(raw_query), headers = headers }
end

-- The next request of a connection and what follows it, or nil.
local function read_request(connection, buffer)
  local stop
  repeat
    stop = buffer:find("\r\n\r\n", 1, true)
    if not stop then buffer = #buffer < LONGEST_HEAD and read_more(connection, buffer) or nil end
  until stop or not buffer
  if not buffer then return nil end
  local request = parse_head(buffer:sub(1, stop + 1))
  if not request or request.headers["transfer-encoding"] then return nil end
  buffer = buffer:sub(stop + 4)
  if (request.headers.expect or ""):lower() == "100-continue" then
    write_all(connection, "HTTP/1.1 100 Continue\r\n\r\n")
  end
  local length = math.tointeger(tonumber(request.headers["content-length"] or 0))
  if not length or length > LONGEST_BODY then return nil end
  while #buffer < length do
    buffer = read_more(connection, buffer)
    if not buffer then return nil end
  end
  request.body = buffer:sub(1, length)
  return request, buffer:sub(length + 1)
end

local function reply_text(cloud, response)
  local lines = { ("HTTP/1.1 %d %s"):format(response.status, REASONS[response.status] or "Status") }
  local headers = { ["Content-Length"] = tostring(#(response.body or "")),
    Date = os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(cloud.now())) }
  if response.status == 204 then headers["Content-Length"] = nil end
  for name, value in pairs(response.headers or {}) do headers[name] = tostring(value) end
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (response.body or "")
end

-- ---- The API

local function provider_of(cloud, path)
  if path:find "^/v2/" or path == "/v2" then return cloud.providers.digitalocean, "digitalocean" end
  if path:find "^/ec2" then return cloud.providers.ec2, "ec2" end
  return nil, "none"
end

-- What the request does, at once. Returns the response.
local function act(cloud, provider, request)
  cloud.request = request
  local ok, response = xpcall(provider.handle, debug.traceback, cloud, request)
  cloud.request = nil
  if ok then return response end
  io.stderr:write("double: ", tostring(response), "\n")
  return { status = 500, headers = {}, body = "the double failed: see its standard error" }
end

local function refusal(cloud, provider, request, fault)
  local response = provider.fault and provider.fault(cloud, request, fault.what, fault.seconds)
  return response or { status = tonumber(fault.what) or 422, headers = {}, body = "" }
end

-- Carries a request out with its faults. Returns the response; whether the client sees it; what comes after that.
local function carry_out(cloud, provider, request)
  local list = cloud.faults:of_request(request)
  local kill = list.kill
  if kill and kill.when == "before" then
    cloud.faults:carry_out(kill, cloud, request)
    return { status = 0 }, false
  end
  for _, fault in ipairs(list) do
    if fault.what == "skew" then cloud.offset = fault.seconds end
    if fault.what == "lag" then request.lag = fault.seconds or 30 end
    if fault.what ~= "kill" then cloud.faults:carry_out(fault, cloud, request) end
    if tonumber(fault.what) or fault.what == "limit" then return refusal(cloud, provider, request, fault), true end
    if fault.what == "drop" then return { status = 0 }, false end
    if fault.what == "late-create" then
      cloud.after(fault.seconds or 30, function() act(cloud, provider, request) end)
      return { status = 0 }, false
    end
  end
  local response = act(cloud, provider, request)
  if list.slow then coroutine.yield(cloud.seconds(list.slow.seconds or 60)) end
  if kill and kill.when == "after" then cloud.faults:carry_out(kill, cloud, request) end
  local seen = not list["lost-reply"] and not (kill and kill.when == "after")
  return response, seen, kill and kill.when == "replied" and kill or nil
end

local function serve(cloud, connection)
  local buffer = ""
  while true do
    local request, rest = read_request(connection, buffer)
    if not request then return end
    buffer = rest
    local provider, name = provider_of(cloud, request.path)
    cloud.calls = cloud.calls + 1
    request.call = cloud.calls
    request.kind = provider and provider.kind and provider.kind(request) or request.method .. " " .. request.path
    cloud.ledger:add("request", { call = request.call, provider = name, method = request.method, path = request.path,
      query = request.raw_query, kind = request.kind })
    coroutine.yield(cloud.seconds(cloud.latencies.reply))
    local response, seen, kill = { status = 404, headers = {}, body = "nothing here\n" }, true, nil
    if provider then response, seen, kill = carry_out(cloud, provider, request) end
    cloud.ledger:add("reply", { call = request.call, status = response.status, lost = not seen or nil })
    if not seen or not write_all(connection, reply_text(cloud, response)) then return end
    if kill then cloud.faults:carry_out(kill, cloud, request) end
    if (request.headers.connection or ""):lower() == "close" then return end
  end
end

-- ---- Control: a line of JSON, { name, value }, is answered by a line of JSON, [ value ] or { error }.

local CONTROL = {}

function CONTROL.fault(cloud, fault)
  cloud.faults:add(fault)
  return true
end

function CONTROL.clear(cloud)
  cloud.faults:clear()
  return true
end

function CONTROL.alive(cloud) return cloud.registry:alive() end

-- latencies, limits: tables that are merged; skew, in seconds.
function CONTROL.set(cloud, values)
  for _, name in ipairs { "latencies", "limits" } do
    for key, value in pairs(values[name] or {}) do cloud[name][key] = value end
  end
  cloud.offset = values.skew or cloud.offset
  return true
end

-- Another owner's machine: { kind, name, tags, ... } as for registry:create.
function CONTROL.put(cloud, machine)
  for _, provider in pairs(cloud.providers) do
    if provider.put and provider.put(cloud, machine) then return machine.id end
  end
  return cloud.registry:create(machine).id
end

-- A machine's end, which its owner did not ask for: { id, state = "off" | "gone" }.
function CONTROL.fail(cloud, what)
  local id = math.tointeger(what.id) or what.id
  if what.state == "gone" then
    cloud.registry:destroy(id)
  else
    cloud.registry:power(id, "off", 0)
  end
  return true
end

local function control(cloud, connection)
  local buffer = ""
  while true do
    local line, rest = buffer:match "^([^\n]*)\n(.*)$"
    if line then
      buffer = rest
      local ok, answer = pcall(function()
        local question = json.decode(line)
        return assert(CONTROL[question.name], "control: no such name")(cloud, question.value)
      end)
      local text = ok and json.encode { answer } or json.encode { error = tostring(answer) }
      if not write_all(connection, text .. "\n") then return end
    else
      buffer = read_more(connection, buffer)
      if not buffer then return end
    end
  end
end

-- ---- The process

local function merged(defaults, given)
  local all = {}
  for key, value in pairs(defaults) do all[key] = (given or {})[key] or value end
  return all
end

local function new_cloud(options, loop)
  local pace = options.pace or 1
  local cloud = {
    calls = 0, offset = options.skew or 0, pace = pace, real = options.real, token = options.token,
    read_token = options.read_token, access_key = options.access_key, secret_key = options.secret_key,
    latencies = merged(LATENCIES, options.latencies), limits = merged(LIMITS, options.limits), providers = {},
    clock = socket.gettime,
  }
  if options.real then
    cloud.yard = require("spec.support.cloud.machines").open { images = options.images }
    cloud.latencies.boot = (options.latencies or {}).boot or REAL_BOOT
  end
  if options.latency then cloud.latencies.reply = options.latency end
  function cloud.now() return socket.gettime() + cloud.offset end
  function cloud.seconds(seconds) return seconds * pace end
  function cloud.after(seconds, f) loop:after(seconds * pace, f) end
  cloud.ledger = ledger.open(options.ledger, socket.gettime)
  cloud.faults = faults.new()
  cloud.registry = registry.new(cloud)
  for _, fault in ipairs(options.faults or {}) do cloud.faults:add(fault) end
  cloud.providers.digitalocean = require "spec.support.cloud.digitalocean"
  if package.searchpath("spec.support.cloud.ec2", package.path) then
    cloud.providers.ec2 = require "spec.support.cloud.ec2"
  end
  return cloud
end

local function listen(port)
  local listener = assert(socket.bind("127.0.0.1", port, 128))
  listener:settimeout(0)
  return listener, select(2, listener:getsockname())
end

--- Serves until standard input ends. options: init.lua's, with ledger (a path), token, read_token, port. ready(port,
--- control_port) is called once it listens.
function server.run(options, ready)
  local loop = new_loop()
  local cloud = new_cloud(options, loop)
  local api, port = listen(options.port or 0)
  local second, control_port = listen(0)
  cloud.base = ("http://127.0.0.1:%d"):format(port)
  ready(math.tointeger(tonumber(port)), math.tointeger(tonumber(control_port)))
  local input = not options.until_signal and { getfd = function() return 0 end, dirty = function() return false end }
    or nil
  local listeners = {
    [api] = function(connection) serve(cloud, connection) end,
    [second] = function(connection) control(cloud, connection) end,
  }
  local ok, message = xpcall(loop.run, debug.traceback, loop, listeners, input)
  cloud.registry:close()
  if not ok and not tostring(message):find "interrupted" then error(message, 0) end
end

return server
