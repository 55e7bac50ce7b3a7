-- What the specs of drivers share: an environment of their own, time that goes fast, a lease as the journal has it, and
-- failures looked at.

local assert = require "luassert"
local errors = require "rtlua.errors"
local loop = require "rtlua.loop"

local driver = {}

driver.PACE = 0.01
driver.PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJTbkqzHv8VcjXGQ4QyTwW0eUbSBTzYYWq4ZXW3Ofq2n rtlua"

local getenv, pace = os.getenv, loop.pace
local runs = 0

--- Puts a table in the place of the environment, until `restore`: of the names for which hidden(name) is true the table
--- alone is seen; of others what it has, and false is none.
function driver.replace_environment(environment, hidden)
  os.getenv = function(name) -- luacheck: ignore
    local value = environment[name]
    if value == false then return nil end
    if value ~= nil or hidden and hidden(name) then return value end
    return getenv(name)
  end
  loop.pace = function(seconds) return seconds * driver.PACE end
  return environment
end

function driver.restore()
  os.getenv, loop.pace = getenv, pace -- luacheck: ignore
end

--- A lease as the journal has it, for an account that was checked; its notes are kept in `notes`, too.
function driver.lease(checked, fields)
  runs = runs + 1
  local run = ("run%07d"):format(runs)
  local lease = {
    run = run, name = "spec-" .. run, account = checked.account, endpoint = checked.endpoint, created = checked.now,
    expires = math.floor(checked.now) + 3600, user_data = "#cloud-config\n{}\n", public_key = driver.PUBLIC_KEY,
    notes = {},
  }
  for key, value in pairs(fields) do lease[key] = value end
  function lease.marks(self) return { "rtlua", "rtlua:run-" .. self.run, ("rtlua:exp-%d"):format(self.expires) } end
  function lease.note(self, noted)
    table.insert(self.notes, noted)
    for key, value in pairs(noted) do self[key] = value or nil end
  end
  return lease
end

--- The error that a call raises: one line, and the secret is nowhere in it.
function driver.failure(secret, f, ...)
  local fine, problem = pcall(f, ...)
  assert.is_false(fine, "nothing was raised")
  assert.is_true(errors.is(problem), tostring(problem))
  local seen = problem
  while seen do
    for _, text in pairs(seen) do
      local shown = type(text) == "string" and secret and text:find(secret, 1, true)
      assert.is_falsy(shown, "the secret is shown")
    end
    assert.is_nil(seen.message:find "[\r\n]")
    seen = type(seen.cause) == "table" and seen.cause or nil
  end
  return problem
end

--- A call raises an error of this stage and code, whose message has the text.
function driver.refuses(stage, code, text, f, ...)
  local problem = driver.failure(nil, f, ...)
  assert.same({ stage, code }, { problem.stage, problem.code })
  assert.matches(text, problem.message, 1, true)
end

return driver
