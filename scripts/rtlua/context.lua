-- What the running script is and what it may use: a plain table that rtlua.loader fills before the script's chunk runs,
-- in the Lua state that runs it. The library reads it and notes what the script read. Without a loader (`require
-- "rtlua"` from plain Lua) the defaults hold.

local errors = require "rtlua.errors"

local context = {
  scene_path = nil,  -- the script's file
  scene_dir = nil,   -- its folder: asset paths are relative to it
  asset_paths = {},  -- more folders to look in
  sandbox = false,
  threads = nil,     -- for building and rendering; nil: all that the process may use
  params = {},       -- -D NAME=VALUE, as strings
  params_read = {},  -- NAME = true for each that rt.params asked for
  files = {},        -- the files that the script read, in order, each once
}

local function readable(path)
  local file = io.open(path, "rb")
  if not file then return false end
  file:close()
  return true
end

--- The path to open for an asset named in a script. Raises when there is no such file.
function context.open_asset(path)
  local candidates = {}
  if path:sub(1, 1) == "/" then
    candidates[1] = path
  else
    candidates[1] = context.scene_dir and (context.scene_dir .. "/" .. path) or path
    for _, folder in ipairs(context.asset_paths) do candidates[#candidates + 1] = folder .. "/" .. path end
  end
  for _, candidate in ipairs(candidates) do
    if readable(candidate) then
      context.note_file(candidate)
      return candidate
    end
  end
  return errors.raise(errors.NO_INPUT, ("%s: no such file: looked for %s"):format(path, table.concat(candidates, ", ")))
end

--- The same for a field of a constructor, whose `fail` puts the script's line before the message.
function context.resolve(path, fail)
  local found, result = pcall(context.open_asset, path)
  if found then return result end
  if errors.is(result) then return fail("file: " .. result.message, result.code) end
  return error(result, 0)
end

function context.note_file(path)
  for _, known in ipairs(context.files) do
    if known == path then return end
  end
  context.files[#context.files + 1] = path
end

return context
