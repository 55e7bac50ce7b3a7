-- The docker driver and its transport: a container that plays a machine, known by its marks, and gone afterwards.

local docker = require "rtlua.drivers.docker"
local dockerd = require "spec.support.dockerd"
local files = require "rtlua.files"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local readiness = require "rtlua.machine.readiness"
local support = require "spec.support.driver"
local system = require "rtlua.system"

local refused = support.refuses

describe("the docker driver without an engine", function()
  it("says what to do", function()
    local dir <close> = folder.new()
    local driver = docker.open { endpoint = "unix://" .. dir.path .. "/none" }
    local fine, problem = pcall(driver.check, driver)
    assert.is_false(fine)
    assert.equal("check", problem.stage)
    assert.matches("no Docker Engine answers at .*start it .* or use %-%-driver local", problem.message)
    refused("check", 64, "wants a unix socket", docker.open, { endpoint = "tcp://127.0.0.1:2375" })
  end)
end)

describe("the docker driver #real", function()
  local server, driver, lease, checked

  setup(function() server = dockerd.start() end)
  teardown(function() server:close() end)
  before_each(function()
    driver = docker.open { endpoint = "unix://" .. server.socket }
    checked = driver:check()
    lease = {
      name = "spec-abcdefghij", run = "abcdefghij", image = "busybox:spec", account = checked.account, expires = 1000,
      notes = {},
      marks = function(self) return { "rtlua", "rtlua:run-" .. self.run, "rtlua:exp-" .. self.expires } end,
      note = function(self, fields)
        for key, value in pairs(fields) do self[key] = value end
        table.insert(self.notes, fields)
      end,
    }
  end)
  after_each(function()
    driver:destroy(lease)
    assert.same({}, driver:list())
    assert.same({}, driver.engine:list())
    driver.engine:close()
  end)

  it("knows the engine, and what there is", function()
    assert.is_string(checked.account)
    assert.equal("unix://" .. server.socket, checked.endpoint)
    assert.is_true(math.abs(checked.now - system.time()) < 5)
    local size = driver:sizes()[1]
    assert.same({ "local", 0, true }, { size.slug, size.price_hour, size.available })
    assert.is_true(size.memory > 100 and size.vcpus >= 1)
    assert.equal("busybox:spec", driver:images()[1].slug)
    local valid = driver:validate { image = "busybox:spec", name = "a-b" }
    assert.same({ "busybox:spec", "local", 0 }, { valid.image, valid.region, valid.price_hour })
  end)
  it("refuses what there is not, with near names", function()
    refused("check", 64, "did you mean 'busybox:spec'", driver.validate, driver, { image = "busybos:spec" })
    refused("check", 64, "unknown size 'c-32'", driver.validate, driver, { image = "busybox:spec", size = "c-32" })
    refused("check", 64, "unknown region 'nyc3'", driver.validate, driver, { image = "busybox:spec", region = "nyc3" })
    refused("check", 64, "takes no name", driver.validate, driver, { image = "busybox:spec", name = "a b" })
  end)
  it("makes a machine that bears its marks, and notes its id before it runs", function()
    local record = driver:create(lease)
    assert.equal(record.id, lease.notes[1].id)
    assert.same({ "spec-abcdefghij", "running", "abcdefghij", 1000 },
      { record.name, record.state, record.run, record.expires })
    assert.same({ "rtlua", "rtlua:exp-1000", "rtlua:run-abcdefghij" }, record.marks)
    assert.is_true(math.abs(record.created - system.time()) < 60)
    local again = { driver:list(), driver:find(lease), { driver:get(lease) } }
    assert.same({ { record }, { record }, { record } }, again)
    assert.same({}, driver:find { run = "other", name = "other-other" })
  end)
  it("moves its end on, and stopped machines keep that", function()
    driver:create(lease)
    driver:extend(lease, 3000)
    driver:extend(lease, 2000) -- the latest wins
    assert.equal(3000, driver:get(lease).expires)
    driver:stop(lease)
    assert.same({ "off", 3000 }, { driver:get(lease).state, driver:list()[1].expires })
    driver:start(lease)
    assert.same({ "running", 3000 }, { driver:get(lease).state, driver:get(lease).expires })
    driver:kill(lease)
    assert.equal("off", driver:get(lease).state)
    driver:restart(lease)
    assert.equal("running", driver:get(lease).state)
  end)
  it("destroys by the run what the id does not tell", function()
    driver:create(lease)
    local id = lease.id
    driver:destroy { run = lease.run, name = lease.name }
    assert.is_nil(driver:get { id = id, name = lease.name })
    driver:destroy(lease)
  end)
  it("says nothing of another engine's machines", function()
    lease.id = ("0"):rep(64)
    assert.is_nil(driver:get(lease))
    lease.account = "another"
    refused("check", 69, "another Docker Engine", driver.get, driver, lease)
    refused("destroy", 76, "another Docker Engine", driver.destroy, driver, lease)
    lease.account, lease.id = checked.account, nil
  end)
  it("says when a machine may be left", function()
    driver:create(lease)
    local remove = driver.engine.remove
    driver.engine.remove = function() error("the engine hangs", 0) end
    refused("destroy", 76, "may be left: the engine hangs", driver.destroy, driver, lease)
    driver.engine.remove = remove
  end)

  describe("and its transport", function()
    local t, dir
    before_each(function()
      driver:create(lease)
      t = readiness.wait(lease, driver, { until_stage = "engine" })
      dir = folder.new()
    end)
    after_each(function()
      t:close()
      dir:remove()
    end)

    it("passes arguments, input and environment as they are", function()
      local arguments = { "a b", "$HOME", "'", '"', "", "*", "; exit 1", "\n", "\\", "`id`", "-n", "%s" }
      local result = t:run { "printf", "[%s]", table.unpack(arguments) }
      assert.equal("[" .. table.concat(arguments, "][") .. "]", result.stdout)
      assert.equal("x'\0y", t:run({ "cat", stdin = "x'\0y" }).stdout)
      local seen = t:run {
        "sh", "-c", 'pwd; echo "$A-${HOME-none}"', cwd = "/tmp", env = { A = "x'y z", HOME = false },
      }
      assert.equal("/tmp\nx'y z-none\n", seen.stdout)
      assert.equal("", t:run({ "sh", "-c", "ls /tmp | grep input" }).stdout)
    end)
    it("tells codes and streams", function()
      local lines = {}
      local result = t:run { "sh", "-c", "echo out; printf err >&2; exit 3", on_line = function(line, stream)
        lines[#lines + 1] = stream .. ":" .. line
      end }
      table.sort(lines)
      assert.same({ 3, "out\n", "err" }, { result.code, result.stdout, result.stderr })
      assert.same({ "stderr:err", "stdout:out" }, lines)
      assert.same({ 255, 137, 127, 126 }, {
        t:run({ "sh", "-c", "exit 255" }).code, t:run({ "sh", "-c", "kill -KILL $$" }).code,
        t:run({ "rtlua-no-such-program" }).code, t:run({ "true", cwd = "/no/such" }).code,
      })
      local fine, problem = pcall(t.run, t, { "sh", "-c", "echo why >&2; exit 3", check = true })
      assert.is_false(fine)
      assert.equal("sh: ended with 3: why", problem.message)
    end)
    it("ends what is late or let go here", function()
      local _, message, code = t:run { "sh", "-c", "sleep 1234 & sleep 1234", timeout = 0.3 }
      assert.same({ "sh: took longer than 0.3 s: allow it more time", 75 }, { message, code })
      local child = t:start { "sh", "-c", "echo up; sleep 1234" }
      assert.equal("up\n", child:read("stdout", 10))
      assert.equal("", child:read("stdout", 0.05))
      assert.same({ n = 3, nil, "still running", 75 }, table.pack(child:wait(0.05)))
      child:close()
      assert.equal("", t:run({ "sh", "-c", "ps | grep 'sleep 123[4]'" }).stdout)
    end)
    it("says that the container was ended meanwhile", function()
      local child <close> = t:start { "sh", "-c", "echo up; sleep 1234" }
      assert.equal("up\n", child:read("stdout", 10))
      driver:kill(lease)
      local result, _, code = child:wait(20)
      assert.is_true(result == nil and code == 75 or result.code == 137)
      assert.same({ result, code }, { child:wait(0), code })
    end)
    it("copies a big file both ways, and says what cannot be", function()
      local big = dir:write("big", files.random(1 << 16):rep(1 << 7))
      local there = "/deep er/it's"
      t:put(big, there)
      assert.equal(files.sha256(big), t:sha256(there))
      t:run { "ln", "-s", there, "/link" }
      t:get("/link", dir.path .. "/back")
      assert.equal(files.sha256(big), files.sha256(dir.path .. "/back"))
      assert.is_nil(t:sha256 "/none")
      refused("upload", 66, "there is no such file", t.put, t, dir.path .. "/none", "/x")
      refused("upload", 69, "is a folder there", t.put, t, big, "/tmp")
      refused("upload", 69, "mkdir", t.put, t, big, "/proc/none/x")
      refused("download", 66, "no such file on the machine", t.get, t, "/none", dir.path .. "/got")
      refused("download", 73, "cannot be written", t.get, t, there, dir.path .. "/none/got")
      assert.same({ "back", "big" }, dir:list())
      assert.equal("it's\n", t:run({ "ls", "-A", "/deep er" }).stdout)
    end)
    it("copies a folder, and has fresh ones", function()
      assert(lfs.mkdir(dir.path .. "/a"))
      dir:write("a/b c", "inner")
      t:put(dir.path .. "/a", "to/there")
      assert.equal("inner", t:run({ "cat", "to/there/b c" }).stdout)
      local first, second = t:folder(), t:folder()
      assert.are_not.equal(first, second)
      assert.equal(0, t:run({ "test", "-d", first }).code)
    end)
  end)
end)
