-- rtlua.machine.lease: a machine's entry in the journal, from before the provider is asked until it is gone.
--
--     local lease = lease.new { driver = "digitalocean", kind = "script", ttl = 7200, clock = …, account = …, … }
--     lease:note { state = "created", id = 17 }      -- on the disk when it returns
--     lease:spent()                                  -- gone: the entry becomes a record of what it cost
--
-- States: "intent" (the provider may have been asked), "created", "ready", "destroying". lease.X reads field X of the
-- entry. Everything that changes goes through note, which merges into what is on the disk: the script, its watcher and
-- other commands each write some of the fields. What a script sets with lease.X = … is never written.
--
-- Two locks say who cares for a machine, and the kernel frees them when their holders die: `owner` is its script's,
-- `watcher` its watcher's. They lie in the machine's folder with its keys, <state>/machines/NAME-RUN, which goes with
-- the entry. Whoever gets a lock reads the entry after it: one that is gone by then was finished by somebody else.
--
-- What always holds: there is an entry from before the first request that may cost something until the provider has
-- said that everything is gone. A create that may still turn up keeps it open, as an intent without an id, for 30
-- minutes. Times are unix seconds by the provider's clock; `offset` is what that is ahead of ours.
--
-- Failures raise rtlua.errors: 64 no such machine, 69 the entry is gone, 73 the journal cannot be written.

local budget = require "rtlua.machine.budget"
local core_journal = require "rtlua.core.journal"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local journal = require "rtlua.journal"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local suggest = require "rtlua.suggest"
local system = require "rtlua.system"

local lease = {}

local OPEN = 1800 -- seconds that a create which nobody saw answered may still turn up
local OPEN_UNBILLED = 20 -- of an engine or a host at hand, which answers at once
local HOUR = 3600
local LONGEST_LABEL = 63 - 11 -- of a host's name, with "-" and the run's ten characters behind it

local Lease = { __name = "rtlua.lease" }

-- What an entry may have: to set one of them without `note` would hide what is on the disk.
local FIELDS = {}
for name in ([[name run driver state endpoint account region size image id address private_address kind ttl created
  expires offset key group price_hour extras_hour minimum max_cost transport engine host port job forward trouble
  launched unanswered]]):gmatch "%S+" do
  FIELDS[name] = true
end

function Lease:__index(key)
  local method = Lease[key]
  if method ~= nil then return method end
  return rawget(self, "entry")[key]
end

function Lease:__newindex(key, value)
  if FIELDS[key] then error(("lease.%s: use lease:note, which writes it to the journal"):format(key), 2) end
  rawset(self, key, value)
end

-- ---- Where things are

--- The folder of all state, absolute.
function lease.state_folder()
  local folder = journal.folder():match "^(.*)/journal$"
  return folder:sub(1, 1) == "/" and folder or lfs.currentdir() .. "/" .. folder
end

local function open_journal()
  local opened, message, code = journal.open()
  return opened or errors.raise(code, message)
end

-- Beside the journal, so that what was spent in years does not slow down reading what is alive.
local function open_costs()
  local opened, message, code = journal.open(lease.state_folder() .. "/costs")
  return opened or errors.raise(code, message)
end

--- Where the folder of the machine's secrets is, or was.
function Lease:path() return ("%s/machines/%s"):format(lease.state_folder(), self.name) end

--- The folder of the machine's secrets (0700), made where it is missing. It goes with its entry.
function Lease:folder()
  local path = self:path()
  if not system.exists(path) then
    local made, message, code = files.mkdir(path)
    if not made then errors.raise(code, message) end
  end
  return path
end

-- ---- Locks

local Held = { __name = "rtlua.lease.lock" }
Held.__index = Held

function Held:close() self.handle:close() end

Held.__close = Held.close

-- An own handle each: one handle's lock does not exclude itself.
local function take(self, which, seconds)
  local handle, message, code = core_journal.open(self:folder() .. "/" .. which)
  if not handle then errors.raise(code, message) end
  local lock, why, number = handle:lock(seconds or 0)
  if not lock then
    handle:close()
    if number ~= errors.TRY_AGAIN then errors.raise(number, why) end
    return nil, why, number
  end
  return setmetatable({ handle = handle, lock = lock }, Held) -- the lock is freed when it is collected
end

local function is_held(self, which)
  if rawget(self, which) then return true end
  if not system.exists(("%s/%s/lock"):format(self:path(), which)) then return false end
  local held = take(self, which, 0)
  if held then held:close() end
  return not held
end

local function hold(self, which, seconds)
  if rawget(self, which) then return true end
  local held, message, code = take(self, which, seconds)
  if not held then return nil, message, code end
  rawset(self, which, held)
  return true
end

--- Takes the script's lock, waiting at most `seconds` (0): true, or nil, message, 75. It is held until the lease is
--- closed or released, or the process ends. lease.new has it from the beginning.
function Lease:own(seconds) return hold(self, "owner", seconds) end

--- Takes the watcher's.
function Lease:watch(seconds) return hold(self, "watcher", seconds) end

