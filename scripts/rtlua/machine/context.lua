-- rtlua.machine.context: the tar of a build's context: a folder without what its .dockerignore names.
--
-- Rules as Docker's: one pattern a line, relative to the folder; `*` and `?` stay within a name, `**` crosses them; `!`
-- takes back; the last rule that matches a path, or a folder above it, decides. Brackets stand for themselves.

local errors = require "rtlua.errors"
local files = require "rtlua.files"
local lfs = require "lfs"
local process = require "rtlua.process"

local context = {}

-- A pattern as a Lua pattern. "**/" is any number of folders, none included.
local function compile(rule)
  local text = rule:gsub("^/+", ""):gsub("/+$", "")
  local out, i = { "^" }, 1
  while i <= #text do
    local c = text:sub(i, i)
    if text:sub(i, i + 2) == "**/" then
      -- Whatever comes before, up to where a name begins: the frontier of what is no slash.
      out[#out + 1], i = ".-%f[^/\0]", i + 3
    elseif text:sub(i, i + 1) == "**" then
      out[#out + 1], i = ".*", i + 2
    elseif c == "*" then
      out[#out + 1], i = "[^/]*", i + 1
    elseif c == "?" then
      out[#out + 1], i = "[^/]", i + 1
    else
      out[#out + 1], i = (c:gsub("%W", "%%%0")), i + 1
    end
  end
  out[#out + 1] = "$"
  return table.concat(out)
end

--- The rules of a .dockerignore's text, for `ignores`.
function context.rules(text)
  local rules = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local rule = line:match "^%s*(.-)%s*$"
    local kept, pattern = rule:match "^(!?)%s*(.*)$"
    pattern = pattern:gsub("^%./", "")
    if pattern ~= "" and not rule:match "^#" then
      rules[#rules + 1] = { keep = kept == "!", pattern = compile(pattern) }
    end
  end
  return rules
end

-- Does the pattern match the path, or a folder above it?
local function matches(pattern, path)
  while path do
    if path:find(pattern) then return true end
    path = path:match "^(.*)/[^/]*$"
  end
  return false
end

--- Is a path, relative to the context, left out?
function context.ignores(rules, path)
  local out = false
  for _, rule in ipairs(rules) do
    if matches(rule.pattern, path) then out = not rule.keep end
  end
  return out
end

-- All paths below a folder that are not left out, sorted.
local function collect(folder, rules)
  local paths, keeps = {}, false
  for _, rule in ipairs(rules) do keeps = keeps or rule.keep end
  local function walk(below)
    local names = {}
    for name in lfs.dir(folder .. "/" .. below) do
      if name ~= "." and name ~= ".." then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      local path = below == "" and name or below .. "/" .. name
      local out = context.ignores(rules, path)
      if not out then paths[#paths + 1] = path end
      -- A rule with "!" may take back what lies below.
      if (not out or keeps) and lfs.symlinkattributes(folder .. "/" .. path, "mode") == "directory" then walk(path) end
    end
  end
  walk ""
  return paths
end

--- Packs the folder into a tar at `to`. The Dockerfile is always in it. Raises stage "engine".
function context.pack(folder, to, dockerfile)
  if lfs.attributes(folder, "mode") ~= "directory" then
    errors.stage("engine", errors.NO_INPUT, folder .. ": there is no such folder", "name the folder of the Dockerfile")
  end
  local rules = context.rules(files.read(folder .. "/.dockerignore") or "")
  local paths, has_dockerfile = collect(folder, rules), false
  for _, path in ipairs(paths) do has_dockerfile = has_dockerfile or path == dockerfile end
  if not has_dockerfile then paths[#paths + 1] = dockerfile end
  local result, message, code = process.run {
    "tar", "-c", "-f", to, "-C", folder, "--owner=0", "--group=0", "--numeric-owner", "--no-recursion", "--null",
    "-T", "-",
    stdin = table.concat(paths, "\0") .. "\0",
  }
  if not result then errors.stage("engine", code, message, "install the package tar") end
  if result.code ~= 0 then
    errors.stage("engine", errors.NO_INPUT, ("%s: cannot be packed: %s"):format(folder, result.stderr),
      "check the Dockerfile's path")
  end
end

return context
