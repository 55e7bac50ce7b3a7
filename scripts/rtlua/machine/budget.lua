-- rtlua.machine.budget: what a machine costs, the most that it can cost, and when work has to stop.
--
--     local plan = budget.plan { size = "c-32", price_hour = 1, minimum = 0.02, ttl = "2h", max_cost = 2 }  -- or 64
--     for _, line in ipairs(plan:lines(now)) do … end      -- what is printed before anything is created
--     budget.deadline(lease)                               -- work has stopped by then
--
-- Providers bill by the second, with a minimum for each start (DigitalOcean 60 s or $0.01, EC2 60 s), which drivers
-- name; extras_hour is what disk and address cost besides. So a machine of `seconds` costs
-- max(minimum, price_hour · seconds) + extras_hour · seconds. Limits are never exceeded: what would not fit is refused
-- before anything is created, and moving the end on is refused likewise. Money is in dollars, time in seconds; a pool's
-- max_cost is for all of its machines.

local errors = require "rtlua.errors"
local schema = require "rtlua.schema"
require "rtlua.render_options" -- schema.types.duration

local budget = {}

budget.DEFAULT_TTL = 8 * 3600
budget.RESERVE = 120 -- between the end of work and the end: fetching what there is, and destroying

local HOUR = 3600
local DURATION = { "ttl", type = "duration" }

local function refuse(message, remedy) errors.stage("check", errors.USAGE, message, remedy) end

-- ---- Words

--- "$1.00", "$0.0074": cents, and what is below them where that is much of it.
function budget.money(dollars)
  if dollars >= 0.1 or dollars == 0 then return ("$%.2f"):format(dollars) end
  return (("$%.5f"):format(dollars):gsub("(%.%d%d%d-)0+$", "%1"))
end

-- Rounded up: what is said to be the most is.
local function at_most(dollars) return budget.money(math.ceil(dollars * 100 - 1e-6) / 100) end