--- Is there a script, here or elsewhere? A watcher?
function Lease:owned() return is_held(self, "owner") end
function Lease:watched() return is_held(self, "watcher") end

--- Has neither a script nor a watcher.
function Lease:orphaned() return not self:owned() and not self:watched() end

--- Gives back the locks that this lease holds.
function Lease:release()
  for _, which in ipairs { "owner", "watcher" } do
    local held = rawget(self, which)
    if held then held:close() end
    rawset(self, which, nil)
  end
end

Lease.close = Lease.release
Lease.__close = Lease.release

-- ---- Entries

-- cjson reads every number as a float, which would spoil ids and times in texts.
local function whole(value)
  if type(value) == "table" then
    for key, element in pairs(value) do value[key] = whole(element) end
    return value
  end
  return type(value) == "number" and math.tointeger(value) or value -- which takes a text of digits as well
end

local function from_entry(entry) return setmetatable({ entry = whole(entry) }, Lease) end

local function check_label(label)
  if #label > LONGEST_LABEL or not label:match "^%w[%w.-]*$" or label:find "[.-]$" then
    errors.stage("check", errors.USAGE, ("'%s' cannot name a machine"):format(label),
      ("use at most %d letters, digits, '-' and '.'"):format(LONGEST_LABEL))
  end
end

