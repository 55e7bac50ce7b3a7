-- "did you mean": the nearest of some names, by the optimal string alignment distance (insertion, deletion,
-- substitution, and the swap of two neighbours each cost 1).

local suggest = {}

function suggest.distance(a, b)
  local before, previous = nil, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost)
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, previous = previous, row
  end
  return previous[#b]
end

--- The nearest name, or nil when none is near: at most a third of the letters may differ, and two at least when the
--- word has four or more.
function suggest.nearest(word, names)
  local best, least = nil, math.huge
  local allowed = math.max(#word >= 4 and 2 or 1, #word // 3)
  for _, name in ipairs(names) do
    local d = suggest.distance(word:lower(), name:lower())
    if d < least and d < #name then best, least = name, d end
  end
  return least <= allowed and best or nil
end

--- " (did you mean 'radius'?)" or "".
function suggest.hint(word, names)
  local best = suggest.nearest(word, names)
  return best and (" (did you mean '%s'?)"):format(best) or ""
end

return suggest
