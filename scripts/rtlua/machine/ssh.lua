-- rtlua.machine.ssh: commands on a machine, by OpenSSH's ssh.
--
--     local host <close> = ssh.new { address = "203.0.113.7", user = "root", key = PATH, known_hosts = PATH }
--     host:run { "uname", "-a", timeout = 10 }     --> { code, stdout, stderr, seconds }, or nil, message, code
--
-- Fields of new: address, port (22), user; key and known_hosts, files; alias, the name that known_hosts has the host
-- under (else its address); control, where the socket of the shared connection goes. own = true is for a host that its
-- user knows already: their ~/.ssh (config, keys, known_hosts) is read, and nothing but the address is needed.
--
-- One connection, the master, is a child of ours; commands and copies travel inside of it. All children end with the
-- object. A master that is gone is started anew by the next call.
--
-- Always holds: no host key but one that known_hosts has is ever accepted, nor is a file of ~/.ssh written. A wrong key
-- raises (stage "ssh", code 69): nothing is to be tried again then. Whatever else keeps ssh from working gives nil,
-- message, 75. A command travels as one string to a POSIX shell, where every word is quoted, so that it arrives as it
-- is. ssh ends with 255 both for a lost connection and for a command that ends so: a command that does says so by a
-- mark that nobody can guess. A command without stdin ends when the connection does, with all of its process group; one
-- that a signal ended has the code 128 + signal. What a command leaves behind must have streams of its own: it is over
-- when all that hold its output have closed it.

local errors = require "rtlua.errors"
local files = require "rtlua.files"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local system = require "rtlua.system"

local ssh = {}

local CONNECT_SECONDS = 10 -- for TCP and the banner: a packet lost twice is sent again within 7 s
local LOGIN_SECONDS = 30 -- until the login is done: sshd may wait for a name server
local ALIVE_SECONDS = 15 -- between two questions to a silent server; after three it is taken for dead
local LONGEST_SOCKET = 90 -- bytes: a unix socket's path has 107, and ssh appends 17 while it makes one
local READY_INTERVAL = 0.02 -- seconds between two looks at a child that is to be ready

local Ssh = { __name = "rtlua.machine.ssh" }
Ssh.__index = Ssh

-- ---- What the machine's shell is told

--- A word that a POSIX shell reads as just this text.
function ssh.quote(text)
  text = tostring(text)
  if text:find("\0", 1, true) then
    errors.raise(errors.USAGE, "ssh: a zero byte cannot be passed to a program: pass it by a file")
  end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The shell's text of a command { program, argument…, cwd = ?, env = ? }.
