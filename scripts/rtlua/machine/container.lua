-- rtlua.machine.container: a command in a container of a machine's own Docker Engine.
--
-- The machine's work folder is /work in it, where it begins, and the folder of results /out. The container goes with
-- its command; its engine keeps it going where our connection is lost.

local budget = require "rtlua.machine.budget"
local images = require "rtlua.machine.image"
local jobs = require "rtlua.machine.job"
local loop = require "rtlua.loop"

local container = {}

-- What was copied may be readable by its owner alone, who is not the container's user. Tells who we are there.
local PREPARE = [[chmod -R a+rX "$1" && echo "$(id -u):$(id -g)"]]

-- Makes sure that the machine's engine has an image: its tag. Building and pulling take minutes.
local function provide(machine, engine, name)
  local own = name == images.NAME
  if not own and engine:has(name) then return name end
  return machine:stage("image", function()
    return machine:in_time(budget.deadline(machine.lease), "image", "making the image " .. name, function()
      if own then return images.provide(engine, machine.on_log) end
      engine:pull(name, machine.on_log)
      return name
    end)
  end)
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
