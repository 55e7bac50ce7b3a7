-- rtlua machine ls, status, ip, inspect, active, url, config, env, cost: what there is, and where.

local budget = require "rtlua.machine.budget"
local cloud = require "rtlua.cloud"
local errors = require "rtlua.errors"
local leases = require "rtlua.machine.lease"
local life = require "rtlua.machine.verbs.life"
local show = require "rtlua.machine.verbs.show"
local watcher = require "rtlua.machine.watcher"

local look = {}

local JSON = life.JSON

-- The engine's socket that DOCKER_HOST names, as machine:engine has it.
local function socket_of(machine)
  local transport = machine.driver.transport
  if transport == "docker" then return machine.driver.socket end
  if transport ~= "ssh" then
    errors.stage("engine", errors.USAGE, ("%s has no Docker Engine: its driver is %s"):format(machine.name,
      machine.lease.driver), "use --driver docker, ssh, digitalocean or ec2")
  end
  if not machine:has_engine() then
    errors.stage("engine", errors.UNAVAILABLE, ("%s has no Docker Engine"):format(machine.name),
      "create one with --engine apt")
  end
  return watcher.forward(machine.lease)
end

-- Is the docker command pointed at this machine?
local function is_active(lease)
  local host = os.getenv "DOCKER_HOST" or ""
  return os.getenv "RTLUA_MACHINE_NAME" == lease.name and lease.forward ~= nil and host == "unix://" .. lease.forward
    or os.getenv "RTLUA_MACHINE_NAME" == lease.name and lease.transport == "docker" and host ~= ""
end

