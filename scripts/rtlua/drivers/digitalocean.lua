-- rtlua.drivers.digitalocean: droplets of DigitalOcean, by its API v2.
--
-- A droplet bears its run from its first second: its name ends with it, and its tags are the lease's marks. What
-- outlives droplets, tags and keys, is digitalocean_marks.lua's.
--
-- Always holds: what is destroyed was read right before and bears the run; what counts as gone is so by the API's own
-- 404 for an id, in the account that made it, and by lists that show nothing. Lists and reads may lag: an id that is
-- seconds old and unknown is asked for again.

local catalog = require "rtlua.drivers.digitalocean_catalog"
local clock = require "rtlua.drivers.clock"
local digitalocean_api = require "rtlua.drivers.digitalocean_api"
local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local marks = require "rtlua.drivers.digitalocean_marks"

local digitalocean = {}

-- Seconds, scaled by RTLUA_PACE.
local POLL = 2
local CREATE = 300 -- until a create action is over
local ACTION = 180
local SNAPSHOT = 1800
local SHUTDOWN = 60 -- until a guest that does not shut down is powered off
local BUSY = 180 -- while an event is pending
local GONE = 300
local SETTLE = 20 -- in which reads and lists catch up
local FRESH = 120 -- age up to which reads may not know a droplet yet
local YOUNG = 600 -- age up to which a twin of the droplet may be hidden by a list that lags

local STATES = { new = "new", active = "running", off = "off", archive = "off" }
local NOT_FOUND = { [404] = true }

local Driver = { __name = "rtlua.drivers.digitalocean" }
Driver.__index = Driver

-- ---- Asking

--- { account, endpoint, now, login }. The account is the team's, whose droplets any of its tokens sees.
function Driver:check()
  local account = self.api:call("GET", "/account", { stage = "check", scope = "account:read" }).account or {}
  local id = type(account.team) == "table" and account.team.uuid or account.uuid
  if not id then
    errors.stage("check", errors.UNAVAILABLE, "GET /v2/account: the answer names no account",
      "check DIGITALOCEAN_API_URL, and whether a proxy is in between")
  elseif account.status == "locked" then
    errors.stage("check", errors.UNAVAILABLE, "the account is locked", "ask DigitalOcean's support why")
  end
  self.account = id
  return { account = id, endpoint = self.api.endpoint, now = self.api:now(), login = "root" }
end

function Driver:sizes(region) return catalog.sizes(self.api, region) end
function Driver:regions() return catalog.regions(self.api) end
function Driver:images() return catalog.images(self.api) end

--- See the contract of drivers: raises 64 for what there is not. want.region defaults to the driver's.
function Driver:validate(want)
  return catalog.validate(self.api, {
    size = want.size, region = want.region or self.region, image = want.image, name = want.name,
  })
end

-- Entries of another account, or of another endpoint, are no business of this one.
local function check_account(self, of, stage)
  if of.endpoint and of.endpoint ~= self.api.endpoint then
    errors.stage(stage, errors.UNAVAILABLE, ("%s is at %s, not at %s"):format(of.name, of.endpoint, self.api.endpoint),
      "set DIGITALOCEAN_API_URL to where it was made")
  elseif of.account then
    if not self.account then self:check() end
    if self.account ~= of.account then
      errors.stage(stage, errors.UNAVAILABLE, of.name .. " belongs to another account",
        "use the token that it was made with")
    end
  end
end

-- ---- Records

local function to_record(droplet)
  local record = {
    id = droplet.id, name = droplet.name, state = STATES[droplet.status] or "new", driver = "digitalocean",
    size = droplet.size_slug, region = type(droplet.region) == "table" and droplet.region.slug or nil,
    created = clock.unix(droplet.created_at), marks = {},
  }
  if type(droplet.image) == "table" then record.image = droplet.image.slug or tostring(droplet.image.id) end
  if type(droplet.size) == "table" then record.price_hour = droplet.size.price_hourly end
  for _, network in ipairs(type(droplet.networks) == "table" and droplet.networks.v4 or {}) do
    if network.type == "public" then record.address = network.ip_address end
    if network.type == "private" then record.private_address = network.ip_address end
  end
  for _, tag in ipairs(droplet.tags or {}) do
    if tag == "rtlua" or tag:match "^rtlua:" then table.insert(record.marks, tag) end
    record.run = record.run or marks.run(tag)
    local expires = marks.expiry(tag)
    if expires then record.expires = math.max(expires, record.expires or 0) end
  end
  table.sort(record.marks)
  if record.state == "off" then record.note = "powered off, and billed all the same until it is destroyed" end
  return record
