-- rtlua.machine.again: this library in another process: the interpreter that runs now, and where it found its modules.
--
-- It works from ./rtlua, an installed one, LuaRocks' wrapper, plain lua5.4 that requires the library, and a sanitizer's
-- interpreter alike: none of them need to be found again, for the chunk that is given requires what it wants.

local lease = require "rtlua.machine.lease"
local lfs = require "lfs"
local system = require "rtlua.system"

local again = {}

-- Entries that are relative count from the working directory; what follows may run elsewhere.
local function absolute(path)
  local here = lfs.currentdir()
  return (path:gsub("[^;]+", function(entry)
    return entry:sub(1, 1) == "/" and entry or here .. "/" .. entry:gsub("^%./", "")
  end))
end

local function interpreter()
  if not arg then return "lua5.4" end -- this program only embeds Lua
  -- Where there is no /proc, what lua.c was called as.
  local least = 0
  while arg[least - 1] do least = least - 1 end
  return system.realpath "/proc/self/exe" or arg[least]
end

--- The program and its arguments for a chunk of Lua text, and the environment that it needs.
function again.command(chunk)
  return { interpreter(), "-e", chunk }, {
    LUA_PATH_5_4 = absolute(package.path), LUA_CPATH_5_4 = absolute(package.cpath),
    LUA_INIT = false, LUA_INIT_5_4 = false,
    RTLUA_STATE = lease.state_folder(),
  }
end

--- The same for the rtlua command with a list of arguments.
function again.rtlua(arguments)
  local words, env = again.command 'os.exit(require("rtlua.main").main(arg), true)'
  words[#words + 1] = "rtlua" -- arg[0]
  return table.move(arguments, 1, #arguments, #words + 1, words), env
end

return again
