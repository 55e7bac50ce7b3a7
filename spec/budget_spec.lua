-- Budgets: what a machine can cost is known, and within its limits, before it is asked for.

local budget = require "rtlua.machine.budget"

local HOUR = 3600

-- The problem that a plan is refused with.
local function refused(want)
  local fine, problem = pcall(budget.plan, want)
  assert.is_false(fine)
  assert.equal(64, problem.code)
  return tostring(problem)
end

local function big(fields)
  local want = { size = "c-32", price_hour = 1, minimum = 0.02 }
  for key, value in pairs(fields or {}) do want[key] = value end
  return want
end

local SIZES = {
  { slug = "c-2", vcpus = 2, price_hour = 0.0625, available = true, regions = { "a", "b" } },
  { slug = "c-8", vcpus = 8, price_hour = 0.25, available = true, regions = { "a" } },
  { slug = "d-8", vcpus = 8, price_hour = 0.3, available = true, regions = { "a" } },
  { slug = "c-16", vcpus = 16, price_hour = 0.4, available = false, regions = { "a" } },
}

describe("the most that a machine can cost", function()
  it("is its price for its time, at least the minimum of a start", function()
    assert.equal(2, budget.cost({ price_hour = 1, minimum = 0.02 }, 2 * HOUR))
    assert.equal(0.02, budget.cost({ price_hour = 1, minimum = 0.02 }, 10))
  end)
  it("has disk and address on top", function()
    assert.equal(2.5, budget.cost({ price_hour = 1, minimum = 0.02, extras_hour = 0.25 }, 2 * HOUR))
  end)
  it("is that of all machines of a pool", function()
    local plan = budget.plan(big { ttl = "2h", count = 4 })
    assert.same({ 2, 8, 4 }, { plan.each, plan.most, plan.price_hour })
  end)
  it("is nothing where nothing is billed", function()
    local plan = budget.plan { size = "local", max_cost = 0.01, max_price = 0.01 }
    assert.same({ 0, 8 * HOUR }, { plan.most, plan.ttl })
    assert.matches("^local: nothing is billed; until", plan:lines(0)[1])
    assert.same({ 0, 7200 }, { budget.plan({ size = "local", price_hour = 0, ttl = "2h", max_cost = 1 }).most,
      budget.ends { created = 0, expires = 7200, price_hour = 0, max_cost = 1 } })
  end)
end)

describe("a budget", function()
  it("is a limit, and says what would fit", function()
    assert.equal("check: c-32 can cost $3.00 in 3h, above the max_cost of $2.00: raise max_cost, or give a ttl of at "
      .. "most 2h, or take c-8 ($0.25/h)", refused(big { ttl = "3h", max_cost = 2, sizes = SIZES, region = "a" }))
    local elsewhere = refused(big { ttl = "3h", max_cost = 2, sizes = SIZES, region = "b" })
    assert.matches("or take c%-2 %(%$0.0625/h%)$", elsewhere)
    assert.equal("check: c-32 costs $1.00/h, above the max_price of $0.20/h: raise max_price, or take c-2 ($0.0625/h)",
      refused(big { max_price = 0.2, sizes = SIZES, region = "a" }))
  end)
  it("says of a ttl that would fit that it does", function()
    for _, max_cost in ipairs { 0.123, 0.5, 1.99, 2.0001, 7 } do
      for _, extras in ipairs { 0, 0.013, 0.4 } do
        local want = big { ttl = "9h", max_cost = max_cost, extras_hour = extras }
        want.ttl = refused(want):match "a ttl of at most (%w+)"
        assert.is_true(budget.plan(want).most <= max_cost)
      end
    end
  end)
  it("below the minimum of a start fits no machine", function()
    assert.equal("check: c-32 can cost $0.02 in 10s, above the max_cost of $0.01: raise max_cost",
      refused(big { ttl = 10, max_cost = 0.01 }))
  end)
  it("shortens a time that nobody gave", function()
    local plan = budget.plan(big { max_cost = 2 })
    assert.same({ 2 * HOUR, true, 2 }, { plan.ttl, plan.assumed, plan.most })
    assert.equal(8 * HOUR, budget.plan(big {}).ttl)
    assert.matches("above the max_cost", refused(big { max_cost = 0.025 })) -- a minute and a half is no use
  end)
  it("is for the pool", function()
    assert.equal(8, budget.plan(big { ttl = "2h", count = 4, max_cost = 8 }).most)
    assert.equal("check: 4 x c-32 can cost $8.00 in 2h, above the max_cost of $7.00: raise max_cost, or give a ttl "
      .. "of at most 105m", refused(big { ttl = "2h", count = 4, max_cost = 7 }))
    assert.matches("4 x c%-32 costs %$4.00/h", refused(big { count = 4, max_price = 3 }))
  end)
  it("is dollars, and a ttl a duration", function()
    assert.matches("^check: max_cost: expected dollars above 0, got 'x'", refused(big { max_cost = "x" }))
    assert.matches("^check: max_price: expected dollars above 0, got 0", refused(big { max_price = 0 }))
    for _, ttl in ipairs { "2 hours", "-1", 0, "1d" } do
      assert.matches("^check: ttl: expected", refused(big { ttl = ttl }))
    end
    assert.same({ 7200, 5400, 45, 90 },
      { budget.duration "2h", budget.duration "90m", budget.duration "45s", budget.duration(90) })
  end)
end)

