-- rtlua.machine.transports.ssh: commands and copies on a machine, over SSH (../ssh.lua).
--
--     local transport <close> = transports_ssh.new(lease)
--
-- A file travels through standard input or output, from file to file, and is checked by its SHA-256 where it arrives;
-- a folder as a tar. What was cut off is tried again. Nothing appears under its name before it is whole.
-- Always holds: a machine of ours is reached with its own key and known_hosts in the lease's folder, a host that exists
-- already (lease.host) by its user's ~/.ssh.

local errors = require "rtlua.errors"
local files = require "rtlua.files"
local lease = require "rtlua.machine.lease"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local ssh = require "rtlua.machine.ssh"
local system = require "rtlua.system"

local transports_ssh = {}

local ATTEMPTS = 3 -- of a copy whose connection was lost
local ROOM = 65536 -- bytes: a disk with less is full
local PAUSE = 2 -- seconds between them

local Transport = { __name = "rtlua.machine.transports.ssh" }
Transport.__index = Transport

--- The folder of our sockets, made where it is missing. Short, since a socket's path is.
function transports_ssh.socket_folder()
  local runtime = os.getenv "XDG_RUNTIME_DIR"
  local folder = lease.state_folder() .. "/run"
  if runtime and runtime:sub(1, 1) == "/" and system.exists(runtime) == "folder" then folder = runtime .. "/rtlua" end
  local made, message, code = files.mkdir(folder)
  if not made then errors.stage("ssh", code, message, "set XDG_RUNTIME_DIR to a folder of yours") end
  return folder
end

