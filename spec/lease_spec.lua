-- Leases: an entry is there before anything is asked for, until all is gone, whoever writes it and whoever dies.

local fake = require "spec.support.fake"
local journal = require "rtlua.journal"
local lfs = require "lfs"
local process = require "rtlua.process"
local system_calls = require "spec.support.calls"

local function only_entry(stage)
  local entries <close> = assert(journal.open(stage.env.RTLUA_STATE .. "/journal"))
  local _, entry = next((assert(entries:entries())))
  return assert(entry, "there is no entry")
end

describe("a lease #life", function()
  it("is an intent on the disk, with an owner, when it is new", function()
    local stage <close> = fake.new()
    local child <close>, line = stage:start [[
      local it = new { name = "box", size = "c-2", region = "ams3", ttl = 60.5, max_cost = 2 }
      print(it.name)
      turn()]]
    assert.matches("^box%-[a-z0-9]+$", line)
    local entry = only_entry(stage)
    assert.same({ "intent", line, "box-" .. entry.run, 10 }, { entry.state, entry.name, line, #entry.run })
    assert.same({ "fake", "me", "fake:", "c-2", "ams3", 2 },
      { entry.driver, entry.account, entry.endpoint, entry.size, entry.region, entry.max_cost })
    assert.is_true(entry.expires >= entry.created + 60 and entry.expires <= entry.created + 62)
    assert.is_nil(entry.clock)
    assert.same({ "true", "false", "true" }, stage:run [[
      local it = lease.all()[1]
      print(it:owned()); print(it:watched()); print(it:own(0) == nil)]])
    child:kill "KILL"
    child:wait(5)
    assert.same({ "false", "true", "true" }, stage:run [[
      local it = lease.all()[1]
      print(it:owned()); print(it:orphaned()); print(it:own(0))]])
    assert.equal("rwx------", lfs.attributes(stage.env.RTLUA_STATE .. "/machines/" .. line, "permissions"))
  end)
  it("keeps its locks until it is closed", function()
    local stage <close> = fake.new()
    assert.same({ "nil", "true", "true", "false" }, stage:run [[
      local mine, other = new(), lease.all()[1]
      assert(mine:watch())
      collectgarbage(); collectgarbage()
      print((other:watch(0)))
      print(other:owned())
      mine:close()
      print(other:watch(0))
      print(other:owned())]])
  end)
  it("merges what several write, and reads whole numbers as such", function()
    local stage <close> = fake.new()
    assert.same({ "17", "running", "time", "nil", "5\t0123" }, stage:run [[
      local mine, other = new(), lease.all()[1]
      mine:note { id = 17, address = "10.0.0.1", key = { id = 5 } }
      other:keep()
      mine:note { state = "running", address = false, account = "0123" }
      print(mine.id); print(mine.state); print(mine.kind); print(mine.address)
      print(lease.all()[1].key.id, lease.all()[1].account)]])
  end)
  it("is not written by assignment", function()
    local stage <close> = fake.new()
    assert.same({ "text", "false", "nil" }, stage:run [[
      local it = new()
      it.user_data = "text"
      print(it.user_data)
      print((pcall(function() it.state = "ready" end)))
      print(lease.all()[1].user_data)]])
  end)
  it("is not brought back by a note, once it is gone", function()
    local stage <close> = fake.new()
    assert.same({ "false", "69", "0" }, stage:run [[
      local it = new()
      lease.all()[1]:forget()
      local fine, problem = pcall(it.note, it, { id = 1 })
      print(fine); print(problem.code); print(#lease.all())]])
    assert.same({}, stage:folders())
  end)
  it("belongs to its account at its endpoint alone", function()
    local stage <close> = fake.new()
    local expected = { "true", "false", "it belongs to another account", "false", "it is at fake:, not at http://b" }
    assert.same(expected, stage:run [[
      local it = new()
      local function show(...) for i = 1, select("#", ...) do print((select(i, ...))) end end
      show(it:belongs { account = "me", endpoint = "fake:" })
      show(it:belongs { account = "you", endpoint = "fake:" })
      show(it:belongs { account = "me", endpoint = "http://b" })]])
  end)
  it("is found by its name, which may be short where there is one", function()
    local stage <close> = fake.new()
    local lines = stage:run [[
      local a, b, c = new { name = "one" }, new { name = "two" }, new { name = "two" }
      print(lease.find("one").name == a.name, lease.find(b.name).name == b.name)
      for _, name in ipairs { "two", "tow", "" } do
        local _, problem = pcall(lease.find, name)
        print(problem.code, problem)
      end]]
    assert.equal("true\ttrue", lines[1])
    assert.matches("^64\tcheck: there are 2 machines 'two': say which: two%-%w+, two%-%w+$", lines[2])
    assert.matches("^64\tcheck: there is no machine 'tow' %(did you mean 'two'%?%): rtlua machine ls", lines[3])
    assert.matches("^64\tcheck: there is no machine ''", lines[4])
  end)
  it("refuses names that no host can have", function()
    local stage <close> = fake.new()
    for _, line in ipairs(stage:run [[
      for _, name in ipairs { "", "-a", "a-", "a b", "a/b", "a_b", ("x"):rep(53), "ä" } do
        local fine, problem = pcall(new, { name = name })
        print(fine, problem.code)
      end]]) do
      assert.equal("false\t64", line)
    end
    assert.same({}, stage:entries())
    assert.same({}, stage:folders())
  end)
  it("bears marks that follow its end, which only moves on", function()
    local stage <close> = fake.new()
    local lines = stage:run [[
      local it = new()
      print(table.concat(it:marks(), " ") == ("rtlua rtlua:run-%s rtlua:exp-%d"):format(it.run, it.expires))
      local before = it.expires
      it:extend(before + 60)
      print(lease.all()[1].expires - before, it:marks()[3] == "rtlua:exp-" .. before + 60)
      print(select(2, pcall(it.extend, it, before)).code)]]
    assert.same({ "true", "60\ttrue", "64" }, lines)
  end)
  it("counts by the provider's clock", function()
    local stage <close> = fake.new()
    stage:tell("skew", 5000)
    assert.same({ "true", "true" }, stage:run [[
      local it = new()
      print(math.abs(it:now() - system.time() - 5000) < 5)
      print(math.abs(it.expires - it:now() - 600) < 5)]])
  end)
  it("reports an entry that is damaged", function()
    local stage <close> = fake.new()
    stage:run "new()"
    local file <close> = assert(io.open(stage.env.RTLUA_STATE .. "/journal/bad.json", "w"))
    file:write "{"
    file:flush()
    assert.same({ "1", "bad.json" }, stage:run [[
      local list, problems = lease.all()
      print(#list); print(problems[1].name)]])
  end)
end)

describe("the end of a lease #life", function()
  it("is a record of what the machine cost", function()
    local stage <close> = fake.new()
    -- An hour and a half at $1.00, and $0.10 an hour for its disk.
    assert.same({ "true", "1", "1.65", "5400", "fake", "script" }, stage:run [[
      local it = new { extras_hour = 0.1, size = "c-2" }
      it:note { state = "ready", id = "m1", launched = it.created }
      print(it:spent(it.created + 5400, "script"))
      local costs = lease.costs()
      print(#costs)
      print(costs[1].cost); print(costs[1].ended - costs[1].started); print(costs[1].driver); print(costs[1].why)]])
    assert.same({ {}, {} }, { stage:entries(), stage:folders() })
  end)
  it("keeps the first end that was noted", function()
    local stage <close> = fake.new()
    assert.same({ "60" }, stage:run [[
      local it = new()
      it:note { state = "ready", id = "m1", launched = it.created }
      it:charge({ id = "m1", created = it.created }, it.created + 60, "before a crash")
      it:spent(it.created + 5400, "after it")
      print(lease.costs()[1].ended - lease.costs()[1].started)]])
  end)
  it("leaves no record of what is not billed, or was never there", function()
    local stage <close> = fake.new()
    stage:run [[
      local it = new { price_hour = false }
      it:note { state = "ready", id = "m1" }
      it:spent()
      new():forget()]]
    assert.same({ {}, {}, {} }, { stage:entries(), stage:folders(), stage:costs() })
  end)
  it("waits half an hour for a create that nobody saw answered", function()
    local stage <close> = fake.new(1)
    assert.same({ "false\tintent\tnil\t1", "1799", "true" }, stage:run [[
      local it = new()
      it:note { state = "ready", id = "m1", unanswered = it.created + 1000 }
      local fine = it:spent(it.created + 1001)
      print(fine, it.state, it.id, #lease.costs())
      print(it:open_until() - it.created - 1001)
      it:note { created = it.created - 3000, unanswered = it.created - 2000 }
      print(it:spent())]])
    assert.same({}, stage:entries())
  end)
  it("leaves no folder behind, old ones of crashes neither", function()
    local stage <close> = fake.new()
    stage:run "it = new(); kept = it.name"
    local machines = stage.env.RTLUA_STATE .. "/machines/"
    for _, name in ipairs { "old-aaaaaaaaaa", "young-bbbbbbbbbb" } do assert(lfs.mkdir(machines .. name)) end
    assert(lfs.touch(machines .. "old-aaaaaaaaaa", os.time() - 7200))
    assert(lfs.touch(machines .. stage:folders()[2], os.time() - 7200))
    stage:run "lease.tidy()"
    local left = stage:folders()
    assert.equal(2, #left)
    assert.matches("^rtlua%-", left[1])
    assert.equal("young-bbbbbbbbbb", left[2])
  end)
end)

describe("a script that is killed #life", function()
  local CALLS = "openat,write,fsync,rename,renameat,renameat2,close,flock,mkdir,connect"

  -- The calls from MARK to DONE of a clean run.
  local function trace(text)
    local stage <close> = fake.new()
    local path = stage.dir.path .. "/trace"
    local options = stage:program(text, "strace", "-o", path, "-y", "-e", "trace=" .. CALLS)
    options.env.ASAN_OPTIONS = "detect_leaks=0:abort_on_error=0"
    local result = assert(process.run(options))
    assert.equal(0, result.code, result.stderr)
    return system_calls.between_marks(path)
  end

  it("had its intent on the disk before it connected", function()
    local calls = trace [[
      local http = require "rtlua.http"
      local client <close> = http.new()
      io.stderr:setvbuf "no"
      io.stderr:write "MARK\n"
      new()
      client:request { url = "http://127.0.0.1:9/", method = "POST", retry = { attempts = 1 } }
      io.stderr:write "DONE\n"]]
    local renamed, synced, connected
    for i, call in ipairs(calls) do
      if call.line:match '^rename.*/journal/rtlua%-%w+%.json"' then renamed = i end
      if renamed and call.line:match "^fsync%(%d+<[^>]*/journal>%) *= 0" then synced = synced or i end
      if call.line:match "^connect%(" then connected = connected or i end
    end
    assert.is_true(renamed and synced and connected and renamed < synced and synced < connected)
  end)

  it("has an entry for each machine that was made, at whichever call it dies, and all is finished", function()
    local text = [[
      io.stderr:setvbuf "no"
      io.stderr:write "MARK\n"
      local it = new()
      driver:create(it)
      it:note { state = "ready" }
      io.stderr:write "DONE\n"]]
    local calls, made = trace(text), 0
    assert.is_true(#calls >= 20)
    for i, call in ipairs(calls) do
      -- Closing tells no difference to what comes next.
      if call.name ~= "close" then
        local stage <close> = fake.new(0.0001)
        local inject = ("inject=%s:signal=KILL:when=%d"):format(call.name, call.number)
        local options = stage:program(text, "strace", "-o", "/dev/null", "-e", "trace=" .. CALLS, "-e", inject)
        options.env.ASAN_OPTIONS = "detect_leaks=0:abort_on_error=0"
        local result = process.run(options)
        assert.is_nil(result.stderr:find "DONE", call.line)
        if #stage:machines() > 0 then
          made = made + 1
          assert.equal(1, #stage:entries(), call.line)
        end
        if #stage:machines() > 0 or i % 8 == 0 then
          stage:run "settle.all()"
          -- The folder of one that died before its entry stays for an hour.
          assert.is_true(stage:is_clean(20, #stage:entries() == 0), call.line)
        end
      end
    end
    assert.is_true(made >= 5)
  end)
end)
