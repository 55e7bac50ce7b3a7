-- rtlua.machine.pool: machines of one kind, side by side.
--
--     local pool <close> = cloud.pool { count = 4, driver = "digitalocean", size = "c-8", max_cost = 4 }
--     pool:map(function(machine, i) return machine:run { command = { "hostname" } } end)
--
-- A list of machines. They are provisioned in about the time of one, and end together. max_cost and max_price are the
-- pool's.

local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local machines = require "rtlua.machine.machine"

local pools = {}

local Pool = { __name = "rtlua.machine.pool" }
Pool.__index = Pool

--- Calls f(machine, i) for each, side by side: the list of what they return. Raises the first failure, once all have
--- ended.
function Pool:map(f)
  local tasks = {}
  for i, machine in ipairs(self) do tasks[i] = function() return f(machine, i) end end
  local values, failure = {}, nil
  for i, result in ipairs(loop.all(tasks)) do
    if not result[1] then failure = failure or result[2] end
    values[i] = result[2]
  end
  if failure then error(failure, 0) end
  return values
end

--- Gives each item to a machine that has nothing to do, until all are done: f(machine, item, index). Returns what it
--- returned, in the items' order. Raises the first failure, once what was begun has ended.
function Pool:share(items, f)
  local values, next_one, failed = {}, 1, false
  self:map(function(machine)
    while next_one <= #items and not failed do
      local index = next_one
      next_one = index + 1
      local fine, value = pcall(f, machine, items[index], index)
      if not fine then
        failed = true
        error(value, 0)
      end
      values[index] = value
    end
  end)
  return values
end

--- machine:run on each.
function Pool:run(fields)
  return self:map(function(machine) return machine:run(fields) end)
end

--- Destroys all.
function Pool:destroy() machines.close_all(self, nil) end

function Pool:__close(problem) machines.close_all(self, problem) end

--- A pool of machines.
function pools.new(list)
  if #list == 0 then errors.stage("check", errors.USAGE, "a pool of no machines", "give a count of 1 or more") end
  return setmetatable(list, Pool)
end

return pools
