-- Watchers: a machine does not outlive its script or its time, whoever is killed.

local cloud = require "spec.support.cloud"
local fake = require "spec.support.fake"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local sshd = require "spec.support.sshd"

local CREATE = [[
  local it = new(FIELDS)
  watcher.ensure(it)
  driver:create(it)
  it:note { state = "ready" }
]]

local function create(fields) return (CREATE:gsub("FIELDS", fields or "")) end

describe("a watcher #life", function()
  it("destroys the machine of a script that is killed", function()
    local stage <close> = fake.new()
    local child <close>, line = stage:start(create() .. "print(it.name); turn()")
    assert.same({ line .. ".json" }, stage:entries())
    assert.equal(1, #stage:machines())
    assert.equal(1, #stage:watchers())
    child:kill "KILL"
    child:wait(5)
    assert.is_true(stage:is_clean())
    assert.equal(1, #stage:costs())
  end)
  it("leaves a machine that its script has destroyed, and ends with it", function()
    local stage <close> = fake.new()
    stage:run(create() .. 'driver:destroy(it); assert(it:spent(nil, "script"))')
    assert.is_true(stage:is_clean())
    local destroyed = 0
    for _, event in ipairs(stage:events()) do
      if event:match "^destroy" then destroyed = destroyed + 1 end
    end
    assert.equal(1, destroyed)
  end)
  it("stands before anything is asked for, with files of its own alone", function()
    local stage <close> = fake.new()
    local child <close> = stage:start [[
      local it = new()
      watcher.start(it)
      watcher.ensure(it)
      assert(it:watched() and it:owned() and not it:orphaned())
      print "stands"
      turn()]]
    local pids = stage:watchers()
    assert.equal(1, #pids)
    -- Standard streams, the death pipe, the lock and what it said: no other descriptor came along.
    local pipes = 0
    for fd in lfs.dir(("/proc/%d/fd"):format(pids[1])) do
      local target = lfs.symlinkattributes(("/proc/%d/fd/%s"):format(pids[1], fd), "target") or ""
      if target:match "^pipe:" then pipes = pipes + 1 end
    end
    assert.equal(1, pipes)
    local log = stage.dir.path .. "/state/machines/" .. stage:folders()[1] .. "/watcher.log"
    assert.equal("rw-------", lfs.attributes(log, "permissions"))
    child:kill "KILL"
    assert.equal(1, #stage:entries())
  end)
  it("is started anew when it was killed", function()
    local stage <close> = fake.new()
    local child <close> = stage:start(create() .. [[
      print "up"
      turn()
      watcher.ensure(it)
      print "again"
      turn()]])
    local first = stage:watchers()
    stage:kill_watchers()
    assert.is_true(marked.within(function() return #stage:watchers() == 0 end))
    child:write "go\n"
    assert.equal("again\n", child:read("stdout", 20))
    local second = stage:watchers()
    assert.equal(1, #second)
    assert.not_equal(first[1], second[1])
    child:kill "KILL"
    child:wait(5)
    assert.is_true(stage:is_clean())
  end)
  it("ends a machine's time, though its script goes on", function()
    local stage <close> = fake.new()
    local child <close> = stage:start(create "{ ttl = 1.5 }" .. "print 'up'; turn()")
    assert.equal(1, #stage:machines())
    assert.is_true(marked.within(function() return #stage:machines() == 0 and #stage:entries() == 0 end, 10))
    assert.is_nil((child:wait(0)))
  end)
  it("ends a machine when its money is spent", function()
    local stage <close> = fake.new()
    -- $1.00 an hour: 2 s of it.
    local child <close> = stage:start(create "{ max_cost = 2 / 3600, minimum = 0 }" .. "print 'up'; turn()")
    assert.equal(1, #stage:machines())
    assert.is_true(marked.within(function() return #stage:machines() == 0 end, 10))
    assert.is_nil((child:wait(0)))
  end)
  it("keeps a machine that belongs to a time until then", function()
    local stage <close> = fake.new()
    local child <close> = stage:start(create "{ kind = 'time', ttl = 3 }" .. "print 'up'")
    child:wait(5)
    os.execute "sleep 1"
    assert.equal(1, #stage:machines())
    assert.equal(1, #stage:watchers())
    assert.is_true(stage:is_clean(10))
  end)
  it("destroys what a command that died had not made ready", function()
    local stage <close> = fake.new()
    stage:run [[
      local it = new { kind = "time" }
      watcher.ensure(it)
      driver:create(it)]]
    assert.is_true(stage:is_clean())
  end)
  it("obeys a new end, and keeps what is kept", function()
    local stage <close> = fake.new()
    stage:run(create "{ ttl = 2 }" .. [[
      it:keep()
      local to = it.expires + 3
      driver:extend(it, to)
      it:extend(to)]])
    os.execute "sleep 3.2"
    assert.equal(1, #stage:machines())
    assert.is_true(stage:is_clean(10))
  end)
  it("asks the provider for the time before it acts", function()
    local stage <close> = fake.new()
    local child <close> = stage:start(create "{ ttl = 2 }" .. "print 'up'; turn()")
    -- Our clock was set an hour on since, it seems.
    stage:tell("skew", -3600)
    os.execute "sleep 3.5"
    assert.equal(1, #stage:machines())
    child:kill "KILL"
    child:wait(5)
    assert.is_true(stage:is_clean())
  end)
  it("fetches what the job has made before it destroys", function()
    local stage <close> = fake.new()
    stage:run(create() .. [[it:note { job = { id = "j", outputs = { "a.png" } } }]])
    assert.is_true(stage:is_clean())
    local order = {}
    for _, event in ipairs(stage:events()) do
      if event:match "^fetch" or event:match "^destroy" then order[#order + 1] = event:match "^%a+" end
    end
    assert.same({ "fetch", "destroy" }, order)
  end)
  it("does not wait for what cannot be fetched", function()
    local stage <close> = fake.new()
    stage:tell("fetch-hangs", "")
    stage:run(create() .. [[it:note { job = { id = "j", outputs = { "a.png" } } }]])
    assert.is_true(stage:is_clean(30))
  end)
  it("tries until the machine is gone", function()
    local stage <close> = fake.new()
    stage:tell("fail-destroy", 3)
    stage:run(create())
    assert.is_true(stage:is_clean())
  end)
  it("says what is wrong meanwhile", function()
    local stage <close> = fake.new()
    stage:tell("fail-destroy", 1000)
    stage:run(create())
    local lines
    assert.is_true(marked.within(function()
      lines = stage:run "show(settle.all())"
      return #lines > 0
    end))
    assert.matches("^rtlua%-%w+ is left: destroy: the fake was told to fail.*its watcher goes on trying", lines[1])
    assert.equal("remains", lines[2])
    stage:tell "fail-destroy"
    assert.is_true(stage:is_clean())
  end)
  it("destroys what turns up after a create that nobody saw answered", function()
    local stage <close> = fake.new(0.001)
    local child <close> = stage:start [[
      local it = new()
      watcher.ensure(it)
      print(it.run)
      turn()
      driver:appear(it)]]
    child:kill "KILL"
    child:wait(5)
    os.execute "sleep 0.3"
    assert.equal(1, #stage:entries())
    stage:run [[driver:appear(lease.all()[1])]]
    assert.is_true(marked.within(function() return #stage:machines() == 0 end))
    -- And once more, while the half hour lasts.
    if #stage:entries() == 1 then stage:run [[driver:appear(lease.all()[1])]] end
    assert.is_true(stage:is_clean())
  end)
  it("destroys the second machine of a create that was asked twice", function()
    local stage <close> = fake.new()
    local child <close>, line = stage:start(create():gsub("driver:create", [[
      it:note { unanswered = math.floor(it:now()) }
      driver:create]], 1) .. [[
      print(it.id)
      turn()
      driver:appear(it)
      turn()
      driver:destroy(it)
      print(it:spent(nil, "script"))]])
    child:write "\n"
    assert.is_true(marked.within(function() return #stage:costs() == 1 end))
    assert.same({ line }, stage:machines())
    child:write "\n"
    -- More may turn up: the entry stays open for half an hour.
    assert.equal("false\n", child:read("stdout", 10))
    child:wait(5)
    assert.equal(1, #stage:entries())
    assert.equal(1, #stage:watchers())
    assert.equal(2, #stage:costs())
    assert.same({}, stage:machines())
  end)
end)

describe("a watcher with the local cloud #life", function()
  local SCRIPT = [[
    local drivers, keys = require "rtlua.drivers", require "rtlua.machine.keys"
    local lease, watcher = require "rtlua.machine.lease", require "rtlua.machine.watcher"
    local driver = drivers.open(os.getenv "DRIVER")
    local checked, plan = driver:check(), driver:validate { size = os.getenv "SIZE" }
    local it = lease.new {
      driver = driver.name, kind = "script", ttl = 3600, account = checked.account, endpoint = checked.endpoint,
      clock = checked.now, size = plan.size.slug, region = plan.region, image = plan.image,
      price_hour = plan.price_hour, minimum = plan.minimum, extras_hour = plan.extras_hour,
    }
    local made = keys.make(it)
    it.public_key, it.user_data = made.public, "#cloud-config\n"
    it:note { key = { fingerprint = made.fingerprints.md5 } }
    watcher.ensure(it)
    io.open(os.getenv "PID", "w"):write((io.open "/proc/self/stat":read "n")):close()
    driver:create(it)
    require "rtlua.system".sleep(60)]]

  -- Runs it as a victim of the double, at the call that makes the machine.
  local function kill(stage, double, name, when, victims)
    local options = stage:program ""
    stage.dir:write("script.lua", SCRIPT)
    options[#options] = stage.dir.path .. "/script.lua"
    for key, value in pairs(double.env) do options.env[key] = value end
    options.env.RTLUA_STATE = stage.env.RTLUA_STATE
    options.env.DRIVER, options.env.SIZE = name, name == "ec2" and "t3.micro" or "s-1vcpu-1gb"
    options.env.PID = stage.dir.path .. "/pid"
    local fault = victims or { pid_file = options.env.PID }
    fault.what, fault.when = "kill", when
    fault.match = { kind = name == "ec2" and "^RunInstances$" or "^POST /v2/droplets$" }
    fault.skip = name == "ec2" and 1 or 0 -- the dry run
    double:fault(fault)
    options.timeout = 60
    local result = assert(process.run(options))
    assert.equal("KILL", result.signal, result.stderr)
    return options.env
  end

  local function is_gone(double)
    local alive = double:alive()
    return #alive.droplets + #alive.instances + #alive.keys == 0
  end

  for _, name in ipairs { "digitalocean", "ec2" } do
    for _, when in ipairs { "after", "replied" } do
      it(("destroys at %s what a script had asked for that was killed, %s"):format(name, when), function()
        local stage <close> = fake.new()
        local double <close> = cloud.start {}
        kill(stage, double, name, when)
        assert.is_true(marked.within(function() return is_gone(double) end, 30))
        local created = 0
        for _, event in ipairs(double:ledger()) do
          if event.event == "created" and (event.kind == "droplet" or event.kind == "instance") then
            created = created + 1
          end
        end
        assert.equal(1, created)
        assert.is_true(marked.within(function() return #stage:costs() == 1 end))
      end)
    end
    it(("and the next command do it at %s, where it was killed as well"):format(name), function()
      local stage <close> = fake.new()
      local double <close> = cloud.start {}
      local env = kill(stage, double, name, "after", { env = "RTLUA_STATE=" .. stage.env.RTLUA_STATE })
      assert.is_false(is_gone(double))
      assert.same({ 1, 0 }, { #stage:entries(), #stage:watchers() })
      stage.dir:write("script.lua", 'for _, l in ipairs(require "rtlua.machine.settle".all().lines) do print(l) end')
      local result = process.run { lfs.currentdir() .. "/rtlua", stage.dir.path .. "/script.lua", env = env }
      assert.equal(0, result.code, result.stderr)
      assert.matches("its create was not answered: what turns up until", result.stdout)
      assert.is_true(marked.within(function() return is_gone(double) end, 30))
    end)
  end
end)

describe("a watcher's forward #real", function()
  it("stands beyond the command that asked for it, through a cut, and goes with the machine", function()
    local stage <close> = fake.new()
    local server <close> = sshd.start()
    assert(lfs.mkdir(stage.dir.path .. "/run"))
    stage.env.XDG_RUNTIME_DIR = stage.dir.path .. "/run"
    stage.env.SSHD = server.dir.path
    local lines = stage:run(create "{ kind = 'time' }" .. ([[
      local files = require "rtlua.files"
      it:note { address = "127.0.0.1", port = %d }
      files.write(it:folder() .. "/id_ed25519", files.read(os.getenv "SSHD" .. "/login"))
      files.write(it:folder() .. "/known_hosts", it.name .. " %s\n")
      print(watcher.forward(it))]]):format(server.port, server.host_public))
    local path = lines[1]
    assert.equal("socket", lfs.attributes(path, "mode"))
    assert.equal("rw-------", lfs.attributes(path, "permissions"))
    local function processes() return table.concat(stage.mark:list(), " ") end
    local before = processes() -- the watcher, and its ssh
    assert.equal(2, #stage.mark:list())
    server:cut()
    assert.is_true(marked.within(function()
      return #stage.mark:list() == 2 and processes() ~= before and lfs.attributes(path, "mode") == "socket"
    end, 20))
    assert.same({ path }, stage:run "print(watcher.forward(lease.all()[1]))")
    stage:run [[
      local it = lease.all()[1]
      driver:destroy(it)
      it:spent()]]
    assert.is_true(stage:is_clean())
    assert.is_nil(lfs.attributes(path, "mode"))
    assert.equal("", process.run({ "ls", "-A", stage.env.XDG_RUNTIME_DIR .. "/rtlua" }).stdout)
  end)
end)