--- A new machine's: its intent is on the disk, and this process its owner, when it returns. Fields: driver, account,
--- endpoint, kind ("script" or "time"), ttl (seconds), clock (the provider's time now); name ("rtlua"), region, size,
--- image, host, price_hour, extras_hour, minimum, max_cost, transport, engine as there are.
function lease.new(fields)
  local label = fields.name or "rtlua"
  check_label(label)
  local entry = {}
  for key, value in pairs(fields) do entry[key] = value end
  entry.clock = nil
  entry.run = files.random_name(10)
  entry.name = label .. "-" .. entry.run
  entry.state = "intent"
  entry.created = math.floor(fields.clock)
  entry.expires = math.ceil(fields.clock + fields.ttl)
  entry.offset = fields.clock - system.time()
  local self = from_entry(entry)
  assert(self:own())
  local entries <close> = open_journal()
  local written, message, code = entries:write(entry.name, entry)
  if not written then
    self:release()
    files.remove_tree(self:path())
    errors.stage("check", code, message)
  end
  return self
end

local function is_machine(entry) return entry.run ~= nil and entry.driver ~= nil end

--- All leases, sorted by name, and what is wrong in the journal: a list of { name, message }.
function lease.all()
  local entries <close> = open_journal()
  local found, problems, code = entries:entries()
  if not found then errors.raise(code, problems) end
  local list = {}
  for _, entry in pairs(found) do
    if is_machine(entry) then list[#list + 1] = from_entry(entry) end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list, problems
end

--- The name that its user gave, without the run.
function Lease:label() return self.name:sub(1, -#self.run - 2) end

--- The lease of a machine by NAME or NAME-RUN.
function lease.find(name)
  local all = lease.all()
  local found, names = {}, {}
  for _, one in ipairs(all) do
    if one.name == name then return one end
    if one:label() == name then found[#found + 1] = one end
    names[#names + 1] = one:label()
  end
  if #found == 1 then return found[1] end
  if #found > 1 then
    for i, one in ipairs(found) do found[i] = one.name end
    errors.stage("check", errors.USAGE, ("there are %d machines '%s'"):format(#found, name),
      "say which: " .. table.concat(found, ", "))
  end
  errors.stage("check", errors.USAGE, ("there is no machine '%s'%s"):format(name, suggest.hint(name, names)),
    "rtlua machine ls has their names")
end

local function gone(self)
  errors.raise(errors.UNAVAILABLE,
    ("the machine %s was finished by another rtlua: see rtlua machine ls and rtlua machine cost"):format(self.name))
end

local function merge(entry, fields)
  for key, value in pairs(fields or {}) do
    if value == false then entry[key] = nil else entry[key] = value end
  end
  return entry
end

--- Reads the entry again: true, or false when it is gone.
function Lease:refresh()
  local entries <close> = open_journal()
  local entry, message, code = entries:read(self.name)
  if entry then
    rawset(self, "entry", whole(merge(entry, self.unwritten)))
  elseif code ~= errors.NO_INPUT then
    errors.raise(code, message)
  end
  return entry ~= nil
end

--- Has nobody a use for it any more? It has expired, its script has ended, or the command that created it has before it
--- was ready. `owned`: its script lives.
function Lease:condemned(owned)
  return self:expired() or not owned and (self.kind == "script" or self.state ~= "ready")
end

local STAGES = { intent = "create", created = "create", ready = "run", destroying = "destroy" }

--- Merges fields into the entry, on the disk when it returns; false takes one out. Raises 69 where the entry is gone.
--- What the disk does not take this process knows all the same: it may be the id of what has to be destroyed.
function Lease:note(fields)
  local entries <close> = open_journal()
  local merged
  local done, message, code = entries:update(self.name, function(entry)
    merged = entry and merge(merge(entry, self.unwritten), fields)
    return merged
  end)
  if not done then
    local stage = STAGES[self.state]
    rawset(self, "unwritten", self.unwritten or {})
    for key, value in pairs(fields) do self.unwritten[key] = value end
    merge(self.entry, fields)
    errors.stage(stage, code, message)
  end
  if not merged then gone(self) end
  rawset(self, "unwritten", nil)
  rawset(self, "entry", whole(merged))
end

--- Only the credentials of the same account at the same endpoint may say that a machine is gone. `checked` is what
--- driver:check() returned. true, or false and why not.
function Lease:belongs(checked)
  if checked.endpoint ~= self.endpoint then
    return false, ("it is at %s, not at %s"):format(self.endpoint, checked.endpoint)
  elseif checked.account ~= self.account then
    return false, "it belongs to another account"
  end
  return true
end

-- ---- Time and marks

--- The provider's clock.
function Lease:now() return system.time() + (self.offset or 0) end

--- Is it past its end?
function Lease:expired(now) return (now or self:now()) >= self.expires end

--- What the machine bears from its first second on.
function Lease:marks() return { "rtlua", "rtlua:run-" .. self.run, ("rtlua:exp-%d"):format(self.expires) } end

--- Moves the end on, here; driver:extend does it there, and comes first.
function Lease:extend(expires)
  if expires < self.expires then
    errors.raise(errors.USAGE, ("%s: its end can only be moved on: destroy it instead"):format(self.name))
  end
  self:note { expires = math.ceil(expires), ttl = math.ceil(expires) - self.created }
end

--- The machine outlives its script from now on, and ends with its time.
function Lease:keep() self:note { kind = "time" } end

--- Does it cost anything?
function Lease:is_billed() return (self.price_hour or 0) > 0 end

--- Until when a create that was not seen answered may turn up (a time), or nil: all that was asked for is known.
function Lease:open_until()
  if self.driver == "local" then return nil end -- its script made it itself
  local since = self.state == "intent" and self.created or -math.huge
  since = math.max(since, self.unanswered or -math.huge)
  return since > -math.huge and since + loop.pace(self:is_billed() and OPEN or OPEN_UNBILLED) or nil
end

-- ---- The end

local function remove(self)
  local entries <close> = open_journal()
  local removed, message, code = entries:remove(self.name)
  if not removed and code ~= errors.NO_INPUT then errors.raise(code, message) end
  self:release()
  -- A watcher that starts just now may put something in; what stays after all is tidied later.
  for _ = 1, 3 do
    if files.remove_tree(self:path()) then return end
  end
end

--- Nothing was created, and nothing can turn up any more: removes the entry and the folder.
function Lease:forget() remove(self) end

--- Writes what one of its machines cost, { id, created } or a driver's record: a create that was asked twice may have
--- made two. The first end that was noted is the right one: who finishes it again, after a crash, comes later.
function Lease:charge(machine, ended, why)
  if not self:is_billed() then return end
  local costs <close> = open_costs()
  local name = ("%s-%s"):format(self.name, machine.id):gsub("[^%w.-]", "-"):sub(1, 200)
  local started = machine.created or self.created
  local written, message, code = costs:update(name, function(record)
    if record then return nil end
    return {
      name = self.name, run = self.run, driver = self.driver, account = self.account, region = self.region,
      size = self.size, id = machine.id, price_hour = self.price_hour, started = started, ended = math.ceil(ended),
      cost = budget.cost(self, ended - started), why = why,
    }
  end)
  if not written then errors.stage("destroy", code, message) end
end

--- The provider has said that everything is gone, at `ended` (now): writes what it cost and removes the entry and the
--- folder. Where a create may still turn up, the entry stays, as an intent without an id, for its watcher or a later
--- command to look at: returns false then, else true. `why` is for the record: "script", "watcher", "reap", ….
function Lease:spent(ended, why)
  ended = ended or self:now()
  if self.id then self:charge({ id = self.id, created = self.launched }, ended, why) end
  local open = self:open_until()
  if open and self:now() < open then
    self:note { state = "intent", id = false, address = false, private_address = false, job = false }
    return false
  end
  remove(self)
  return true
end

--- Removes folders whose entry is gone, which a crash between the two leaves.
function lease.tidy()
  local root = lease.state_folder() .. "/machines"
  if not system.exists(root) then return end
  local entries <close> = open_journal()
  for name in lfs.dir(root) do
    local path = root .. "/" .. name
    -- A young one may be one that is being made, right before its entry.
    local old = name:sub(1, 1) ~= "." and (lfs.attributes(path, "modification") or math.huge) < system.time() - HOUR
    if old and select(3, entries:read(name)) == errors.NO_INPUT then files.remove_tree(path) end
  end
end

--- What machines cost that are gone: records { name, run, driver, region, size, id, price_hour, started, ended, cost,
--- why }, the oldest first.
function lease.costs()
  local costs <close> = open_costs()
  local records, problems, code = costs:entries()
  if not records then errors.raise(code, problems) end
  local list = {}
  for _, record in pairs(records) do list[#list + 1] = whole(record) end
  table.sort(list, function(a, b)
    if a.started ~= b.started then return a.started < b.started end
    return a.name < b.name
  end)
  return list
end

return lease
