-- rtlua.machine.readiness: waiting until a machine can be used, stage by stage.
--
--     local transport = readiness.wait(lease, driver, { until_stage = "engine", on_stage = print })
--
-- running (the provider says so), address (there is one), ssh (the host answers with our key, and has a fresh one
-- since), cloud-init (is done, without errors), engine (answers through a forwarded socket). A container has the first
-- alone; a host that exists has no cloud-init of ours.
--
-- Always holds: each stage ends at its own limit, and its error says what was waited for and what to do. What cannot
-- get better ends at once: a machine that is gone or off, a host key that is not ours, a cloud-init with errors.

local cjson = require "cjson"
local engine = require "rtlua.machine.engine"
local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local system = require "rtlua.system"

local readiness = {}

--- The stages in their order.
readiness.stages = { "running", "address", "ssh", "cloud-init", "engine" }

-- limit: seconds that a stage may take; interval: seconds between two looks.
local STAGES = {
  running = {
    limit = 180, -- providers boot within a minute, on a bad day within two
    interval = 2, what = "the provider does not say that it runs",
    remedy = "see the provider's status page, or try another region or size",
  },
  address = {
    limit = 60, -- it comes with the boot; later than that it does not come
    interval = 2, what = "it has got no public address",
    remedy = "see the provider's status page, or try another region",
  },
  ssh = {
    limit = 180, -- the kernel, the disk's growth and cloud-init's first half come before sshd
    interval = 2, what = "SSH does not answer",
    remedy = "see whether a firewall here or there keeps port 22 shut, or try another image",
  },
  ["cloud-init"] = {
    limit = 600, -- it fetches and installs packages; a slow mirror takes minutes
    interval = 2, what = "cloud-init is not done",
    remedy = "see /var/log/cloud-init-output.log there, or use an image that has the Docker Engine",
  },
  engine = {
    limit = 120, -- it starts within seconds of being installed
    interval = 1, what = "the Docker Engine does not answer", remedy = "see journalctl -u docker there",
  },
}

--- Where a machine's engine listens.
readiness.ENGINE_SOCKET = "/var/run/docker.sock"

local LOOK_AGAIN = 10 -- seconds after which the provider is asked whether a silent machine still runs

-- Asks f() -> value, or nil and why not, until there is a value. Raises where the stage's time is over.
local function await(stage, f)
  local s, why = STAGES[stage], nil
  local value = loop.until_true(loop.pace(s.limit), loop.pace(s.interval), function()
    local found, reason = f()
    why = reason or why
    return found
  end)
  if value then return value end
  return errors.stage(stage, errors.UNAVAILABLE,
    ("%s after %g s%s"):format(s.what, loop.pace(s.limit), why and ": " .. why or ""), s.remedy)
end

-- The record, or nil and why there is none yet. Raises where there will be none.
local function look(stage, lease, driver)
  local fine, record = pcall(driver.get, driver, lease)
  if not fine then
    if errors.is(record) and record.code == errors.TRY_AGAIN then return nil, tostring(record) end
    error(record, 0)
  end
  if not record or record.state == "gone" then
    errors.stage(stage, errors.UNAVAILABLE, ("the machine %s is gone"):format(lease.name),
      "see whether somebody destroyed it, and provision another")
  elseif record.state == "off" then
    errors.stage(stage, errors.UNAVAILABLE, ("the machine %s is off"):format(lease.name),
      ("rtlua machine start %s, or rm: it is billed while it is off"):format(lease.name))
  end
  return record, "it is " .. record.state
end

local wait_for = {}

function wait_for.running(self)
  self.record = await("running", function()
    local record, why = look("running", self.lease, self.driver)
    return record and record.state == "running" and record, why
  end)
end

function wait_for.address(self)
  self.record = self.record.address and self.record or await("address", function()
    local record, why = look("address", self.lease, self.driver)
    return record and record.address and record, why
  end)
  local address, private = self.record.address, self.record.private_address
  if address ~= self.lease.address or private ~= self.lease.private_address then
    self.lease:note { address = address, private_address = private, port = self.record.port }
  end
end

