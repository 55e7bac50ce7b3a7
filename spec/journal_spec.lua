-- The journal: whatever kills a writer, and at whichever system call, an entry is the old one or the new one, whole.

local folder = require "spec.support.folder"
local journal = require "rtlua.journal"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local system = require "rtlua.system"
local system_calls = require "spec.support.calls"

local ROOT = lfs.currentdir()
-- A sanitizer's leak check traces its own process, which strace does already.
local TRACED = { ASAN_OPTIONS = "detect_leaks=0:abort_on_error=0" }

local mark
before_each(function() mark = marked.new() end)
after_each(function()
  collectgarbage()
  assert.is_true(mark:gone(), "processes are left")
end)

local function mode(path) return lfs.attributes(path, "permissions") end

local function environment()
  local env = { RTLUA_SPEC_MARK = mark.token }
  for name, value in pairs(TRACED) do env[name] = value end
  return env
end

-- The options of a ./rtlua that runs Lua text on a journal in `dir`/state, with other words before it.
local function program(dir, text, ...)
  local path = dir:write("script.lua", [[
    local journal = assert(require "rtlua.journal".open(arg[1] .. "/state"))
    ]] .. text)
  local options = { ... }
  for _, word in ipairs { ROOT .. "/rtlua", path, dir.path } do options[#options + 1] = word end
  options.env = environment()
  return options
end

describe("a journal", function()
  it("keeps entries as JSON with a schema, private to its owner", function()
    local dir <close> = folder.new()
    local path = dir.path .. "/a/b/journal"
    local j <close> = assert(journal.open(path))
    assert(j:write("run-1", { name = "one", list = { 1, 2 } }))
    assert(j:write("run-2", { name = "two" }))
    assert.same({ "run-1", "run-2" }, j:list())
    assert.same({ schema = 1, name = "one", list = { 1, 2 } }, j:read "run-1")
    local file <close> = io.open(path .. "/run-1.json")
    assert.equal('{"list":[1,2],"name":"one","schema":1}\n', file:read "a")
    assert.same({ "rw-------", "rw-------", "rwx------" },
      { mode(path .. "/run-1.json"), mode(path .. "/lock"), mode(path) })
    assert.equal("rwx------", mode(dir.path .. "/a"))

    assert(j:update("run-1", function(entry)
      entry.name = "changed"
      return entry
    end))
    assert.equal("changed", j:read("run-1").name)
    assert(j:remove "run-1")
    assert.same({ "run-2" }, j:list())
    assert.equal(66, select(3, j:remove "run-1"))
    assert.equal(66, select(3, j:read "run-1"))
    local entries, problems = j:entries()
    assert.equal("two", entries["run-2"].name)
    assert.same({}, problems)
  end)
  it("is where the environment says", function()
    local text = "print(require 'rtlua.journal'.folder())"
    local dir <close> = folder.new()
    dir:write("script.lua", text)
    local function where(env)
      env.RTLUA_SPEC_MARK = mark.token
      return process.run({ ROOT .. "/rtlua", dir.path .. "/script.lua", env = env }).stdout
    end
    assert.equal("/r/journal\n", where { RTLUA_STATE = "/r", XDG_STATE_HOME = "/x" })
    assert.equal("/x/rtlua/journal\n", where { RTLUA_STATE = false, XDG_STATE_HOME = "/x" })
    assert.equal("/h/.local/state/rtlua/journal\n", where { RTLUA_STATE = false, XDG_STATE_HOME = false, HOME = "/h" })
  end)
  it("makes a lax folder private and refuses names that are paths", function()
    local dir <close> = folder.new()
    assert(lfs.mkdir(dir.path .. "/j"))
    os.execute("chmod 777 " .. dir.path .. "/j")
    local j <close> = assert(journal.open(dir.path .. "/j"))
    assert.equal("rwx------", mode(dir.path .. "/j"))
    for _, id in ipairs { "", ".", "..", "../x", "a/b", ".hidden", "a b", ("x"):rep(201), "ä" } do
      assert.equal(64, select(3, j:write(id, {})), id)
    end
    assert.equal(73, select(3, journal.open "/proc/no/journal"))
    local file = dir:write("file", "")
    assert.equal(73, select(3, journal.open(file)))
  end)
  it("reports what is damaged, and never loses it", function()
    local dir <close> = folder.new()
    local j <close> = assert(journal.open(dir.path))
    assert(j:write("good", { n = 1 }))
    dir:write("half.json", '{"schema":1,"droplet":12')
    dir:write("empty.json", "")
    dir:write("other.json", '"text"')
    dir:write("note.txt", "mine")
    local entries, problems = j:entries()
    assert.same({ good = { schema = 1, n = 1 } }, entries)
    local names = {}
    for i, problem in ipairs(problems) do names[i] = problem.name end
    assert.same({ "empty.json", "half.json", "other.json", "note.txt" }, names)
    assert.same({ 65, ("%s/half.json: is damaged: see by hand what it says, then remove it"):format(dir.path) },
      { select(3, j:read "half"), (select(2, j:read "half")) })

    assert(j:write("half", { n = 2 }))
    assert.equal('{"schema":1,"droplet":12', dir:read "half.json.damaged-1")
    dir:write("half.json", "again")
    assert(j:remove "half")
    assert.equal("again", dir:read "half.json.damaged-2")
    assert.is_nil(j:read "half")
    assert.equal(5, #select(2, j:entries()))
  end)
  it("leaves entries of a newer schema alone", function()
    local dir <close> = folder.new()
    local text = '{"schema":2}'
    dir:write("new.json", text)
    local j <close> = assert(journal.open(dir.path))
    for _, result in ipairs { table.pack(j:read "new"), table.pack(j:write("new", {})), table.pack(j:remove "new") } do
      assert.equal(65, result[3])
      assert.matches("has schema 2: use the newer rtlua", result[2])
    end
    assert.equal(text, dir:read "new.json")
  end)
  it("removes what dead writers left, and nothing else, under the lock", function()
    local dir <close> = folder.new()
    dir:write(".rtlua-1-1.tmp", "half")
    local j <close> = assert(journal.open(dir.path))
    assert.same({}, j:list())
    assert.same({ ".rtlua-1-1.tmp" }, dir:list())
    assert(j:write("a", {}))
    assert.same({ "a.json", "lock" }, dir:list())
  end)
end)

describe("a journal's lock", function()
  it("excludes others until it is closed", function()
    local dir <close> = folder.new()
    local a <close> = assert(journal.open(dir.path))
    local other <close> = assert(journal.open(dir.path))
    do
      local lock <close> = assert(a:lock()) -- luacheck: ignore
      assert(a:write("mine", {})) -- whoever has it may go on
      local begin = system.now()
      local none, message, code = other:lock(0.2)
      assert.is_nil(none)
      assert.equal(75, code)
      assert.matches("another rtlua, process %d+ has it: wait for it or end it", message)
      local waited = system.now() - begin
      assert.is_true(waited >= 0.2 and waited < 2)
    end
    local lock = assert(other:lock(0))
    assert.equal(75, select(3, a:lock(0)))
    lock:release()
    lock:release()
    assert(a:write("mine", {}))
  end)
  it("excludes another process, and is free once its holder is killed", function()
    local dir <close> = folder.new()
    local holder <close> = assert(process.start(program(dir,
      [[local lock <close> = assert(journal:lock()); print "held"; io.flush(); while true do end]])))
    assert.equal("held\n", holder:read("stdout", 20))
    local j <close> = assert(journal.open(dir.path .. "/state"))
    local _, message, code = j:lock(0.1)
    assert.equal(75, code)
    assert.matches("process " .. holder.pid, message)
    holder:kill "KILL"
    assert.equal("KILL", holder:wait(5).signal)
    local lock <close> = assert(j:lock(0)) -- luacheck: ignore
  end)
  it("lets no update be lost between processes", function()
    local dir <close> = folder.new()
    local children = {}
    for i = 1, 3 do
      children[i] = assert(process.start(program(dir, [[
        for _ = 1, 20 do
          assert(journal:update("n", function(e) e = e or { n = 0 }; e.n = e.n + 1; return e end))
        end]])))
    end
    for _, child in ipairs(children) do
      assert.equal(0, child:wait(60).code, child:read "stderr")
      child:close()
    end
    local j <close> = assert(journal.open(dir.path .. "/state"))
    assert.equal(60, j:read("n").n)
    assert.same({ "n" }, j:list())
  end)
end)

describe("a writer that is killed", function()
  local OLD, NEW = ("old "):rep(3000), ("new "):rep(3000)
  local WRITE = ([[
    io.stderr:setvbuf "no"
    io.stderr:write "MARK\n"
    assert(journal:write("entry", { text = ("new "):rep(3000) }))
    io.stderr:write "DONE\n"]])
  local REMOVE = WRITE:gsub("journal:write.-$", 'journal:remove "entry")\n    io.stderr:write "DONE\\n"')
  -- What touches files; memory is nobody else's.
  local CALLS = "openat,open,read,write,pwrite64,fsync,fdatasync,close,rename,renameat,renameat2,unlink,unlinkat,flock,"
    .. "fcntl,ftruncate,lseek,mkdir,chmod,stat,lstat,newfstatat,fstat,access,getdents64"

  local function prepare(dir)
    local j <close> = assert(journal.open(dir.path .. "/state"))
    assert(j:write("entry", { text = OLD }))
  end

  -- The calls from MARK to DONE of a clean run.
  local function trace(text)
    local dir <close> = folder.new()
    prepare(dir)
    local path = dir.path .. "/trace"
    assert.equal(0, process.run(program(dir, text, "strace", "-o", path, "-y", "-e", "trace=" .. CALLS)).code)
    return system_calls.between_marks(path)
  end

  local function position(calls, pattern, from)
    for i = from or 1, #calls do
      if calls[i].line:match(pattern) then return i end
    end
    error("no call like " .. pattern)
  end

  it("had the file on the disk before its name, and the name before it returned", function()
    local calls = trace(WRITE)
    local locked = position(calls, "^flock%(")
    local opened = position(calls, "^openat%(.*%.tmp\", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600", locked)
    local written = position(calls, "^write%(.*%.tmp>", opened)
    local synced = position(calls, "^fsync%(.*%.tmp>", written)
    local renamed = position(calls, "^rename.*%.tmp\".*entry%.json\"", synced)
    position(calls, "^fsync%(%d+<[^>]*/state>%) *= 0", renamed)

    calls = trace(REMOVE)
    position(calls, "^fsync%(%d+<[^>]*/state>%) *= 0", position(calls, "^unlink%(.*entry%.json\""))
  end)

  -- Kills a run at each of the calls; `judge` says what the folder may hold then.
  local function kill_at_each(text, judge)
    local calls = trace(text)
    assert.is_true(#calls >= 10)
    local outcomes = {}
    for _, call in ipairs(calls) do
      local dir <close> = folder.new()
      prepare(dir)
      local inject = ("inject=%s:signal=KILL:when=%d"):format(call.name, call.number)
      local result = process.run(program(dir, text, "strace", "-o", "/dev/null", "-e", "trace=" .. CALLS, "-e", inject))
      assert.matches("MARK", result.stderr, call.line)
      assert.is_nil(result.stderr:find "DONE", call.line)
      local j <close> = assert(journal.open(dir.path .. "/state"))
      local entries, problems = j:entries()
      assert.same({}, problems, call.line)
      local outcome = judge(entries.entry)
      assert.is_truthy(outcome, call.line)
      outcomes[outcome] = true
      -- And the next one goes on: the lock is free, and what was left is cleaned.
      local next_entry = j:write("entry", { text = "next" })
      assert.is_true(next_entry)
      local names = {}
      for name in lfs.dir(dir.path .. "/state") do names[#names + 1] = name end
      table.sort(names)
      assert.same({ ".", "..", "entry.json", "lock" }, names)
    end
    return outcomes
  end

  it("leaves the old entry or the new one", function()
    assert.same({ old = true, new = true }, kill_at_each(WRITE, function(entry)
      return entry and (entry.text == OLD and "old" or entry.text == NEW and "new")
    end))
  end)
  it("has removed the entry or not", function()
    assert.same({ old = true, gone = true }, kill_at_each(REMOVE, function(entry)
      return not entry and "gone" or entry.text == OLD and "old"
    end))
  end)
end)
