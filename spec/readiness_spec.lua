-- Readiness: each stage's own limit, message and remedy, and what is not waited for. The provider is a table of the
-- spec's; SSH is a real server.

local errors = require "rtlua.errors"
local folder = require "spec.support.folder"
local keys = require "rtlua.machine.keys"
local loop = require "rtlua.loop"
local machines = require "spec.support.cloud.machines"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local readiness = require "rtlua.machine.readiness"
local sshd = require "spec.support.sshd"
local system = require "rtlua.system"
local user_data = require "rtlua.machine.user_data"

local pace, getenv = loop.pace, os.getenv
local lease, driver, dir

-- A driver that tells the given records, one a look, the last for ever.
local function telling(...)
  local records, i = { ... }, 0
  return {
    transport = "ssh",
    get = function()
      i = math.min(i + 1, #records)
      local record = records[i]
      if type(record) == "function" then return record() end
      return record or nil
    end,
  }
end

local function wait(stage, stages)
  return readiness.wait(lease, driver, {
    until_stage = stage,
    on_stage = stages and function(name, seconds) stages[#stages + 1] = name .. (seconds and "." or "") end,
  })
end

local function failure(stage)
  local begin = system.now()
  local fine, problem = pcall(wait, stage)
  assert.is_false(fine)
  assert.is_true(errors.is(problem), tostring(problem))
  return problem, system.now() - begin
end

before_each(function()
  loop.pace = function(seconds) return seconds * 0.01 end -- luacheck: ignore
  dir = folder.new()
  -- Where sockets go.
  os.getenv = function(name) return name == "XDG_RUNTIME_DIR" and dir.path or getenv(name) end -- luacheck: ignore
  lease = { name = "spec-abcdefghij", run = "abcdefghij", notes = {} }
  function lease.folder() return dir.path end
  function lease:note(fields)
    for key, value in pairs(fields) do self[key] = value end
  end
end)
after_each(function()
  loop.pace, os.getenv = pace, getenv -- luacheck: ignore
  dir:remove()
end)

describe("readiness", function()
  it("waits until it runs and has an address, and notes that", function()
    driver = telling({ state = "new" }, { state = "new" }, { state = "running" },
      { state = "running", address = "127.0.0.1", private_address = "10.0.0.2", port = 2222 })
    local stages = {}
    assert.is_nil(wait("address", stages))
    assert.same({ "127.0.0.1", "10.0.0.2", 2222 }, { lease.address, lease.private_address, lease.port })
    assert.same({ "running", "running.", "address", "address." }, stages)
  end)
  it("looks again where the provider cannot answer", function()
    driver = telling(function() errors.stage("running", 75, "503", "try again") end, { state = "running" })
    assert.is_nil(wait "running")
  end)
  it("gives up at a stage's limit, and says which", function()
    driver = telling { state = "new" }
    local problem, seconds = failure "running"
    assert.same({ "running", 69 }, { problem.stage, problem.code })
    assert.matches("after 1.8 s: it is new: see the provider's status page", problem.message, 1, true)
    assert.is_true(seconds > 1.7 and seconds < 4)
    driver = telling { state = "running" }
    problem = failure "address"
    assert.same({ "address", 69 }, { problem.stage, problem.code })
    assert.matches("no public address after 0.6 s", problem.message, 1, true)
  end)
  it("gives up at once where it is gone, off or not ours to see", function()
    for _, case in ipairs {
      { telling(false), "is gone" }, { telling { state = "gone" }, "is gone" }, { telling { state = "off" }, "is off" },
      { telling(function() errors.stage("running", 69, "401: Unable to authenticate", "check the token") end), "401" },
    } do
      driver = case[1]
      local problem, seconds = failure "running"
      assert.matches(case[2], problem.message, 1, true)
      assert.equal(69, problem.code)
      assert.is_true(seconds < 0.5)
    end
  end)
  it("has nothing to wait for on this computer", function()
    driver = { transport = "local", get = function() error "asked" end }
    assert.is_nil(wait "engine")
  end)
end)

describe("readiness over SSH #real", function()
  local server
  before_each(function()
    server = sshd.start()
    for name, from in pairs { id_ed25519 = "login", known_hosts = "known_hosts" } do
      dir:write(name, (server.dir:read(from):gsub("^spec%-host", lease.name)))
      os.execute(("chmod 600 '%s/%s'"):format(dir.path, name))
    end
    driver = telling { state = "running", address = "127.0.0.1", port = server.port }
    lease.rekeyed = true -- the system's own host key is none of ours; spec/ssh_spec.lua changes one
  end)
  after_each(function() server:close() end)

  it("waits for a server that is not up yet", function()
    server:down()
    local tries = 0
    local get = driver.get
    driver.get = function(...)
      tries = tries + 1
      if tries == 2 then server:up() end -- the provider is asked again while SSH does not answer
      return get(...)
    end
    local transport <close> = wait "ssh"
    assert.equal("a\n", transport:run({ "echo", "a" }).stdout)
    assert.equal(2, tries)
  end)
  it("says that SSH does not answer", function()
    server:down()
    local problem = failure "ssh"
    assert.same({ "ssh", 69 }, { problem.stage, problem.code })
    assert.matches("SSH does not answer after 1.8 s: 127.0.0.1: .*Connection refused: see whether a firewall",
      problem.message)
    server:up()
  end)
  it("refuses another host key at once", function()
    dir:write("known_hosts", lease.name .. " " .. server.public .. "\n") -- a key, but not the host's
    local problem, seconds = failure "ssh"
    assert.same({ "ssh", 69 }, { problem.stage, problem.code })
    assert.matches("host key differs", problem.message)
    assert.is_true(seconds < 1.5)
  end)
  it("notices that the machine dies while SSH is waited for", function()
    server:down()
    driver = telling({ state = "running", address = "127.0.0.1", port = server.port }, { state = "gone" })
    local problem = failure "ssh"
    assert.matches("is gone", problem.message)
    server:up()
  end)
  it("says that the engine does not answer", function()
    local transport <close> = wait "ssh"
    local answers, why = readiness.engine_answers(transport, dir.path .. "/none")
    assert.is_nil(answers)
    assert.is_string(why)
  end)
end)

describe("cloud-init's end", function()
  local function told(result)
    return readiness.cloud_init_errors { run = function() return result end }
  end
  it("is known by its result", function()
    assert.same({}, told { code = 0, stdout = '{"v1": {"datasource": "DataSourceNoCloud", "errors": []}}' })
    assert.same({ "('scripts_user', RuntimeError('failed'))" },
      told { code = 0, stdout = [[{"v1": {"errors": ["('scripts_user', RuntimeError('failed'))"]}}]] })
    assert.same({ "it is not there, or disabled" }, told { code = 3, stdout = "" })
  end)
  it("has not come while there is no result, or half of one", function()
    assert.is_nil(told { code = 75, stdout = "" })
    assert.is_nil(told { code = 0, stdout = '{"v1": {' })
    assert.is_nil(readiness.cloud_init_errors { run = function() return nil, "lost", 75 end })
  end)
end)

describe("a machine of the local cloud #real", function()
  local yard

  setup(function() yard = machines.open() end)
  teardown(function() yard:close() end)
  before_each(function()
    loop.pace = function(seconds) return seconds * 0.25 end -- luacheck: ignore
    lease.expires = 2000000000
    keys.make(lease)
  end)

  local function boot(options)
    local machine = yard:boot { name = lease.name, user_data = user_data.make(lease, options) }
    driver = telling { state = "running", address = machine.address }
    return setmetatable({ address = machine.address }, {
      __close = function()
        machine:destroy()
        machine:wait(30)
      end,
    })
  end

  it("becomes ready, with a host key that its user data does not know", function()
    local machine <close> = boot { engine = "apt" } -- luacheck: ignore
    local first = dir:read "known_hosts"
    local stages = {}
    local transport <close> = wait("engine", stages)
    assert.same({
      "running", "running.", "address", "address.", "ssh", "ssh.", "cloud-init", "cloud-init.", "engine", "engine.",
    }, stages)
    assert.is_true(lease.rekeyed)
    assert.are_not.equal(first, dir:read "known_hosts")
    assert.equal(0, transport:run({ "test", "-s", "/run/cloud-init/result.json" }).code)
    local again <close> = wait "ssh"
    assert.is_true(again.ssh:check())
    dir:write("known_hosts", first)
    assert.matches("host key differs", failure("ssh").message)
  end)

  -- Greets who connects, in a container; Debian's smallest image has perl.
  local GREETER = [[socket(S, PF_INET, SOCK_STREAM, 6); bind(S, sockaddr_in(8080, INADDR_ANY)); listen(S, 5);
    while (accept(C, S)) { syswrite C, "hello\n"; close C }]]
  local function answers(address, port)
    return ("timeout 1 bash -c 'read -r line </dev/tcp/%s/%d && echo $line'"):format(address, port)
  end

  it("lets nobody in but by port 22, not even where a container publishes one", function()
    local machine <close> = boot { engine = "apt" }
    local transport <close> = wait "engine"
    local server <close> = assert(transport:start { "/usr/sbin/sshd", "-D", "-p", "2222" }) -- luacheck: ignore
    local started = transport:run {
      "docker", "run", "-d", "-p", "8080:8080", "debian:bookworm-slim", "perl", "-MSocket", "-e", GREETER,
    }
    assert.equal(0, started.code, started.stderr)
    assert.is_true(marked.within(function()
      return transport:run({ "sh", "-c", answers("127.0.0.1", 8080) }).stdout == "hello\n"
    end, 20))
    assert.equal("", process.run({ "sh", "-c", answers(machine.address, 8080) }).stdout)
    assert.is_true(marked.within(function()
      return transport:run({ "sh", "-c", answers("127.0.0.1", 2222) }).stdout:find "^SSH" ~= nil
    end))
    assert.matches("^SSH", process.run({ "sh", "-c", answers(machine.address, 22) }).stdout)
    assert.equal("", process.run({ "sh", "-c", answers(machine.address, 2222) }).stdout)
  end)
  it("is given up where cloud-init fails, and shows its errors", function()
    local machine <close> = boot { engine = "https://127.0.0.1:1/none" } -- luacheck: ignore
    local problem = failure "engine"
    assert.same({ "cloud-init", 69 }, { problem.stage, problem.code })
    assert.matches("cloud%-init failed: .*scripts.user.*: curl: .*: see /var/log/cloud", problem.message)
  end)
end)
