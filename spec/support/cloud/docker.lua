-- A dockerd of a spec's own: `local engine <close> = docker.start()`, or docker.start { seed = docker.base() }.
--
-- It lives in network, mount and PID namespaces of its own, so that it meets no other daemon and changes neither the
-- machine's firewall nor its routes: slirp4netns (a process) gives it the way out, a pair of virtual interfaces the way
-- in. engine.socket and engine.env (DOCKER_HOST) reach it; its containers' addresses are reached from here, all of
-- their ports. It ends with its scope; killed with the script, it leaves a folder below docker.cache() that the next
-- start removes.
--
-- Images come from seeds: data folders of a dockerd that is stopped, made once and kept in docker.cache(), cloned by
-- hard links in a fraction of a second. docker.base() has debian:bookworm-slim alone, by debootstrap, since no registry
-- need be in reach.
--
-- Always holds: a seed is whole or not there; two processes make a seed once; nothing writes to a seed. Only root can.

local files = require "rtlua.files"
local lfs = require "lfs"
local process = require "rtlua.process"
local system = require "rtlua.system"

local docker = {}

docker.BASE = "debian:bookworm-slim"

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local SUITE = "bookworm"
local SECONDS_TO_START = 60

local function absolute(path) return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path end

local function run(arguments)
  arguments.check = true
  return process.run(arguments)
end

local function succeeds(arguments)
  local result = process.run(arguments)
  return result ~= nil and result.code == 0
end

--- What keeps a spec from starting one here, as a text; nil when nothing does.
function docker.missing()
  if not succeeds { "sh", "-c", "test $(id -u) = 0" } then return "only root can start dockerd" end
  for _, name in ipairs { "dockerd", "docker", "debootstrap", "slirp4netns", "unshare", "nsenter", "ip", "iptables" } do
    if not succeeds { "sh", "-c", 'PATH="$PATH:/usr/sbin:/sbin"; command -v "$0"', name } then
      return name .. " is missing: scripts/setup.sh install machines"
    end
  end
  return nil
end

--- Where seeds are kept: in the tree's build/, gone with `make clean`.
function docker.cache()
  local path = absolute "build/cache"
  for _, folder in ipairs { absolute "build", path, path .. "/engines" } do lfs.mkdir(folder) end
  return path
end

-- ---- A dockerd

local Engine = {}
Engine.__index = Engine

-- The kernel's table of names says which numbers are taken: of the interface, and of the networks behind it,
-- 198.18.N.0/24 (for machines.lua) and 198.19.N.0/24, which no real network has (RFC 2544).
local function plug_in(self)
  local pid = self.child.pid
  for number = 0, 255 do
    local name = "rtlua" .. number
    if succeeds { "ip", "link", "add", name, "type", "veth", "peer", "name", "link0", "netns", pid } then
      self.number, self.interface = number, name
      run { "ip", "addr", "add", ("198.19.%d.1/30"):format(number), "dev", name }
      run { "ip", "link", "set", name, "up" }
      run { "ip", "route", "add", ("198.18.%d.0/24"):format(number), "via", ("198.19.%d.2"):format(number) }
      self.slirp = assert(process.start {
        "slirp4netns", "--configure", "--mtu=1500", "--netns-type=path", ("/proc/%d/ns/net"):format(pid), "tap0",
        stdin = false, stdout = false, stderr = false,
      })
      self.child:write(number .. "\n")
      return
    end
  end
  error "no interface of rtlua0 to rtlua255 is free: end what holds them (ip link)"
end

local function log_of(self)
  local log = files.read(self.dir.path .. "/log") or ""
  return log:sub(-2000)
end

--- Runs the docker command against it. Returns what process.run does; raises where it fails, unless check = false.
function Engine:docker(arguments)
  local command = { "docker", table.unpack(arguments) }
  for key, value in pairs(arguments) do
    if type(key) == "string" then command[key] = value end
  end
  command.env = { DOCKER_BUILDKIT = "0" }
  for _, given in ipairs { self.env, arguments.env or {} } do
    for name, value in pairs(given) do command.env[name] = value end
  end
  if command.check == nil then command.check = true end
  return process.run(command)
end

--- Ends the daemon as a service manager would, so that its data folder is whole.
function Engine:shut_down()
  self.child:close_input()
  assert(self.child:wait(30), "dockerd does not end")
end

-- Removes what an engine's processes leave. The kernel ends these a moment after the first of them, and lets go of
-- their control groups only then.
local function remove_traces(folder, temporary)
  local deadline, groups = system.now() + 10, "*/" .. folder:match "[^/]*$" .. "*"
  local remove = { "find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", groups, "-exec", "rmdir", "{}", "+" }
  while process.run(remove).code ~= 0 and system.now() < deadline do system.sleep(0.05) end
  run { "rm", "-rf", "--one-file-system", folder, temporary }
  os.remove(folder .. ".lock")
end

--- Ends everything in it, and removes it.
function Engine:close()
  self.child:close() -- unshare, and by --kill-child the first process of the namespaces
  if self.slirp then self.slirp:close() end
  if self.interface then process.run { "ip", "link", "delete", self.interface } end
  remove_traces(self.folder, self.dir.path)
end

Engine.__close = Engine.close

-- What engines left whose scripts were killed: nobody holds their locks. In the lock is where the rest is.
local function remove_leftovers(engines)
  for entry in lfs.dir(engines) do
    local lock = entry:match "%.lock$" and engines .. "/" .. entry
    local age = lock and system.time() - (lfs.attributes(lock, "modification") or math.huge)
    if age and age > 60 and succeeds { "flock", "-n", lock, "true" } then
      remove_traces(lock:match "^(.*)%.lock$", files.read(lock))
    end
  end
