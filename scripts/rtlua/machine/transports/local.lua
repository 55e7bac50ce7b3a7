-- rtlua.machine.transports.local: commands and copies on this computer, in a machine's folder (drivers/local.lua).
--
-- `rtlua` in a command is this very rtlua. Relative paths count from the folder's work/.
-- Always holds: what is copied to the machine lands in its folder, and goes with it.

local again = require "rtlua.machine.again"
local copy = require "rtlua.machine.copy"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local lfs = require "lfs"
local process = require "rtlua.process"
local system = require "rtlua.system"

local transports_local = {}

local Transport = { __name = "rtlua.machine.transports.local" }
Transport.__index = Transport

-- ---- Commands

-- Where ./rtlua, or an installed one, lies; nil under LuaRocks, whose wrapper is in PATH anyway.
local function launcher_folder()
  local path = package.searchpath("rtlua.main", package.path)
  for _, place in ipairs { { "scripts/rtlua/main%.lua$", "" }, { "share/lua/5%.4/rtlua/main%.lua$", "bin/" } } do
    local root = path and path:match("^(.*)" .. place[1])
    if root then
      local folder = (root == "" and "./" or root) .. place[2]
      if system.exists(folder .. "rtlua") == "file" then return system.realpath(folder) end
    end
  end
  return nil
end

local function prepare(self, command)
  local options, env = {}, { RTLUA_MACHINE = self.name }
  for key, value in pairs(command) do options[key] = value end
  if command[1] == "rtlua" then
    local words
    words, env = again.rtlua { table.unpack(command, 2) }
    env.RTLUA_MACHINE = self.name
    table.move(words, 1, #words, 1, options)
  end
  if self.launcher == nil then self.launcher = launcher_folder() or false end
  if self.launcher then env.PATH = self.launcher .. ":" .. (os.getenv "PATH" or "/usr/local/bin:/usr/bin:/bin") end
  for name, value in pairs(command.env or {}) do env[name] = value end
  options.env = env
  options.cwd = command.cwd or self.root .. "/work"
  return options
end

--- As process.start; stdin is a text.
function Transport:start(command)
  local options = prepare(self, command)
  local text = options.stdin
  options.stdin = text ~= nil and true or nil
  local child, message, code = process.start(options)
  if not child then return nil, message, code end
  if text then
    child:write(text, 0)
    child:close_input()
  end
  return child
end

--- As process.run.
function Transport:run(command) return process.run(prepare(self, command)) end

-- ---- Copies

-- A path on the machine as one of ours.
local function inside(self, path, stage)
  if path:sub(1, 1) ~= "/" then path = self.root .. "/work/" .. path end
  local outside = path:sub(1, #self.root + 1) ~= self.root .. "/"
  if outside or ("/" .. path .. "/"):find("/../", 1, true) then
    errors.stage(stage, errors.USAGE, path .. ": is not in the machine's folder",
      "on the driver local, name a path that is relative, or below /out")
  end
  return path
end

--- Copies a file, or what is in a folder, to the machine; the folders above are made. Raises stage "upload".
function Transport:put(from, to)
  local kind = system.exists(from)
  if kind ~= "file" and kind ~= "folder" then
    errors.stage("upload", errors.NO_INPUT, from .. ": there is no such file or folder", "check the path")
  end
  local path = inside(self, to, "upload")
  local done, message, code = copy.folders(path:match "^(.*)/[^/]*$")
  if done then done, message, code = (kind == "file" and copy.file or copy.tree)(from, path) end
  if not done then errors.stage("upload", code, message, "see whether the disk is full") end
end

--- Copies a file from the machine, checked by its SHA-256. Raises stage "download".
function Transport:get(from, to)
  local path = inside(self, from, "download")
  if system.exists(path) ~= "file" then
    errors.stage("download", errors.NO_INPUT, from .. ": there is no such file on the machine", "check the path")
  end
  local temporary = ("%s.rtlua-%s"):format(to, files.random_name(6))
  local removed <close> = setmetatable({}, { __close = function() os.remove(temporary) end }) -- luacheck: ignore
  local copied, message, code = copy.file(path, temporary)
  if not copied then errors.stage("download", code, message, "check the path, and the room there") end
  local hash = copy.sha256(path, "download")
  if not hash or hash ~= copy.sha256(temporary, "download") then
    errors.stage("download", errors.TRY_AGAIN, from .. ": arrived damaged, or changes all the time", "try again")
  end
  local moved, problem = os.rename(temporary, to)
  if not moved then errors.stage("download", errors.CANT_WRITE, problem, "check the path") end
end

--- The SHA-256 of a file on the machine, or nil where there is none.
function Transport:sha256(path) return copy.sha256(inside(self, path, "download"), "download") end

--- A fresh folder on the machine.
function Transport:folder()
  local path = ("%s/work/%s"):format(self.root, files.random_name(8))
  local made, message = lfs.mkdir(path)
  if not made then
    errors.stage("run", errors.CANT_WRITE, ("no work folder could be made: %s"):format(message),
      "see whether the disk is full")
  end
  return path
end

function Transport.close() end

Transport.__close = Transport.close

--- A transport to the machine of a lease, in the folder that its driver made.
function transports_local.new(lease, driver)
  return setmetatable({ name = lease.name, root = driver:folder(lease) }, Transport)
end

return transports_local
