-- The system calls of a program, as strace writes them into a file.

local calls = {}

--- Those from the one that prints MARK to the one that prints DONE: a list of { name, its number among all of that
--- name, line }.
function calls.between_marks(path)
  local counts, list, within = {}, {}, false
  for line in io.lines(path) do
    local name = line:match "^([%w_]+)%("
    if name then
      counts[name] = (counts[name] or 0) + 1
      if line:find('"DONE\\n"', 1, true) then within = false end
      if within then list[#list + 1] = { name = name, number = counts[name], line = line } end
      if line:find('"MARK\\n"', 1, true) then within = true end
    end
  end
  return list
end

return calls
