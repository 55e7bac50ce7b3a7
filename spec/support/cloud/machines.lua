-- The machines of the local cloud: real ones. Each is a container with an address of its own that runs systemd, sshd,
-- Debian's cloud-init on the user data it is given (NoCloud; nothing here looks into it), and a Docker Engine that
-- has debian:bookworm-slim already. Any port of it is reached from here, unless its own firewall is in the way.
--
--     local yard <close> = machines.open()     -- a dockerd for them; makes the image, the first time
--     local machine = yard:boot { name = "a", user_data = "#cloud-config\n…" }
--     machine.address, machine.port, machine:alive(), machine:stop(), machine:destroy(), machine:wait(20)
--
-- machines.boot does the same in a yard that is opened at the first use and ends with the process.
--
-- No verb but open, alive and wait takes time: each machine has a worker (droplet/machine.sh) that does them one after
-- the other. An address is of one machine until that is gone.
--
-- Always holds: when a yard is closed, or its process is killed, none of its machines is left.

local docker = require "spec.support.cloud.docker"
local files = require "rtlua.files"
local json = require "rtlua.json"
local lfs = require "lfs"
local process = require "rtlua.process"
local system = require "rtlua.system"

local machines = {}

local RECIPE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" .. "/droplet"
local FIRST, LAST = 10, 250 -- of the addresses 198.18.N.x

-- As the provider's own images have it: DigitalOcean's let root in.
local VENDOR_DATA = { droplet = "#cloud-config\ndisable_root: false\n", instance = "#cloud-config\n{}\n" }

--- What keeps machines from booting here, as a text; nil when nothing does.
machines.missing = docker.missing

-- ---- A machine

local Machine = {}
Machine.__index = Machine

-- Takes in what the worker has answered.
local function look(self, seconds)
  local chunk = self.worker:read("stdout", seconds)
  self.answers = self.answers .. (chunk or "")
  for verb, code in self.answers:gmatch "(%a+) (%d+)\n" do
    self.pending = self.pending - 1
    if code ~= "0" then self.failed = self.failed or verb end
    if verb == "destroy" then self.gone = true end
  end
  self.answers = self.answers:match "[^\n]*$"
end

local function ask(self, verb)
  if self.last == "destroy" then return end
  self.last = verb
  self.pending = self.pending + 1
  self.worker:write(verb .. "\n")
end

--- As the button of the machine does: its system is told, and has ten seconds.
function Machine:stop() ask(self, "stop") end

--- Switches it on again: the same disk, the same address.
function Machine:start() ask(self, "start") end

function Machine:restart() ask(self, "restart") end

--- Takes its power away.
function Machine:kill() ask(self, "kill") end

--- Removes it and its disk.
function Machine:destroy() ask(self, "destroy") end

local COMING = { boot = true, start = true, restart = true }

--- Does it run? By the engine, at this moment; one that is still to be switched on does.
function Machine:alive()
  look(self, 0)
  if self.pending > 0 and COMING[self.last] then return true end
  local result = self.yard.engine:docker {
    "container", "inspect", "--format", "{{.State.Running}}", self.container, check = false,
  }
  return result.stdout == "true\n"
end

--- Waits until all verbs so far are done: true; nil and why when one failed or `seconds` (60) have passed.
function Machine:wait(seconds)
  local deadline = system.now() + (seconds or 60)
  look(self, 0)
  while self.pending > 0 and not self.gone do
    if system.now() >= deadline then return nil, "its verbs are not done in time" end
    look(self, 0.05)
  end
  if self.failed then return nil, ("%s failed: %s"):format(self.failed, self:log()) end
  return true
end

--- What the engine said of it, and its console.
function Machine:log()
  local console = self.yard.engine:docker { "logs", "--tail", "50", self.container, check = false }
  return (files.read(self.folder .. ".log") or "") .. console.stdout .. console.stderr
end

-- ---- A yard

local Yard = {}
Yard.__index = Yard

local function free_address(self)
  local taken = {}
  for machine in pairs(self.machines) do
    look(machine, 0)
    if machine.gone then
      self.machines[machine] = nil
      machine.worker:close()
    else
      taken[machine.address] = true
    end
  end
  for last = FIRST, LAST do
    local address = ("198.18.%d.%d"):format(self.engine.number, last)
    if not taken[address] then return address end
  end
  return error "no address is free"
end

--- Boots one, and returns it at once: it answers in about two seconds. fields: name; user_data, a text; meta_data, a
--- table for cloud-init (instance-id, local-hostname, public-keys), each with a default; kind, "droplet" (default) or
--- "instance".
function Yard:boot(fields)
  self.count = self.count + 1
  local address = free_address(self)
  local container = ("m%d-%s"):format(self.count, fields.name:gsub("[^%w.-]", "-"))
  local folder = ("%s/%s"):format(self.folder, container)
  lfs.mkdir(folder)
  lfs.mkdir(folder .. "/seed")
  local meta = { ["instance-id"] = container, ["local-hostname"] = fields.name }
  for name, value in pairs(fields.meta_data or {}) do meta[name] = value end
  local seed = {
    ["user-data"] = fields.user_data or "", ["meta-data"] = json.encode(meta),
    ["vendor-data"] = VENDOR_DATA[fields.kind or "droplet"],
  }
  for name, text in pairs(seed) do assert(files.write(folder .. "/seed/" .. name, text)) end
  local machine = setmetatable({
    yard = self, address = address, port = 22, container = container, folder = folder, pending = 0, answers = "",
    worker = assert(process.start {
      "sh", RECIPE .. "/machine.sh", container, address, folder, self.images, env = self.engine.env,
      stdin = true, stdout = true, stderr = false,
    }),
  }, Machine)
  self.machines[machine] = true
  ask(machine, "boot")
  return machine
end

--- Ends all machines, and what they run on.
function Yard:close()
  if self.closed then return end
  self.closed = true
  for machine in pairs(self.machines) do machine.worker:close() end
  self.engine:close()
end

Yard.__close = Yard.close
Yard.__gc = Yard.close

local function make_image(engine) engine:docker { "build", "-q", "-t", "droplet", RECIPE } end

local function key_of_image()
  local key = {}
  for _, name in ipairs { "Dockerfile", "cloud.cfg", "container.conf", "start" } do
    key[#key + 1] = files.sha256(RECIPE .. "/" .. name)
  end
  return table.concat(key)
end

--- Opens one. options.images: what the machines' engines start with, "base" (docker.lua's seeds), "packages" or
--- "rtlua".
function machines.open(options)
  local images = docker[options and options.images or "base"]()
  local seed = docker.seed { name = "droplet", key = key_of_image(), from = docker.base(), make = make_image }
  local engine = docker.start { seed = seed }
  engine:docker { "network", "create", "--subnet", ("198.18.%d.0/24"):format(engine.number), "droplets" }
  local folder = engine.folder .. "/machines"
  lfs.mkdir(folder)
  return setmetatable({ engine = engine, images = images, folder = folder, machines = {}, count = 0 }, Yard)
end

local common

--- yard:boot(fields) of a yard that lives as long as this process.
function machines.boot(fields)
  common = common or machines.open()
  return common:boot(fields)
end

return machines