function wait_for.ssh(self)
  self.transport = require("rtlua.machine.transports.ssh").new(self.lease)
  local looked = system.now()
  await("ssh", function()
    local answers, why = self.transport.ssh:check()
    if not answers and system.now() - looked >= loop.pace(LOOK_AGAIN) then
      look("ssh", self.lease, self.driver)
      looked = system.now()
    end
    return answers, why
  end)
  if not self.lease.host and not self.lease.rekeyed then
    self.transport.ssh:rekey()
    self.lease:note { rekeyed = true }
  end
end

-- The result is there when all stages are over; other files tell whether it will ever be.
local CLOUD_INIT = [[if [ -f /run/cloud-init/result.json ]; then cat /run/cloud-init/result.json
elif [ -f /run/cloud-init/disabled ] || ! command -v cloud-init >/dev/null; then exit 3
else exit 75; fi]]

-- What it knows of a command that failed is in the log alone.
local CLOUD_INIT_LOG = [[grep -E '^(E:|curl:|sh:|Err:)|[Ee]rror|cannot' /var/log/cloud-init-output.log | tail -n 2]]

--- The list of cloud-init's errors, empty when all went well; nil and why while it still works.
function readiness.cloud_init_errors(transport)
  local result, message = transport:run { "sh", "-c", CLOUD_INIT, timeout = math.max(30, loop.pace(30)) }
  if not result then return nil, message end
  if result.code == 3 then return { "it is not there, or disabled" } end
  local fine, outcome = pcall(cjson.decode, result.stdout)
  if result.code ~= 0 or not fine or type(outcome) ~= "table" or type(outcome.v1) ~= "table" then
    return nil, "it still works"
  end
  local found = {}
  local problems = outcome.v1.errors
  for _, problem in ipairs(type(problems) == "table" and problems or {}) do found[#found + 1] = tostring(problem) end
  return found
end

wait_for["cloud-init"] = function(self)
  local found = await("cloud-init", function() return readiness.cloud_init_errors(self.transport) end)
  if #found > 0 then
    local log = self.transport:run { "sh", "-c", CLOUD_INIT_LOG, timeout = math.max(30, loop.pace(30)) }
    local said = log and log.stdout ~= "" and ": " .. log.stdout:gsub("%s+$", "") or ""
    errors.stage("cloud-init", errors.UNAVAILABLE,
      ("cloud-init failed: %s%s"):format(table.concat(found, "; "), said), STAGES["cloud-init"].remedy)
  end
end

--- Does the machine's engine answer at its socket, through a forward? True, or nil and why not.
function readiness.engine_answers(transport, socket)
  local forward <close>, why = transport:forward(nil, socket or readiness.ENGINE_SOCKET)
  if not forward then return nil, why end
  local there <close> = engine.new { socket = forward.socket }
  return there:ping()
end

function wait_for.engine(self)
  await("engine", function() return readiness.engine_answers(self.transport) end)
end

-- The stages of a driver's machines.
local function stages_of(lease, driver)
  if driver.transport == "local" then return {} end
  if driver.transport == "docker" then return { running = true } end
  local own = lease.host ~= nil
  return { running = true, address = not own, ssh = true, ["cloud-init"] = not own, engine = true }
end

--- Waits until a stage ("cloud-init") is reached. on_stage(stage) is called as one begins, on_stage(stage, seconds)
--- when it is over. Returns the transport, to be closed, or nil where the stages have not come to ssh. Raises the
--- stage's error.
function readiness.wait(lease, driver, options)
  local applies = stages_of(lease, driver)
  local self = { lease = lease, driver = driver }
  local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function(_, problem)
      if problem and self.transport then self.transport:close() end
    end,
  })
  local last = options.until_stage or "cloud-init"
  assert(STAGES[last], "a stage's name")
  for _, stage in ipairs(readiness.stages) do
    if applies[stage] then
      local begin = system.now()
      if options.on_stage then options.on_stage(stage) end
      wait_for[stage](self)
      if options.on_stage then options.on_stage(stage, system.now() - begin) end
    end
    if stage == last then break end
  end
  if driver.transport == "docker" then
    self.transport = require("rtlua.machine.transports.docker").new(lease, driver)
  end
  return self.transport
end

return readiness
