-- rtlua machine create, start, stop, restart, kill, rm, extend: a machine's life.

local budget = require "rtlua.machine.budget"
local cloud = require "rtlua.cloud"
local errors = require "rtlua.errors"
local leases = require "rtlua.machine.lease"
local options = require "rtlua.machine.options"
local show = require "rtlua.machine.verbs.show"

local life = {}

local READY

for _, field in ipairs(options.provision.fields) do
  if field[1] == "ready" then
    READY = table.move(field, 1, #field, 1, { type = field.type, values = field.values, doc = field.doc })
    READY.cli = { flag = "--ready", metavar = "STAGE" }
  end
end

local function without_name(fields)
  local list = {}
  for _, field in ipairs(fields) do
    if field[1] ~= "name" then list[#list + 1] = field end
  end
  return list
end

local JSON = { "json", type = "boolean", doc = "Answers in JSON.", cli = { flag = "--json" } }
life.JSON = JSON

--- A lease as programs get it: what is in its entry, and nothing secret, which is nowhere in it.
function life.plain(lease)
  return {
    name = lease:label(), machine = lease.name, run = lease.run, driver = lease.driver, state = lease.state,
    region = lease.region, size = lease.size, image = lease.image, id = lease.id and tostring(lease.id) or nil,
    address = lease.address, created = lease.created, expires = lease.expires, lease = lease.kind,
    price_hour = lease.price_hour, max_cost = lease.max_cost, cost = budget.spent(lease, lease:now()),
  }
end

local function create(parsed)
  local o, want = parsed.options, {}
  for _, field in ipairs(options.machine) do want[field[1]] = o[field[1]] end
  want.name, want.ready, want.kind = parsed.arguments[1], o.ready, "time"
  for _, lease in ipairs((leases.all())) do
    if lease:label() == want.name then
      errors.stage("check", errors.USAGE, ("there is a machine '%s' already"):format(want.name),
        ("give another name, or rtlua machine rm %s"):format(want.name))
    end
  end
  local shown = cloud.show { name = want.name, quiet = o.json }
  want.on_stage, want.on_line = shown.on_stage, shown.on_line
  local plan = cloud.plan(want)
  for _, line in ipairs(plan.lines) do shown.on_line(line) end
  if o.dry_run then
    if o.json then
      show.json {
        name = want.name, driver = plan.driver.name, region = plan.valid.region, size = plan.valid.size.slug,
        price_hour = plan.price_hour, most = plan.budget.most, ttl = plan.budget.ttl, lines = plan.lines,
      }
    end
    return 0
  end
  local machine <close> = cloud.provision(plan)
  machine:keep()
  if o.json then
    show.json(life.plain(machine.lease))
  else
    show.line(machine.name)
  end
  return 0
end

local function remains(problem) return type(problem) == "table" and problem.code == errors.REMAINS end

-- Does f(machine) for each name, all of them, and raises the gravest failure; the others are said. judge(name, problem)
-- makes of a failure another, or nil where it is none. What f returns is the answer in JSON.
local function for_each(names, json, f, judge)
  local failure, done = nil, {}
  for _, name in ipairs(names) do
    local fine, problem = pcall(function()
      local machine <close> = cloud.attach(name, cloud.show { name = name, quiet = json })
      done[#done + 1] = f(machine, name)
    end)
    if not fine then
      if type(problem) == "table" and (problem.code or 0) > 128 then error(problem, 0) end
      if judge then problem = judge(name, problem) end
      if failure and remains(problem) and not remains(failure) then failure, problem = problem, failure end
      if failure and problem then show.note("rtlua: " .. tostring(problem)) end
      failure = failure or problem
    end
  end
  if json then show.json { machines = done } end
  if failure then error(failure, 0) end
  return 0
end

-- EC2 gives another address at each start. What was forwarded from the old one ends.
local function note_address(lease, record)
  if record and record.address ~= lease.address then
    lease:note { address = record.address or false, forward = false }
  end
end

local function power(verb)
  return function(parsed)
    return for_each(parsed.arguments, parsed.options.json, function(machine)
      local driver, lease = machine.driver, machine.lease
      driver[verb](driver, lease)
      local record = driver:get(lease)
      note_address(lease, record)
      local off = (verb == "stop" or verb == "kill") and budget.off_line(lease)
      if off then show.note(off) end
      return { machine = lease.name, state = record and record.state or "gone" }
    end)
  end
end

-- Their full names, each once. A wrong one ends it before anything is destroyed.
local function resolve(names)
  local list, seen = {}, {}
  for _, name in ipairs(names) do
    local full = leases.find(name).name
    if not seen[full] then list[#list + 1] = full end
    seen[full] = true
  end
  return list
end

-- Whatever keeps a machine that is billed from going, no token among it, may leave it.
local function may_be_left(name, problem)
  local found, lease = pcall(leases.find, name)
  if not found then
    if errors.is(lease) and lease.code == errors.USAGE then return nil end -- its watcher was faster
    return problem
  end
  if not lease:is_billed() or remains(problem) then return problem end
  local known = errors.is(problem)
  return errors.staged("destroy", errors.REMAINS,
    ("%s may be left: %s"):format(name, known and problem.reason or tostring(problem)), known and problem.remedy or nil,
    problem)
end

local function remove(parsed)
  return for_each(resolve(parsed.arguments), parsed.options.json, function(machine)
    machine:destroy()
    local lease = machine.lease
    if lease:refresh() then
      errors.stage("destroy", errors.REMAINS, ("%s: its create was not answered"):format(lease.name),
        ("what turns up until %s is destroyed"):format(budget.moment(lease:open_until() or lease:now(), lease:now())))
    end
    return { machine = lease.name, state = "gone", cost = machine:cost() }
  end, may_be_left)
end

local function extend(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local expires = machine:extend(parsed.arguments[2])
  if parsed.options.json then
    show.json { machine = machine.name, expires = expires }
  else
    show.line(("%s ends at %s"):format(machine.name, budget.moment(expires, machine.lease:now())))
  end
  return 0
end

local DRY_RUN = options.script[1]

local create_options = without_name(options.machine)
table.move({ READY, DRY_RUN, JSON }, 1, 3, #create_options + 1, create_options)

life.verbs = {
  {
    "create", arguments = { "NAME" }, options = create_options, run = create,
    summary = "Creates a machine that stays until its time is over: 8 hours without --ttl.",
  },
  { "start", arguments = { "NAME..." }, options = { JSON }, run = power "start", summary = "Starts machines." },
  { "stop", arguments = { "NAME..." }, options = { JSON }, run = power "stop", summary = "Shuts machines down." },
  { "restart", arguments = { "NAME..." }, options = { JSON }, run = power "restart", summary = "Restarts machines." },
  { "kill", arguments = { "NAME..." }, options = { JSON }, run = power "kill", summary = "Cuts machines' power." },
  {
    "rm", arguments = { "NAME..." }, run = remove,
    options = {
      {
        "force", type = "boolean", doc = "As without: nothing is forgotten before it is gone.",
        cli = { flag = "-f" },
      },
      JSON,
    },
    summary = "Destroys machines: back when the provider says that they are gone; 76 where something may remain.",
  },
  {
    "extend", arguments = { "NAME", "DUR" }, options = { JSON }, run = extend,
    summary = "Moves a machine's end on by a time such as 90m.",
  },
}

return life
