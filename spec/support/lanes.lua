-- Cases side by side: so many lanes, each of which plays one after the other.

local loop = require "rtlua.loop"

local lanes = {}

--- Calls try(case, held) for each case: nil, or what is wrong. open: makes what a lane holds, which is to be closed.
--- Returns the problems by case, an error as one.
function lanes.problems(cases, side_by_side, try, open)
  local problems, next_one, workers = {}, 0, {}
  local function work()
    local held <close> = open and open() or nil
    while next_one < #cases do
      next_one = next_one + 1
      local case = cases[next_one]
      local fine, problem = pcall(try, case, held)
      problems[case] = fine and problem or not fine and "error: " .. tostring(problem) or nil
    end
  end
  for i = 1, side_by_side do workers[i] = work end
  loop.all(workers)
  return problems
end

return lanes
