-- rtlua.machine.transports.docker: commands and copies in a container that plays a machine (drivers/docker.lua).
--
-- A command runs by the engine's exec, in a process group of its own whose number lies in a file of the container's
-- /tmp as long as it runs, so that a second exec can end it. Files travel as archives; input comes from a file.
-- Always holds: what is late or let go here is ended there; a copy is checked by its SHA-256 where it arrives.

local copy = require "rtlua.machine.copy"
local errors = require "rtlua.errors"
local engine = require "rtlua.machine.engine"
local files = require "rtlua.files"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local ssh = require "rtlua.machine.ssh"
local system = require "rtlua.system"

local transports_docker = {}

local SLICE = 0.05 -- seconds between two looks at a command
local LIMIT = 16 << 20 -- bytes of each output that are kept

local Transport = { __name = "rtlua.machine.transports.docker" }
Transport.__index = Transport

-- ---- Commands

-- $0 is the file of the group's number, $1 that of the input where there is one; %s the command's own words. In END the
-- former is $1.
local RUN = [[echo $$ >"$0"; (%s) <"${1:-/dev/null}"; code=$?; rm -f "$0" ${1:+"$1"}; exit $code]]
local END = [[group=$(cat "$1" 2>/dev/null) || exit 0
kill -TERM "-$group" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "-$group" 2>/dev/null || break; sleep 0.2; done
kill -KILL "-$group" 2>/dev/null; rm -f "$1"]]

