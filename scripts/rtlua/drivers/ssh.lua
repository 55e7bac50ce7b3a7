-- rtlua.drivers.ssh: a host that exists, which its user can log in to, plays a machine. Nothing is billed.
--
-- config.host is "user@host:port" or a name in the user's ~/.ssh/config; their keys and known_hosts are used and never
-- written. A machine is a folder there, ~/.rtlua/NAME-RUN, with the marks as empty files below marks/, and the work
-- beside that.
--
-- Always holds: destroying ends what works in that folder and removes it, and nothing else of the host is touched; gone
-- is what the host itself says is gone.

local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local loop = require "rtlua.loop"
local ssh = require "rtlua.machine.ssh"
local transports_ssh = require "rtlua.machine.transports.ssh"

local ssh_driver = {}

local LIMIT = 60 -- seconds for one small script

local SshDriver = { __name = "rtlua.drivers.ssh" }
SshDriver.__index = SshDriver

-- Runs a small script on the host: its exit code and output. Raises `stage` where the host cannot be reached.
local function script(self, stage, text, ...)
  if not self.host then
    errors.stage("check", errors.USAGE, "the driver ssh has no host", "give one: --host user@example.org")
  end
  if not self.ssh then
    local fields = { own = true }
    fields.user, fields.address, fields.port = ssh.destination(self.host)
    fields.control = ("%s/ssh.%s"):format(transports_ssh.socket_folder(), files.random_name(6))
    self.ssh = ssh.new(fields)
  end
  local command = { "sh", "-c", text, "sh", ... }
  command.timeout = math.max(LIMIT, loop.pace(LIMIT))
  local result, message, code = self.ssh:run(command)
  if not result then
    errors.stage(stage, code, message, ("see whether this works: ssh -o BatchMode=yes %s true"):format(self.host))
  end
  return result.code, result.stdout, result.stderr
end

local function must(self, stage, text, ...)
  local code, out, err = script(self, stage, text, ...)
  if code == 0 then return out end
  return errors.stage(stage, errors.UNAVAILABLE, ("%s: %s"):format(self.host, err:match "([^\r\n]+)%s*$" or "failed"),
    "see whether the host's disk is full, and who may write ~/.rtlua")
end

-- ---- What there is

local CHECK = [[cat /etc/machine-id 2>/dev/null || hostname; id -un; date +%s
nproc; sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo
df -Pk "$HOME" | sed -n '2s/.* \([0-9]*\) *[0-9]*%.*/\1/p']]

local function look(self)
  if not self.seen then
    local id, user, now, cpus, memory, disk =
      must(self, "check", CHECK):match "^(%S+)\n(%S+)\n(%d+)\n(%d+)\n(%d+)\n(%d+)"
    if not id then
      errors.stage("check", errors.UNAVAILABLE, self.host .. ": is no Linux that is known here", "use another host")
    end
    self.seen = { account = user .. "@" .. id, login = user, vcpus = cpus, memory = memory, disk = disk, now = now }
  end
  return self.seen
end

--- { account, endpoint, now, login }: the account is the user and the host's own id. Raises stage "check" where the
--- user's own ssh cannot log in without a question.
function SshDriver:check()
  self.seen = nil -- what the time is, the host says now
  local seen = look(self)
  return {
    account = seen.account, endpoint = "ssh://" .. self.host, now = math.tointeger(tonumber(seen.now)),
    login = seen.login,
  }
end

function SshDriver:sizes()
  local seen = look(self)
  return {
    {
      slug = "host", memory = tonumber(seen.memory) // 1024, vcpus = math.tointeger(tonumber(seen.vcpus)),
      disk = tonumber(seen.disk) // 1000000, price_month = 0, price_hour = 0, regions = { "host" }, available = true,
    },
  }
end

function SshDriver:regions() return { { slug = "host", name = self.host, available = true } } end

function SshDriver.images() return {} end

--- See the contract of drivers: what is wanted, resolved; raises 64 for what there is not.
function SshDriver:validate(want)
  drivers.only(want, "host", "there is one, 'host': leave it out")
  return {
    size = self:sizes()[1], region = "host", image = want.image, price_hour = 0, minimum = 0, extras_hour = 0,
  }
end

-- ---- Records

local LIST = [[cd "$HOME/.rtlua" 2>/dev/null || exit 0
for marks in */marks; do
  [ -d "$marks" ] || continue
  echo "machine ${marks%/marks} $(stat -c %Y "$marks/rtlua" 2>/dev/null || echo 0)"
  ls "$marks"
done]]

local function to_record(self, name, created)
  local _, address = ssh.destination(self.host)
  return {
    id = name, name = name, state = "running", address = address, region = "host", size = "host", created = created,
    run = name:match "%-(%w+)$", marks = {}, driver = "ssh", price_hour = 0, host = self.host,
  }