--- "2h", "90m", "45s": as a ttl is written.
function budget.span(seconds)
  seconds = math.floor(seconds)
  if seconds >= HOUR and seconds % HOUR == 0 then return ("%dh"):format(seconds // HOUR) end
  if seconds >= 60 and seconds % 60 == 0 then return ("%dm"):format(seconds // 60) end
  return ("%ds"):format(seconds)
end

--- "14:05 UTC", with its date where that is not today's.
function budget.moment(time, now)
  time, now = math.ceil(time), math.floor(now)
  local today = os.date("!%Y-%m-%d", time) == os.date("!%Y-%m-%d", now)
  return os.date(today and "!%H:%M UTC" or "!%Y-%m-%d %H:%M UTC", time)
end

--- Seconds of a duration as its user gave it, "2h", "90m" or a number. Raises 64.
function budget.duration(value, name)
  local seconds, message = schema.value(DURATION, value, name or "ttl")
  return seconds or refuse(message, 'write it like "2h" or "90m"')
end

-- ---- Sums

--- What one machine (price_hour, minimum, extras_hour) costs that is there for so long.
local function cost(machine, seconds)
  local price, minimum = machine.price_hour or 0, machine.minimum or 0
  return math.max(minimum, price * seconds / HOUR) + (machine.extras_hour or 0) * seconds / HOUR
end

budget.cost = cost

--- What a lease's machine has cost, or will have, at a time.
function budget.spent(lease, at)
  return cost(lease, math.max(0, at - (lease.launched or lease.created)))
end

--- The longest time that one machine can have for so much money: whole seconds, negative where none fits, math.huge
--- where it costs nothing.
function budget.longest(machine, max_cost)
  local price, extras = machine.price_hour or 0, machine.extras_hour or 0
  if (machine.minimum or 0) > max_cost then return -1 end
  if price + extras == 0 then return math.huge end
  local by_hours = max_cost / (price + extras) * HOUR
  local by_extras = extras > 0 and (max_cost - (machine.minimum or 0)) / extras * HOUR or math.huge
  return math.floor(math.min(by_hours, by_extras))
end

--- When it ends at the latest: at its expiry, or when max_cost is reached.
function budget.ends(lease)
  if not lease.max_cost then return lease.expires end
  local start = lease.launched or lease.created
  return math.min(lease.expires, start + math.max(0, budget.longest(lease, lease.max_cost)))
end

--- When work has to have stopped: `reserve` seconds before the end. Without one it is 120 s, but at most a quarter of
--- the machine's time.
function budget.deadline(lease, reserve)
  local ends = budget.ends(lease)
  return ends - (reserve or math.min(budget.RESERVE, (ends - lease.created) / 4))
end

--- Moving the end on to `expires` stays within max_cost, or raises 64.
function budget.check_extension(lease, expires)
  if not lease.max_cost then return end
  local start = lease.launched or lease.created
  local most, last = cost(lease, expires - start), start + budget.longest(lease, lease.max_cost)
  if most <= lease.max_cost + 1e-9 then return end
  refuse(("%s could cost %s by then, above its max_cost of %s"):format(lease.name, at_most(most),
    budget.money(lease.max_cost)), ("its last moment is %s"):format(budget.moment(last, lease.created)))
end

-- ---- Plans

local function fits(size, want, ttl)
  if not size.available or not size.price_hour then return false end
  if want.region and size.regions then
    local there = false
    for _, region in ipairs(size.regions) do there = there or region == want.region end
    if not there then return false end
  end
  local share = want.max_cost and want.max_cost / want.count
  return (not want.max_price or size.price_hour * want.count <= want.max_price)
    and (not share or cost({ price_hour = size.price_hour, minimum = want.minimum }, ttl) <= share)
end

-- " or take c-8 ($0.25/h)": the most CPUs that fit, and of those the cheapest.
local function advise(want, ttl)
  local best
  for _, size in ipairs(want.sizes or {}) do
    if fits(size, want, ttl) then
      local better = not best or size.vcpus > best.vcpus
        or size.vcpus == best.vcpus and size.price_hour < best.price_hour
      if better then best = size end
    end
  end
  return best and ("take %s (%s/h)"):format(best.slug, budget.money(best.price_hour))
end

local function alternatives(...)
  local list = {}
  for i = 1, select("#", ...) do list[#list + 1] = (select(i, ...)) end
  return table.concat(list, ", or ")
end

local Plan = { __name = "rtlua.plan" }
Plan.__index = Plan

--- What is to be created, checked against its limits before anything is. Fields: price_hour, minimum, extras_hour of
--- one machine (none, or 0, where nothing is billed); size, its name; ttl (a duration; 8 h); count (1); max_price, an
--- hour, and max_cost, of all machines; for advice sizes (driver:sizes()) and region. Raises 64, or returns the plan:
--- ttl; each and most, the most that one and all can cost; price_hour, of all; assumed (no ttl was given); lines().
function budget.plan(want)
  want = setmetatable({ count = want.count or 1 }, { __index = want })
  for _, name in ipairs { "max_price", "max_cost" } do
    local limit = want[name]
    if limit and not (type(limit) == "number" and limit > 0) then
      refuse(("%s: expected dollars above 0, got %s"):format(name, schema.show(limit)), "write it like 2.50")
    end
  end
  local ttl = want.ttl and budget.duration(want.ttl) or budget.DEFAULT_TTL
  local hourly = ((want.price_hour or 0) + (want.extras_hour or 0)) * want.count
  local size = want.count > 1 and ("%d x %s"):format(want.count, want.size) or want.size
  if want.max_price and hourly > want.max_price + 1e-9 then
    refuse(("%s costs %s/h, above the max_price of %s/h"):format(size, budget.money(hourly),
      budget.money(want.max_price)), alternatives("raise max_price", advise(want, ttl)))
  end
  local share = want.max_cost and want.max_cost / want.count
  if share and hourly > 0 then
    local longest = budget.longest(want, share)
    if longest >= 600 then longest = longest // 60 * 60 end
    if not want.ttl and longest > budget.RESERVE then ttl = math.min(ttl, longest) end
    if cost(want, ttl) > share + 1e-9 then
      refuse(("%s can cost %s in %s, above the max_cost of %s"):format(size, at_most(cost(want, ttl) * want.count),
        budget.span(ttl), budget.money(want.max_cost)), alternatives("raise max_cost",
        longest > budget.RESERVE and "give a ttl of at most " .. budget.span(longest) or nil, advise(want, ttl)))
    end
  end
  local each = cost(want, ttl)
  return setmetatable({
    ttl = ttl, each = each, most = each * want.count, price_hour = hourly, size = size, assumed = not want.ttl,
    billed = hourly > 0, extras = (want.extras_hour or 0) > 0,
  }, Plan)
end

--- What its user has to know before anything is created, as lines. `now`: the provider's time; ends_itself: the machine
--- does, on EC2.
function Plan:lines(now, ends_itself)
  local lines = {}
  local moment = budget.moment(now + self.ttl, now)
  local span = budget.span(self.ttl) .. (self.assumed and ", as no ttl was given" or "")
  if not self.billed then
    return { ("%s: nothing is billed; until %s (%s)"):format(self.size, moment, span) }
  end
  lines[1] = ("%s: %s/h%s, at most %s until %s (%s)"):format(self.size, budget.money(self.price_hour),
    self.extras and " with disk and address" or "", at_most(self.most), moment, span)
  local after = "after a power loss, sleep or logout "
  lines[2] = ends_itself and after .. "it ends itself at " .. moment
    or after .. "a machine is billed until the next rtlua command or a reap elsewhere: see rtlua machine reap --install"
  return lines
end

--- What is to be said of a machine that was powered off.
function budget.off_line(lease)
  -- EC2 bills the disk and the address of one that is off, DigitalOcean all of it.
  local hourly = (lease.driver == "ec2" and 0 or lease.price_hour or 0) + (lease.extras_hour or 0)
  if hourly == 0 then return nil end
  return ("%s is off and still costs %s/h: rtlua machine rm %s ends that"):format(lease.name, budget.money(hourly),
    lease.name)
end

return budget