function ssh.words(command)
  local parts = {}
  if command.cwd then parts[1] = ("cd -- %s || exit 126; "):format(ssh.quote(command.cwd)) end
  for name, value in pairs(command.env or {}) do
    if not tostring(name):match "^[%a_][%w_]*$" then
      errors.raise(errors.USAGE, ("ssh: env: '%s' is no name that a shell takes"):format(name))
    end
    parts[#parts + 1] = value and ("export %s=%s; "):format(name, ssh.quote(value)) or ("unset %s; "):format(name)
  end
  parts[#parts + 1] = "exec"
  for _, word in ipairs(command) do parts[#parts + 1] = " " .. ssh.quote(word) end
  return table.concat(parts)
end

-- Standard input stays open and empty as long as the connection lives: its end is the connection's.
local WATCHED = [[exec 3<&0
{ trap '' TERM; read -r line <&3; kill -TERM 0; sleep 2; kill -KILL 0; } >/dev/null 2>&1 & watch=$!
(%s) </dev/null 3<&-; code=$?
[ $code -ne 255 ] || printf %%s %s >&2
exec 2>/dev/null; kill -KILL $watch; exit $code]]

local PLAIN = [[(%s); code=$?; [ $code -ne 255 ] || printf %%s %s >&2; exit $code]]

local function remote_text(self, command, watched)
  local text = (watched and WATCHED or PLAIN):format(ssh.words(command), self.mark)
  return "exec sh -c " .. ssh.quote(text)
end

-- ---- What ssh is told

local function whole_seconds(seconds, least) return math.max(least, math.ceil(loop.pace(seconds))) end

-- The arguments up to the destination; options by name are added.
local function arguments(self, more)
  local list = { "ssh", "-T" }
  local function option(name, value) table.move({ "-o", name .. "=" .. value }, 1, 2, #list + 1, list) end
  if not self.own then
    table.move({ "-F", "none" }, 1, 2, #list + 1, list)
    option("UserKnownHostsFile", self.known_hosts)
    option("GlobalKnownHostsFile", "/dev/null")
    option("HostKeyAlgorithms", "ssh-ed25519")
    option("HostKeyAlias", self.alias)
    option("CheckHostIP", "no")
    option("IdentityFile", self.key)
    option("IdentitiesOnly", "yes")
    option("IdentityAgent", "none")
    option("PreferredAuthentications", "publickey")
  end
  option("RemoteCommand", "none")
  option("BatchMode", "yes")
  option("StrictHostKeyChecking", "yes")
  option("UpdateHostKeys", "no")
  option("ForwardAgent", "no")
  option("ForwardX11", "no")
  option("LogLevel", "ERROR")
  option("ConnectTimeout", whole_seconds(CONNECT_SECONDS, 3))
  option("ServerAliveInterval", whole_seconds(ALIVE_SECONDS, 1))
  option("ServerAliveCountMax", 3)
  for _, argument in ipairs(more) do list[#list + 1] = argument end
  if self.user then table.move({ "-l", self.user }, 1, 2, #list + 1, list) end
  if self.port then table.move({ "-p", tostring(self.port) }, 1, 2, #list + 1, list) end
  table.move({ "--", self.address }, 1, 2, #list + 1, list)
  return list
end

local function shared(self)
  return { "-o", "ControlMaster=no", "-o", "ControlPath=" .. (self.control or "none") }
end

local WRONG_KEY = {
  "Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "no matching host key type",
}

-- What ssh said when it could not work: nil, message, 75. Raises where the host is not the one that we know.
local function explain(self, text)
  for _, sign in ipairs(WRONG_KEY) do
    if text:find(sign, 1, true) then
      errors.stage("ssh", errors.UNAVAILABLE,
        ("%s: the host key differs from the one that is known"):format(self.address),
        "refused, since somebody else may have answered: destroy the machine, or check known_hosts of your own host")
    end
  end
  local said = text:match "([^\r\n]+)%s*$" or "the connection was lost"
  return nil, ("%s: %s"):format(self.address, (said:gsub("^ssh: ", ""))), errors.TRY_AGAIN
end

-- ---- Connecting

local function raise_signal(message, code)
  if code and code > 128 then errors.raise(code, message) end
end

local function is_running(child)
  if not child then return false end
  local result, message, code = child:wait(0)
  raise_signal(message, code)
  return not result
end

local function drop_master(self)
  local master = self.master
  self.master = nil
  if master then master:close() end
  if self.control then os.remove(self.control) end
end

-- Waits until the child is ready(): true, or nil and what the child said.
local function await(child, seconds, ready)
  local outcome = loop.until_true(seconds, READY_INTERVAL, function()
    if ready() then return "there" end
    return not is_running(child) and "over"
  end)
  if outcome == "there" then return true end
  local said = {}
  repeat
    local chunk = child:read("stderr", 0)
    said[#said + 1] = chunk
  until not chunk or chunk == ""
  return nil, #said > 0 and table.concat(said) or ("no login within %g s"):format(seconds)
end

--- Makes sure of the shared connection: true, or nil, message, 75.
function Ssh:connect()
  if not self.control then return true end
  -- Another coroutine may be at it.
  local limit = whole_seconds(LOGIN_SECONDS, 10)
  if not loop.until_true(2 * limit, READY_INTERVAL, function() return not self.connecting end) then
    return nil, self.address .. ": the connection is still being made", errors.TRY_AGAIN
  end
  if is_running(self.master) and system.exists(self.control) then return true end
  drop_master(self)
  self.connecting = true
  local finished <close> = setmetatable({}, { __close = function() self.connecting = false end }) -- luacheck: ignore
  local options = arguments(self, {
    "-n", "-N", "-o", "ControlMaster=yes", "-o", "ControlPath=" .. self.control, "-o", "ControlPersist=no",
  })
  options.stdout = false
  local master, message, code = process.start(options)
  if not master then return nil, message, code end
  self.master = master
  -- The socket is there, and listens, once the login is done.
  local there, said = await(master, limit, function() return system.exists(self.control) end)
  if there then return true end
  drop_master(self)
  return explain(self, said)
end

--- Does the host answer, with our key? True, or nil, message, 75; raises for a wrong host key.
function Ssh:check()
  local result, message, code = self:run { "true", timeout = whole_seconds(LOGIN_SECONDS, 10) }
  if not result then return nil, message, code end
  if result.code == 0 then return true end
  return nil, ("%s: cannot run commands: %s"):format(self.address, result.stderr), errors.UNAVAILABLE
end

-- ---- Commands

local RUN_FIELDS = {
  cwd = true, env = true, stdin = true, stdout = true, timeout = true, on_line = true, check = true, limit = true,
}

-- Lines for on_line without the mark; marked() tells whether it came.
local function watch_lines(mark, on_line)
  local seen = false
  local function take(line, stream)
    if stream == "stderr" and line:sub(-#mark) == mark then
      seen = true
      line = line:sub(1, -#mark - 1)
      if line == "" then return end
    end
    if on_line then on_line(line, stream) end
  end
  return take, function() return seen end
end

--- Raises where a command did not end with 0.
function ssh.check_result(command, result)
  if result.code == 0 then return end
  local last = result.stderr:match "([^\r\n]+)%s*$"
  errors.raise(errors.UNAVAILABLE,
    ("%s: ended with %d%s"):format(command[1], result.code, last and ": " .. last or ""))
end

--- Runs a command to its end: { code, stdout, stderr, seconds }. Fields as rtlua.process.run's: cwd, env, timeout,
--- Runs a command to its end: { code, stdout, stderr, seconds }. Fields as those of process.run: cwd, env, timeout,
--- where the connection was lost or the time was up; check = true raises instead.
function Ssh:run(command)
  for key in pairs(command) do
    if type(key) == "string" and not RUN_FIELDS[key] then
      errors.raise(errors.USAGE, ("ssh: unknown field '%s'"):format(key))
    end
  end
  local function give_up(message, code, result)
    if command.check then errors.raise(code, message) end
    return nil, message, code, result
  end
  local connected, message, code = self:connect()
  if not connected then return give_up(message, code) end
  local options = arguments(self, shared(self))
  options[#options + 1] = remote_text(self, command, command.stdin == nil)
  local marked
  options.on_line, marked = watch_lines(self.mark, command.on_line)
  options.timeout, options.limit, options.stdout = command.timeout, command.limit, command.stdout
  local pipe <close> = assert(process.death_pipe()) -- open as long as this function runs
  options.stdin = command.stdin or pipe.reader
  local result, why, number, partial = process.run(options)
  if not result then
    local said = why:gsub("^ssh:", function() return command[1] .. ":" end)
    return give_up(said, number, partial)
  end
  if marked() then
    result.stderr = result.stderr:gsub(self.mark, "")
  elseif result.code == 255 then
    local _, lost, again = explain(self, result.stderr)
    return give_up(lost, again, result)
  end
  if command.check then ssh.check_result(command, result) end
  return result
end

-- ---- A command that goes on

local Child = { __name = "rtlua.machine.ssh.child" }
Child.__index = Child

--- As rtlua.process's; the mark is taken out of stderr.
function Child:read(stream, seconds)
  if stream ~= "stderr" then return self.child:read(stream, seconds) end
  local chunk, message, code = self.child:read("stderr", seconds)
  if chunk == nil and code then return nil, message, code end
  local text = self.held .. (chunk or "")
  local cut, found = text:gsub(self.mark, "")
  self.marked = self.marked or found > 0
  if chunk == nil then
    self.held = ""
    if cut ~= "" then return cut end
    return nil
  end
  -- The end may be the mark's beginning: it waits for the rest.
  local keep = 0
  for n = 1, math.min(#self.mark - 1, #cut) do
    if cut:sub(-n) == self.mark:sub(1, n) then keep = n end
  end
  self.held = cut:sub(#cut - keep + 1)
  return cut:sub(1, #cut - keep)
end

--- As rtlua.process's; nil, message, 75 where the connection was lost, too.
function Child:wait(seconds)
  local result, message, code = self.child:wait(seconds)
  if not result or result.code ~= 255 then return result, message, code end
  local said = {}
  while not self.marked do
    local text = self:read("stderr", 0)
    if not text or text == "" then break end
    said[#said + 1] = text
  end
  self.held = table.concat(said) .. self.held
  if self.marked then return result end
  return explain(self.ssh, self.held)
end

function Child:stop(grace) self.child:stop(grace) end

function Child:close() self.child:close() end

Child.__close = Child.close

--- Starts a command: a child with read, wait, stop and close, as rtlua.process's. What it is given as stdin, a text, is
--- all that it reads. nil, message, code where the machine does not answer.
function Ssh:start(command)
  local connected, message, code = self:connect()
  if not connected then return nil, message, code end
  local options = arguments(self, shared(self))
  options[#options + 1] = remote_text(self, command, command.stdin == nil)
  options.stdin, options.limit = true, command.limit
  local child, why, number = process.start(options)
  if not child then return nil, why, number end
  if command.stdin then
    child:write(command.stdin, 0)
    child:close_input()
  end
  return setmetatable({ child = child, pid = child.pid, ssh = self, mark = self.mark, held = "" }, Child)
end

-- ---- Forwards

local Forward = { __name = "rtlua.machine.ssh.forward" }
Forward.__index = Forward

--- Makes sure that the socket is there: true, or nil, message, 75.
function Forward:ensure()
  if is_running(self.child) and system.exists(self.socket) then return true end
  self:close()
  local options = arguments(self.ssh, {
    "-n", "-N", "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes",
    "-o", "StreamLocalBindUnlink=yes", "-o", "StreamLocalBindMask=0177", "-L", self.socket .. ":" .. self.remote,
    -- It says so itself once it listens: a socket is seen before that.
    "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo ready",
  })
  local child, message, code = process.start(options)
  if not child then return nil, message, code end
  self.child = child
  self.ssh.forwards[self] = true
  local there, said = await(child, whole_seconds(LOGIN_SECONDS, 10), function()
    return (child:read("stdout", 0) or "") ~= ""
  end)
  if there then return true end
  self:close()
  return explain(self.ssh, said)
end

function Forward:close()
  local child = self.child
  self.child = nil
  if child then child:close() end
  os.remove(self.socket)
  self.ssh.forwards[self] = nil
end

Forward.__close = Forward.close

--- The machine's unix socket as one of ours (0600): a to-be-closed value with its path, socket, and ensure(), which
--- makes it anew where the connection was lost. nil, message, code where that fails.
function Ssh:forward(socket, remote)
  if #socket > LONGEST_SOCKET then
    errors.stage("ssh", errors.USAGE, socket .. ": is too long for a socket", "give XDG_RUNTIME_DIR a shorter path")
  end
  local forward = setmetatable({ ssh = self, socket = socket, remote = remote }, Forward)
  local there, message, code = forward:ensure()
  if not there then return nil, message, code end
  return forward
end

-- ---- A host key that nobody else has seen

-- The new key is made beside the old one, in two steps, so that we know it before the server has it.
local MAKE_KEY = [[umask 077; rm -f "$1.new" "$1.new.pub"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$1.new" </dev/null && cat "$1.new.pub"]]
local TAKE_KEY = [[mv -f "$1.new.pub" "$1.pub" && mv -f "$1.new" "$1" || exit 1
systemctl reload ssh 2>/dev/null || systemctl reload sshd 2>/dev/null || kill -HUP "$(cat "$2")"]]

--- Gives the machine a host key that was made on it, over the connection that there is, and pins it in known_hosts
--- instead of the one that user data brought. Fields: host_key (/etc/ssh/ssh_host_ed25519_key), pid_file
--- (/run/sshd.pid), for a server that is not the system's. Raises what goes wrong (stage "ssh").
function Ssh:rekey(fields)
  fields = fields or {}
  local host_key = fields.host_key or "/etc/ssh/ssh_host_ed25519_key"
  local pid_file = fields.pid_file or "/run/sshd.pid"
  local limit = whole_seconds(LOGIN_SECONDS, 30) -- systemd reloads nothing before it has booted
  local function fail(what, why, code)
    errors.stage("ssh", code or errors.UNAVAILABLE, ("%s: %s: %s"):format(self.address, what, why),
      "destroy the machine and provision it again")
  end
  local function remotely(what, ...)
    local command = { "sh", "-c", ... }
    command.timeout = limit
    local result, message, code = self:run(command)
    if not result then fail(what, message, code) end
    if result.code ~= 0 then fail(what, (result.stderr:match "([^\r\n]+)%s*$" or "ended with " .. result.code)) end
    return result.stdout
  end
  local function pin(...)
    local lines = {}
    for _, key in ipairs { ... } do lines[#lines + 1] = ("%s %s\n"):format(self.alias, key) end
    local written, message, code = files.write(self.known_hosts, table.concat(lines))
    if not written then fail("the host key cannot be pinned", message, code) end
  end
  local known, message, code = files.read(self.known_hosts)
  if not known then fail("the host key cannot be read", message, code) end
  local first = known:match "(ssh%-ed25519 [%w+/=]+)"
  local fresh = remotely("no fresh host key was made", MAKE_KEY, "sh", host_key):match "^(ssh%-ed25519 [%w+/=]+)"
  if not fresh then fail("no fresh host key was made", "what came back is no key") end
  pin(first, fresh) -- whenever this ends, one of them is right
  remotely("the fresh host key was not taken", TAKE_KEY, "sh", host_key, pid_file)
  pin(fresh)
  drop_master(self)
  local answered, why
  loop.until_true(limit, loop.pace(0.5), function()
    answered, why = self:check()
    return answered
  end)
  if not answered then fail("no answer with the fresh host key", why, errors.TRY_AGAIN) end
end

-- ---- Objects

--- The parts of "user@host:port": user or nil, host, port or nil. An IPv6 address with a port stands in brackets.
function ssh.destination(text)
  local user, rest = text:match "^([^@]+)@(.+)$"
  rest = rest or text
  local host, port = rest:match "^%[(.+)%]:?(%d*)$"
  if not host then host, port = rest:match "^([^:]+):(%d+)$" end
  if (host or rest):sub(1, 1) == "-" or text:find "%s" or (user or ""):sub(1, 1) == "-" then
    errors.raise(errors.USAGE, ("ssh: '%s' is no host: give user@host or user@host:port"):format(text))
  end
  return user, host or rest, math.tointeger(tonumber(port))
end

--- The words of a program that gives its user a prompt there: it wants our terminal.
function Ssh:interactive()
  local words = arguments(self, {})
  words[2] = "-t"
  return words
end

--- Ends the connection and all that goes over it.
function Ssh:close()
  local forward = next(self.forwards)
  while forward do
    forward:close()
    forward = next(self.forwards)
  end
  drop_master(self)
end

Ssh.__close = Ssh.close

--- An object for one host; see above. Nothing is connected yet.
function ssh.new(fields)
  local self = {
    address = assert(fields.address, "an address"), port = fields.port, user = fields.user, key = fields.key,
    known_hosts = fields.known_hosts, alias = fields.alias or fields.address, own = fields.own,
    -- Where the path is too long, each command has a connection of its own: slower, and no less right.
    control = fields.control and #fields.control <= LONGEST_SOCKET and fields.control or nil,
    forwards = {}, mark = "rtlua" .. files.random_name(20), -- letters and digits: a pattern, too
  }
  if not self.own then assert(self.key and self.known_hosts, "a key and known_hosts") end
  return setmetatable(self, Ssh)
end

return ssh