end

--- All machines of ours on the host.
function SshDriver:list()
  if not self.host then return {} end
  local records, record = {}, nil
  for line in must(self, "check", LIST):gmatch "[^\n]+" do
    local name, created = line:match "^machine (%S+) (%d+)$"
    if name then
      record = to_record(self, name, math.tointeger(tonumber(created)))
      records[#records + 1] = record
    elseif record then
      table.insert(record.marks, line)
      local expires = math.tointeger(tonumber(line:match "^rtlua:exp%-(%d+)$"))
      record.expires = expires and math.max(expires, record.expires or 0) or record.expires
    end
  end
  return records
end

--- The host of a lease, which may be another than config's.
local function turn_to(self, of)
  if of.host and of.host ~= self.host then
    if self.ssh then self.ssh:close() end
    self.host, self.ssh, self.seen = of.host, nil, nil
  end
  if of.account and look(self).account ~= of.account then
    errors.stage("check", errors.UNAVAILABLE, ("%s is another host, or another user, than %s was made by")
      :format(self.host, of.name), "check who is logged in where")
  end
end

function SshDriver:find(lease)
  turn_to(self, lease)
  local found = {}
  for _, record in ipairs(self:list()) do
    if record.name == lease.name or record.run == lease.run then found[#found + 1] = record end
  end
  return found
end

--- The record of a lease or record, or nil when the host says that it is gone.
function SshDriver:get(of) return self:find(of)[1] end

-- ---- Changing

local CREATE = [[umask 077; marks="$HOME/.rtlua/$1/marks"; shift
mkdir -p "$marks" && cd "$marks" && touch -- "$@"]]

--- Makes the folder, with its marks.
function SshDriver:create(lease)
  look(self)
  lease:note { id = lease.name, host = self.host }
  must(self, "create", CREATE, lease.name, table.unpack(lease:marks()))
  lease:note { state = "created" }
  return self:get(lease)
end

--- Adds the new mark before it removes the old ones.
function SshDriver:extend(lease, expires)
  turn_to(self, lease)
  local text = [[cd "$HOME/.rtlua/$1/marks" && touch -- "$2" || exit 1
for mark in rtlua:exp-*; do [ "$mark" = "$2" ] || rm -f -- "$mark"; done]]
  must(self, "check", text, lease.name, ("rtlua:exp-%d"):format(expires))
end

local function refuse()
  errors.stage("check", errors.USAGE, "a host that exists is neither started nor stopped by rtlua", "do it on the host")
end

SshDriver.start, SshDriver.stop, SshDriver.restart = refuse, refuse, refuse

-- Ends what works in the folder $1, with the process groups of it: asked to first, made to then. Ends with 1 where
-- something is left.
local END = [[dir=$(cd "$HOME/.rtlua/$1" 2>/dev/null && pwd -P) || exit 0
for signal in TERM KILL KILL KILL; do
  found=
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/cwd" 2>/dev/null)/" in "$dir"/*) ;; *) continue;; esac
    set -- $(sed 's/.*) //' "$process/stat" 2>/dev/null)
    [ "$1" != Z ] && [ -n "$3" ] || continue
    found=1; kill -$signal "-$3" "${process#/proc/}" 2>/dev/null
  done
  [ -n "$found" ] || exit 0
  for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done
done
exit 1]]

--- Ends what runs in the machine's folder.
function SshDriver:kill(of)
  turn_to(self, of)
  must(self, "check", END, of.name)
end

--- Ends what runs in the folder and removes it; back when it is gone.
function SshDriver:destroy(of)
  local fine, problem = pcall(function()
    turn_to(self, of)
    must(self, "destroy", END, of.name)
    must(self, "destroy", [[cd "$HOME" && rm -rf ".rtlua/$1" && [ ! -e ".rtlua/$1" ] || exit 1
rmdir .rtlua 2>/dev/null; true]], of.name)
  end)
  if fine then return end
  if errors.is(problem) and problem.code > 128 then error(problem, 0) end
  errors.stage("destroy", errors.REMAINS, ("~/.rtlua/%s may be left on %s: %s"):format(of.name, self.host,
    tostring(problem)), "rtlua machine rm it again, or remove the folder", problem)
end

--- Nothing but folders is ever made.
function SshDriver.sweep() return {} end

function SshDriver:close()
  if self.ssh then self.ssh:close() end
  self.ssh = nil
end

SshDriver.__close = SshDriver.close

-- ---- Opening

--- config: host, "user@host:port" or a name of the user's ~/.ssh/config.
function ssh_driver.open(config)
  local host = config and config.host
  if host then ssh.destination(host) end
  return setmetatable({ name = "ssh", transport = "ssh", billed = false, host = host }, SshDriver)
end

return ssh_driver
