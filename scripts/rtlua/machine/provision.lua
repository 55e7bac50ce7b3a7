-- rtlua.machine.provision: from what is wanted to a machine that is ready, whoever the driver is.
--
--     local plan = provision.plan { driver = "digitalocean", size = "c-32", ttl = "2h", max_cost = 2 }
--     for _, line in ipairs(plan.lines) do print(line) end
--     local machine <close> = provision.create(plan)
--
-- The order is the promise. Nothing is created before everything that is wanted has been checked; the journal has an
-- intent before anything is asked for; a watcher stands before what costs money is. From the intent on, whatever goes
-- wrong ends the machine, here or by its watcher.
--
-- A create that is not answered may have worked: it is looked up for a minute before it is asked again. What came twice
-- is destroyed, now or by who cares for the entry, which stays open for half an hour.

local budget = require "rtlua.machine.budget"
local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local journal = require "rtlua.journal"
local leases = require "rtlua.machine.lease"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local machines = require "rtlua.machine.machine"
local options = require "rtlua.machine.options"
local schema = require "rtlua.schema"
local system = require "rtlua.system"
local watcher = require "rtlua.machine.watcher"

local provision = {}

local LOOK_UP, LOOK_EVERY = 60, 3 -- seconds for a create that was not answered to turn up; between looks
local CREATES = 3 -- times that it is asked for

local function ignore() end

-- ---- The plan

-- Where the Docker Engine comes from: nil for none, or for a host's own.
local function engine_of(want, driver)
  if driver.transport ~= "ssh" or want.engine == "none" then return nil end
  if want.engine or want.host then return want.engine end
  return tostring(want.image):find "docker" and "image" or "apt"
end

local function last_stage(want, driver, engine)
  if want.ready then return want.ready end
  if driver.transport ~= "ssh" then return "running" end
  if engine then return "engine" end
  return want.host and "ssh" or "cloud-init"
end

--- Checks what is wanted, and says what it costs: reading requests alone. Raises stage "check". A plan has driver,
--- engine, budget, price_hour, and lines, which its user has to see before anything is created.
function provision.plan(input)
  local want, message = schema.read(options.provision, input)
  if not want then errors.stage("check", errors.USAGE, message, "see docs/machines.md") end
  local driver = drivers.open(want.driver, { region = want.region, host = want.host, on_log = want.on_log })
  local checked, since = driver:check(), system.now()
  local valid = driver:validate {
    size = want.size, region = want.region, image = want.image, name = want.name, price_hour = want.price_hour,
  }
  local billed = driver.billed or want.price_hour ~= nil
  local price = want.price_hour or billed and valid.price_hour or nil
  local slug = valid.size.slug
  local money = budget.plan(setmetatable({
    size = slug == driver.name and slug or ("%s %s"):format(driver.name, slug), price_hour = price,
    minimum = billed and valid.minimum or nil, extras_hour = billed and valid.extras_hour or nil, ttl = want.ttl,
    max_price = want.max_price, max_cost = want.max_cost, count = want.count, region = valid.region,
  }, {
    __index = function(_, name) -- which are many, and asked for where a limit is exceeded
      return name == "sizes" and driver.billed and driver:sizes(valid.region) or nil
    end,
  }))
  local engine = engine_of(want, driver)
  return {
    want = want, driver = driver, checked = checked, since = since, valid = valid, budget = money, price_hour = price,
    engine = engine, ready = last_stage(want, driver, engine),
    lines = money:lines(checked.now, driver.ends_itself),
  }
end

-- ---- What earlier processes left

local function has_entries()
  local folder = journal.folder()
  if system.exists(folder) ~= "folder" then return false end
  for name in lfs.dir(folder) do
    if name:find "%.json" then return true end
  end
  return false
end

--- Finishes what earlier processes left, where there is anything. on_line is told.
function provision.settle(on_line)
  if not has_entries() then return end
  local report = require("rtlua.machine.settle").all()
  for _, line in ipairs(report.lines) do (on_line or ignore)(line) end
  if report.remains then
    errors.leave(errors.staged("destroy", errors.REMAINS, "what an earlier rtlua created may be left",
      "rtlua machine ls has it, and rtlua machine rm ends it"))
  end
end

-- ---- Creating

local function same(a, b) return tostring(a) == tostring(b) end

-- Takes one of the machines that a create which was not answered has made, and destroys the others.
local function adopt(lease, driver, found)
  table.sort(found, function(a, b)
    local first, second = a.created or 0, b.created or 0
    if first ~= second then return first < second end
    return tostring(a.id) < tostring(b.id)
  end)
  local record = found[1]
  lease:note { id = record.id, state = "created", launched = record.created, address = record.address }
  for i = 2, #found do
    if not same(found[i].id, record.id) then
      driver:destroy(found[i])
      lease:charge(found[i], lease:now(), "came twice")
    end
  end
  return record
