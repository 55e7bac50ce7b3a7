-- Processes that a spec started, found by a mark in their environment, which children hand on: whatever became of their
-- parents, groups and sessions. `local mark = marked.new()`; give mark.env to what is started.

local lfs = require "lfs"
local system = require "rtlua.system"

local marked = {}

local Mark = {}
Mark.__index = Mark

local count = 0

function marked.new()
  count = count + 1
  local name = os.tmpname()
  os.remove(name)
  local token = ("%s-%d"):format(name:match("[^/]*$"), count)
  return setmetatable({ token = token, env = { RTLUA_SPEC_MARK = token } }, Mark)
end

local function content(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text or ""
end

--- The numbers of those that are alive, and of zombies of this process.
function Mark:list()
  local found = {}
  for name in lfs.dir "/proc" do
    if name:match "^%d+$" and content(("/proc/%s/environ"):format(name)):find(self.token, 1, true) then
      found[#found + 1] = tonumber(name)
    end
  end
  for pid in content("/proc/self/task/" .. content("/proc/self/stat"):match "^%d+" .. "/children"):gmatch "%d+" do
    if content(("/proc/%s/stat"):format(pid)):match "%) (%a)" == "Z" then found[#found + 1] = tonumber(pid) end
  end
  return found
end

--- Waits for condition(), at most `seconds` (5): its value.
function marked.within(condition, seconds)
  local deadline = system.now() + (seconds or 5)
  repeat
    local value = condition()
    if value then return value end
    os.execute "sleep 0.02"
  until system.now() > deadline
  return false
end

--- Are they all gone, within seconds?
function Mark:gone(seconds) return marked.within(function() return #self:list() == 0 end, seconds) end

return marked