end

local function listed(self, query, stage)
  local records = {}
  for _, droplet in ipairs(self.api:pages("/droplets", "droplets", { query = query, stage = stage,
    scope = "droplet:read and tag:read" })) do
    records[#records + 1] = to_record(droplet)
  end
  return records
end

-- Lists that are asked page by page may show a droplet twice.
local function merge(...)
  local all, seen = {}, {}
  for _, records in ipairs { ... } do
    for _, record in ipairs(records) do
      if not seen[record.id] then all[#all + 1] = record end
      seen[record.id] = true
    end
  end
  return all
end

local function bearing(self, of, stage)
  local by_tag = listed(self, { tag_name = "rtlua:run-" .. of.run }, stage)
  local by_name = {}
  for _, record in ipairs(listed(self, { name = of.name }, stage)) do
    -- DigitalOcean compares names without case, and other droplets may have any name.
    if record.name == of.name then by_name[#by_name + 1] = record end
  end
  return merge(by_tag, by_name)
end

--- All droplets that bear the lease's run, by its tag or by its exact name. May be behind the truth.
function Driver:find(lease)
  check_account(self, lease, "create")
  return bearing(self, lease, "create")
end

--- All that bear "rtlua", in all regions.
function Driver:list() return merge(listed(self, { tag_name = "rtlua" }, "check")) end

local function read(self, id, stage)
  local body = self.api:call("GET", ("/droplets/%d"):format(id), {
    stage = stage, scope = "droplet:read", except = NOT_FOUND,
  })
  return body and body.droplet and to_record(body.droplet)
end

-- Reads an id. One that is new may not be known everywhere yet.
local function read_fresh(self, of, stage)
  local record = read(self, of.id, stage)
  local born = of.launched or of.created
  if record or not born or self.api:now() - born > loop.pace(FRESH) then return record end
  return loop.until_true(loop.pace(SETTLE), loop.pace(POLL), function() return read(self, of.id, stage) end)
end

--- The record of a lease or record, or nil when it is gone.
function Driver:get(of)
  check_account(self, of, "check")
  if of.id then return read_fresh(self, of, "check") end
  return bearing(self, of, "check")[1]
end

-- ---- Actions

-- Follows an action of a droplet until it is completed.
local function follow(self, id, action, seconds, stage)
  local status, known
  local path = ("/droplets/%d/actions/%d"):format(id, action)
  local function look()
    local body, missing = self.api:call("GET", path, { stage = stage, scope = "droplet:read", except = NOT_FOUND })
    known = known or not missing
    status = body and body.action and body.action.status
    -- What was known and is not any more went with its droplet.
    return status == "completed" or status == "errored" or missing and known
  end
  loop.until_true(loop.pace(seconds), loop.pace(POLL), look)
  if status == "completed" then return end
  local what = status == "errored" and "has failed at DigitalOcean"
    or ("was not completed in %d s"):format(seconds)
  errors.stage(stage, errors.UNAVAILABLE, ("action %d of droplet %d %s"):format(action, id, what),
    "try again, in another region if it happens again")
end

-- `name` is a snapshot's, of which there must not be two.
local function act(self, of, kind, seconds, name)
  check_account(self, of, "run")
  local body = self.api.patiently(BUSY, POLL, function()
    return self.api:call("POST", ("/droplets/%d/actions"):format(of.id), {
      body = { type = kind, name = name }, stage = "run", scope = "droplet:update", again = name == nil,
    })
  end)
  follow(self, of.id, body.action.id, seconds or ACTION, "run")
end

--- Each returns the record afterwards.
function Driver:start(of)
  act(self, of, "power_on")
  return self:get(of)
end

--- Shuts down, or powers off where the guest does not. A droplet that is off is billed like one that runs.
function Driver:stop(of)
  local fine, problem = pcall(act, self, of, "shutdown", SHUTDOWN)
  if not fine and (not errors.is(problem) or problem.code > 128 or problem.status) then error(problem, 0) end
  local off = loop.until_true(loop.pace(SHUTDOWN), loop.pace(POLL), function()
    local record = self:get(of)
    return record and record.state == "off" and record
  end)
  return off or self:kill(of)
end

function Driver:kill(of)
  act(self, of, "power_off")
  return self:get(of)
end

function Driver:restart(of)
  act(self, of, "reboot")
  return self:get(of)
end

--- Makes an image of its disk, which costs by the month until it is deleted: its record, as images() lists it.
function Driver:snapshot(of, name)
  act(self, of, "snapshot", SNAPSHOT, name)
  local image = loop.until_true(loop.pace(SETTLE), loop.pace(POLL), function()
    for _, one in ipairs(self:images()) do
      if one.name == name and not one.public then return one end
    end
  end)
  return image or errors.stage("run", errors.UNAVAILABLE, ("the snapshot %s is not listed"):format(name),
    "see rtlua machine images --driver digitalocean: it is billed if it is there")
end

-- ---- Extending

--- Adds the new expiry, then takes the earlier ones away.
function Driver:extend(lease, expires)
  check_account(self, lease, "run")
  local record = read_fresh(self, lease, "run")
  if not record then
    errors.stage("run", errors.UNAVAILABLE, lease.name .. " is gone", "rtlua machine ls")
  end
  marks.add(self.api, lease.id, ("rtlua:exp-%d"):format(expires), "run")
  local earlier = {}
  for _, mark in ipairs(record.marks) do
    if (marks.expiry(mark) or expires) < expires then
      marks.remove(self.api, lease.id, mark, "run")
      earlier[mark] = true
    end
  end
  marks.drop_all(self.api, earlier)
end

-- ---- Creating

local function request_droplet(self, lease, fingerprint)
  return self.api:call("POST", "/droplets", {
    stage = "create", scope = "droplet:create, tag:create, ssh_key:read and image:read",
    body = {
      name = lease.name, region = lease.region, size = lease.size,
      image = math.tointeger(tonumber(lease.image)) or lease.image, ssh_keys = { fingerprint },
      user_data = lease.user_data, tags = lease:marks(), ipv6 = false, monitoring = false, backups = false,
      with_droplet_agent = false, -- it lets DigitalOcean's console in
    },
  })
end

-- Makes sure that a droplet bears all marks: the tags of a create come after it, and a tag that another run deletes,
-- when it seems to be borne by nothing, goes from this one, too. Returns the record.
local function complete_marks(self, lease, record)
  local borne = {}
  for _, mark in ipairs(record.marks) do borne[mark] = true end
  for _, mark in ipairs(lease:marks()) do
    if not borne[mark] then
      marks.add(self.api, record.id, mark, "create")
      table.insert(record.marks, mark)
    end
  end
  record.run, record.expires = lease.run, math.max(lease.expires, record.expires or 0)
  return record
end

--- Makes the key and the droplet; back when the create action is completed. What is not answered raises with
--- unanswered = true; what is refused takes the key away again.
function Driver:create(lease)
  check_account(self, lease, "create")
  local fingerprint = marks.create_key(self.api, lease)
  lease.sent = true
  local fine, body = pcall(request_droplet, self, lease, fingerprint)
  if not fine then
    local problem = body
    if errors.is(problem) and problem.status and not problem.unanswered then
      local deleted, why = pcall(marks.delete_key, self.api, fingerprint, "create")
      if deleted then lease:note { key = false } else problem.cause = why end
    end
    error(problem, 0)
  end
  local droplet = type(body.droplet) == "table" and body.droplet
  if not droplet or not droplet.id then
    local e = errors.staged("create", errors.TRY_AGAIN, "POST /v2/droplets: the answer names no droplet",
      "check DIGITALOCEAN_API_URL, and whether a proxy is in between")
    e.unanswered = true
    error(e, 0)
  end
  local record = to_record(droplet)
  lease:note { state = "created", id = record.id, launched = record.created or math.floor(self.api:now()) }
  for _, action in ipairs(type(body.links) == "table" and body.links.actions or {}) do
    if action.rel == "create" then follow(self, record.id, action.id, CREATE, "create") end
  end
  return complete_marks(self, lease, read_fresh(self, lease, "create") or record)
end

-- ---- Destroying

local function is_lease(of) return type(of.note) == "function" end

local function fail(message, remedy) errors.stage("destroy", errors.REMAINS, message, remedy) end

-- Does the droplet that was read just now bear the run that it is to be destroyed for? A name alone is proof only with
-- the run in it.
local function is_ours(record, of)
  if of.run then return record.run == of.run or record.name == of.name end
  return record.marks[1] == "rtlua" and record.name == of.name
end

-- One droplet, by its id: back when the API says that it is gone. Returns the marks that it bore.
local function destroy_droplet(self, of, id)
  local record = read_fresh(self, { id = id, launched = of.launched, created = of.created }, "destroy")
  if record and not is_ours(record, of) then
    fail(("droplet %d (%s) bears no mark of run %s"):format(id, record.name, of.run or "?"),
      "look at it by hand, at cloud.digitalocean.com")
  end
  local path = ("/droplets/%d"):format(id)
  self.api.patiently(BUSY, POLL, function()
    self.api:call("DELETE", path, { stage = "destroy", scope = "droplet:delete", except = NOT_FOUND })
    return true
  end)
  local gone = loop.until_true(loop.pace(GONE), loop.pace(POLL), function() return not read(self, id, "destroy") end)
  if not gone then
    fail(("droplet %d is still there %d s after its deletion"):format(id, GONE), "rtlua machine rm it again")
  end
  return record and record.marks or {}
end

local function add_all(set, list)
  for _, element in ipairs(list or {}) do set[element] = true end
end

-- Destroys all that bear the lease's run, until lists show nothing more. Returns the tags that were seen, a set.
local function destroy_all(self, lease)
  local tags, done = {}, {}
  local function destroy_one(id)
    add_all(tags, destroy_droplet(self, lease, id))
    done[id] = true
  end
  if lease.id then destroy_one(math.tointeger(tonumber(lease.id))) end
  local left
  local empty = loop.until_true(loop.pace(GONE), loop.pace(POLL), function()
    left = bearing(self, lease, "destroy")
    for _, record in ipairs(left) do
      add_all(tags, record.marks)
      if not done[record.id] then destroy_one(record.id) end
    end
    return #left == 0
  end)
  if not empty then
    fail(("%d droplets still bear run %s, %s first"):format(#left, lease.run, tostring(left[1].id)),
      "rtlua machine rm it again")
  end
  return tags
end

-- One of several that may bear the run: the others, and what they need, are not touched. Returns the tags, a set, where
-- it was the only one. A young one may have a twin that no list shows yet.
local function destroy_alone(self, record)
  local tags, others = {}, false
  add_all(tags, record.marks)
  add_all(tags, destroy_droplet(self, record, record.id))
  local unlisted = loop.until_true(loop.pace(GONE), loop.pace(POLL), function()
    local shown = false
    others = false
    for _, other in ipairs(record.run and bearing(self, record, "destroy") or {}) do
      if other.id == record.id then shown = true else others = true end
    end
    return not shown
  end)
  if not unlisted then fail(("droplet %d is still listed"):format(record.id), "rtlua machine rm it again") end
  local expired = record.expires and record.expires <= self.api:now()
  local young = self.api:now() - (record.created or 0) < loop.pace(YOUNG)
  return not others and (expired or not young) and tags or nil
end

local function destroy(self, of)
  check_account(self, of, "destroy")
  local tags
  if is_lease(of) then tags = destroy_all(self, of) else tags = destroy_alone(self, of) end
  if not tags or not of.run then return end
  if of.key and of.key.fingerprint then
    marks.delete_key(self.api, of.key.fingerprint, "destroy")
  elseif not is_lease(of) then
    marks.delete_keys_of(self.api, of.run)
  end
  tags["rtlua:run-" .. of.run] = true
  if of.expires then tags[("rtlua:exp-%d"):format(of.expires)] = true end
  marks.drop_all(self.api, tags)
end

--- Back when all of it is gone. A lease: whatever bears its run, its key and its tags. A record: that one droplet, and
--- key and tags where nothing else can need them. Raises 76 with what is left.
function Driver:destroy(of)
  local fine, problem = pcall(destroy, self, of)
  if fine then return end
  if not errors.is(problem) or problem.code > 128 then error(problem, 0) end
  local what = of.id and ("%s (droplet %s)"):format(of.name, tostring(of.id)) or of.name
  errors.stage("destroy", errors.REMAINS, ("%s may be left: %s"):format(what, problem.reason or problem.message),
    problem.remedy or "rtlua machine rm it again", problem)
end

--- Removes keys that are past their end, and tags of ours that nothing bears. Returns what was removed, texts. `now`:
--- the provider's time.
function Driver:sweep(now)
  return marks.sweep(self.api, now, function() return self:list() end)
end

-- ---- Opening

function Driver:close() self.api:close() end

Driver.__close = Driver.close

--- config: region, endpoint (DIGITALOCEAN_API_URL, else DigitalOcean's). To be closed. Asks nothing.
function digitalocean.open(config)
  config = config or {}
  return setmetatable({
    name = "digitalocean", transport = "ssh", billed = true, region = config.region,
    api = digitalocean_api.new { endpoint = config.endpoint },
  }, Driver)
end

return digitalocean
