-- What the double's account owns, whatever the provider: machines, and things that they need (keys, groups, tags,
-- images). Each that comes or goes is in the ledger.
--
--     registry:create { kind = "droplet", id, name, region, size, tags, user_data, public_keys, ... } -> machine
--     registry:destroy(id)                     gone `destroy` seconds later; until then machine.destroying is true
--     registry:power(id, "off" | "running" | "restart", seconds)
--     registry:machine(id), registry:machines { kind = ?, lag = ? }    gone ones are not there
--     registry:put("key", id, object), registry:remove("key", id), registry:object("key", id), registry:objects("key")
--
-- A machine: { kind, id, name, state = "new" | "running" | "off" | "gone", address, private_address, created, busy,
-- and all else that it was created with }. busy: an event is pending until that time. With the double's yard of real
-- machines (machines.lua) it has a host that boots, stops and dies with it; without, addresses of TEST-NET-1, where
-- nobody answers.
--
-- Always holds: a machine that was created is destroyed, or alive, and the ledger tells which.

local registry = {}

local Registry = {}
Registry.__index = Registry

--- A registry for the double `cloud`.
function registry.new(cloud)
  return setmetatable({ cloud = cloud, list = {}, things = {}, last = 0, hosts = 0 }, Registry)
end

--- A number that no other thing here has.
function Registry:next_id()
  self.last = self.last + 1
  return 400000000 + self.last
end

function Registry:note(event, machine, fields)
  local line = { kind = machine.kind, id = machine.id, name = machine.name }
  for key, value in pairs(fields or {}) do line[key] = value end
  self.cloud.ledger:add(event, line)
end

local function set_state(self, machine, state)
  machine.state = state
  self:note("state", machine, { state = state })
end

local function boot_host(self, machine)
  local host = self.cloud.yard:boot {
    name = machine.name, kind = machine.kind, user_data = machine.user_data,
    meta_data = { ["instance-id"] = tostring(machine.id), ["local-hostname"] = machine.name,
      ["public-keys"] = machine.public_keys },
  }
  machine.host, machine.address = host, host.address
end

local function come_up(self, machine, traits)
  if machine.state ~= "new" or machine.destroying or traits["never-boots"] then return end
  set_state(self, machine, "running")
  local dies = traits.dies
  if not dies then return end
  self.cloud.after(dies.seconds or 5, function()
    if machine.state ~= "running" then return end
    if machine.host then machine.host:kill() end
    set_state(self, machine, "off")
  end)
end

--- Creates a machine, which is running `boot` seconds later.
function Registry:create(machine)
  local cloud = self.cloud
  machine.id = machine.id or self:next_id()
  machine.state, machine.created, machine.since = "new", cloud.now(), cloud.clock()
  local traits = cloud.faults:of_machine(cloud.request)
  for _, fault in ipairs(traits) do cloud.faults:carry_out(fault, cloud, cloud.request or {}) end
  self.hosts = self.hosts + 1
  machine.private_address = ("10.20.%d.%d"):format(self.hosts // 250, self.hosts % 250 + 2)
  machine.address = ("192.0.2.%d"):format((self.hosts - 1) % 254 + 1)
  machine.busy = cloud.clock() + cloud.seconds(cloud.latencies.boot)
  self.list[#self.list + 1] = machine
  self:note("created", machine, { tags = machine.tags })
  if cloud.yard and not traits["never-boots"] then boot_host(self, machine) end
  if traits["no-address"] then machine.address, machine.private_address = nil, nil end
  cloud.after(cloud.latencies.boot, function() come_up(self, machine, traits) end)
  return machine
end

--- The machine of this id, or nil.
function Registry:machine(id)
  for _, machine in ipairs(self.list) do
    if machine.id == id and machine.state ~= "gone" then return machine end
  end
  return nil
end

--- Those of a kind, in order; lag: as they were so many seconds ago.
function Registry:machines(filter)
  local found, time = {}, self.cloud.clock() - self.cloud.seconds(filter.lag or 0)
  for _, machine in ipairs(self.list) do
    local there = machine.since <= time and (not machine.until_time or machine.until_time > time)
    if there and (not filter.kind or machine.kind == filter.kind) then found[#found + 1] = machine end
  end
  return found
end

local function remove_host(machine)
  if machine.host then machine.host:destroy() end
  machine.host = nil
end

--- Destroys it; gone after the double's `destroy` seconds, when done() is called.
function Registry:destroy(id, done)
  local machine = assert(self:machine(id), "no such machine")
  if machine.destroying then return end
  machine.destroying = true
  machine.busy = math.huge
  self:note("state", machine, { state = "destroying" })
  self.cloud.after(self.cloud.latencies.destroy, function()
    remove_host(machine)
    machine.state, machine.until_time = "gone", self.cloud.clock()
    self:note("destroyed", machine)
    if done then done(machine) end
  end)
end

--- Turns it off, on, or off and on; so many seconds later, when done() is called.
function Registry:power(id, state, seconds, done)
  local machine = assert(self:machine(id), "no such machine")
  machine.busy = self.cloud.clock() + self.cloud.seconds(seconds)
  self.cloud.after(seconds, function()
    if machine.destroying then return end
    if machine.host then
      local verbs = { off = machine.host.stop, running = machine.host.start, restart = machine.host.restart }
      verbs[state](machine.host)
    end
    set_state(self, machine, state == "off" and "off" or "running")
    if done then done(machine) end
  end)
end

--- Adds a thing that is no machine.
function Registry:put(kind, id, object)
  self.things[kind] = self.things[kind] or {}
  object.id, object.kind = object.id or id, kind
  self:remove(kind, id)
  table.insert(self.things[kind], { id = id, object = object })
  self:note("created", { kind = kind, id = id, name = object.name })
  return object
end

--- Takes it away; true when it was there.
function Registry:remove(kind, id)
  for i, entry in ipairs(self.things[kind] or {}) do
    if entry.id == id then
      table.remove(self.things[kind], i)
      self:note("destroyed", { kind = kind, id = id, name = entry.object.name })
      return true
    end
  end
  return false
end

--- One thing by its id, or nil.
function Registry:object(kind, id)
  for _, entry in ipairs(self.things[kind] or {}) do
    if entry.id == id then return entry.object end
  end
  return nil
end

--- All things of a kind, in order.
function Registry:objects(kind)
  local list = {}
  for i, entry in ipairs(self.things[kind] or {}) do list[i] = entry.object end
  return list
end

--- What is alive, for specs: lists of { id, name, state, address, tags } by kind.
function Registry:alive()
  local function brief(thing)
    return { id = thing.id, name = thing.name, state = thing.state, address = thing.address, tags = thing.tags,
      region = thing.region_slug or (type(thing.region) == "string" and thing.region or nil),
      fingerprint = thing.fingerprint }
  end
  local alive = { droplets = {}, instances = {}, keys = {}, groups = {}, tags = {}, images = {} }
  for _, machine in ipairs(self:machines {}) do
    local list = alive[machine.kind .. "s"]
    list[#list + 1] = brief(machine)
  end
  for kind in pairs(self.things) do
    local list = alive[kind .. "s"] or {}
    alive[kind .. "s"] = list
    for _, object in ipairs(self:objects(kind)) do list[#list + 1] = brief(object) end
  end
  return alive
end

--- Takes the real hosts down.
function Registry:close()
  if self.cloud.yard then self.cloud.yard:close() end
end

return registry