-- Runs a small script of ours as root: its exit code and output. Raises what keeps it from running.
local function script(self, text, ...)
  local out = {}
  local command = { "/bin/sh", "-c", text, "sh", ... }
  command.user = "0"
  local exec <close> = self.engine:exec(self.id, command, function(_, chunk) out[#out + 1] = chunk end)
  while not exec:step(SLICE) do end -- luacheck: ignore
  local code, message, number = exec:result()
  if not code then errors.stage("engine", number, message, "see whether the container still runs") end
  return code, table.concat(out)
end

local Child = { __name = "rtlua.machine.transports.docker.child" }
Child.__index = Child

-- Ends what still runs in the container.
local function finish(child)
  if child.over then return end
  child.over = true
  child.exec:close()
  local state = child.transport.engine:inspect(child.transport.id)
  if state and state.State.Running then script(child.transport, END, child.group) end
end

--- What has come, waiting at most so long for the first byte; "": nothing yet; nil: the end.
function Child:read(stream, seconds)
  local deadline = system.now() + (seconds or math.huge)
  local queue = self.output[stream or "stdout"]
  while #queue == 0 and not self.done do
    self.done = self.exec:step(math.max(0, math.min(SLICE, deadline - system.now())))
    if #queue == 0 and system.now() >= deadline then break end
  end
  local text = table.concat(queue)
  for i = #queue, 1, -1 do queue[i] = nil end
  if text == "" and self.done then return nil end
  return text
end

--- { code, seconds } once it has ended; nil, message, 75 when `seconds` are over or the connection was lost.
function Child:wait(seconds)
  local deadline = system.now() + (seconds or math.huge)
  while not self.done do
    self.done = self.exec:step(math.max(0, math.min(SLICE, deadline - system.now())))
    if not self.done and system.now() >= deadline then return nil, "still running", errors.TRY_AGAIN end
  end
  if not self.result then
    local code, message, number = self.exec:result()
    self.over = code ~= nil
    self.result = code and { { code = code, seconds = system.now() - self.begin } } or { nil, message, number }
  end
  return table.unpack(self.result, 1, 3)
end

function Child:stop() finish(self) end

function Child:close()
  finish(self)
  self.exec:close()
end

Child.__close = Child.close

-- Puts a text into a fresh file of the container: its path.
local function put_text(self, text)
  local dir <close> = assert(files.temporary())
  local name = "rtlua-input-" .. files.random_name(8)
  local written, message, code = files.write(dir.path .. "/" .. name, text)
  if not written then errors.stage("upload", code, message, "make room in TMPDIR") end
  self:put(dir.path .. "/" .. name, "/tmp/" .. name)
  return "/tmp/" .. name
end

--- Starts a command: a child with read, wait, stop and close. Fields: cwd, env, stdin (a text).
function Transport:start(command)
  local group = "/tmp/rtlua-group-" .. files.random_name(8)
  local input = type(command.stdin) == "string" and put_text(self, command.stdin) or nil
  local child = setmetatable({
    transport = self, group = group, begin = system.now(), output = { stdout = {}, stderr = {} },
  }, Child)
  local argv = { "/bin/sh", "-c", RUN:format(ssh.words(command)), group, input }
  child.exec = self.engine:exec(self.id, argv, function(stream, chunk)
    table.insert(child.output[stream], chunk)
  end)
  return child
end

--- Runs a command to its end: { code, stdout, stderr, seconds }. Fields as those of process.run: cwd, env, stdin (a
--- text), timeout, on_line, check, limit. nil, message, 75 and what there was where the time was up or the connection
--- was lost; check = true raises instead.
function Transport:run(command)
  local child <close> = self:start(command)
  local result = { stdout = {}, stderr = {} }
  local cutters, kept = {}, { stdout = 0, stderr = 0 }
  for name in pairs(kept) do cutters[name] = command.on_line and engine.lines(name, command.on_line) end
  local function drain()
    for name, size in pairs(kept) do
      local chunk = child:read(name, 0)
      if chunk and chunk ~= "" then
        table.insert(result[name], chunk:sub(1, math.max(0, (command.limit or LIMIT) - size)))
        kept[name] = size + #chunk
        if cutters[name] then cutters[name](chunk) end
      end
    end
  end
  local deadline = command.timeout and system.now() + command.timeout or math.huge
  repeat
    child:wait(math.max(0, math.min(SLICE, deadline - system.now())))
    drain()
  until child.done or system.now() >= deadline
  local ended, message, code = child:wait(0)
  drain()
  for name in pairs(kept) do
    if cutters[name] then cutters[name](nil) end
    result[name] = table.concat(result[name])
  end
  if not ended then
    if not child.done then
      message = ("%s: took longer than %g s: allow it more time"):format(command[1], command.timeout)
    end
    if command.check then errors.raise(code, message) end
    return nil, message, code, result
  end
  result.code, result.seconds = ended.code, ended.seconds
  if command.check then ssh.check_result(command, result) end
  return result
end

--- A fresh folder in the container.
function Transport:folder()
  local result, message = self:run { "mktemp", "-d", "/tmp/rtlua-work.XXXXXX" }
  if result and result.code == 0 then return (result.stdout:gsub("%s+$", "")) end
  return errors.stage("run", errors.UNAVAILABLE, "no work folder could be made: " .. (message or result.stderr),
    "see whether the container's disk is full")
end

-- ---- Copies

-- Runs a program of ours with check: its standard output. Raises `stage`.
local function locally(stage, command)
  local result, message, code = process.run(command)
  if result and result.code ~= 0 then
    message, code = result.stderr:match "([^\r\n]+)%s*$" or "failed", errors.NO_INPUT
  end
  if message then errors.stage(stage, code, message, "check the path and the room in TMPDIR") end
  return result.stdout
end

-- Who the container's commands run as: what is copied belongs to them.
local function owner(self)
  if not self.owner then
    local result = assert(self:run { "sh", "-c", "echo $(id -u):$(id -g); pwd", timeout = loop.pace(60) })
    self.owner, self.home = result.stdout:match "^(%S+)\n([^\n]+)"
  end
  return self.owner
end

local function absolute(self, path)
  owner(self)
  return path:sub(1, 1) == "/" and path or self.home .. "/" .. path
end

local MOVE = [[[ ! -d "$1" ] || { echo "is a folder there"; exit 1; }
set -- "$1" "$2" "$3" "$(sha256sum <"$2")"
[ "${4%% *}" = "$3" ] || { echo "arrived damaged"; exit 75; }
mv -f "$2" "$1"]]

local function last_line(text, otherwise) return text:match "([^\r\n]+)%s*$" or otherwise end

--- Copies a file, or what is in a folder, to the container; the folders above are made. Raises stage "upload".
function Transport:put(from, to)
  local kind = system.exists(from)
  if kind ~= "file" and kind ~= "folder" then
    errors.stage("upload", errors.NO_INPUT, from .. ": there is no such file or folder", "check the path")
  end
  to = absolute(self, to)
  local dir <close> = assert(files.temporary())
  local tar, uid, gid = dir.path .. "/put.tar", owner(self):match "^(%d+):(%d+)$"
  local command = { "tar", "-c", "-f", tar, "--owner=" .. uid, "--group=" .. gid, "--numeric-owner", "-C" }
  local folder, part = to, ".rtlua-" .. files.random_name(8)
  if kind == "folder" then
    table.move({ from, "." }, 1, 2, #command + 1, command)
  else
    -- Under a name of its own until it is known to be whole; the link makes tar take it by that name.
    folder = to:match "^(.*)/[^/]*$"
    assert(lfs.link(system.realpath(from), dir.path .. "/" .. part, true))
    table.move({ dir.path, "-h", part }, 1, 3, #command + 1, command)
  end
  if folder == "" then folder = "/" end
  locally("upload", command)
  local made = assert(self:run { "mkdir", "-p", folder })
  if made.code ~= 0 then
    errors.stage("upload", errors.UNAVAILABLE, last_line(made.stderr, to), "name a folder that can be made")
  end
  self.engine:put_archive(self.id, folder, tar)
  if kind == "folder" then return end
  part = folder .. "/" .. part
  local code, said = script(self, MOVE, to, part, copy.sha256(from, "upload"))
  if code ~= 0 then
    script(self, 'rm -f "$1"', part)
    errors.stage("upload", code == errors.TRY_AGAIN and code or errors.UNAVAILABLE,
      ("%s: %s"):format(from, last_line(said, "no reason was given")), "see whether the container has room")
  end
end

-- A file's path without links, and its SHA-256; nil where there is none.
local function resolve(self, path)
  local text = '[ -f "$1" ] || exit 66; readlink -f "$1"; sha256sum <"$1"'
  local code, said = script(self, text, absolute(self, path))
  if code == errors.NO_INPUT then return nil end
  return said:match "^(.*)\n(%x+)[^\n]*\n$"
end

--- The SHA-256 of a file in the container, or nil where there is none.
function Transport:sha256(path) return (select(2, resolve(self, path))) end

--- Copies a file from the container. Raises stage "download".
function Transport:get(from, to)
  local above = to:match "^(.+)/[^/]*$" or "."
  local dir <close> = system.exists(above) == "folder" and files.temporary(above) or nil
  if not dir then errors.stage("download", errors.CANT_WRITE, to .. ": cannot be written", "check the path") end
  local tar = dir.path .. "/get.tar"
  -- The file may be replaced between the two looks at it.
  for _ = 1, 3 do
    local path, hash = resolve(self, from)
    if not path or not self.engine:get_archive(self.id, path, tar) then
      errors.stage("download", errors.NO_INPUT, from .. ": there is no such file on the machine", "check the path")
    end
    local name = path:match "[^/]*$"
    locally("download", { "tar", "-x", "-f", tar, "-C", dir.path, "--no-same-owner", "--", name })
    local got = dir.path .. "/" .. name
    if copy.sha256(got, "download") == hash then
      local moved, problem = os.rename(got, to)
      if not moved then errors.stage("download", errors.CANT_WRITE, problem, "check the path") end
      return
    end
  end
  errors.stage("download", errors.TRY_AGAIN, from .. ": arrived damaged, or changes all the time", "try again")
end

function Transport:close() self.engine:close() end

Transport.__close = Transport.close

--- A transport to the container of a lease, whose driver knows the engine's socket.
function transports_docker.new(lease, driver)
  return setmetatable({ engine = engine.new { socket = driver.socket }, id = lease.id, name = lease.name }, Transport)
end

return transports_docker
