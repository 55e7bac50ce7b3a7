-- rtlua.machine.copy: files and folders, copied on this computer. Failures are nil, message, code: 66 cannot be read,
-- 73 cannot be written.

local errors = require "rtlua.errors"
local files = require "rtlua.files"
local lfs = require "lfs"
local process = require "rtlua.process"
local system = require "rtlua.system"

local copy = {}

local BLOCK = 1 << 20 -- bytes at a time

--- Makes a folder and those above it: true.
function copy.folders(path)
  if system.exists(path) == "folder" then return true end
  local above = path:match "^(.+)/[^/]*$"
  if above then
    local made, message, code = copy.folders(above)
    if not made then return nil, message, code end
  end
  local made, message = lfs.mkdir(path)
  if made or system.exists(path) == "folder" then return true end
  return nil, ("%s: cannot be made: %s"):format(path, message), 73
end

--- Copies a file; whether it can be executed is kept.
function copy.file(from, to)
  local input <close> = io.open(from, "rb")
  if not input then return nil, from .. ": cannot be read: check its permissions", 66 end
  local output <close>, problem = io.open(to, "wb")
  if not output then return nil, problem, 73 end
  local written, message
  repeat
    local block = input:read(BLOCK)
    if block then
      written, message = output:write(block)
    else
      written, message = output:close()
    end
    if not written then return nil, ("%s: cannot be written: %s"):format(to, message), 73 end
  until not block
  if lfs.attributes(from, "permissions"):sub(3, 3) == "x" then
    local result, why, code = process.run { "chmod", "+x", "--", to }
    if not result then return nil, why, code end
  end
  return true
end

--- Copies what is in a folder.
function copy.tree(from, to)
  local made, message, code = copy.folders(to)
  if not made then return nil, message, code end
  for name in lfs.dir(from) do
    if name ~= "." and name ~= ".." then
      local source, target = from .. "/" .. name, to .. "/" .. name
      local one = lfs.attributes(source, "mode") == "directory" and copy.tree or copy.file
      local copied, why, number = one(source, target)
      if not copied then return nil, why, number end
    end
  end
  return true
end

--- The SHA-256 of a file here, or nil where there is none. Raises the stage where it cannot be read, or a signal comes.
function copy.sha256(path, stage)
  local hash, message, code = files.sha256(path)
  if not hash and code ~= errors.NO_INPUT then errors.stage(stage, code, message, "try again") end
  return hash
end

return copy
