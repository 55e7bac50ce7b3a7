-- A temporary folder that is gone with everything in it when its scope ends: `local dir <close> = folder.new()`.

local lfs = require "lfs"

local Folder = {}
Folder.__index = Folder

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove(path .. "/" .. name) end
    end
    return lfs.rmdir(path)
  end
  return os.remove(path)
end

function Folder.new()
  local path = os.tmpname()
  os.remove(path)
  assert(lfs.mkdir(path))
  return setmetatable({ path = path }, Folder)
end

function Folder:write(name, content)
  local file = assert(io.open(self.path .. "/" .. name, "wb"))
  file:write(content)
  file:close()
  return self.path .. "/" .. name
end

function Folder:read(name)
  local file = assert(io.open(self.path .. "/" .. name, "rb"))
  local content = file:read "a"
  file:close()
  return content
end

--- The names in the folder, sorted.
function Folder:list()
  local names = {}
  for name in lfs.dir(self.path) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

function Folder:remove() remove(self.path) end

--- The names in a folder of a state, sorted, without its lock; none where it is not there.
local function entries(path)
  local list = {}
  if lfs.attributes(path, "mode") ~= "directory" then return list end
  for name in lfs.dir(path) do
    if name:sub(1, 1) ~= "." and name ~= "lock" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

Folder.__close = Folder.remove

return { new = Folder.new, entries = entries }
