-- A provider in a folder, FAKE_CLOUD, in the place of rtlua.drivers: machines are files that any process may look at.
--
-- machines/ID holds the record; `events` what was asked, a line each; a file fail-METHOD with a number makes the method
-- fail as often; `account` names the account; `skew` is what its clock is ahead of ours; with `no-token` there is none.

local errors = require "rtlua.errors"
local cjson = require "cjson"
local lfs = require "lfs"
local system = require "rtlua.system"

local drivers = {}

local Driver = { name = "fake", transport = "local", billed = true }
Driver.__index = Driver

local function folder() return os.getenv "FAKE_CLOUD" end

local function read(name)
  local file = io.open(folder() .. "/" .. name)
  if not file then return nil end
  local text <const> = file:read "a"
  file:close()
  return text
end

-- Whole or not at all: a machine is there, or it is not.
local function write(name, text)
  local path = folder() .. "/half"
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  assert(os.rename(path, folder() .. "/" .. name))
end

local function append(name, text)
  local file <close> = assert(io.open(folder() .. "/" .. name, "a"))
  file:write(text)
end

local function asked(method, id)
  append("events", ("%s %s\n"):format(method, id or "-"))
  local left = tonumber(read("fail-" .. method))
  if left and left > 0 then
    write("fail-" .. method, tostring(left - 1))
    local code = method == "destroy" and errors.REMAINS or errors.UNAVAILABLE
    errors.stage(method, code, "the fake was told to fail", "tell it otherwise")
  end
end

function drivers.open(name, config)
  return setmetatable({ name = name, endpoint = config and config.endpoint }, Driver)
end

function Driver:check()
  if read "no-token" then errors.stage("check", errors.USAGE, "no token", "set FAKE_TOKEN") end
  asked "check"
  return {
    account = read "account" or "me", endpoint = self.endpoint or "fake:",
    now = system.time() + (tonumber(read "skew") or 0),
  }
end

local function all()
  lfs.mkdir(folder() .. "/machines")
  local list = {}
  for id in lfs.dir(folder() .. "/machines") do
    if id:sub(1, 1) ~= "." then list[#list + 1] = cjson.decode(read("machines/" .. id)) end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- Another machine of the lease, as a create whose reply was lost makes it.
function Driver.appear(_, lease)
  lfs.mkdir(folder() .. "/machines")
  local record = {
    id = "m" .. #all() + 1 .. lease.run, name = lease.name, run = lease.run, state = "running", expires = lease.expires,
    created = math.floor(system.time()),
  }
  write("machines/" .. record.id, cjson.encode(record))
  return record
end

function Driver:create(lease)
  asked("create", lease.name)
  local record = self:appear(lease)
  lease:note { state = "created", id = record.id, launched = record.created }
  return record
end

function Driver.find(_, lease)
  asked("find", lease.run)
  local found = {}
  for _, record in ipairs(all()) do
    if record.run == lease.run then found[#found + 1] = record end
  end
  return found
end

function Driver.get(_, what)
  asked("get", what.id)
  local text = read("machines/" .. what.id)
  return text and cjson.decode(text)
end

function Driver.list()
  asked "list"
  return all()
end

function Driver.extend(_, lease, expires)
  asked("extend", lease.id)
  local record = cjson.decode(read("machines/" .. lease.id))
  record.expires = expires
  write("machines/" .. lease.id, cjson.encode(record))
end

function Driver.destroy(_, what)
  asked("destroy", what.id)
  if what.id then os.remove(folder() .. "/machines/" .. what.id) end
end

function Driver.sweep()
  asked "sweep"
  return {}
end

return drivers
