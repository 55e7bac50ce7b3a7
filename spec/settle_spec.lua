-- Settling: what killed processes left is finished by the next command, or by a reap elsewhere, and by nobody else's
-- credentials.

local fake = require "spec.support.fake"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local process = require "rtlua.process"

local SETTLE = "show(settle.all())"

-- A machine, as it is when its script and its watcher were killed. Its name.
local function abandoned(stage, fields)
  local child <close>, line = stage:start(([[
    local it = new(%s)
    driver:create(it)
    it:note { state = "ready" }
    print(it.name)
    turn()]]):format(fields or ""))
  child:kill "KILL"
  child:wait(5)
  return line
end

describe("settling #life", function()
  it("finishes what is left when script and watcher are killed", function()
    local stage <close> = fake.new()
    local child <close>, name = stage:start [[
      local it = new()
      watcher.ensure(it)
      driver:create(it)
      print(it.name)
      turn()]]
    for _, pid in ipairs(stage:watchers()) do process.run { "kill", "-STOP", tostring(pid) } end
    child:kill "KILL"
    child:wait(5)
    stage:kill_watchers()
    assert.same({ 1, 1 }, { #stage:machines(), #stage:entries() })
    assert.same({ name .. " was destroyed: its script had ended" }, stage:run(SETTLE))
    assert.is_true(stage:is_clean())
    assert.equal(1, #stage:costs())
    assert.same({}, stage:run(SETTLE))
  end)
  it("leaves machines alone whose script or watcher lives", function()
    local stage <close> = fake.new()
    local child <close> = stage:start [[
      local it = new()
      driver:create(it)
      print "up"
      turn()]]
    assert.same({}, stage:run(SETTLE))
    assert.same({ 1, 0 }, { #stage:machines(), #stage:watchers() })
    child:kill "KILL"
    child:wait(5)
    local other <close> = stage:start [[
      local it = lease.all()[1]
      assert(it:watch())
      print "up"
      turn()]]
    assert.same({}, stage:run(SETTLE))
    assert.equal(1, #stage:machines())
    other:kill "KILL"
    other:wait(5)
    assert.equal(1, #stage:run(SETTLE))
    assert.is_true(stage:is_clean())
  end)
  it("needs the credentials of the same account", function()
    local stage <close> = fake.new()
    local name = abandoned(stage)
    stage:tell("account", "you")
    -- To the other account the machine does not exist.
    assert(os.rename(stage.dir.path .. "/cloud/machines", stage.dir.path .. "/cloud/theirs"))
    local expected = {
      ("%s is left: destroy: %s: it belongs to another account: use the credentials that it was created with"):format(
        name, name),
      "remains",
    }
    for _ = 1, 2 do
      assert.same(expected, stage:run(SETTLE))
      assert.same({ 1, 0 }, { #stage:entries(), #stage:watchers() })
    end
    stage:tell "account"
    os.execute("rm -r " .. stage.dir.path .. "/cloud/machines 2>/dev/null")
    assert(os.rename(stage.dir.path .. "/cloud/theirs", stage.dir.path .. "/cloud/machines"))
    assert.equal(1, #stage:run(SETTLE))
    assert.is_true(stage:is_clean())
  end)
  it("does nothing without credentials", function()
    local stage <close> = fake.new()
    local name = abandoned(stage)
    stage:tell("no-token", "")
    assert.same({ name .. " is left: check: no token: set FAKE_TOKEN", "remains" }, stage:run(SETTLE))
    assert.same({ 1, 0 }, { #stage:entries(), #stage:watchers() })
    stage:tell "no-token"
    assert.equal(1, #stage:run(SETTLE))
    assert.is_true(stage:is_clean())
  end)
  it("learns nothing from a refusal", function()
    local stage <close> = fake.new(1)
    local name = abandoned(stage)
    stage:tell("fail-check", 1000)
    assert.same({ name .. " is left: check: the fake was told to fail: tell it otherwise", "remains" },
      stage:run(SETTLE))
    assert.same({ 1, 1, 1 }, { #stage:machines(), #stage:entries(), #stage:watchers() })
  end)
  it("is tried again by a watcher where it fails", function()
    local stage <close> = fake.new()
    local name = abandoned(stage)
    stage:tell("fail-destroy", 3)
    local lines = stage:run(SETTLE)
    assert.same({ name .. " is left: destroy: the fake was told to fail: tell it otherwise", "remains" }, lines)
    assert.is_true(stage:is_clean())
  end)
  it("does not fear for what is not billed", function()
    local stage <close> = fake.new()
    abandoned(stage, "{ price_hour = false }")
    stage:tell("fail-destroy", 1)
    assert.equal(1, #stage:run(SETTLE))
    assert.is_true(stage:is_clean())
  end)
  it("ends what is past its time, and gives what is not a watcher", function()
    local stage <close> = fake.new()
    local name = abandoned(stage, "{ kind = 'time', ttl = 2 }")
    assert.same({}, stage:run(SETTLE))
    assert.same({ 1, 1 }, { #stage:machines(), #stage:watchers() })
    stage:kill_watchers()
    os.execute "sleep 3"
    assert.same({ name .. " was destroyed: its time was over" }, stage:run(SETTLE))
    assert.is_true(stage:is_clean())
  end)
  it("ends what is past its time, though its script hangs", function()
    local stage <close> = fake.new()
    local child <close> = stage:start [[
      local it = new { ttl = 0.5 }
      driver:create(it)
      print "up"
      turn()]]
    os.execute "sleep 1.6"
    assert.equal(1, #stage:run(SETTLE))
    assert.same({ 0, 0 }, { #stage:machines(), #stage:entries() })
    child:kill "KILL"
  end)
  it("says when a watcher does not do its work", function()
    local stage <close> = fake.new()
    stage.env.RTLUA_PACE = 0.001
    local child <close> = stage:start [[
      local it = new { ttl = 0.5 }
      driver:create(it)
      assert(it:watch())
      print "up"
      turn()]]
    os.execute "sleep 2.2"
    local lines = stage:run(SETTLE)
    assert.matches("^(rtlua%-%w+) is left: its watcher is late: rtlua machine rm %1$", lines[1])
    assert.equal("remains", lines[2])
    child:kill "KILL"
  end)
  it("looks for what a create without an answer brings, for half an hour", function()
    local stage <close> = fake.new(0.002) -- 3.6 s
    local child <close>, name = stage:start "print(new().name); turn()"
    child:kill "KILL"
    child:wait(5)
    local lines = stage:run(SETTLE)
    assert.equal(1, #lines)
    assert.is_truthy(lines[1]:find(name .. ": its create was not answered: what turns up until ", 1, true))
    assert.same({ 1, 1 }, { #stage:entries(), #stage:watchers() })
    assert.same({}, stage:run(SETTLE))
    stage:run "driver:appear(lease.all()[1])"
    assert.is_true(marked.within(function() return #stage:machines() == 0 end, 2))
    assert.is_true(stage:is_clean())
    assert.equal(1, #stage:costs())
  end)
  it("never forgets an entry that cannot be read", function()
    local stage <close> = fake.new()
    stage:run(SETTLE)
    local path = stage.env.RTLUA_STATE .. "/journal/box-1234567890.json"
    local file <close> = assert(io.open(path, "w"))
    file:write '{"schema":1,"dro'
    file:flush()
    assert.same({ path .. ": is damaged: see by hand what it says, then remove it", "remains" }, stage:run(SETTLE))
    assert.same({ "box-1234567890.json" }, stage:entries())
  end)
  it("is done once, by whoever comes first", function()
    local stage <close> = fake.new()
    abandoned(stage)
    local children = {}
    for i = 1, 3 do children[i] = assert(process.start(stage:program(SETTLE))) end
    for _, child in ipairs(children) do
      assert.equal(0, child:wait(60).code)
      child:close()
    end
    assert.is_true(stage:is_clean())
    local destroyed = 0
    for _, event in ipairs(stage:events()) do
      if event:match "^destroy" then destroyed = destroyed + 1 end
    end
    assert.equal(1, destroyed)
  end)
end)

describe("a reap #life", function()
  local REAP = "show(settle.reap(driver))"

  it("needs no journal, and destroys what is past its time alone", function()
    local stage <close> = fake.new()
    abandoned(stage, "{ name = 'old', ttl = 1 }")
    abandoned(stage, "{ name = 'young' }")
    os.execute "sleep 2"
    stage.env.RTLUA_STATE = stage.dir.path .. "/elsewhere"
    local lines = stage:run(REAP)
    assert.equal(1, #lines)
    assert.matches("^old%-%w+ %(m1%w+%) was destroyed: its time was over at %d%d:%d%d UTC$", lines[1])
    assert.equal(1, #stage:machines())
    assert.matches("^m2", stage:machines()[1])
    local events = stage:events()
    local words = {}
    for i = #events - 4, #events do words[#words + 1] = events[i]:match "^%a+" end
    assert.same({ "check", "list", "get", "destroy", "sweep" }, words)
  end)
  it("reads a machine again before it destroys it", function()
    local stage <close> = fake.new()
    abandoned(stage, "{ ttl = 1 }")
    os.execute "sleep 2"
    assert.same({}, stage:run [[
      local list = driver.list
      function driver.list()
        local found = list()
        for _, one in ipairs(found) do driver.extend(driver, one, one.expires + 600) end -- meanwhile, elsewhere
        return found
      end
      show(settle.reap(driver))]])
    assert.equal(1, #stage:machines())
  end)
  it("finishes the journal's entry as well", function()
    local stage <close> = fake.new()
    abandoned(stage, "{ ttl = 1 }")
    os.execute "sleep 2"
    assert.equal(1, #stage:run(REAP))
    assert.is_true(stage:is_clean())
    assert.equal(1, #stage:costs())
  end)
  it("says what it could not destroy, and goes on", function()
    local stage <close> = fake.new()
    abandoned(stage, "{ name = 'a', ttl = 1 }")
    abandoned(stage, "{ name = 'b', ttl = 1 }")
    os.execute "sleep 2"
    stage:tell("fail-destroy", 1)
    local lines = stage:run(REAP)
    assert.matches("^a%-%w+ %(m1%w+%) is left: destroy: the fake was told to fail: tell it otherwise$", lines[1])
    assert.matches("^b%-%w+ %(m2%w+%) was destroyed", lines[2])
    assert.equal("remains", lines[3])
  end)
  it("leaves what bears no expiry, and says so", function()
    local stage <close> = fake.new()
    abandoned(stage)
    local path = "machines/" .. stage:machines()[1]
    local record = stage.dir:read("cloud/" .. path):gsub('"expires":%d+', '"note":1')
    stage:tell(path, record)
    local lines = stage:run(REAP)
    assert.equal(1, #lines)
    assert.matches("bears no expiry: look at it by hand$", lines[1])
    assert.equal(1, #stage:machines())
  end)
end)

describe("a reap by the clock #life", function()
  -- With a systemctl that succeeds or not, and writes down what it was asked.
  local function install(stage, code)
    assert(lfs.mkdir(stage.dir.path .. "/bin"))
    local path = stage.dir:write("bin/systemctl", ('#!/bin/sh\necho "$*" >>"%s/asked"\nexit %d\n'):format(
      stage.dir.path, code))
    assert(process.run { "chmod", "+x", path, check = true })
    stage.env.PATH = stage.dir.path .. "/bin:" .. os.getenv "PATH"
    stage.env.XDG_CONFIG_HOME = stage.dir.path .. "/config"
    return stage:run "for _, line in ipairs(settle.install()) do print(line) end"
  end

  it("is a timer of the user's systemd", function()
    local stage <close> = fake.new()
    local lines = install(stage, 0)
    assert.matches("^rtlua%-reap.timer is enabled: every 10 minutes", lines[1])
    assert.matches("/config/rtlua/reap.env %(NAME=value, mode 0600%)$", lines[#lines])
    assert.equal("--user show-environment\n--user daemon-reload\n--user enable --now rtlua-reap.timer\n",
      stage.dir:read "asked")
    local units = stage.dir.path .. "/config/systemd/user/"
    local service = stage.dir:read "config/systemd/user/rtlua-reap.service"
    local command = [["-e" "os.exit(require(\"rtlua.main\").main { \"machine\", \"reap\" }, true)"]]
    assert.is_truthy(service:find(command, 1, true), service)
    assert.is_truthy(service:find("EnvironmentFile=-" .. stage.dir.path .. "/config/rtlua/reap.env", 1, true))
    assert.is_nil(service:find("TOKEN", 1, true))
    local checked = process.run {
      "systemd-analyze", "verify", "--user", "--man=no", units .. "rtlua-reap.timer", units .. "rtlua-reap.service",
      env = { XDG_RUNTIME_DIR = stage.dir.path, HOME = stage.dir.path },
    }
    if checked then assert.equal("", checked.stderr) end
  end)
  it("is a line for crontab where there is none, which runs", function()
    local stage <close> = fake.new()
    local lines = install(stage, 1)
    assert.matches("crontab %-e$", lines[1])
    local command = lines[2]:match "^%*/10 %* %* %* %* (.*)$"
    assert.is_truthy(command:find('main { "machine", "reap" }', 1, true))
    command = command:gsub('"machine", "reap"', '"--version"'):gsub("\\%%", "%%")
    local result = process.run { "sh", "-c", command, cwd = "/", env = stage.env }
    assert.equal(0, result.code, result.stderr)
    assert.matches("^rtlua ", result.stdout)
  end)
end)
