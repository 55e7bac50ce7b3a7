-- rtlua.drivers.docker: a container of the local Docker Engine plays a machine. Nothing is billed.
--
-- The container runs a shell that only waits; commands come by exec (../machine/transports/docker.lua). Its image is
-- "rtlua", which is built of these very sources where the engine does not have it, or another that has a shell.
--
-- Always holds: marks are labels, and the name carries the run, so that a container of ours is known without a journal.
-- Labels cannot change: later expiries are empty files in /.rtlua-marks of the container, and go with it; the latest
-- wins. Only the engine that made a container may say that it is gone.

local engine = require "rtlua.machine.engine"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local images = require "rtlua.machine.image"
local lfs = require "lfs"
local process = require "rtlua.process"
local suggest = require "rtlua.suggest"
local system = require "rtlua.system"

local docker = {}

local DEFAULT_SOCKET = "/var/run/docker.sock"
local MARKS = ".rtlua-marks" -- folder of later expiries, below the container's root
local RUN_LABEL = "rtlua:run-"

-- What the container's first process does: it ends at once when it is stopped, and reaps what commands leave.
local WAIT = { "/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 86400 & wait $!; done" }

local Docker = { __name = "rtlua.drivers.docker" }
Docker.__index = Docker

-- ---- What there is

--- { account, endpoint, now, login }: the account is the engine's own id. Raises stage "check".
function Docker:check()
  local answers, message, code = self.engine:ping()
  if not answers then
    errors.stage("check", code == errors.TRY_AGAIN and code or errors.UNAVAILABLE,
      ("no Docker Engine answers at %s: %s"):format(self.socket, message),
      "start it (systemctl start docker), join the group docker, or use --driver local")
  end
  self.account = self.engine:info().ID
  return { account = self.account, endpoint = "unix://" .. self.socket, now = system.time(), login = "root" }
end

