-- Faults by script. One is a table:
--
--     { at = 7, what = "kill", when = "after", pid = 1234 }                       -- at the seventh API call
--     { match = { method = "DELETE", path = "^/v2/droplets/%d+$" }, what = "422", times = 2 }
--
-- at: an API call's number. match: Lua patterns on method, path and kind (see ledger.lua); neither: any request. skip:
-- so many matches go by first. times: for so many matches (1); always = true: for all. seconds are scaled by the pace.
--
-- what:
--     "429", "500", "503", "403", "422", ...   that status, nothing done; with 429, seconds make its Retry-After
--     "limit"          the droplet or instance limit is reached
--     "drop"           the connection is closed, nothing done
--     "lost-reply"     done, but the connection is closed without a reply
--     "late-create"    the connection is closed, and it is done `seconds` later (30)
--     "slow"           done, and the reply comes `seconds` later (60)
--     "lag"            a list shows what was there `seconds` ago (30)
--     "skew"           from now on the provider's clock is off by `seconds`, not scaled
--     "kill"           SIGKILL: when = "before" it acts, "after" it acted (no reply either way), "replied"
--     "no-address", "never-boots", "dies"      of the machine that is created: it stays without an address; stays new;
--                      is off `seconds` (5) after it became active
--
-- kill's victims: pid, a number or a list; pid_file, paths of files with a pid each, read then; env, a text such as
-- "RTLUA_STATE=/tmp/x" that a process has in its environment, and, with command, a list of texts, one of them in its
-- command line. tree = true: their children's children as well;
-- group = true: their process groups.

local ledger = require "spec.support.cloud.ledger"
local lfs = require "lfs"

local faults = {}

local Faults = {}
Faults.__index = Faults

local OF_MACHINES = { ["no-address"] = true, ["never-boots"] = true, dies = true }
local KNOWN = {
  limit = true, drop = true, ["lost-reply"] = true, ["late-create"] = true, slow = true, lag = true, skew = true,
  kill = true, ["no-address"] = true, ["never-boots"] = true, dies = true,
}
local WHEN = { before = true, after = true, replied = true }

--- A new, empty script of faults.
function faults.new() return setmetatable({ list = {} }, Faults) end

--- Adds one; raises where it makes no sense.
function Faults:add(fault)
  assert(KNOWN[fault.what] or tostring(fault.what):match "^[45]%d%d$", "fault: unknown what: " .. tostring(fault.what))
  if fault.what == "kill" then assert(WHEN[fault.when], "fault: kill needs when = before, after or replied") end
  fault.left, fault.skip = fault.always and math.huge or fault.times or 1, fault.skip or 0
  self.list[#self.list + 1] = fault
end

--- Forgets all.
function Faults:clear() self.list = {} end

local function applies(fault, request)
  if fault.left <= 0 then return false end
  if fault.at and fault.at ~= request.call then return false end
  for _, name in ipairs { "method", "path", "kind" } do
    local pattern = (fault.match or {})[name]
    if pattern and not tostring(request[name]):find(pattern) then return false end
  end
  if fault.skip > 0 then
    fault.skip = fault.skip - 1
    return false
  end
  fault.left = fault.left - 1
  return true
end

local function take(self, request, of_machines)
  local taken = {}
  for _, fault in ipairs(self.list) do
    if (OF_MACHINES[fault.what] or false) == of_machines and applies(fault, request) then
      taken[#taken + 1] = fault
      taken[fault.what] = fault
    end
  end
  return taken
end

--- The faults of this request, in order and by `what`; each is used up.
function Faults:of_request(request) return take(self, request, false) end

--- The faults of a machine that this request creates.
function Faults:of_machine(request) return take(self, request or {}, true) end

-- ---- Killing

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a" or nil
end

local function processes()
  local list = {}
  for name in lfs.dir "/proc" do
    if name:find "^%d+$" then
      local stat = read("/proc/" .. name .. "/stat")
      local state, parent, group = (stat or ""):match "^.*%) (%a) (%d+) (%d+)"
      if state and state ~= "Z" then
        list[tonumber(name)] = { parent = tonumber(parent), group = tonumber(group) }
      end
    end
  end
  return list
end

local function listed(value) return type(value) == "table" and value or { value } end

local function has_any(text, words)
  for _, word in ipairs(words) do
    if text:find(word, 1, true) then return true end
  end
  return false
end

local function add_environment(victims, fault, all)
  for pid in pairs(all) do
    local environment = read("/proc/" .. pid .. "/environ")
    local has = environment and ("\0" .. environment):find("\0" .. fault.env .. "\0", 1, true)
    if has and (not fault.command or has_any(read("/proc/" .. pid .. "/cmdline") or "", fault.command)) then
      victims[pid] = true
    end
  end
end

local function add_relatives(victims, fault, all)
  repeat
    local more = false
    for pid, process in pairs(all) do
      if not victims[pid] and (fault.tree and victims[process.parent] or fault.group and victims[process.group]) then
        victims[pid], more = true, true
      end
    end
  until not more
end

local function victims_of(fault)
  local all, victims = processes(), {}
  for _, pid in ipairs(listed(fault.pid)) do victims[math.tointeger(pid)] = true end
  for _, path in ipairs(listed(fault.pid_file)) do
    local pid = math.tointeger(tonumber((read(path) or ""):match "%d+"))
    if pid then victims[pid] = true end
  end
  if fault.env then add_environment(victims, fault, all) end
  add_relatives(victims, fault, all)
  local list = {}
  for pid in pairs(victims) do
    local command = read("/proc/" .. pid .. "/cmdline") -- nil: has ended meanwhile
    -- 1 is init, and the double must outlive everyone.
    if pid > 1 and all[pid] and command and not command:find("spec/support/cloud/", 1, true) then
      list[#list + 1] = tostring(pid)
    end
  end
  table.sort(list)
  return list
end

-- What started something in between is found by the second look.
local function kill(fault)
  local process = require "rtlua.process"
  local killed = {}
  for _ = 1, 10 do
    local list = victims_of(fault)
    if #list == 0 then break end
    process.run { "kill", "-KILL", table.unpack(list) }
    table.move(list, 1, #list, #killed + 1, killed)
  end
  return killed
end

--- Notes that a fault is carried out, and then kills if that is what it does.
function Faults.carry_out(_, fault, cloud, request)
  local alive = 0
  for _, machine in ipairs(cloud.registry:machines {}) do
    if ledger.is_machine(machine.kind) then alive = alive + 1 end
  end
  cloud.ledger:add("fault", { call = request.call, what = fault.what, when = fault.when, alive = alive })
  if fault.what == "kill" then cloud.ledger:add("killed", { call = request.call, pids = kill(fault) }) end
end

return faults
