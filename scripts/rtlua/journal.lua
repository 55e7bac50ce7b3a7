-- rtlua.journal: what must not be forgotten, as entries that survive a crash at any instruction.
--
--     local journal <close> = journal.open()                -- below RTLUA_STATE, else XDG_STATE_HOME/rtlua
--     journal:write("run-1", { state = "intent" })          -- on the disk, whole, when it returns
--     journal:update("run-1", function(entry) entry.state = "created"; return entry end)
--
-- An entry is a table, kept as JSON with schema = 1 in a file ID.json (0600). Reading needs no lock. Writers take one
-- between processes, which the kernel frees when its holder dies; journal:lock(seconds) gives it as a to-be-closed
-- value for several changes in one. Do not yield while holding it: the other coroutines of this process hold it, too.
--
-- An entry that cannot be read as JSON is damaged. It is reported and stays where it is; writing or removing its id
-- moves it aside first, to ID.json.damaged-N, and no call ever removes that: it may name a machine that is still
-- billed. An entry of a newer schema is reported likewise, and not touched at all.
--
-- Failures are nil, message, code: 66 no such entry, 65 damaged, 73 cannot be written, 75 the lock is held.

local core = require "rtlua.core.journal"
local cjson = require "cjson"
local json = require "rtlua.json"

local journal = {}

journal.SCHEMA = 1

local LOCK_SECONDS = 10 -- that a change waits for the lock; holders have it for milliseconds

local Journal = { __name = "rtlua.journal" }
Journal.__index = Journal

--- Where the journal is unless a folder is given.
function journal.folder()
  local state = os.getenv "RTLUA_STATE"
  if not state or state == "" then
    local base = os.getenv "XDG_STATE_HOME"
    -- A relative one is to be ignored, says the XDG specification.
    if not base or base:sub(1, 1) ~= "/" then base = (os.getenv "HOME" or ".") .. "/.local/state" end
    state = base .. "/rtlua"
  end
  return state .. "/journal"
end

--- Opens the journal in a folder, which is made where it is missing.
function journal.open(folder)
  folder = folder or journal.folder()
  local handle, message, code = core.open(folder)
  if not handle then return nil, message, code end
  return setmetatable({ handle = handle, folder = folder }, Journal)
end

function Journal:close() self.handle:close() end

Journal.__close = Journal.close

--- The lock, to be closed. Waits at most `seconds` (10).
function Journal:lock(seconds) return self.handle:lock(seconds or LOCK_SECONDS) end

local function decode(self, id, text)
  local fine, entry = pcall(cjson.decode, text)
  local path = ("%s/%s.json"):format(self.folder, id)
  if not fine or type(entry) ~= "table" or type(entry.schema) ~= "number" then
    return nil, path .. ": is damaged: see by hand what it says, then remove it", 65, "damaged"
  elseif entry.schema ~= journal.SCHEMA then
    return nil, ("%s: has schema %g: use the newer rtlua that wrote it"):format(path, entry.schema), 65, "newer"
  end
  return entry
end

--- An entry.
function Journal:read(id)
  local text, message, code = self.handle:read(id)
  if not text then return nil, message, code end
  return decode(self, id, text)
end

--- The ids of all entries, sorted.
function Journal:list()
  local ids, message, code = self.handle:names()
  if not ids then return nil, message, code end
  table.sort(ids)
  return ids
end

--- All entries by id, and a list of what is wrong, each { name, message }: damaged entries, and files that were set
--- aside or that nobody knows.
function Journal:entries()
  local ids, strays, code = self.handle:names()
  if not ids then return nil, strays, code end
  table.sort(ids)
  table.sort(strays)
  local entries, problems = {}, {}
  for _, id in ipairs(ids) do
    local entry, message, why = self:read(id)
    entries[id] = entry
    -- 66: it was removed since.
    if not entry and why ~= 66 then problems[#problems + 1] = { name = id .. ".json", message = message } end
  end
  for _, name in ipairs(strays) do
    local path = self.folder .. "/" .. name
    local message = path .. ": is no entry that can be read: see by hand what it says, then remove it"
    problems[#problems + 1] = { name = name, message = message }
  end
  return entries, problems
end

-- Makes way for a change of the id, under the lock: "free", "there", "aside", or nil, message, code.
local function make_way(self, id)
  local text, message, code = self.handle:read(id)
  if not text then
    if code == 66 then return "free" end
    if code ~= 65 then return nil, message, code end -- 65: larger than any entry
  else
    local entry, why, number, kind = decode(self, id, text)
    if entry then return "there" end
    if kind == "newer" then return nil, why, number end
  end
  local aside, problem, status = self.handle:set_aside(id)
  if not aside then return nil, problem, status end
  return "aside"
end

local function put(self, id, entry)
  local copy = {}
  for key, value in pairs(entry) do copy[key] = value end
  copy.schema = journal.SCHEMA
  local text = json.encode(copy) .. "\n"
  local clear, message, code = make_way(self, id)
  if not clear then return nil, message, code end
  return self.handle:write(id, text)
end

--- Writes an entry, new or in place of the old one.
function Journal:write(id, entry)
  local held, message, code = self:lock()
  if not held then return nil, message, code end
  local lock <close> = held -- luacheck: ignore
  return put(self, id, entry)
end

--- Reads, changes and writes an entry in one: change(entry or nil) returns the new one, or nil to leave it.
function Journal:update(id, change)
  local held, message, code = self:lock()
  if not held then return nil, message, code end
  local lock <close> = held -- luacheck: ignore
  local entry, why, number = self:read(id)
  if not entry and number ~= 66 then return nil, why, number end
  local changed = change(entry)
  if changed == nil then return true end
  return put(self, id, changed)
end

--- Removes an entry.
function Journal:remove(id)
  local held, message, code = self:lock()
  if not held then return nil, message, code end
  local lock <close> = held -- luacheck: ignore
  local state, why, number = make_way(self, id)
  if not state then return nil, why, number end
  if state == "aside" then return true end
  return self.handle:remove(id)
end

return journal