function Docker:sizes()
  local info = self.engine:info()
  return {
    {
      slug = "local", memory = math.tointeger(info.MemTotal // (1 << 20)), vcpus = math.tointeger(info.NCPU), disk = 0,
      price_month = 0, price_hour = 0, regions = { "local" }, available = true,
    },
  }
end

function Docker.regions() return { { slug = "local", name = "this computer", available = true } } end

function Docker:images()
  local list = {}
  for _, image in ipairs(self.engine:images()) do
    for _, tag in ipairs(type(image.RepoTags) == "table" and image.RepoTags or {}) do
      if not tag:find "<none>" then list[#list + 1] = { slug = tag:gsub(":latest$", ""), name = tag } end
    end
  end
  table.sort(list, function(a, b) return a.slug < b.slug end)
  return list
end

local function refuse(what, given, names, remedy)
  errors.stage("check", errors.USAGE, ("unknown %s '%s'%s"):format(what, given, suggest.hint(given, names)), remedy)
end

--- See the contract of drivers: what is wanted, resolved; raises 64 for what there is not.
function Docker:validate(want)
  local size = self:sizes()[1]
  for what, given in pairs { size = want.size or "local", region = want.region or "local" } do
    if given ~= "local" then refuse(what, given, { "local" }, "there is one, 'local': leave it out") end
  end
  local image = want.image or images.NAME
  if not (image == images.NAME and pcall(images.sources)) and not self.engine:has(image) then
    local names = {}
    for _, one in ipairs(self:images()) do names[#names + 1] = one.slug end
    refuse("image", image, names, image == images.NAME and "build it in rtlua's sources: docker build -t rtlua ."
      or ("docker pull %s, or use one of: %s"):format(image, table.concat(names, ", ")))
  end
  if want.name and not want.name:match "^[%w][%w_.-]*$" then
    errors.stage("check", errors.USAGE, ("the engine takes no name '%s'"):format(want.name),
      "use letters, digits, '-', '_' and '.'")
  end
  return { size = size, region = "local", image = image, price_hour = 0, minimum = 0, extras_hour = 0 }
end

-- ---- Records

local STATES = { created = "new", running = "running", paused = "running", restarting = "running" }

-- The names of the files with later expiries.
local function later_marks(self, id)
  local dir <close> = assert(files.temporary())
  local tar = dir.path .. "/marks.tar"
  if not self.engine:get_archive(id, "/" .. MARKS, tar) then return {} end
  local listed = process.run { "tar", "-t", "-f", tar, check = true }
  local found = {}
  for expires in listed.stdout:gmatch(MARKS:gsub("%p", "%%%0") .. "/exp%-(%d+)\n") do
    found[#found + 1] = "rtlua:exp-" .. expires
  end
  return found
end

-- Of what both the list and inspect tell: { Id, Name, State, Labels, Image, created, address }.
local function to_record(self, seen)
  local record = {
    id = seen.id, name = seen.name:gsub("^/", ""), state = STATES[seen.state] or "off", address = seen.address,
    region = "local", size = "local", image = seen.image, created = seen.created, driver = "docker", marks = {},
    price_hour = 0,
  }
  for label in pairs(seen.labels) do
    if label == "rtlua" or label:match "^rtlua:" then table.insert(record.marks, label) end
    record.run = record.run or label:match "^rtlua:run%-(%w+)$"
  end
  local later = later_marks(self, seen.id)
  table.move(later, 1, #later, #record.marks + 1, record.marks)
  for _, mark in ipairs(record.marks) do
    local expires = math.tointeger(tonumber(mark:match "^rtlua:exp%-(%d+)$"))
    record.expires = expires and math.max(expires, record.expires or 0) or record.expires
  end
  table.sort(record.marks)
  return record
end

local function address_of(networks)
  for _, network in pairs(networks or {}) do
    if network.IPAddress and network.IPAddress ~= "" then return network.IPAddress end
  end
  return nil
end

local function listed(self, label)
  local records = {}
  for _, c in ipairs(self.engine:list { label = label }) do
    records[#records + 1] = to_record(self, {
      id = c.Id, name = c.Names[1] or "", state = c.State, labels = c.Labels, image = c.Image,
      created = math.tointeger(c.Created), address = address_of(c.NetworkSettings and c.NetworkSettings.Networks),
    })
  end
  return records
end

-- An entry of another engine is no business of this one.
local function check_account(self, of)
  if not of.account then return end
  self.account = self.account or self.engine:info().ID
  if self.account ~= of.account then
    errors.stage("check", errors.UNAVAILABLE, ("%s is of another Docker Engine than %s"):format(of.name, self.socket),
      "set DOCKER_HOST to the engine that made it")
  end
end

--- Records of the containers that bear the lease's run, or its exact name.
function Docker:find(lease)
  local found = {}
  for _, record in ipairs(listed(self, "rtlua")) do
    if record.run == lease.run or record.name == lease.name then found[#found + 1] = record end
  end
  return found
end

--- The record of a lease or record, or nil when the engine that made it says that it is gone.
function Docker:get(of)
  check_account(self, of)
  if not of.id then return self:find(of)[1] end
  local c = self.engine:inspect(of.id)
  if not c then return nil end
  local created = c.Created:match "^[^.Z]+"
  return to_record(self, {
    id = c.Id, name = c.Name, state = c.State.Status, labels = c.Config.Labels or {}, image = c.Config.Image,
    created = engine.unix_time(created .. "Z"), address = address_of(c.NetworkSettings.Networks),
  })
end

function Docker:list() return listed(self, "rtlua") end

-- ---- Changing

-- The name of an image that the engine has; ours is built where the sources are here.
local function provide_image(self, image)
  if image == images.NAME and pcall(images.sources) then return images.provide(self.engine, self.on_log) end
  if self.engine:has(image) then return image end
  return errors.stage("create", errors.UNAVAILABLE, ("the engine has no image '%s'"):format(image),
    "docker pull it first")
end

--- Makes and starts the container; its id is in the journal before it starts.
function Docker:create(lease)
  local image = provide_image(self, lease.image or images.NAME)
  local labels = {}
  for _, mark in ipairs(lease:marks()) do labels[mark] = "" end
  local fine, id = pcall(self.engine.create, self.engine, {
    image = image, name = lease.name, labels = labels, entrypoint = WAIT, command = {},
  })
  if not fine then
    local problem = id
    if not errors.is(problem) or problem.stage ~= "engine" then error(problem, 0) end
    local e = errors.staged("create", problem.code, problem.reason, problem.remedy, problem)
    e.unanswered = problem.code == errors.TRY_AGAIN or nil
    error(e, 0)
  end
  lease:note { id = id, state = "created" }
  self.engine:start(id)
  return self:get(lease)
end

--- Adds a later expiry.
function Docker:extend(lease, expires)
  local dir <close> = assert(files.temporary())
  assert(lfs.mkdir(dir.path .. "/" .. MARKS))
  assert(files.write(("%s/%s/exp-%d"):format(dir.path, MARKS, expires), ""))
  local tar = dir.path .. "/marks.tar"
  process.run { "tar", "-c", "-f", tar, "--owner=0", "--group=0", "-C", dir.path, MARKS, check = true }
  self.engine:put_archive(lease.id, "/", tar)
end

function Docker:start(of) self.engine:start(of.id) end

function Docker:stop(of) self.engine:stop(of.id) end

function Docker:kill(of) self.engine:kill(of.id) end

function Docker:restart(of)
  self.engine:stop(of.id)
  self.engine:start(of.id)
end

--- Removes every container of the lease or record, with its volumes; back when the engine says that they are gone.
function Docker:destroy(of)
  local fine, problem = pcall(function()
    check_account(self, of)
    if of.id then self.engine:remove(of.id) end
    for _, left in ipairs(of.run and self.engine:list { label = RUN_LABEL .. of.run } or {}) do
      self.engine:remove(left.Id)
    end
  end)
  if fine then return end
  if errors.is(problem) and problem.code > 128 then error(problem, 0) end
  errors.stage("destroy", errors.REMAINS, ("the container %s may be left: %s"):format(of.name, tostring(problem)),
    "rtlua machine rm it again, or docker rm -f it", problem)
end

--- Nothing but containers is ever made.
function Docker.sweep() return {} end

-- ---- Opening

-- The path of the engine's socket.
local function socket_path(endpoint)
  local path = endpoint:match "^unix://(/.+)$" or endpoint:match "^(/.+)$"
  return path or errors.stage("check", errors.USAGE, ("the driver docker wants a unix socket, not %s"):format(endpoint),
    "give unix:///PATH, or reach a remote machine by --driver ssh")
end

--- config: endpoint ("unix:///var/run/docker.sock", else DOCKER_HOST's); on_log(line), for the lines of a build.
function docker.open(config)
  config = config or {}
  local host = os.getenv "DOCKER_HOST"
  local endpoint = config.endpoint or (host and host ~= "" and host) or DEFAULT_SOCKET
  local self = {
    name = "docker", transport = "docker", billed = false, socket = socket_path(endpoint), on_log = config.on_log,
  }
  self.engine = engine.new { socket = self.socket }
  return setmetatable(self, Docker)
end

return docker