end

--- Starts one. options.seed: a seed's folder to clone; options.data: a data folder that is used and kept instead.
--- Returns { socket, env = { DOCKER_HOST, DOCKER_CONFIG }, number, folder }, to be closed; what is put into the folder
--- ends with it, too. Raises when it does not answer within a minute, with the end of its log.
function docker.start(options)
  options = options or {}
  local engines = docker.cache() .. "/engines"
  remove_leftovers(engines)
  local dir = assert(files.temporary())
  local name = dir.path:match "[^/]*$"
  local folder = engines .. "/" .. name
  local self = setmetatable({
    dir = dir, name = name, folder = folder, lock = folder .. ".lock", socket = dir.path .. "/docker.sock",
  }, Engine)
  assert(files.write(self.lock, dir.path))
  lfs.mkdir(folder)
  self.env = { DOCKER_HOST = "unix://" .. self.socket, DOCKER_CONFIG = dir.path .. "/config" }
  self.child = assert(process.start {
    "flock", "--no-fork", "--nonblock", self.lock,
    "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
    "sh", absolute(HERE) .. "/droplet/engine.sh", dir.path, options.data or folder .. "/data",
    options.seed or "-", name,
    stdin = true, stdout = true, stderr = { file = dir.path .. "/log" },
  })
  local started, problem = pcall(function()
    assert(self.child:read("stdout", SECONDS_TO_START) == "ready\n", "its namespaces cannot be made")
    plug_in(self)
    local deadline = system.now() + SECONDS_TO_START
    while not succeeds { "docker", "version", env = self.env } do
      assert(system.now() < deadline and not self.child:wait(0), "it does not answer")
      system.sleep(0.05)
    end
    -- Docker would let in only what is published.
    local namespace = ("--net=/proc/%d/ns/net"):format(self.child.pid)
    run { "nsenter", namespace, "iptables", "-w", "-I", "DOCKER-USER", "-j", "ACCEPT" }
  end)
  if not started then
    local log = log_of(self)
    self:close()
    error(("dockerd: %s\n%s"):format(problem, log), 0)
  end
  return self
end

-- ---- Seeds

-- The lock that is held until the returned value is closed.
local function locked(path)
  local child = assert(process.start {
    "flock", "--no-fork", path, "sh", "-c", "echo; exec cat", stdin = true, stdout = true, stderr = false,
  })
  assert(child:read("stdout", 1800), "another process makes the same images, and does not finish")
  return child
end

--- The folder of a seed, made when it is not there. fields: name; key, a text that says what is in it (a seed of that
--- name with another key is removed); from, the folder of the seed that it starts from, if any; make(engine).
function docker.seed(fields)
  local cache = docker.cache()
  local key = files.sha256_text(fields.key .. (fields.from or "")):sub(1, 12)
  local path = ("%s/%s-%s"):format(cache, fields.name, key)
  local lock <close> = locked(cache .. "/" .. fields.name .. ".lock") -- luacheck: ignore
  if lfs.attributes(path) then return path end
  local new = ("%s/%s.new"):format(cache, fields.name)
  run { "rm", "-rf", "--one-file-system", new }
  do
    local engine <close> = docker.start { data = new, seed = fields.from }
    fields.make(engine)
    engine:shut_down()
  end
  for entry in lfs.dir(cache) do
    local old = entry:match("^" .. fields.name .. "%-%x+$") and cache .. "/" .. entry
    if old then run { "rm", "-rf", "--one-file-system", old } end
  end
  assert(os.rename(new, path))
  return path
end

-- Mounts of debootstrap's end with its namespace.
local function make_base(engine)
  local dir <close> = assert(files.temporary(docker.cache() .. "/engines"))
  local root, archive = dir.path .. "/root", dir.path .. "/root.tar"
  run {
    "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
    "debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, root,
  }
  run {
    "tar", "-C", root, "--exclude=./var/cache/apt/*.bin", "--exclude=./var/cache/apt/archives/*.deb",
    "--exclude=./var/lib/apt/lists/*_*", "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*",
    "--exclude=./usr/share/locale/*", "-cf", archive, ".",
  }
  engine:docker { "import", archive, docker.BASE }
end

--- The seed that has debian:bookworm-slim: half a minute the first time.
function docker.base() return docker.seed { name = "base", key = SUITE, make = make_base } end

-- The hashes of files, as a key.
local function contents(paths)
  local found = run { "find", table.unpack(paths) }
  local lines = {}
  for path in found.stdout:gmatch "[^\n]+" do
    if lfs.attributes(path, "mode") == "file" then lines[#lines + 1] = path .. " " .. files.sha256(path) end
  end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function build(engine, tag, ...) engine:docker { "build", "-q", "-t", tag, ".", ... } end

--- The seed that besides has what takes the longest of this tree's Dockerfile, its packages: a build starts from there.
function docker.packages()
  return docker.seed {
    name = "packages", key = contents { "Dockerfile", "scripts/setup.sh" }, from = docker.base(),
    make = function(engine)
      build(engine, "rtlua-tools", "--target", "tools")
      build(engine, "rtlua-packages", "--target", "packages")
    end,
  }
end

--- The seed that has this tree's image, `rtlua`; building it again takes a second.
function docker.rtlua()
  return docker.seed {
    name = "rtlua",
    key = contents {
      "Dockerfile", ".dockerignore", "Makefile", "rtlua", "core", "bindings", "scripts", "types", "docs", "scenes",
    },
    from = docker.packages(),
    make = function(engine) build(engine, "rtlua") end,
  }
end

return docker
