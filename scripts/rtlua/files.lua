-- rtlua.files: files of our own: private (0600, folders 0700), written whole or not at all, and checked by SHA-256.
--
--     local dir <close> = files.temporary()                  -- a folder that goes with its scope
--     files.write(dir.path .. "/key", text)                  -- on the disk when it returns
--
-- Failures are nil, message, code: 66 cannot be read, 73 cannot be written.

local core = require "rtlua.core.files"
local core_journal = require "rtlua.core.journal"
local lfs = require "lfs"

local files = {}

--- Writes a file: true, or nil, message, code.
files.write = core.write

--- The SHA-256 of a file, 64 hexadecimal digits; and of a text.
files.sha256 = core.sha256
files.sha256_text = core.sha256_text

--- The whole of a file.
function files.read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, ("%s: check the path"):format(message), 66 end
  local text, problem = file:read "a"
  file:close()
  if not text then return nil, ("%s: cannot be read: %s"):format(path, problem), 66 end
  return text
end

--- Makes a folder and those above it: true. It has to be ours, and is made private.
function files.mkdir(path)
  local handle, message, code = core_journal.open(path) -- a journal's folder has the same demands
  if not handle then return nil, message, code end
  handle:close()
  return true
end

--- Removes a file or a folder with all that is in it; symbolic links are not followed. What is not there is fine.
function files.remove_tree(path)
  local mode = lfs.symlinkattributes(path, "mode")
  if not mode then return true end
  if mode == "directory" then
    local names = {}
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then names[#names + 1] = name end
    end
    for _, name in ipairs(names) do
      local ok, message, code = files.remove_tree(path .. "/" .. name)
      if not ok then return nil, message, code end
    end
  end
  local ok, message
  if mode == "directory" then
    ok, message = lfs.rmdir(path)
  else
    ok, message = os.remove(path)
  end
  if ok or not lfs.symlinkattributes(path, "mode") then return true end
  return nil, ("%s: cannot be removed: %s"):format(path, message), 73
end

--- `n` bytes that nobody can guess.
function files.random(n)
  local source <close> = assert(io.open("/dev/urandom", "rb"))
  source:setvbuf "no"
  return assert(source:read(n))
end

--- A name that nobody can guess, of `n` letters and digits.
function files.random_name(n)
  -- 256 is a multiple of 32: no character is likelier than another.
  local characters = "abcdefghijkmnpqrstuvwxyz23456789"
  return (files.random(n):gsub(".", function(c)
    local i = c:byte() % 32 + 1
    return characters:sub(i, i)
  end))
end

--- RFC 4648.
function files.base64(text)
  local characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local index = (bits >> (18 - 6 * k) & 63) + 1
      out[#out + 1] = (k == 2 and not b or k == 3 and not c) and "=" or characters:sub(index, index)
    end
  end
  return table.concat(out)
end

local Temporary = { __name = "rtlua.temporary" }
Temporary.__index = Temporary

function Temporary:close() files.remove_tree(self.path) end

Temporary.__close = Temporary.close

--- A fresh private folder below `folder` (TMPDIR, else /tmp), as a to-be-closed value with its path.
function files.temporary(folder)
  local path = ("%s/rtlua-%s"):format(folder or os.getenv "TMPDIR" or "/tmp", files.random_name(10))
  local ok, message, code = files.mkdir(path)
  if not ok then return nil, message, code end
  return setmetatable({ path = path }, Temporary)
end

return files
