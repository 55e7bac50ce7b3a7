-- The ssh driver: a host that exists, its user's own ~/.ssh, a folder as machine, and nothing else touched.
--
-- ssh finds ~/.ssh by the user's entry in /etc/passwd, so this file runs itself once more in a mount namespace, where
-- the user's home is a temporary folder. That wants root.

local folder = require "spec.support.folder"
local process = require "rtlua.process"

local HOME = os.getenv "RTLUA_SPEC_HOME"

if not HOME then
  describe("the ssh driver #real", function()
    it("does what it should, in a home of its own", function()
      local dir <close> = folder.new()
      local home = process.run({ "sh", "-c", 'eval echo "~$(id -un)"', check = true }).stdout:gsub("\n", "")
      local result = process.run {
        "unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", dir.path, home,
        "lua5.4", "/usr/bin/busted", "spec/ssh_driver_spec.lua",
        env = { RTLUA_SPEC_HOME = home, HOME = home, XDG_RUNTIME_DIR = false, RTLUA_STATE = home .. "/state" },
        timeout = 300, stderr = "stdout",
      }
      assert.is_truthy(result, "it takes too long")
      assert.equal(0, result.code, result.stdout)
      assert.matches("8 successes / 0 failures / 0 errors / 0 pending", result.stdout, 1, true)
    end)
  end)
  return
end

local lfs = require "lfs"
local marked = require "spec.support.marked"
local readiness = require "rtlua.machine.readiness"
local ssh_driver = require "rtlua.drivers.ssh"
local sshd = require "spec.support.sshd"
local support = require "spec.support.driver"
local system = require "rtlua.system"

local refused = support.refuses

local function write(path, text)
  local file = assert(io.open(HOME .. "/" .. path, "w"))
  file:write(text)
  file:close()
  assert(os.execute(("chmod 600 '%s/%s'"):format(HOME, path)))
end

describe("the ssh driver", function()
  local server, driver, lease

  before_each(function()
    server = sshd.start()
    lfs.mkdir(HOME .. "/.ssh")
    write(".ssh/id", server.dir:read "login")
    write(".ssh/config", ("Host render\n  HostName 127.0.0.1\n  Port %d\n  IdentityFile %s/.ssh/id\n")
      :format(server.port, HOME))
    write(".ssh/known_hosts", ("[127.0.0.1]:%d %s\n"):format(server.port, server.host_public))
    driver = ssh_driver.open { host = "render" }
    lease = {
      name = "spec-abcdefghij", run = "abcdefghij", expires = 1000, folder = function() error "none is needed" end,
      marks = function(self) return { "rtlua", "rtlua:run-" .. self.run, "rtlua:exp-" .. self.expires } end,
      note = function(self, fields)
        for key, value in pairs(fields) do self[key] = value end
      end,
    }
  end)
  after_each(function()
    pcall(driver.destroy, driver, lease)
    driver:close()
    server:close()
    assert.is_nil(system.exists(HOME .. "/.rtlua"))
    assert.equal(("[127.0.0.1]:%d %s\n"):format(server.port, server.host_public),
      assert(io.open(HOME .. "/.ssh/known_hosts")):read "a")
  end)

  it("knows the host, and what it has", function()
    local checked = driver:check()
    assert.equal("ssh://render", checked.endpoint)
    assert.matches("^%S+@%S+$", checked.account)
    assert.is_true(math.abs(checked.now - system.time()) < 5)
    local size = driver:sizes()[1]
    assert.is_true(size.vcpus >= 1 and size.memory > 100 and size.disk >= 0)
    assert.equal(0, driver:validate({}).price_hour)
    refused("check", 64, "unknown size 'c-32'", driver.validate, driver, { size = "c-32" })
  end)
  it("makes a folder that bears the marks", function()
    local record = driver:create(lease)
    assert.same({ "spec-abcdefghij", "running", "abcdefghij", 1000, "render" },
      { record.name, record.state, record.run, record.expires, record.host })
    assert.same({ "rtlua", "rtlua:exp-1000", "rtlua:run-abcdefghij" }, record.marks)
    assert.same({ { record }, record }, { driver:list(), driver:get(lease) })
    driver:extend(lease, 2000)
    assert.equal(2000, driver:get(lease).expires)
    assert.equal("rwx------", lfs.attributes(HOME .. "/.rtlua/spec-abcdefghij", "permissions"))
    driver:destroy(lease)
    assert.is_nil(driver:get(lease))
    assert.same({}, driver:list())
    driver:destroy(lease)
  end)
  it("runs and copies there by the user's own ssh", function()
    driver:create(lease)
    local stages = {}
    local t <close> = readiness.wait(lease, driver, {
      until_stage = "cloud-init", on_stage = function(stage, seconds) stages[#stages + 1] = seconds and stage end,
    })
    assert.same({ "running", "ssh" }, stages)
    assert.equal("a\n", t:run({ "echo", "a" }).stdout)
    local work = t:folder()
    assert.matches("/%.rtlua/spec%-abcdefghij/work%.", work)
    t:put(HOME .. "/.ssh/config", work .. "/there")
    t:get(work .. "/there", HOME .. "/back")
    assert.is_truthy(t:sha256(work .. "/there"))
    os.remove(HOME .. "/back")
    driver:destroy(lease)
    assert.is_nil(system.exists(work))
  end)
  it("ends what works in the folder, and nothing else", function()
    driver:create(lease)
    local t <close> = readiness.wait(lease, driver, {})
    local other <close> = assert(process.start { "sleep", "1237" })
    -- Jobs have streams of their own: sshd waits for all that hold its pipes.
    t:run {
      "sh", "-c", "trap '' TERM; exec >/dev/null 2>&1; setsid sh -c 'sleep 1234; true' & setsid sleep 1235 & sleep 0.3",
      cwd = t:folder(), timeout = 20,
    }
    local function there() return process.run({ "sh", "-c", "ps -e -o args | grep -c '^[s]leep 123[45]'" }).stdout end
    assert.equal("2\n", there())
    driver:kill(lease)
    assert.equal("0\n", there())
    assert.equal(75, select(3, other:wait(0)))
    t:run { "sh", "-c", "exec >/dev/null 2>&1; setsid sleep 1234 & sleep 0.3", cwd = t:folder(), timeout = 20 }
    driver:destroy(lease)
    assert.equal("0\n", there())
  end)
  it("is neither started nor stopped", function()
    for _, verb in ipairs { "start", "stop", "restart" } do
      refused("check", 64, "neither started nor stopped", driver[verb], driver, lease)
    end
  end)
  it("says that a host is missing, unknown or not to be reached", function()
    local none = ssh_driver.open {}
    refused("check", 64, "no host", none.check, none)
    assert.same({}, none:list())
    assert.equal(64, select(2, pcall(ssh_driver.open, { host = "-oProxyCommand=x" })).code)
    server:down()
    refused("check", 75, "Connection refused: see whether this works: ssh -o BatchMode=yes render true", driver.check,
      driver)
    refused("destroy", 76, "may be left on render", driver.destroy, driver, lease)
    server:up()
  end)
  it("refuses a host whose key the user does not know", function()
    server:change_host_key()
    assert.is_true(marked.within(function()
      local fine, problem = pcall(driver.check, driver)
      return not fine and problem.code == 69 and problem.message:find "host key differs" ~= nil
    end))
  end)
  it("says nothing of another host's machines", function()
    driver:check()
    lease.account = "root@elsewhere"
    refused("check", 69, "is another host, or another user", driver.get, driver, lease)
    refused("destroy", 76, "another host", driver.destroy, driver, lease)
  end)
end)
