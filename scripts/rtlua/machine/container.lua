-- rtlua.machine.container: a command in a container of a machine's own Docker Engine.
--
-- The machine's work folder is /work in it, where it begins, and the folder of results /out. The container goes with
-- its command; its engine keeps it going where our connection is lost.

local images = require "rtlua.machine.image"
local jobs = require "rtlua.machine.job"
local loop = require "rtlua.loop"
local system = require "rtlua.system"

local container = {}

-- What was copied may be readable by its owner alone, who is not the container's user. Tells who we are there.
local PREPARE = [[chmod -R a+rX "$1" && echo "$(id -u):$(id -g)"]]

local function provide(machine, engine, image)
  local begin = system.now()
  if image == images.NAME then
    machine.on_stage "image"
    image = images.provide(engine, machine.on_log)
    machine.on_stage("image", system.now() - begin)
  elseif not engine:has(image) then
    machine.on_stage "image"
    engine:pull(image, machine.on_log)
    machine.on_stage("image", system.now() - begin)
  end
  return image
end

--- Starts spec.command in a container of spec.image: its job, whose close removes the container. `where` has the
--- folders /work and /out on the machine.
function container.start(machine, where, spec)
  local engine = machine:engine()
  local image = provide(machine, engine, spec.image)
  local who = machine:connection():run {
    "sh", "-c", PREPARE, "sh", where.work, check = true, timeout = math.max(60, loop.pace(60)),
  }.stdout:match "%S+"
  local binds = { where.work .. ":/work", where.out .. ":/out" }
  for _, path in pairs(spec.upload or {}) do
    if path:sub(1, 1) == "/" and machine:path(path) == path then binds[#binds + 1] = path .. ":" .. path end
  end
  local command = {}
  for i, word in ipairs(spec.command) do command[i] = tostring(word) end
  local id = engine:create {
    image = image, command = command, entrypoint = { "" }, env = spec.env, cwd = spec.cwd or "/work", binds = binds,
    user = not who:match "^0:" and who or nil,
    labels = { rtlua = "", ["rtlua:run-" .. machine.lease.run] = "" },
  }
  local job = jobs.container(engine, id)
  job.own = true
  engine:start(id)
  return job
end

return container
