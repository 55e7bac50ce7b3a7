-- rtlua.cloud: machines for a while: provision, run, copy, destroy.
--
--     local cloud = require "rtlua.cloud"
--     local machine <close> = cloud.provision { driver = "digitalocean", size = "c-32", ttl = "2h", max_cost = 2 }
--     machine:render("scene.lua", { spp = 256, output = "scene.png" })
--
-- What the fields are is said in machine/options.lua, what a machine can do in machine/machine.lua, and in which order
-- a machine comes about in machine/provision.lua. Failures are errors { code, stage, message, remedy, cause }.

local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local leases = require "rtlua.machine.lease"
local machines = require "rtlua.machine.machine"
local provision = require "rtlua.machine.provision"

local cloud = {}

local ATTEMPTS = 3 -- machines, of which two may die

--- What cloud.provision would create: { lines, … }, by reading requests alone. lines say the price and the most that it
--- can cost. Raises stage "check" for what cannot be.
cloud.plan = provision.plan

local function planned(plan_or_fields)
  if plan_or_fields.budget then return plan_or_fields end
  return provision.plan(plan_or_fields)
end

--- A machine that is ready, to be closed, which destroys it. Takes fields or a plan. With dry_run nil and the plan.
function cloud.provision(plan_or_fields)
  local plan = planned(plan_or_fields)
  if plan.want.dry_run then return nil, plan end
  if plan.want.count ~= 1 then
    errors.stage("check", errors.USAGE, "one machine is provisioned", "use cloud.pool for several")
  end
  return provision.create(plan)
end

--- Calls f(machine, attempt) on a machine of its own, which ends then, and returns what f does. A machine that dies is
--- replaced, twice at most, within the plan's ttl and max_cost.
function cloud.with(plan_or_fields, f)
  local plan = planned(plan_or_fields)
  for attempt = 1, ATTEMPTS do
    local machine <close> = cloud.provision(plan)
    local results = table.pack(pcall(f, machine, attempt))
    if results[1] then return table.unpack(results, 2, results.n) end
    local problem = results[2]
    local died = type(problem) == "table" and problem.gone
    if not died or attempt == ATTEMPTS then error(problem, 0) end
    machine.on_line(tostring(problem) .. ": another takes its place")
  end
end

--- Machines side by side, to be closed; see machine/pool.lua. Takes the fields of provision, and count.
function cloud.pool(plan_or_fields)
  local plan = planned(plan_or_fields)
  if plan.want.dry_run then return nil, plan end
  local made = provision.create(plan)
  return require("rtlua.machine.pool").new(plan.want.count == 1 and { made } or made)
end

--- A machine that there is, by NAME or NAME-RUN; its <close> lets go of it. hooks: on_stage, on_line, on_log. Raises 64
--- where there is none, 69 where these credentials are another account's.
function cloud.attach(name, hooks)
  local lease = leases.find(name)
  local driver = drivers.open(lease.driver, { region = lease.region, endpoint = lease.endpoint, host = lease.host })
  local ours, why = lease:belongs(driver:check())
  if not ours then
    errors.stage("check", errors.UNAVAILABLE, ("%s: %s"):format(lease.name, why),
      "use the credentials that it was created with")
  end
  return machines.open(lease, driver, hooks)
end

--- Finishes what earlier scripts left, as provision does before it creates.
cloud.settle = provision.settle

--- Reads a script's arguments, as scripts/cloud.lua has them; see machine/options.lua.
function cloud.parse(...) return require("rtlua.machine.options").parse(...) end

--- Raises why pictures (paths, or nil) or a checkpoint (a path, or nil) cannot be written, as far as it is known before
--- they are made.
function cloud.check_outputs(paths, checkpoint)
  local run = require "rtlua.run"
  run.check_outputs(paths or {})
  if checkpoint then run.check_checkpoint(checkpoint) end
end

--- Shows stages and progress on standard error; see machine/show.lua.
function cloud.show(options) return require("rtlua.machine.show").new(options) end

return cloud