describe("the end of work", function()
  local function lease(fields)
    local one = { name = "box-1", created = 1000, expires = 1000 + 2 * HOUR, price_hour = 1 }
    for key, value in pairs(fields or {}) do one[key] = value end
    return one
  end

  it("is a reserve before the expiry", function()
    assert.equal(1000 + 2 * HOUR - 120, budget.deadline(lease()))
    assert.equal(1000 + 2 * HOUR - 300, budget.deadline(lease(), 300))
    assert.equal(1000 + 75, budget.deadline(lease { expires = 1100 }))
  end)
  it("is a reserve before the money is spent", function()
    assert.equal(1000 + HOUR - 120, budget.deadline(lease { max_cost = 1 }))
    assert.equal(1500 + HOUR, budget.ends(lease { max_cost = 1, launched = 1500 }))
    -- 2 / (1 + 0.25) of an hour's price.
    assert.equal(1000 + 5760, budget.ends(lease { max_cost = 2, extras_hour = 0.25 }))
  end)
  it("is not moved on beyond the money", function()
    budget.check_extension(lease { max_cost = 3 }, 1000 + 3 * HOUR)
    budget.check_extension(lease(), 1000 + 300 * HOUR)
    local fine, problem = pcall(budget.check_extension, lease { max_cost = 3 }, 1001 + 3 * HOUR)
    assert.is_false(fine)
    assert.equal(64, problem.code)
    assert.equal("check: box-1 could cost $3.01 by then, above its max_cost of $3.00: its last moment is 03:16 UTC",
      tostring(problem))
  end)
end)

describe("what is printed before anything is created", function()
  it("is price, the most, and until when", function()
    local now = 12 * HOUR + 5 * 60
    assert.same({
      "c-32: $1.00/h, at most $2.00 until 14:05 UTC (2h)",
      "after a power loss, sleep or logout a machine is billed until the next rtlua command or a reap elsewhere: see "
        .. "rtlua machine reap --install",
    }, budget.plan(big { ttl = "2h" }):lines(now))
    assert.equal("4 x c-32: $4.40/h with disk and address, at most $35.20 until 20:05 UTC (8h, as no ttl was given)",
      budget.plan(big { count = 4, extras_hour = 0.1 }):lines(now)[1])
    assert.same("after a power loss, sleep or logout it ends itself at 1970-01-02 00:05 UTC",
      budget.plan(big { ttl = "12h" }):lines(now, true)[2])
  end)
  it("never rounds down what is the most, and shows small prices", function()
    local plan = budget.plan { size = "s", price_hour = 0.0074, ttl = "2h" }
    assert.matches("^s: %$0.0074/h, at most %$0.02 until", plan:lines(0)[1])
    assert.same({ "$0.00", "$0.00744", "$0.01", "$0.0625", "$0.10", "$12.35" }, {
      budget.money(0), budget.money(0.00744), budget.money(0.01), budget.money(0.0625), budget.money(0.1),
      budget.money(12.345001),
    })
  end)
  it("says of a machine that is off that it still costs", function()
    assert.equal("box-1 is off and still costs $1.00/h: rtlua machine rm box-1 ends that",
      budget.off_line { name = "box-1", driver = "digitalocean", price_hour = 1 })
    assert.equal("box-1 is off and still costs $0.02/h: rtlua machine rm box-1 ends that",
      budget.off_line { name = "box-1", driver = "ec2", price_hour = 1, extras_hour = 0.02 })
    assert.is_nil(budget.off_line { name = "box-1", driver = "local" })
  end)
end)
