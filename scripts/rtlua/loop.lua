-- rtlua.loop: waiting, alone or side by side.
--
-- Every verb that waits (a request, a program, a time) waits through this module or rtlua.process. Alone it just
-- blocks. Inside of `all` it hands control to the pool's other coroutines: one loop looks after all of them, and what
-- each waits for is looked at every few milliseconds.
--
-- A signal ends any wait that began before it came, and is raised with code 128 + its number; `__close` handlers that
-- run because of it may wait again. One that waits runs in loop.shield.

local errors = require "rtlua.errors"
local signal = require "rtlua.signal"
local system = require "rtlua.system"

local loop = {}

local STEP = 0.01 -- seconds between two looks at what a coroutine waits for

-- The coroutines that a running `all` resumes. Once the process has to end, what they do next blocks: a coroutine that
-- unwinds must not yield half-way through its __close handlers.
local members = setmetatable({}, { __mode = "k" })

-- How many shields each is in.
local shields = setmetatable({}, { __mode = "k" })

-- Those that were in a shield when `all` had to end: they stop behind it, to be closed.
local endings = setmetatable({}, { __mode = "k" })

--- Does this code run in a coroutine of `all`?
function loop.inside() return members[coroutine.running()] == true and not signal.pending() end

--- Lets the others go on, inside of `all`.
function loop.yield() coroutine.yield(STEP) end

--- Runs f(...), which cleans up and waits: when `all` has to end meanwhile, it is finished and not broken off.
function loop.shield(f, ...)
  local co = coroutine.running()
  local lowered <close> = setmetatable({}, { -- luacheck: ignore
    __close = function()
      shields[co] = shields[co] > 1 and shields[co] - 1 or nil
      if endings[co] and not shields[co] then coroutine.yield() end
    end,
  })
  shields[co] = (shields[co] or 0) + 1
  return f(...)
end

--- Waits.
function loop.sleep(seconds)
  if loop.inside() then
    local deadline = system.now() + seconds
    repeat
      coroutine.yield(math.max(deadline - system.now(), 0))
      seconds = deadline - system.now()
    until seconds <= 0 or not loop.inside()
    if seconds <= 0 then return end
  end
  local slept, message, code = system.sleep(seconds)
  if not slept then errors.raise(code, message) end
end

--- Asks f() at once, and then every `interval` seconds: its first true values, or nil when `seconds` have passed.
function loop.until_true(seconds, interval, f)
  local deadline = system.now() + seconds
  while true do
    local found = table.pack(f())
    if found[1] then return table.unpack(found, 1, found.n) end
    local left = deadline - system.now()
    if left <= 0 then return nil end
    loop.sleep(math.min(interval, left))
  end
end

--- client:request(fields) of rtlua.http.
function loop.request(client, fields)
  if not loop.inside() then return client:request(fields) end
  local transfer <close> = client:start(fields)
  while not transfer:done() do
    local finished, message, code = client:wait(0)
    if not finished then return nil, message, code end
    if not transfer:done() then loop.yield() end
  end
  return transfer:result()
end

--- child:wait(seconds) of rtlua.process.
function loop.wait(child, seconds)
  if not loop.inside() then return child:wait(seconds) end
  local deadline = system.now() + (seconds or math.huge)
  while true do
    local result, message, code = child:wait(0)
    if result or code ~= errors.TRY_AGAIN or system.now() >= deadline then return result, message, code end
    loop.yield()
  end
end

-- ---- Side by side

local Group = {}

-- Ends all, so that each gives back what it holds. The first failure is raised where no error is on its way already.
function Group.__close(group, problem)
  local failure
  for _, member in ipairs(group) do
    members[member] = nil
    if shields[member] and coroutine.status(member) == "suspended" then
      endings[member] = true
      coroutine.resume(member)
      endings[member] = nil
    end
    local closed, message = coroutine.close(member)
    if not closed then failure = failure or message end
  end
  if failure and problem == nil then error(failure, 0) end
end

--- Runs functions side by side, each in a coroutine. Returns, in their order, { true, results… } or
--- { false, error } of each. A signal closes all of them, and so do `seconds`, where they are given: what is not done
--- then has failed with code 75.
function loop.all(functions, seconds)
  local deadline = system.now() + (seconds or math.huge)
  local group <close> = setmetatable({}, Group)
  local next_look = {}
  for i, f in ipairs(functions) do
    -- Protected inside of the coroutine: cleaning up after an error then lets the others go on, too.
    group[i] = coroutine.create(function() return pcall(f) end)
    members[group[i]] = true
    next_look[i] = 0
  end
  local results, running = {}, #group
  while running > 0 and system.now() < deadline do
    local due = deadline
    for i, member in ipairs(group) do
      if not results[i] and next_look[i] <= system.now() then
        local step = table.pack(coroutine.resume(member))
        if coroutine.status(member) == "suspended" then
          next_look[i] = system.now() + (tonumber(step[2]) or 0)
        else
          running = running - 1
          results[i] = step[1] and table.pack(table.unpack(step, 2, step.n)) or step
        end
      end
      if not results[i] then due = math.min(due, next_look[i]) end
    end
    if running > 0 then loop.sleep(math.max(due - system.now(), 0)) end
  end
  for i = 1, #group do
    results[i] = results[i] or { false, errors.new(errors.TRY_AGAIN, ("no answer within %g s"):format(seconds)) }
  end
  return results
end

-- ---- Pace

local PACE = tonumber(os.getenv "RTLUA_PACE" or "") or 1

--- Seconds of a polling interval or a time limit, scaled by RTLUA_PACE: specs run the same code in less time.
function loop.pace(seconds) return seconds * PACE end

return loop
