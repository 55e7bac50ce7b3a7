-- The machines that the local cloud's specs trust: Debian's own cloud-init carries out what user data asks for, SSH and
-- the Docker Engine are real, stopping and killing is, and nothing of them stays.

local folder = require "spec.support.folder"
local json = require "rtlua.json"
local lfs = require "lfs"
local machines = require "spec.support.cloud.machines"
local marked = require "spec.support.marked"
local process = require "rtlua.process"

describe("a real machine #real", function()
  local missing = machines.missing()
  if missing then
    pending(missing)
    return
  end
  local yard, dir, machine

  local function keygen(name)
    process.run { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir.path .. "/" .. name, check = true }
    return dir:read(name), dir:read(name .. ".pub")
  end

  local function ssh(...)
    return process.run {
      "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=2",
      "-o", "UserKnownHostsFile=" .. dir.path .. "/known_hosts", "-i", dir.path .. "/login",
      "root@" .. machine.address, ...,
    }
  end

  local function answers() return ssh("true").code == 0 end

  local function boot(document)
    local private, public = keygen "host"
    local _, login = keygen "login"
    document.ssh_keys = { ed25519_private = private, ed25519_public = public }
    document.ssh_authorized_keys = { login }
    document.users = { { name = "root", lock_passwd = false } }
    machine = yard:boot { name = "spec", user_data = "#cloud-config\n" .. json.encode(document) }
    dir:write("known_hosts", machine.address .. " " .. public)
    assert.is_true(machine:wait())
    assert.is_true(marked.within(answers, 20), machine:log())
  end

  setup(function() yard = machines.open() end)
  teardown(function() yard:close() end)
  before_each(function() dir = folder.new() end)
  after_each(function()
    machine:destroy()
    assert.is_true(machine:wait())
    dir:remove()
  end)

  it("does what its user data says", function()
    boot {
      packages = { "docker.io" },
      write_files = { { path = "/etc/written", content = "by cloud-init\n", permissions = "0600" } },
      runcmd = { { "sh", "-c", "cat /etc/written /etc/written >/root/twice" } },
    }
    assert.matches("^%.*\n?status: done", ssh("cloud-init", "status", "--wait").stdout)
    assert.equal("by cloud-init\nby cloud-init\n", ssh("cat", "/root/twice").stdout)
    assert.equal("7\n", ssh("docker", "run", "--rm", "debian:bookworm-slim", "expr", "3", "+", "4").stdout)
  end)
  it("has only the host key that was given", function()
    boot {}
    keygen "other"
    dir:write("known_hosts", machine.address .. " " .. dir:read "other.pub")
    assert.matches("Host key verification failed", ssh("true").stderr)
  end)
  it("stops, starts with its disk and its address, and dies", function()
    boot {}
    ssh("sh", "-c", "'echo kept >/root/kept; sync'")
    machine:stop()
    assert.is_true(machine:wait())
    assert.is_false(machine:alive())
    assert.is_false(answers())
    machine:start()
    assert.is_true(machine:wait())
    assert.is_true(marked.within(answers, 20))
    assert.equal("kept\n", ssh("cat", "/root/kept").stdout)
    machine:kill()
    assert.is_true(machine:wait())
    assert.is_false(machine:alive())
  end)
  it("can end itself", function()
    boot {}
    ssh("shutdown", "-P", "now")
    assert.is_true(marked.within(function() return not machine:alive() end, 20))
  end)
  it("leaves nothing when it is destroyed", function()
    boot {}
    machine:destroy()
    assert.is_true(machine:wait())
    assert.is_nil(lfs.attributes(machine.folder))
    assert.equal("", yard.engine:docker({ "ps", "-aq" }).stdout)
    assert.equal("", yard.engine:docker({ "volume", "ls", "-q" }).stdout)
    assert.is_false(answers())
  end)
end)

describe("a yard #real", function()
  if machines.missing() then return end

  local function traces(name, number)
    local found = process.run({ "find", "/sys/fs/cgroup", "-name", name }).stdout
    for _, path in ipairs { "/tmp/" .. name, "/sys/class/net/rtlua" .. number } do
      if lfs.attributes(path) then found = found .. path .. "\n" end
    end
    for entry in lfs.dir "/proc" do
      local file = entry:match "^%d+$" and io.open(("/proc/%s/cmdline"):format(entry))
      if file then
        if (file:read "a" or ""):find(name, 1, true) then found = found .. "process " .. entry .. "\n" end
        file:close()
      end
    end
    return found
  end

  it("leaves nothing, whatever its machines do", function()
    local yard = machines.open()
    local engine = yard.engine
    local one = yard:boot { name = "one" }
    assert.is_true(one:wait())
    yard:boot { name = "two" }
    assert.are_not.equal("", traces(engine.name, engine.number))
    yard:close()
    assert.is_true(marked.within(function() return traces(engine.name, engine.number) == "" end, 5))
    assert.is_nil(lfs.attributes(engine.folder))
    assert.is_nil(lfs.attributes(engine.lock))
  end)
end)
