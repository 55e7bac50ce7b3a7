-- What the double saw and did, in order: a file of JSON lines that is only ever added to. rtlua is never told of it.
--
-- Events: { n, time, event, ... }, n counting from 1, time in seconds of the real clock.
--     request    call (counts the API's requests from 1), provider, method, path, query, kind ("DELETE /v2/droplets/ID"
--                or EC2's action): it came in
--     reply      call, status; lost = true when the client was not to see it
--     created, destroyed     kind ("droplet", "instance", "key", "group", "tag", "image"), id, name
--     state      kind, id, state: of a machine
--     fault      call, what, when: it is carried out; alive is the number of machines then
--     killed     call, pids: by the fault before it; an empty list where there was nobody
--
-- Always holds: a line is on the file before the reply that it tells of is sent.

local json = require "spec.support.cloud.json"

local ledger = {}

local Ledger = {}
Ledger.__index = Ledger

--- Opens the file at `path`, for the double; now() gives the time.
function ledger.open(path, now)
  local file = assert(io.open(path, "a"))
  file:setvbuf("full", 1 << 16) -- a line goes out as one: who reads meanwhile sees no half
  return setmetatable({ file = file, now = now, n = 0 }, Ledger)
end

--- Adds an event.
function Ledger:add(event, fields)
  self.n = self.n + 1
  local line = { n = self.n, time = self.now(), event = event }
  for key, value in pairs(fields) do line[key] = value end
  self.file:write(json.encode(json.object(line)), "\n")
  self.file:flush()
end

--- All events of the file at `path`.
function ledger.read(path)
  local events = {}
  for line in io.lines(path) do
    local event = json.decode(line)
    for _, name in ipairs { "n", "call", "status", "alive" } do event[name] = math.tointeger(event[name]) end
    events[#events + 1] = event
  end
  return events
end

--- Is this kind a machine's?
function ledger.is_machine(kind) return kind == "droplet" or kind == "instance" end

--- The most machines that were alive at one time.
function ledger.most_alive(events)
  local alive, most = 0, 0
  for _, event in ipairs(events) do
    if ledger.is_machine(event.kind) then
      if event.event == "created" then alive = alive + 1 end
      if event.event == "destroyed" then alive = alive - 1 end
      most = math.max(most, alive)
    end
  end
  return most
end

--- The API's calls, in order: { call, method, path, kind, query, status }, from which a fault matrix can be made.
function ledger.calls(events)
  local calls = {}
  for _, event in ipairs(events) do
    if event.event == "request" then calls[event.call] = event end
    if event.event == "reply" then calls[event.call].status = event.status end
  end
  return calls
end

return ledger
