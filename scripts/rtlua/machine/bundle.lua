-- rtlua.machine.bundle: a scene and just the files that it depends on, laid out so that it loads on another machine.
--
--     local scene = bundle.make("scenes/cornell.lua", { params = {…}, asset_path = {…}, trust = false })
--     scene:write(folder)            -- the files below a folder
--     scene.file, scene.words        -- what rtlua render is given there, working in that folder
--
-- What a scene reads is known by loading it, in a process of its own (rtlua info), with its parameters and asset paths:
-- scenes are the same everywhere, so it reads the same files there. A file keeps its path relative to the scene's
-- folder, or to the asset path that it was found in, each of which has a folder of its own in the bundle.
--
-- Always holds: a scene that does not load raises here what rtlua render would say, before anything is created.

local again = require "rtlua.machine.again"
local cjson = require "cjson"
local copy = require "rtlua.machine.copy"
local errors = require "rtlua.errors"
local lfs = require "lfs"
local process = require "rtlua.process"
local render_words = require "rtlua.machine.options"
local system = require "rtlua.system"

local bundle = {}

local Bundle = { __name = "rtlua.machine.bundle" }
Bundle.__index = Bundle

-- ---- Paths

local function folder_of(path)
  local folder = path:match "^(.*)/[^/]*$" or "."
  return folder == "" and "/" or folder
end

-- Without "." and, where possible, without "..".
local function normal(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and #parts > 0 and parts[#parts] ~= ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

-- The working directory has no links in it: going up from it by ".." is exact.
local function relative(path)
  if path:sub(1, 1) ~= "/" then return path end
  return ("../"):rep(select(2, lfs.currentdir():gsub("/[^/]+", ""))) .. path:gsub("^/+", "")
end

-- The rest of a path behind a folder, or nil.
local function below(folder, path)
  if folder == "." then return path:sub(1, 1) ~= "/" and path or nil end
  folder = folder:gsub("/*$", "/")
  return path:sub(1, #folder) == folder and path:sub(#folder + 1) or nil
end

-- ---- What it reads

local function load_scene(scene, options)
  local arguments = { "info", "--json", scene }
  for name, value in pairs(options.params or {}) do arguments[#arguments + 1] = ("-D%s=%s"):format(name, value) end
  for _, folder in ipairs(options.asset_path or {}) do
    arguments[#arguments + 1] = "--asset-path=" .. relative(folder)
  end
  if options.trust then arguments[#arguments + 1] = "--trust" end
  local command, env = again.rtlua(arguments)
  command.env = env
  local result, message, code = process.run(command)
  if not result then errors.raise(code, message) end
  if result.code ~= 0 then
    errors.raise(result.code < 128 and result.code or errors.DATA,
      ((result.stderr:match "([^\r\n]+)%s*$" or scene .. ": does not load"):gsub("^rtlua: ", "")))
  end
  local fine, about = pcall(cjson.decode, result.stdout)
  if not fine then
    errors.raise(errors.BUG, ("a bug: rtlua info %s printed no JSON: please report it"):format(scene))
  end
  return about
end

--- A scene's bundle. options: params (NAME = text), asset_path (folders), trust, as rtlua render has them; size and
--- crop, which are checked. Fields: file, words, width, height, aov (names), and entries, a list of { from, to }.
--- Raises 66 for a missing scene, 65 for a wrong one, 64 for a crop outside of the picture.
function bundle.make(scene, options)
  options = options or {}
  local path = relative(scene)
  if system.exists(path) ~= "file" then
    errors.raise(errors.NO_INPUT, ("%s: no such file: check the name"):format(scene))
  end
  local about = load_scene(path, options)
  local roots, words = { { from = folder_of(path), to = "scene" } }, {}
  for i, folder in ipairs(options.asset_path or {}) do
    roots[#roots + 1] = { from = relative(folder), to = "assets-" .. i }
    words[#words + 1] = "--asset-path=assets-" .. i
  end
  for name, value in pairs(options.params or {}) do words[#words + 1] = ("-D%s=%s"):format(name, value) end
  if options.trust then words[#words + 1] = "--trust" end

  local entries, ups = {}, 0
  for _, file in ipairs(about.files) do
    local placed = false
    for _, root in ipairs(roots) do
      local rest = below(root.from, file)
      rest = rest and normal(rest)
      if rest then
        local up = select(2, rest:gsub("%.%./", ""))
        -- Above an asset path there is nothing of ours; the scene's folder may go as deep as it needs.
        if up == 0 or root == roots[1] then
          placed, ups = true, math.max(ups, up)
          entries[#entries + 1] = { from = file, root = root, rest = rest }
        end
      end
    end
    if not placed then
      errors.raise(errors.DATA, ("%s: reads %s, a path that a machine does not have: name it relative to the scene, "
        .. "and give its folder by --asset-path"):format(scene, file))
    end
  end
  if ups > 0 then
    roots[1].to = "scene" .. ("/in"):rep(ups)
    words[#words + 1] = "--asset-path=scene" -- it is allowed to read there
  end
  for _, entry in ipairs(entries) do entry.to = normal(entry.root.to .. "/" .. entry.rest) end
  local folders = {}
  for i, root in ipairs(roots) do folders[i] = root.to end
  local self = setmetatable({
    file = roots[1].to .. "/" .. path:match "[^/]*$", words = words, entries = entries, folders = folders,
    width = math.tointeger(about.width), height = math.tointeger(about.height), aov = about.aov,
  }, Bundle)
  render_words.check_crop(self, options)
  return self
end

-- ---- Writing it

--- Lays its files out below a folder.
function Bundle:write(folder)
  local function must(done, message, code)
    if not done then errors.stage("upload", code, message, "see whether the disk is full") end
  end
  for _, name in ipairs(self.folders) do must(copy.folders(folder .. "/" .. name)) end
  for _, entry in ipairs(self.entries) do
    local to = folder .. "/" .. entry.to
    must(copy.folders(folder_of(to)))
    must(copy.file(entry.from, to))
  end
end

return bundle
