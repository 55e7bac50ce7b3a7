-- A stage for what happens to a machine when its script, its watcher or both die: a state folder and a provider
-- (spec/support/fake/rtlua/drivers) in a temporary folder, and scripts that play on it as processes of their own.
--
--     local stage <close> = fake.new()
--     stage:run [[ … ]]                         -- Lua text; has fake.PRELUDE's names
--     stage:machines()                          -- ids, by the provider's own files

local folder = require "spec.support.folder"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local process = require "rtlua.process"

local fake = {}

local ROOT = lfs.currentdir()

fake.PRELUDE = ([[
  package.path = %q .. package.path
  io.stdout:setvbuf "line"
  local system = require "rtlua.system"
  local lease, watcher = require "rtlua.machine.lease", require "rtlua.machine.watcher"
  local settle, drivers = require "rtlua.machine.settle", require "rtlua.drivers"
  local driver = drivers.open "fake"
  local function new(fields)
    local checked = driver:check()
    local all = { driver = "fake", kind = "script", ttl = 600, account = checked.account, endpoint = checked.endpoint,
      clock = checked.now, price_hour = 1, minimum = 0.01 }
    for key, value in pairs(fields or {}) do all[key] = value end
    return lease.new(all)
  end
  -- Waits for a line on standard input.
  local function turn() io.read() end
  local function show(report)
    for _, line in ipairs(report.lines) do print(line) end
    if report.remains then print "remains" end
  end
]]):format(ROOT .. "/spec/support/fake/?/init.lua;")

local Stage = {}
Stage.__index = Stage

--- `pace` is RTLUA_PACE (0.01).
function fake.new(pace)
  local dir, mark = folder.new(), marked.new()
  lfs.mkdir(dir.path .. "/cloud")
  local env = {
    RTLUA_STATE = dir.path .. "/state", FAKE_CLOUD = dir.path .. "/cloud", RTLUA_PACE = pace or 0.01,
    RTLUA_SPEC_MARK = mark.token,
  }
  return setmetatable({ dir = dir, mark = mark, env = env }, Stage)
end

local count = 0

--- The options of a process that runs Lua text, with words before it.
function Stage:program(text, ...)
  count = count + 1
  local path = self.dir:write(("script-%d.lua"):format(count), fake.PRELUDE .. text)
  local options = { ... }
  options[#options + 1] = ROOT .. "/rtlua"
  options[#options + 1] = path
  options.env = {}
  for name, value in pairs(self.env) do options.env[name] = value end
  return options
end

--- Runs Lua text to its end: its lines. Fails where it does.
function Stage:run(text)
  local options = self:program(text)
  options.timeout = 120
  local result, message = process.run(options)
  assert(result, message)
  assert(result.code == 0, result.stderr)
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

--- Starts Lua text, and waits for its first line. Returns the child and the line.
function Stage:start(text)
  local options = self:program(text)
  options.stdin, options.stderr = true, "stdout"
  local child = assert(process.start(options))
  return child, assert(child:read("stdout", 60)):match "[^\n]*"
end

--- Tells the provider something: a file of it. nil takes it away.
function Stage:tell(name, text)
  if text == nil then
    os.remove(self.dir.path .. "/cloud/" .. name)
  else
    self.dir:write("cloud/" .. name, tostring(text))
  end
end

--- The ids of the provider's machines.
function Stage:machines() return folder.entries(self.dir.path .. "/cloud/machines") end

--- What the provider was asked: "create rtlua-…" and so on.
function Stage:events()
  local list = {}
  local file = io.open(self.dir.path .. "/cloud/events")
  for line in file and file:lines() or function() end do list[#list + 1] = line end
  if file then file:close() end
  return list
end

--- The names of the journal's entries, of the machines' folders and of the cost records.
function Stage:entries() return folder.entries(self.dir.path .. "/state/journal") end
function Stage:folders() return folder.entries(self.dir.path .. "/state/machines") end
function Stage:costs() return folder.entries(self.dir.path .. "/state/costs") end

--- The numbers of the watchers.
function Stage:watchers()
  local list = {}
  for _, pid in ipairs(self.mark:list()) do
    local file = io.open(("/proc/%d/cmdline"):format(pid))
    local words = file and file:read "a" or ""
    if file then file:close() end
    if words:find("rtlua.machine.watcher\").main", 1, true) then list[#list + 1] = pid end
  end
  return list
end

--- Kills the watchers of this stage.
function Stage:kill_watchers()
  for _, pid in ipairs(self:watchers()) do process.run { "kill", "-KILL", tostring(pid), check = true } end
end

--- Is nothing left: no machine, entry, folder (unless they do not matter) or process, within seconds (20)?
function Stage:is_clean(seconds, with_folders)
  return marked.within(function()
    return #self:machines() == 0 and #self:entries() == 0 and (with_folders or #self:folders() == 0)
      and #self.mark:list() == 0
  end, seconds or 20)
end

function Stage:__close()
  for _, pid in ipairs(self.mark:list()) do process.run { "kill", "-KILL", tostring(pid) } end
  self.dir:remove()
end

return fake