local function left(lease)
  local seconds = lease.expires - lease:now()
  if seconds <= 0 then return "over" end
  if seconds < 3600 then return ("%dm"):format(math.ceil(seconds / 60)) end
  return ("%dh%02dm"):format(seconds // 3600, seconds % 3600 // 60)
end

local function list(parsed)
  local all, problems = leases.all()
  local o = parsed.options
  if o.json then
    local machines = {}
    for i, lease in ipairs(all) do machines[i] = life.plain(lease) end
    show.json { machines = machines, problems = problems }
  elseif o.names then
    for _, lease in ipairs(all) do show.line(lease:label()) end
  else
    local rows = { { "NAME", "ACTIVE", "DRIVER", "STATE", "ADDRESS", "ENDS IN", "COST SO FAR" } }
    for _, lease in ipairs(all) do
      rows[#rows + 1] = {
        lease:label(), is_active(lease) and "*" or "-", lease.driver, lease.state, lease.address or "-", left(lease),
        lease.price_hour and budget.money(budget.spent(lease, lease:now())) or "-",
      }
    end
    if #all > 0 then show.table(rows) end
  end
  for _, problem in ipairs(problems) do show.note("rtlua: " .. problem.message) end
  return #problems > 0 and errors.REMAINS or 0
end

local function status(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local state = machine:status()
  if parsed.options.json then
    show.json { machine = machine.name, state = state }
  else
    show.line(state)
  end
  return 0
end

local function ip(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local address = machine:ip()
  if not address then
    errors.stage("address", errors.UNAVAILABLE, machine.name .. " has no address",
      "see rtlua machine status " .. machine.lease:label())
  end
  show.line(address)
  return 0
end

local function inspect(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local record = machine.driver:get(machine.lease)
  local object = life.plain(machine.lease)
  object.key, object.endpoint, object.account = machine.lease.key, machine.lease.endpoint, machine.lease.account
  object.provider = record
  show.json(object)
  return 0
end

local function active()
  for _, lease in ipairs((leases.all())) do
    if is_active(lease) then
      show.line(lease:label())
      return 0
    end
  end
  errors.stage("check", errors.USAGE, "no machine is active", 'eval "$(rtlua machine env NAME)" makes one so')
end

local function url(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  show.line("unix://" .. socket_of(machine))
  return 0
end

local function config(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  show.line("-H unix://" .. socket_of(machine))
  return 0
end

-- ---- env

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local SHELLS = {
  sh = { set = "export %s=%s", unset = "unset %s" },
  fish = { set = "set -gx %s %s;", unset = "set -e %s;" },
  csh = { set = "setenv %s %s;", unset = "unsetenv %s;" },
}

local function env(parsed)
  local o = parsed.options
  local shell = SHELLS[o.shell or "sh"]
  if o.unset then
    for _, name in ipairs { "DOCKER_HOST", "RTLUA_MACHINE_NAME" } do show.line(shell.unset:format(name)) end
    return 0
  end
  local name = parsed.arguments[1]
  if not name then errors.raise(errors.USAGE, "machine env: which machine? rtlua machine env NAME, or --unset") end
  local machine <close> = cloud.attach(name)
  show.line(shell.set:format("DOCKER_HOST", quote("unix://" .. socket_of(machine))))
  show.line(shell.set:format("RTLUA_MACHINE_NAME", quote(machine.name)))
  show.line(('# run: eval "$(rtlua machine env %s)"'):format(name))
  return 0
end

-- ---- cost

local function cost(parsed)
  local o = parsed.options
  local since = o.since and os.time() - budget.duration(o.since, "--since") or 0
  local records, sum = {}, 0
  local function add(record)
    if record.ended and record.ended < since then return end
    records[#records + 1] = record
    sum = sum + record.cost
  end
  for _, record in ipairs(leases.costs()) do add(record) end
  for _, lease in ipairs((leases.all())) do
    if lease.price_hour and lease.price_hour > 0 then
      add {
        name = lease.name, driver = lease.driver, region = lease.region, size = lease.size,
        started = lease.launched or lease.created, price_hour = lease.price_hour,
        cost = budget.spent(lease, lease:now()),
      }
    end
  end
  if o.json then
    show.json { machines = records, total = sum }
    return 0
  end
  local rows = { { "MACHINE", "DRIVER", "SIZE", "STARTED", "ENDED", "COST" } }
  for _, record in ipairs(records) do
    rows[#rows + 1] = {
      record.name, record.driver, record.size or "-", os.date("!%Y-%m-%d %H:%M", math.floor(record.started)),
      record.ended and os.date("!%Y-%m-%d %H:%M", math.floor(record.ended)) or "runs", budget.money(record.cost),
    }
  end
  if #records > 0 then show.table(rows) end
  show.line("total " .. budget.money(sum))
  return 0
end

look.verbs = {
  {
    "ls", arguments = {}, run = list, summary = "Lists machines.",
    options = { { "names", type = "boolean", doc = "Names alone.", cli = { flag = "-q" } }, JSON },
  },
  {
    "status", arguments = { "NAME" }, options = { JSON }, run = status,
    summary = "Says new, running, off or gone, as the provider does.",
  },
  { "ip", arguments = { "NAME" }, options = {}, run = ip, summary = "Prints a machine's address." },
  {
    "env", arguments = { "NAME?" }, run = env,
    options = {
      {
        "shell", type = "enum", values = { "sh", "fish", "csh" }, default = "sh", doc = "Whose words.",
        cli = { flag = "--shell", metavar = "SHELL" },
      },
      { "unset", type = "boolean", doc = "Takes it back.", cli = { flag = "--unset" } },
    },
    summary = 'Prints what points the docker command at it: eval "$(rtlua machine env NAME)".',
  },
  { "inspect", arguments = { "NAME" }, options = {}, run = inspect, summary = "All that is known of it, as JSON." },
  { "active", arguments = {}, options = {}, run = active, summary = "The machine that docker is pointed at." },
  { "url", arguments = { "NAME" }, options = {}, run = url, summary = "Its Docker Engine's address." },
  { "config", arguments = { "NAME" }, options = {}, run = config, summary = "The docker command's options for it." },
  {
    "cost", arguments = {}, run = cost, summary = "What machines have cost, by the journal.",
    options = {
      {
        "since", type = "string", doc = "Those that ended within this time, and those that run.",
        cli = { flag = "--since", metavar = "DUR" },
      },
      JSON,
    },
  },
}

return look
