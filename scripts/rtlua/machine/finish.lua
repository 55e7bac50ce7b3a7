-- rtlua.machine.finish: one attempt to end a machine that nobody has a use for any more, and its entry with it.
--
-- Its caller holds the watcher's lock. Whatever was created is destroyed, what a lost reply may have made twice too,
-- and the entry ends as lease:spent says. It can be tried again after any failure, and after a crash at any
-- instruction.

local errors = require "rtlua.errors"

local finish = {}

local function same(a, b) return tostring(a) == tostring(b) end

--- Destroys what bears the lease's run and is not its machine, as a create that was asked twice leaves it. The lease is
--- read again before: its script may just have adopted one of them. Returns how many there were.
function finish.twins(lease, driver, why)
  local found = driver:find(lease)
  if #found == 0 or not lease:refresh() then return 0 end
  local count = 0
  for _, record in ipairs(found) do
    if record.state ~= "gone" and not same(record.id, lease.id) then
      driver:destroy(record)
      lease:charge(record, lease:now(), why)
      count = count + 1
    end
  end
  return count
end

--- true when all is gone and the entry too; false when a create may still turn up: the entry stays open then. Raises
--- what the driver raises, and where the credentials are another account's 76, with the field foreign.
function finish.attempt(lease, driver, why)
  local checked = driver:check()
  local ours, reason = lease:belongs(checked)
  if not ours then
    local problem = errors.staged("destroy", errors.REMAINS, ("%s: %s"):format(lease.name, reason),
      "use the credentials that it was created with")
    problem.foreign = true
    error(problem, 0)
  end
  local open = lease:open_until() ~= nil
  -- A full disk is no reason to go on paying: what cannot be noted is destroyed all the same.
  local noted, problem = pcall(lease.note, lease, {
    state = lease.id and "destroying" or "intent", unanswered = open and (lease.unanswered or lease.created),
  })
  if not noted and problem.code == errors.UNAVAILABLE then return true end -- somebody else has finished it
  if open then finish.twins(lease, driver, why) end
  driver:destroy(lease)
  if driver.transport == "ssh" then require("rtlua.machine.transports.ssh").forget(lease) end -- its sockets, here
  return lease:spent(lease:now(), why)
end

return finish