end

local function look_up(lease, driver)
  return loop.until_true(loop.pace(LOOK_UP), loop.pace(LOOK_EVERY), function()
    local fine, list = pcall(driver.find, driver, lease)
    if not fine then
      -- What cannot be asked now may be in a moment.
      if errors.is(list) and list.code == errors.TRY_AGAIN then return nil end
      error(list, 0)
    end
    local found = {}
    for _, record in ipairs(list) do
      if record.state ~= "gone" then found[#found + 1] = record end
    end
    return #found > 0 and found or nil
  end)
end

local function create(lease, driver)
  local problem
  for _ = 1, CREATES do
    if driver.billed then watcher.ensure(lease) end
    local answered, result = pcall(driver.create, driver, lease)
    if answered then return result end
    if not errors.is(result) or not result.unanswered then error(result, 0) end
    problem = result
    lease:note { unanswered = math.ceil(lease:now()) }
    local found = look_up(lease, driver)
    if found then return adopt(lease, driver, found) end
  end
  return error(problem, 0)
end

local function prepare(plan, lease)
  if plan.driver.transport ~= "ssh" or lease.host then return end
  local made = require("rtlua.machine.keys").make(lease)
  lease.public_key = made.public
  lease:note { key = { fingerprint = made.fingerprints.md5 } }
  lease.user_data = require("rtlua.machine.user_data").make(lease, {
    engine = plan.engine, private_range = plan.want.private_range, ends_itself = plan.driver.ends_itself,
  })
end

-- What a plan has left for one machine: seconds and dollars. Another one after the first has to do with the rest.
local function left_of(plan, clock)
  local money = plan.want.max_cost and plan.want.max_cost / plan.want.count
  if not plan.ends then return plan.budget.ttl, money end
  local ttl = plan.ends - clock
  money = money and money - (plan.spent or 0)
  local enough = not money or budget.longest({
    price_hour = plan.price_hour, minimum = plan.valid.minimum, extras_hour = plan.valid.extras_hour,
  }, money) > 2 * budget.RESERVE
  if ttl < 2 * budget.RESERVE or not enough then
    errors.stage("check", errors.TRY_AGAIN, "too little is left for another machine",
      "give a longer ttl, or a higher max_cost")
  end
  return ttl, money
end

-- One machine of a plan. Whatever goes wrong from the intent on ends it.
local function create_one(plan)
  local want, driver, valid = plan.want, plan.driver, plan.valid
  local clock = plan.checked.now + (system.now() - plan.since)
  local ttl, max_cost = left_of(plan, clock)
  local lease = leases.new {
    driver = driver.name, account = plan.checked.account, endpoint = plan.checked.endpoint, kind = want.kind,
    ttl = ttl, clock = clock, name = want.name,
    region = valid.region, size = valid.size.slug, image = valid.image, host = want.host, price_hour = plan.price_hour,
    extras_hour = valid.extras_hour, minimum = valid.minimum, max_cost = max_cost, transport = driver.transport,
    engine = want.engine == "none" and "none" or plan.engine,
  }
  local machine = machines.own(lease, driver, want)
  function machine.on_spent(dollars) plan.spent = (plan.spent or 0) + dollars end
  local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function(_, problem)
      if problem ~= nil then machine:abandon(problem) end
    end,
  })
  watcher.start(lease)
  prepare(plan, lease)
  local begin = system.now()
  machine.on_stage "create"
  machine.asked = true
  machine:in_time(budget.deadline(lease), "create", "asking for it", create, lease, driver)
  machine.on_stage("create", system.now() - begin)
  machine:wait_until(plan.ready)
  lease:note { state = "ready" }
  return machine
end

--- Creates a plan's machines, side by side: the machine, or a list of them where count is above 1. Raises the first
--- failure, after all have been ended.
function provision.create(plan)
  provision.settle(plan.want.on_line)
  if plan.want.count == 1 then
    local machine = create_one(plan)
    plan.ends = plan.ends or machine.lease.expires
    return machine
  end
  local tasks, list, failure = {}, {}, nil
  for i = 1, plan.want.count do
    tasks[i] = function()
      local machine = create_one(plan)
      list[#list + 1] = machine
    end
  end
  local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function(_, problem)
      if problem ~= nil then machines.close_all(list, problem) end
    end,
  })
  for _, result in ipairs(loop.all(tasks)) do
    if not result[1] then failure = failure or result[2] end
  end
  if failure then error(failure, 0) end
  return list
end

return provision
