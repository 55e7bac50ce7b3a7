-- rtlua.machine.image: the image `rtlua`, built on a machine's engine from the sources of this very rtlua.
--
-- Its tag has the version and a hash of what it is made from: an engine that has it, since the machine was baked or
-- used before, builds nothing, and one that has another's builds.

local context = require "rtlua.machine.context"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local lfs = require "lfs"
local system = require "rtlua.system"

local image = {}

--- What stands for it in machine:run { image = … }.
image.NAME = "rtlua"

-- Folders that may be it: the tree of ./rtlua, what `make install` made, a rock's.
local function candidates()
  local path = package.searchpath("rtlua.main", package.path) or ""
  local root = path:match "^(.*)scripts/rtlua/main%.lua$"
  local prefix = path:match "^(.*)share/lua/5%.4/rtlua/main%.lua$"
  if root then return { root == "" and "./" or root } end
  local list = { prefix and prefix .. "share/rtlua/source/" }
  local rocks = prefix and prefix .. "lib/luarocks/rocks-5.4/rtlua/"
  if rocks and system.exists(rocks) == "folder" then
    for version in lfs.dir(rocks) do list[#list + 1] = rocks .. version .. "/source/" end
  end
  return list
end

--- The folder of the sources: where ./rtlua lies, or where it was installed. Raises stage "engine".
function image.sources()
  local folder
  for _, candidate in ipairs(candidates()) do
    if not folder and system.exists(candidate .. "Dockerfile") == "file" then folder = candidate end
  end
  if not folder then
    errors.stage("engine", errors.UNAVAILABLE, "the sources of rtlua, which its image is made of, are not here",
      "install rtlua by make install, or name an image that has it")
  end
  return system.realpath(folder)
end

local function hash(folder)
  local rules = context.rules(files.read(folder .. "/.dockerignore") or "")
  local lines = {}
  local function walk(below)
    for name in lfs.dir(folder .. "/" .. below) do
      local path = below .. name
      if name ~= "." and name ~= ".." and not context.ignores(rules, path) then
        if lfs.attributes(folder .. "/" .. path, "mode") == "directory" then
          walk(path .. "/")
        else
          lines[#lines + 1] = path .. " " .. (files.sha256(folder .. "/" .. path) or "")
        end
      end
    end
  end
  walk ""
  table.sort(lines)
  return files.sha256_text(table.concat(lines, "\n"))
end

local tag

--- "rtlua:VERSION-HASH".
function image.tag()
  tag = tag or ("%s:%s-%s"):format(image.NAME, system.version(), hash(image.sources()):sub(1, 12))
  return tag
end

--- Makes sure that an engine has it. Returns its tag. on_log(line) is given the build's lines. Raises stage "engine".
function image.provide(engine, on_log)
  if not engine:has(image.tag()) then
    engine:build { context = image.sources(), tag = image.tag(), on_log = on_log }
  end
  return image.tag()
end

return image