--- Removes sockets that a killed process left for a machine.
function transports_ssh.forget(of)
  local folder = transports_ssh.socket_folder()
  for name in lfs.dir(folder) do
    if name:sub(1, #of.run + 1) == of.run .. "." then os.remove(folder .. "/" .. name) end
  end
end

-- ---- Commands

--- See rtlua.machine.ssh.
function Transport:run(command) return self.ssh:run(command) end

function Transport:start(command) return self.ssh:start(command) end

--- The machine's socket as one of ours; no name: one is chosen.
function Transport:forward(socket, remote)
  return self.ssh:forward(socket or ("%s/%s.%s"):format(self.sockets, self.run_id, files.random_name(4)), remote)
end

--- A fresh folder on the machine, below ~/.rtlua/NAME-RUN, which goes with it.
function Transport:folder()
  local script = [[umask 077; mkdir -p "$HOME/.rtlua/$1" && mktemp -d "$HOME/.rtlua/$1/work.XXXXXX"]]
  local result, message, code = self:run { "sh", "-c", script, "sh", self.name, timeout = loop.pace(60) }
  if result and result.code == 0 then return (result.stdout:gsub("\n$", "")) end
  return errors.stage("run", code or errors.UNAVAILABLE, "no work folder could be made: " .. (message or result.stderr),
    "see whether the machine's disk is full")
end

-- ---- Copies

local function last_line(text) return text:match "([^\r\n]+)%s*$" or "no reason was given" end

-- Runs attempt() -> true, or nil, message, code, until it does or fails for good.
local function persist(stage, what, remedy, attempt)
  local done, message, code
  for i = 1, ATTEMPTS do
    if i > 1 then loop.sleep(loop.pace(PAUSE)) end
    done, message, code = attempt()
    if done then return end
    if code ~= errors.TRY_AGAIN then break end
  end
  errors.stage(stage, code, what .. ": " .. message,
    code == errors.CANT_WRITE and "free some space, or write to another folder" or remedy)
end

local PUT = [[[ ! -d "$1" ] || { echo "is a folder there" >&2; exit 1; }
mkdir -p "$(dirname "$1")" && cat >"$1.part" && set -- "$@" "$(sha256sum <"$1.part")" || { rm -f "$1.part"; exit 1; }
[ "${4%% *}" = "$2" ] || { rm -f "$1.part"; exit 75; }
chmod "$3" "$1.part" && mv -f "$1.part" "$1"]]

local function put_file(self, from, to)
  local hash, message, code = files.sha256(from)
  if not hash then return nil, message, code end
  local mode = lfs.attributes(from, "permissions"):sub(3, 3) == "x" and "755" or "644"
  local result, why, number = self:run { "sh", "-c", PUT, "sh", to, hash, mode, stdin = { file = from } }
  if not result then return nil, why, number end
  if result.code == 0 then return true end
  if result.code == errors.TRY_AGAIN then return nil, "arrived damaged", errors.TRY_AGAIN end
  return nil, last_line(result.stderr), errors.UNAVAILABLE
end

local function put_folder(self, from, to)
  local dir <close> = assert(files.temporary())
  local tar = dir.path .. "/folder.tar"
  local packed, message, code = process.run { "tar", "-c", "-f", tar, "-C", from, "." }
  if not packed then return nil, message, code end
  if packed.code ~= 0 then return nil, last_line(packed.stderr), errors.NO_INPUT end
  local script = 'mkdir -p "$1" && exec tar -x --no-same-owner -C "$1" -f -'
  local result, why, number = self:run { "sh", "-c", script, "sh", to, stdin = { file = tar } }
  if not result then return nil, why, number end
  if result.code == 0 then return true end
  return nil, last_line(result.stderr), errors.UNAVAILABLE
end

--- Copies a file, or what is in a folder, to the machine; the folders above are made. Raises stage "upload".
function Transport:put(from, to)
  local kind = system.exists(from)
  if kind ~= "file" and kind ~= "folder" then
    errors.stage("upload", errors.NO_INPUT, from .. ": there is no such file or folder", "check the path")
  end
  persist("upload", from, "see whether the machine runs and has room", function()
    return (kind == "file" and put_file or put_folder)(self, from, to)
  end)
end

-- One descriptor serves both: what is hashed is what was sent, whoever replaces the file meanwhile.
local GET = [[[ -f "$1" ] || exit 66
exec 4<"$1" && cat <&4 && sha256sum </proc/self/fd/4 >&2]]

-- Why there is no room for more behind a file of ours, or nil: ssh does not tell that it could not write.
local function full(path)
  local file <close>, message = io.open(path, "ab")
  if not file then return message end
  local fine, reason = file:write(("\0"):rep(ROOM))
  if fine then fine, reason = file:flush() end
  return not fine and reason or nil
end

local function get_file(self, from, to)
  local temporary = ("%s.rtlua-%s"):format(to, files.random_name(6))
  local removed <close> = setmetatable({}, { __close = function() os.remove(temporary) end }) -- luacheck: ignore
  local file, problem = io.open(temporary, "wb") -- with the mode that the user's files have
  if not file then return nil, problem, errors.CANT_WRITE end
  file:close()
  local result, why, number = self:run { "sh", "-c", GET, "sh", from, stdout = { file = temporary } }
  if not result then return nil, why, number end
  if result.code == errors.NO_INPUT then return nil, "there is no such file on the machine", errors.NO_INPUT end
  if result.code ~= 0 then return nil, last_line(result.stderr), errors.UNAVAILABLE end
  local hash, message, code = files.sha256(temporary)
  if not hash then return nil, message, code end
  if last_line(result.stderr):match "^%x+" ~= hash then
    local reason = full(temporary)
    if reason then return nil, ("%s: %s"):format(to, reason), errors.CANT_WRITE end
    return nil, "arrived damaged", errors.TRY_AGAIN
  end
  local moved, reason = os.rename(temporary, to)
  if not moved then return nil, reason, errors.CANT_WRITE end
  return true
end

--- Copies a file from the machine. Raises stage "download".
function Transport:get(from, to)
  persist("download", from, "see whether the machine runs and the file is there", function()
    return get_file(self, from, to)
  end)
end

--- The SHA-256 of a file on the machine, or nil where there is none. Raises stage "download".
function Transport:sha256(path)
  local hash
  persist("download", path, "see whether the machine runs", function()
    local result, message, code = self:run { "sh", "-c", '[ -f "$1" ] || exit 66; sha256sum <"$1"', "sh", path }
    if not result then return nil, message, code end
    if result.code == errors.NO_INPUT then return true end
    if result.code ~= 0 then return nil, last_line(result.stderr), errors.UNAVAILABLE end
    hash = result.stdout:match "^%x+"
    return true
  end)
  return hash
end

function Transport:close() self.ssh:close() end

Transport.__close = Transport.close

--- A transport to the machine of a lease, whose sockets go to a folder, socket_folder(). Nothing is connected yet.
function transports_ssh.new(of, sockets)
  sockets = sockets or transports_ssh.socket_folder()
  local fields = { control = ("%s/%s.%s"):format(sockets, of.run, files.random_name(4)) }
  if of.host then
    fields.user, fields.address, fields.port = ssh.destination(of.host)
    fields.own = true
  else
    local folder = of:folder()
    fields.address, fields.port, fields.user = of.address, of.port, "root"
    fields.key, fields.known_hosts, fields.alias = folder .. "/id_ed25519", folder .. "/known_hosts", of.name
  end
  return setmetatable({ ssh = ssh.new(fields), name = of.name, run_id = of.run, sockets = sockets }, Transport)
end

return transports_ssh
