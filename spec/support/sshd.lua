-- A real sshd on a loopback address, for a login of the user that runs the spec: a host key, an authorized key and a
-- known_hosts of its own, in a temporary folder. `local server <close> = sshd.start()`; nothing of it is left after
-- that. server.fields is what rtlua.machine.ssh.new wants.

local lfs = require "lfs"
local folder = require "spec.support.folder"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local socket = require "socket"

local sshd = {}

local Sshd = {}
Sshd.__index = Sshd

local function keygen(path, comment)
  process.run { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path, check = true }
  local file = assert(io.open(path .. ".pub"))
  local public = file:read("a"):match "^(%S+ %S+)"
  file:close()
  return public
end

local function free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local port = select(2, listener:getsockname())
  listener:close()
  return math.tointeger(tonumber(port))
end

local function answers(self)
  local client = socket.connect("127.0.0.1", self.port)
  if not client then return false end
  client:settimeout(2)
  local banner = client:receive "*l"
  client:close()
  return banner ~= nil
end

--- Starts the server that was stopped.
function Sshd:up()
  self.child = assert(process.start {
    "/usr/sbin/sshd", "-D", "-e", "-f", self.dir.path .. "/config", stderr = { file = self.dir.path .. "/log" },
    env = { RTLUA_SPEC_MARK = self.mark.token },
  })
  assert(marked.within(function() return answers(self) end, 10), "sshd does not answer")
end

-- The processes that serve connections: the server's children, which write their titles over the environment that
-- would tell them, and theirs that are named so.
local function sessions(self)
  local parents, found = {}, {}
  for name in lfs.dir "/proc" do
    local file = name:match "^%d+$" and io.open(("/proc/%s/stat"):format(name))
    if file then
      local command, parent = (file:read "a" or ""):match "^%d+ (%b()) %a (%d+)"
      if command == "(sshd)" then parents[tonumber(name)] = tonumber(parent) end
      file:close()
    end
  end
  for pid in pairs(parents) do
    local above = pid
    repeat above = parents[above] until not above or above == self.child.pid
    if above then found[#found + 1] = pid end
  end
  return found
end

--- Breaks all connections that there are, as a network does; the server goes on.
function Sshd:cut()
  for _, pid in ipairs(sessions(self)) do os.execute(("kill -KILL %d 2>/dev/null"):format(pid)) end
end

--- Makes all connections silent, as a network does that has no route any more.
function Sshd:freeze()
  for _, pid in ipairs(sessions(self)) do os.execute(("kill -STOP %d 2>/dev/null"):format(pid)) end
end

--- Ends the server, and with it every connection.
function Sshd:down()
  local left = sessions(self)
  self.child:close()
  for _, pid in ipairs(left) do os.execute(("kill -KILL %d 2>/dev/null"):format(pid)) end
end

--- Another host key than the one that known_hosts has, from the next connection on.
function Sshd:change_host_key()
  os.remove(self.dir.path .. "/host")
  local public = keygen(self.dir.path .. "/host", "")
  process.run { "kill", "-HUP", self.child.pid, check = true }
  return public
end

function Sshd:close()
  self:down()
  self.dir:remove()
end

Sshd.__close = Sshd.close

--- Starts one. options.config: more lines for it.
function sshd.start(options)
  local dir = folder.new()
  local self = setmetatable({ dir = dir, port = free_port(), mark = marked.new() }, Sshd)
  self.host_public = keygen(dir.path .. "/host", "")
  self.public = keygen(dir.path .. "/login", "spec")
  dir:write("authorized_keys", self.public .. "\n")
  dir:write("known_hosts", "spec-host " .. self.host_public .. "\n")
  os.execute("mkdir -p -m 755 /run/sshd") -- where sshd, run by root, empties itself into
  dir:write("config", table.concat({
    "ListenAddress 127.0.0.1", "Port " .. self.port,
    "HostKey " .. dir.path .. "/host", "PidFile " .. dir.path .. "/pid",
    "AuthorizedKeysFile " .. dir.path .. "/authorized_keys", "StrictModes no", "UsePAM no", "PasswordAuthentication no",
    "PermitRootLogin prohibit-password", "MaxStartups 100", "Subsystem sftp internal-sftp",
    options and options.config or "",
  }, "\n") .. "\n")
  self.fields = {
    address = "127.0.0.1", port = self.port, alias = "spec-host", key = dir.path .. "/login",
    known_hosts = dir.path .. "/known_hosts", control = dir.path .. "/ctl",
  }
  self.host_key, self.pid_file = dir.path .. "/host", dir.path .. "/pid"
  self:up()
  return self
end

return sshd
