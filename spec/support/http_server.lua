-- An HTTP server that misbehaves on request: `lua5.4 spec/support/http_server.lua [SOCKET]` listens on a free port of
-- 127.0.0.1 (or on a unix socket), prints the port, and serves each connection once in a coroutine of its own. It ends
-- at /quit, and by itself after a minute, so that a spec that fails leaves nothing behind.

local socket = require "socket"

local LIFE = 60 -- seconds
local counts = {} -- requests, by path

-- ---- A scheduler: coroutines that wait for a socket or for a time

local waiting = {} -- thread -> { socket, time }

local function receive(client, pattern)
  local got = ""
  while true do
    local data, reason, part = client:receive(pattern)
    if data then return got .. data end
    if reason ~= "timeout" then return nil end
    got = got .. part
    if type(pattern) == "number" then pattern = pattern - #part end
    coroutine.yield { socket = client }
  end
end

local function pause(seconds) coroutine.yield { time = socket.gettime() + seconds } end

local function send(client, data)
  local from = 1
  while from <= #data do
    local last, reason, partial = client:send(data, from)
    if not last and reason ~= "timeout" then return end
    from = (last or partial) + 1
    if not last then pause(0.002) end
  end
end

-- ---- What it does

local function reply(status, body, headers)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s"):format(
    status, #body, headers or "", body)
end

local actions = {
  echo = function(client, r)
    local lines = { r.line }
    for name, value in pairs(r.headers) do lines[#lines + 1] = name .. ": " .. value end
    local body = table.concat(lines, "\n") .. "\n\n" .. r.body
    send(client, reply("200 OK", body, "X-Mixed-CASE:  two words \r\nA: 1\r\nA: 2\r\n"))
  end,
  limited = function(client, _, n)
    send(client, n == 1 and reply("429 Too Many Requests", "slow down", "Retry-After: 1\r\n") or reply("200 OK", "ok"))
  end,
  -- By a clock that is years away from ours.
  dated = function(client, _, n)
    send(client, n == 1 and reply("503 Service Unavailable", "", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
      .. "Retry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n") or reply("200 OK", "ok"))
  end,
  later = function(client) send(client, reply("429 Too Many Requests", "", "Retry-After: 86400\r\n")) end,
  flaky = function(client, _, n)
    send(client, n < 3 and reply("503 Service Unavailable", "broken") or reply("200 OK", "ok"))
  end,
  down = function(client) send(client, reply("500 Internal Server Error", "no")) end,
  cut = function(client, _, n)
    local whole = reply("200 OK", ("x"):rep(1000))
    send(client, n == 1 and whole:sub(1, -500) or whole)
  end,
  always_cut = function(client) send(client, (reply("200 OK", ("x"):rep(1000)):sub(1, -500))) end,
  never = function() pause(20) end,
  slow = function(client)
    pause(0.3)
    send(client, reply("200 OK", "slow"))
  end,
  big = function(client) send(client, reply("200 OK", ("0123456789abcdef"):rep(4 << 16))) end,
  redirect = function(client) send(client, reply("302 Found", "", "Location: /echo\r\n")) end,
  file_url = function(client) send(client, reply("302 Found", "", "Location: file:///etc/hostname\r\n")) end,
  -- Keeps the connection, and closes it without a reply to the next request, which it counts.
  kept = function(client)
    send(client, (reply("200 OK", "kept"):gsub("close", "keep-alive")))
    local line = receive(client, "*l")
    local key = line and line:match "^%u+ /([%w_]*)"
    if key then counts[key] = (counts[key] or 0) + 1 end
  end,
  count = function(client, r) send(client, reply("200 OK", tostring(counts[r.query] or 0))) end,
}

local function serve(client)
  client:settimeout(0)
  local line = receive(client, "*l")
  local r = { line = line, headers = {}, body = "" }
  while line do
    local header = receive(client, "*l")
    if not header or header == "" then break end
    local name, value = header:match "^([^:]+):%s*(.*)$"
    r.headers[name:lower()] = value
  end
  local path, query = (line or ""):match "^%u+ /([%w_]*)%??(%S*)"
  r.query = query
  local length = tonumber(r.headers["content-length"]) or 0
  if length > 0 then r.body = receive(client, length) or "" end
  if path == "quit" then
    send(client, reply("200 OK", ""))
    os.exit(0, true)
  end
  local key = (path or "") .. (query and query ~= "" and "?" .. query or "")
  counts[key] = (counts[key] or 0) + 1
  local action = actions[path]
  if action then
    action(client, r, counts[key])
  elseif path then
    send(client, reply("404 Not Found", "no such page"))
  end
  client:close()
end

local listener
if arg[1] then
  listener = require "socket.unix"()
  assert(listener:bind(arg[1]))
  assert(listener:listen(16))
  print(0)
else
  listener = assert(socket.bind("127.0.0.1", 0, 64))
  print((select(2, listener:getsockname())))
end
io.stdout:flush()
listener:settimeout(0)

local function run(thread, ...)
  local ok, wants = coroutine.resume(thread, ...)
  if not ok then io.stderr:write(tostring(wants), "\n") end
  waiting[thread] = coroutine.status(thread) == "suspended" and wants or nil
end

local stop = socket.gettime() + LIFE
while socket.gettime() < stop do
  local sockets, timeout = { listener }, 1
  for _, wants in pairs(waiting) do
    if wants.socket then sockets[#sockets + 1] = wants.socket end
    if wants.time then timeout = math.max(0, math.min(timeout, wants.time - socket.gettime())) end
  end
  local ready = socket.select(sockets, nil, timeout)
  local threads = {}
  for thread, wants in pairs(waiting) do
    if wants.socket and ready[wants.socket] or wants.time and wants.time <= socket.gettime() then
      threads[#threads + 1] = thread
    end
  end
  for _, thread in ipairs(threads) do run(thread) end
  local client = ready[listener] and listener:accept()
  if client then run(coroutine.create(serve), client) end
end
