-- rtlua machine ls, status, ip, inspect, active, url, config, env, cost: what there is, and where.

local budget = require "rtlua.machine.budget"
local cloud = require "rtlua.cloud"
local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local leases = require "rtlua.machine.lease"
local life = require "rtlua.machine.verbs.life"
local loop = require "rtlua.loop"
local show = require "rtlua.machine.verbs.show"
local watcher = require "rtlua.machine.watcher"

local look = {}

local JSON = life.JSON

local PATIENCE = 10 -- seconds for providers to answer ls

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

-- What its provider says of a machine: its state, or that it is another account's.
local function ask(lease)
  local driver = drivers.open(lease.driver, { region = lease.region, endpoint = lease.endpoint, host = lease.host })
  if not lease:belongs(driver:check()) then return "foreign" end
  local record = driver:get(lease)
  return record and record.state or "gone"
end

-- The same of all, side by side: texts, and "unknown" where there is no answer, which is said.
local function ask_all(all)
  local tasks, states = {}, {}
  for i, lease in ipairs(all) do tasks[i] = function() return ask(lease) end end
  for i, result in ipairs(loop.all(tasks, math.max(1, loop.pace(PATIENCE)))) do
    states[i] = result[1] and result[2] or "unknown"
    if not result[1] then show.note(("%s: %s"):format(all[i].name, tostring(result[2]))) end
  end
  return states
end

-- The names by which the verbs know them: NAME, or NAME-RUN where two have it.
local function names_of(all)
  local count, names = {}, {}
  for _, lease in ipairs(all) do count[lease:label()] = (count[lease:label()] or 0) + 1 end
  for i, lease in ipairs(all) do names[i] = count[lease:label()] == 1 and lease:label() or lease.name end
  return names
end

local function state_text(lease, state)
  if state == "foreign" then return "another account's" end
  return lease.state == "ready" and state or lease.state
end

-- What is wrong in the journal has been said by settling it.
local function list(parsed)
  local all, problems = leases.all()
  local o, names = parsed.options, names_of(all)
  local states = o.names and {} or ask_all(all)
  if o.json then
    local machines = {}
    for i, lease in ipairs(all) do
      machines[i] = life.plain(lease)
      machines[i].status = states[i]
    end
    show.json { machines = machines, problems = problems }
  elseif o.names then
    for _, name in ipairs(names) do show.line(name) end
  else
    local rows = { { "NAME", "ACTIVE", "DRIVER", "STATE", "ADDRESS", "ENDS IN", "COST SO FAR" } }
    for i, lease in ipairs(all) do
      rows[#rows + 1] = {
        names[i], is_active(lease) and "*" or "-", lease.driver, state_text(lease, states[i]), lease.address or "-",
        left(lease),
        lease.price_hour and budget.money(budget.spent(lease, lease:now())) or "-",
      }
    end
    if #all > 0 then show.table(rows) end
  end
  return #problems > 0 and errors.REMAINS or 0
end

local function answer(parsed, object, line)
  if parsed.options.json then show.json(object) else show.line(line) end
end

local function status(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local state = machine:status()
  answer(parsed, { machine = machine.name, state = state }, state)
  return 0
end

local function ip(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local address = machine:ip()
  if not address then
    errors.stage("address", errors.UNAVAILABLE, machine.name .. " has no address",
      "see rtlua machine status " .. machine.lease:label())
  end
  answer(parsed, { machine = machine.name, address = address }, address)
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

local function active(parsed)
  local all = leases.all()
  for i, name in ipairs(names_of(all)) do
    if is_active(all[i]) then
      answer(parsed, { machine = all[i].name, name = name }, name)
      return 0
    end
  end
  errors.stage("check", errors.USAGE, "no machine is active", 'eval "$(rtlua machine env NAME)" makes one so')
end

local function url(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local url_of = "unix://" .. socket_of(machine)
  answer(parsed, { machine = machine.name, url = url_of }, url_of)
  return 0
end

local function config(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local url_of = "unix://" .. socket_of(machine)
  answer(parsed, { machine = machine.name, arguments = { "-H", url_of } }, "-H " .. url_of)
  return 0
end

-- ---- env

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local SHELLS = {
  sh = { set = "export %s=%s", unset = "unset %s", hint = '# run: eval "$(rtlua machine env %s)"' },
  fish = { set = "set -gx %s %s;", unset = "set -e %s;", hint = "# run: rtlua machine env --shell fish %s | source" },
  -- It joins the lines that it evaluates, and knows no comments then.
  csh = { set = "setenv %s %s;", unset = "unsetenv %s;" },
}

local function env(parsed)
  local o = parsed.options
  local shell = SHELLS[o.shell or "sh"]
  if o.unset then
    local names = { "DOCKER_HOST", "RTLUA_MACHINE_NAME" }
    if o.json then
      show.json { unset = names }
      return 0
    end
    for _, name in ipairs(names) do show.line(shell.unset:format(name)) end
    return 0
  end
  local name = parsed.arguments[1]
  if not name then errors.raise(errors.USAGE, "machine env: which machine? rtlua machine env NAME, or --unset") end
  local machine <close> = cloud.attach(name)
  local host = "unix://" .. socket_of(machine)
  if o.json then
    show.json { machine = machine.name, env = { DOCKER_HOST = host, RTLUA_MACHINE_NAME = machine.name } }
    return 0
  end
  show.line(shell.set:format("DOCKER_HOST", quote(host)))
  show.line(shell.set:format("RTLUA_MACHINE_NAME", quote(machine.name)))
  if shell.hint then show.line(shell.hint:format(name)) end
  return 0
end

-- ---- cost

local function cost(parsed)
  local o = parsed.options
  local since = o.since and os.time() - budget.duration(o.since, "--since") or 0
  local records, sum = {}, 0
  local function add(record)
    if record.ended and record.ended < since then return end
    record.id = record.id and tostring(record.id)
    records[#records + 1] = record
    sum = sum + record.cost
  end
  for _, record in ipairs(leases.costs()) do add(record) end
  for _, lease in ipairs((leases.all())) do
    if lease.price_hour and lease.price_hour > 0 then
      add {
        name = lease.name, id = lease.id, driver = lease.driver, region = lease.region, size = lease.size,
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
  { "ip", arguments = { "NAME" }, options = { JSON }, run = ip, summary = "Prints a machine's address." },
  {
    "env", arguments = { "NAME?" }, run = env,
    options = {
      {
        "shell", type = "enum", values = { "sh", "fish", "csh" }, default = "sh", doc = "Whose words.",
        cli = { flag = "--shell", metavar = "SHELL" },
      },
      { "unset", type = "boolean", doc = "Takes it back.", cli = { flag = "--unset" } },
      JSON,
    },
    summary = 'Prints what points the docker command at it: eval "$(rtlua machine env NAME)".',
  },
  {
    "inspect", arguments = { "NAME" }, options = { JSON }, run = inspect,
    summary = "All that is known of it, as JSON.",
  },
  { "active", arguments = {}, options = { JSON }, run = active, summary = "The machine that docker is pointed at." },
  { "url", arguments = { "NAME" }, options = { JSON }, run = url, summary = "Its Docker Engine's address." },
  {
    "config", arguments = { "NAME" }, options = { JSON }, run = config,
    summary = "The docker command's options for it.",
  },
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
