-- The whole pipeline, as its user has it: scripts/cloud.lua renders on a machine of each driver, with Docker really
-- building and running, to the very bytes of a direct render; nothing is left then, no secret is found anywhere, and a
-- pool takes about the time of one machine.

local cjson = require "cjson"
local cloud = require "spec.support.cloud"
local docker = require "spec.support.cloud.docker"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local run = require "spec.support.run"

local SCENE, RENDER = "scenes/cornell.lua", { "--spp", "4", "--size", "64x48", "--quiet" }
local ENDS_WITHIN = 120 -- seconds
local PACE = 0.5

local function content(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a" or ""
end

-- Calls f(path, attributes) for what is below a folder; files may go meanwhile.
local function walk(path, f)
  if not lfs.attributes(path) then return end
  for name in lfs.dir(path) do
    local below = path .. "/" .. name
    local attributes = name ~= "." and name ~= ".." and lfs.symlinkattributes(below)
    if attributes then
      f(below, attributes)
      if attributes.mode == "directory" then walk(below, f) end
    end
  end
end

-- What one sees while a command runs: of its files, and of the processes that all users see.
local Watch = {}
Watch.__index = Watch

function Watch:look()
  local function private(path, attributes)
    local wanted = attributes.mode == "directory" and "rwx------" or "rw-------"
    local of_the_machine = path:find("/state/local/", 1, true) -- the driver local's has its disk there
    if attributes.permissions ~= wanted and not of_the_machine then
      self.problems[path .. " is " .. attributes.permissions] = true
    end
    self:search(path, attributes.mode == "file" and content(path) or "")
    self.files = self.files + 1
  end
  walk(self.state, private)
  walk(self.temporary, function(path, attributes)
    if attributes.mode == "file" then self:search(path, content(path)) end
  end)
  for pid in lfs.dir "/proc" do
    if pid:find "^%d+$" then self:search("a process", content(("/proc/%s/cmdline"):format(pid))) end
  end
end

function Watch:search(where, text)
  for name, secret in pairs(self.secrets) do
    if text:find(secret, 1, true) then self.problems[("%s has the %s"):format(where, name)] = true end
  end
end

-- Looks for the secrets on the machine's disk, with the script's own key.
function Watch:search_machine()
  local key, entry
  walk(self.state, function(path)
    key = path:match "^.*/id_ed25519$" or key
    entry = path:match "^.*/journal/rtlua%-%w+%.json$" or entry
  end)
  local lease = cjson.decode(content(entry))
  local patterns = {}
  for _, secret in pairs(self.secrets) do patterns[#patterns + 1] = secret end
  local result = process.run {
    "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-i", key,
    "-o", "UserKnownHostsFile=" .. key:gsub("id_ed25519$", "known_hosts"),
    "-o", "HostKeyAlias=" .. lease.name, "root@" .. lease.address,
    "echo searched; grep -rlF -D skip -f - /etc /root /home /tmp /run /var/log /var/lib/cloud 2>/dev/null",
    stdin = table.concat(patterns, "\n") .. "\n", timeout = 30,
  }
  self.machine = result and result.stdout
end

describe("the pipeline #real", function()
  local missing = docker.missing()
  if missing then
    pending(missing)
    return
  end
  local double, engine, direct, dir, mark, watch

  setup(function()
    local out <close> = folder.new()
    local words = { SCENE, "-o", out.path .. "/c.pfm", table.unpack(RENDER) }
    assert.equal(0, run.rtlua(words).code)
    direct = out:read "c.pfm"
    double = cloud.start { real = true, images = "rtlua", pace = PACE }
    engine = docker.start { seed = docker.rtlua() }
  end)
  teardown(function()
    engine:close()
    double:close()
  end)

  before_each(function()
    dir, mark = folder.new(), marked.new()
    lfs.mkdir(dir.path .. "/tmp")
    watch = setmetatable({
      state = dir.path .. "/state", temporary = dir.path .. "/tmp", problems = {}, files = 0,
      secrets = { token = double.token, ["secret key"] = double.secret_key },
    }, Watch)
  end)
  after_each(function()
    for _, pid in ipairs(mark:list()) do process.run { "kill", "-KILL", tostring(pid) } end
    dir:remove()
  end)

  local function environment(more)
    local env = { RTLUA_SPEC_MARK = mark.token, TMPDIR = watch.temporary, XDG_RUNTIME_DIR = "" }
    for _, given in ipairs { double.env, more or {} } do
      for name, value in pairs(given) do env[name] = value end
    end
    env.RTLUA_STATE = watch.state
    return env
  end

  -- Runs the script, looking on. Its machine's disk is searched while the script stands still.
  local function play(words, env, searched)
    local command = { "./rtlua", "scripts/cloud.lua", SCENE, "-o", dir.path .. "/c.pfm" }
    for _, list in ipairs { { "--spp", "4", "--size", "64x48" }, words } do
      table.move(list, 1, #list, #command + 1, command)
    end
    command.env, command.stderr = env, { file = dir.path .. "/stderr" }
    local child <close> = assert(process.start(command))
    local result = loop.until_true(ENDS_WITHIN, 0.05, function()
      watch:look()
      if searched and not watch.machine and ("\n" .. dir:read "stderr"):find "\nupload " then
        child:kill "STOP"
        watch:search_machine()
        child:kill "CONT"
      end
      return child:wait(0)
    end)
    watch:look()
    local text = dir:read "stderr"
    assert.is_truthy(result, "it did not end: " .. text)
    assert.equal(0, result.code, text)
    watch:search("what it said", text)
  end

  local function nothing_is_left(env)
    assert.is_true(mark:gone(30), "processes are left")
    assert.same({}, watch.problems)
    for _, path in ipairs { watch.temporary, watch.state .. "/machines", watch.state .. "/run" } do
      walk(path, function(below) error(below .. " is left") end)
    end
    local listed = cjson.decode(run.rtlua({ "machine", "ls", "--json" }, { env = env }).stdout)
    assert.same({ {}, {} }, { listed.machines, listed.problems })
    local alive = double:alive()
    for _, kind in ipairs { "droplets", "instances", "keys", "groups" } do assert.same({}, alive[kind] or {}, kind) end
  end

  local function made(from)
    local count = 0
    for _, event in ipairs(double:ledger()) do
      local machine = event.kind == "droplet" or event.kind == "instance"
      if event.n > from and event.event == "created" and machine then count = count + 1 end
    end
    return count
  end

  it("is the same with the driver local", function()
    local env = environment()
    play({ "--driver", "local" }, env)
    assert.is_true(direct == dir:read "c.pfm")
    nothing_is_left(env)
  end)

  it("is the same with the driver docker", function()
    local env = environment(engine.env)
    play({ "--driver", "docker" }, env)
    assert.is_true(direct == dir:read "c.pfm")
    assert.equal("", engine:docker({ "ps", "-aq" }).stdout)
    nothing_is_left(env)
  end)

  for driver, size in pairs { digitalocean = "s-2vcpu-4gb", ec2 = "c6i.xlarge" } do
    it("is the same with the driver " .. driver, function()
      local env, before = environment(), #double:ledger()
      play({ "--driver", driver, "--size", size }, env, true)
      assert.is_true(direct == dir:read "c.pfm")
      assert.equal("searched\n", watch.machine)
      assert.equal(1, made(before))
      assert.is_true(watch.files > 0)
      nothing_is_left(env)
    end)
  end
end)

describe("a pool #life", function()
  local SCRIPT = [[
    local pool <close> = require("rtlua.cloud").pool {
      driver = "digitalocean", size = "c-32", region = "sfo3", ttl = "1h", ready = "address", count = tonumber(arg[1]),
    }
  ]]

  -- Seconds from the first create to the last machine that is active, and whether all were created by the first one's.
  local function provision(count)
    local dir <close> = folder.new()
    local double <close> = cloud.start { latencies = { boot = 100 } }
    local mark = marked.new()
    double.env.RTLUA_SPEC_MARK = mark.token
    local result = run.rtlua({ dir:write("pool.lua", SCRIPT), tostring(count) }, { env = double.env })
    assert.equal(0, result.code, result.stderr)
    assert.is_true(mark:gone(30))
    local created, active, first, last = 0, 0, nil, nil
    for _, event in ipairs(double:ledger()) do
      if event.kind == "droplet" and event.event == "created" then
        assert.equal(0, active, "one was created when another was there already")
        created, first = created + 1, first or event.time
      elseif event.kind == "droplet" and event.event == "state" and event.state == "running" then
        active, last = active + 1, event.time
      end
    end
    assert.same({ count, count }, { created, active })
    return last - first
  end

  it("of four takes about the time of one", function()
    local one, four = provision(1), provision(4)
    assert.is_true(four < 2 * one + 1, ("%.2f s for one, %.2f s for four"):format(one, four))
  end)
end)
