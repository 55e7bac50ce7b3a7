-- The fault matrix: a script that rents a machine is killed at each call that it makes to the provider, and nothing of
-- it may be left, whoever was killed.
--
--     local calls = matrix.record("digitalocean")                   -- of a clean run, in order
--     local failures = matrix.run(matrix.cases("digitalocean", calls), 8)
--
-- A case is { driver, kind, nth, when = "before" | "after" | "replied", victim, alive }: the nth call of a kind, and
-- whether a machine has to be alive then, for the case to show anything. Absence is read from the double's ledger and
-- from the kernel, never from rtlua: nothing of the provider's is left, no process bears the case's mark, and at no
-- time were there two machines.

local cloud = require "spec.support.cloud"
local folder = require "spec.support.folder"
local lanes = require "spec.support.lanes"
local ledger = require "spec.support.cloud.ledger"
local loop = require "rtlua.loop"
local marked = require "spec.support.marked"
local process = require "rtlua.process"

local matrix = {}

--- Who is killed: the script, its watcher, both, or all that bears the mark, after which `reap` has an empty state.
matrix.victims = { "script", "watcher", "both", "tree" }

local WHEN = { "before", "after", "replied" }
local GONE_WITHIN = 60 -- seconds; with the pace of the doubles the watcher takes less than one
local KINDS = { "droplets", "instances", "keys", "groups" }

local SCRIPT = [[
local cloud = require "rtlua.cloud"
local machine <close> = cloud.provision {
  driver = arg[1], size = arg[2], region = arg[3], ttl = "1h", ready = "address",
}
]]
local SIZES = { digitalocean = { "c-32", "sfo3" }, ec2 = { "c6i.xlarge", "us-east-1" } }

-- Which of the processes that bear the mark are killed, by their command lines.
local COMMANDS = {
  script = { "fault_matrix_script.lua" },
  watcher = { "rtlua.machine.watcher" },
  both = { "fault_matrix_script.lua", "rtlua.machine.watcher" },
}

-- A double, a script for it, and the mark that all of its processes bear.
local function stage(driver)
  local dir, mark = folder.new(), marked.new()
  local double = cloud.start {}
  double.env.RTLUA_SPEC_MARK = mark.token
  local script = dir:write("fault_matrix_script.lua", SCRIPT)
  local self = { dir = dir, double = double, mark = mark }
  function self.rtlua(words, state)
    local env = { RTLUA_STATE = state }
    for name, value in pairs(double.env) do env[name] = env[name] or value end
    return assert(process.run { "./rtlua", env = env, timeout = 120, table.unpack(words) })
  end
  function self.rent() return self.rtlua { script, driver, table.unpack(SIZES[driver]) } end
  return setmetatable(self, {
    __close = function()
      for _, pid in ipairs(mark:list()) do process.run { "kill", "-KILL", tostring(pid) } end
      double:close()
      dir:remove()
    end,
  })
end

local function left(double)
  local alive, list = double:alive(), {}
  for _, kind in ipairs(KINDS) do
    for _, one in ipairs(alive[kind] or {}) do list[#list + 1] = ("%s %s"):format(kind, one.name or one.id) end
  end
  return list
end

--- The calls of a clean run: { kind, nth, before, after }, the latter the machines that were alive. Of what polls, the
--- first two. Raises where the run fails.
function matrix.record(driver)
  local self <close> = stage(driver)
  local result = self.rent()
  assert(result.code == 0, result.stderr)
  assert(#left(self.double) == 0, "a clean run leaves something")
  local calls, by_number, counts, alive = {}, {}, {}, 0
  for _, event in ipairs(self.double:ledger()) do
    if ledger.is_machine(event.kind) and event.event == "created" then alive = alive + 1 end
    if ledger.is_machine(event.kind) and event.event == "destroyed" then alive = alive - 1 end
    if event.event == "request" then
      counts[event.kind] = (counts[event.kind] or 0) + 1
      by_number[event.call] = { kind = event.kind, nth = counts[event.kind], before = alive }
      if counts[event.kind] <= 2 then calls[#calls + 1] = by_number[event.call] end
    elseif event.event == "reply" then
      by_number[event.call].after = alive
    end
  end
  return calls
end

--- All cases of these calls.
function matrix.cases(driver, calls)
  local cases = {}
  for _, call in ipairs(calls) do
    for _, when in ipairs(WHEN) do
      for _, victim in ipairs(matrix.victims) do
        local alive = when == "before" and call.before or call.after
        cases[#cases + 1] = { driver = driver, kind = call.kind, nth = call.nth, when = when, victim = victim,
          alive = alive > 0 }
      end
    end
  end
  return cases
end

--- A case in words.
function matrix.name(case)
  return ("%s: %s, the %d., killed %s: %s"):format(case.driver, case.kind, case.nth, case.when, case.victim)
end

-- As a Lua pattern that fits it alone.
local function exactly(text) return "^" .. text:gsub("%p", "%%%0") .. "$" end

-- What ends the case, after the kill: the watcher, the script, the next command, or a reap from elsewhere.
local function finish(self, case)
  if case.victim == "both" then
    self.rtlua { "machine", "ls" }
  elseif case.victim == "tree" then
    self.double:set { skew = 7200 } -- two hours later, on another computer
    local other <close> = folder.new()
    self.rtlua({ "machine", "reap", "--driver", case.driver }, other.path)
  end
end

-- How many machines were alive at the kill, and whom it met, which is noted right after; nil where there was none.
local function kill(double)
  local alive, pids
  loop.until_true(30, 0.01, function() -- a busy machine is slow to note it
    for _, event in ipairs(double:ledger()) do
      if event.event == "fault" and event.what == "kill" then alive = event.alive end
      if event.event == "killed" then pids = event.pids end
    end
    return not alive or pids
  end)
  return alive, pids
end

--- Runs one case: nil, or what is wrong.
function matrix.try(case)
  local self <close> = stage(case.driver)
  local double = self.double
  double:fault {
    match = { kind = exactly(case.kind) }, skip = case.nth - 1, what = "kill", when = case.when,
    env = "RTLUA_SPEC_MARK=" .. self.mark.token, command = COMMANDS[case.victim],
  }
  self.rent()
  local alive, pids = kill(double)
  if not alive then return "the call did not come" end
  -- Before there is anything to watch there is no watcher, and after the last reply there may be nobody.
  local may_be_alone = not case.alive and (case.victim == "watcher" or case.when == "replied")
  if #(pids or {}) == 0 and not may_be_alone then return "there was nobody to kill" end
  if case.alive and alive == 0 then return "no machine was alive at the kill: the case shows nothing" end
  finish(self, case)
  local gone = loop.until_true(GONE_WITHIN, 0.05, function() return #left(double) == 0 end)
  if not gone then return "left at the provider: " .. table.concat(left(double), ", ") end
  if double:most_alive() > 1 then return "two machines at a time" end
  if not loop.until_true(GONE_WITHIN, 0.05, function() return #self.mark:list() == 0 end) then
    return "processes are left: " .. table.concat(self.mark:list(), " ")
  end
  if #left(double) > 0 then return "came back: " .. table.concat(left(double), ", ") end
end

--- Runs cases, so many side by side. Returns a list of what is wrong.
function matrix.run(cases, side_by_side)
  local failures, problems = {}, lanes.problems(cases, side_by_side, matrix.try)
  for _, case in ipairs(cases) do
    if problems[case] then failures[#failures + 1] = ("%s: %s"):format(matrix.name(case), problems[case]) end
  end
  return failures
end

return matrix
