-- rtlua.drivers.local: this computer plays a machine. Nothing is billed, and nothing but this rtlua is needed.
--
-- A machine is a folder, <state>/local/NAME-RUN, with its marks as empty files in marks/, and the work beside them.
-- What runs on it works in that folder, or has its name in the environment (RTLUA_MACHINE), which children inherit.
--
-- Always holds: destroying ends all of that and removes the folder. A folder is there with its marks, or not at all.

local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local leases = require "rtlua.machine.lease"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local system = require "rtlua.system"

local local_driver = {}

local GRACE = 2 -- seconds from being asked to end until being ended

local Local = { __name = "rtlua.drivers.local" }
Local.__index = Local

local function root() return leases.state_folder() .. "/local" end

local function first_line(path)
  local file = io.open(path)
  if not file then return nil end
  local line = file:read "l"
  file:close()
  return line ~= "" and line or nil
end

-- ---- What there is

--- { account, endpoint, now, login }: the account is this computer's own id, since a state folder may be shared.
function Local.check()
  local id = first_line "/etc/machine-id" or first_line "/proc/sys/kernel/hostname" or "here"
  return { account = id, endpoint = "local:", now = system.time(), login = os.getenv "USER" or "root" }
end

local function memory()
  local file = io.open "/proc/meminfo"
  if not file then return 0 end
  local text = file:read "a"
  file:close()
  return (math.tointeger(tonumber(text:match "MemTotal:%s*(%d+)")) or 0) // 1024
end

function Local.sizes()
  return {
    {
      slug = "local", memory = memory(), vcpus = system.threads(), disk = 0, price_month = 0, price_hour = 0,
      regions = { "local" }, available = true,
    },
  }
end

function Local.regions() return { { slug = "local", name = "this computer", available = true } } end

function Local.images() return {} end

--- See the contract of drivers: what is wanted, resolved; raises 64 for what there is not.
function Local:validate(want)
  drivers.only(want, "local", "this computer is the one there is, 'local': leave it out, or name a driver")
  if want.image then
    errors.stage("check", errors.USAGE, ("unknown image '%s'"):format(want.image),
      "this computer is no image: leave it out, or use --driver docker")
  end
  return { size = self.sizes()[1], region = "local", price_hour = 0, minimum = 0, extras_hour = 0 }
end

-- ---- Records

local function to_record(name)
  local marks, expires = {}, nil
  for mark in lfs.dir(root() .. "/" .. name .. "/marks") do
    if mark:sub(1, 1) ~= "." then
      marks[#marks + 1] = mark
      local time = math.tointeger(tonumber(mark:match "^rtlua:exp%-(%d+)$"))
      expires = time and math.max(time, expires or 0) or expires
    end
  end
  table.sort(marks)
  return {
    id = name, name = name, state = "running", address = "127.0.0.1", region = "local", size = "local",
    created = lfs.attributes(root() .. "/" .. name .. "/marks/rtlua", "modification"), run = name:match "%-(%w+)$",
    marks = marks, expires = expires, driver = "local", price_hour = 0,
  }
end

--- All machines on this computer.
function Local.list()
  local records = {}
  if system.exists(root()) ~= "folder" then return records end
  for name in lfs.dir(root()) do
    if name:sub(1, 1) ~= "." and system.exists(root() .. "/" .. name .. "/marks") then
      records[#records + 1] = to_record(name)
    end
  end
  table.sort(records, function(a, b) return a.name < b.name end)
  return records
end

--- The record of a lease or record, or nil where there is none.
function Local.get(_, of)
  if not system.exists(("%s/%s/marks"):format(root(), of.name)) then return nil end
  return to_record(of.name)
end

function Local:find(lease) return { self:get(lease) } end

-- ---- Changing

--- The folder of a lease's machine.
function Local.folder(_, of) return root() .. "/" .. of.name end

local function must(done, message)
  if not done then
    errors.stage("create", errors.CANT_WRITE, message, "make room, or set RTLUA_STATE to a folder that can be written")
  end
end

--- Makes the folder, with its marks.
function Local:create(lease)
  must(files.mkdir(root()))
  local hidden = ("%s/.%s"):format(root(), lease.name) -- until it is whole
  for _, name in ipairs { "", "/marks", "/work", "/out" } do must(lfs.mkdir(hidden .. name)) end
  for _, mark in ipairs(lease:marks()) do
    local file, message = io.open(hidden .. "/marks/" .. mark, "w")
    must(file, message)
    file:close()
  end
  must(os.rename(hidden, self:folder(lease)))
  lease:note { id = lease.name, state = "created" }
  return self:get(lease)
end

--- Adds the new mark before it removes the old ones.
function Local:extend(lease, expires)
  local marks = self:folder(lease) .. "/marks"
  local new = ("rtlua:exp-%d"):format(expires)
  local file, message = io.open(marks .. "/" .. new, "w")
  must(file, message)
  file:close()
  for _, mark in ipairs(self:get(lease).marks) do
    if mark:match "^rtlua:exp%-" and mark ~= new then os.remove(marks .. "/" .. mark) end
  end
end

local function refuse()
  errors.stage("check", errors.USAGE, "this computer is neither started nor stopped by rtlua", "do it by hand")
end

Local.start, Local.stop, Local.restart = refuse, refuse, refuse

-- The numbers of the processes that work for a machine.
local function workers(self, of)
  local folder, found = self:folder(of), {}
  local mark = ("\0RTLUA_MACHINE=%s\0"):format(of.name)
  if system.exists "/proc/self" ~= "folder" then return found end
  local own = lfs.symlinkattributes("/proc/self", "target")
  for pid in lfs.dir "/proc" do
    if pid:match "^%d+$" and pid ~= own then
      local cwd = lfs.symlinkattributes(("/proc/%s/cwd"):format(pid), "target") or ""
      local environment = io.open(("/proc/%s/environ"):format(pid), "rb")
      local text = environment and environment:read "a" or ""
      if environment then environment:close() end
      if (cwd .. "/"):sub(1, #folder + 1) == folder .. "/" or ("\0" .. text):find(mark, 1, true) then
        found[#found + 1] = pid
      end
    end
  end
  return found
end

--- Ends what runs on it: asked to first, made to then.
function Local:kill(of)
  for _, signal in ipairs { "TERM", "KILL" } do
    local gone = loop.until_true(GRACE, 0.02, function()
      local left = workers(self, of)
      if #left == 0 then return true end
      process.run { "kill", "-" .. signal, "--", table.unpack(left) }
      return false
    end)
    if gone then return end
  end
  errors.stage("destroy", errors.UNAVAILABLE, ("what runs on %s does not end"):format(of.name),
    "end it by hand: kill -9 " .. table.concat(workers(self, of), " "))
end

--- Ends what runs in the folder and removes it; back when it is gone.
function Local:destroy(of)
  local fine, problem = pcall(function()
    if system.exists(self:folder(of)) then self:kill(of) end
    for _, path in ipairs { self:folder(of), ("%s/.%s"):format(root(), of.name) } do
      local removed, message, code = files.remove_tree(path)
      if not removed then errors.raise(code, message) end
    end
  end)
  if fine then return end
  if errors.is(problem) and problem.code > 128 then error(problem, 0) end
  errors.stage("destroy", errors.REMAINS, ("%s may be left on this computer: %s"):format(of.name, tostring(problem)),
    "rtlua machine rm it again", problem)
end

--- Nothing but folders is ever made.
function Local.sweep() return {} end

--- No config is needed.
function local_driver.open()
  return setmetatable({ name = "local", transport = "local", billed = false }, Local)
end

return local_driver
