-- rtlua.machine.keys: the login key and the first host key of a machine, by ssh-keygen.
--
--     local made = keys.make(lease)     --> { public, host_public, fingerprints = { md5, sha256 } }
--
-- All are ed25519, below lease:folder(): id_ed25519 for the login, host_ed25519 for the machine, each with its .pub,
-- and known_hosts, which knows the machine by the lease's name. Files are 0600, keys without a passphrase: they live as
-- long as the machine. What is there already is kept, so that a create that is tried again uses the same keys.

local errors = require "rtlua.errors"
local files = require "rtlua.files"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local system = require "rtlua.system"

local keys = {}

local LIMIT = 30 -- seconds for one key, on a machine that is busy

local function keygen(arguments)
  -- Else everybody could read a public part, and with it the machine's name.
  local command = { "sh", "-c", 'umask 077; exec ssh-keygen "$@"', "ssh-keygen", table.unpack(arguments) }
  command.timeout = math.max(LIMIT, loop.pace(LIMIT))
  local result, message, code = process.run(command)
  if not result then
    errors.stage("create", code, message, "install the package openssh-client")
  elseif result.code ~= 0 then
    errors.stage("create", errors.CANT_WRITE, "ssh-keygen: " .. (result.stderr:match "([^\r\n]+)%s*$" or "failed"),
      "see whether the state folder can be written")
  end
  return result.stdout
end

local function must(value, message, code)
  if value == nil then errors.stage("create", code, message, "see whether the state folder can be written") end
  return value
end

-- Makes the pair at `path` unless it is there; its public part, "ssh-ed25519 AAAA… comment".
local function pair(path, comment)
  if not system.exists(path .. ".pub") then
    os.remove(path) -- half made: its public part was never read
    keygen { "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path }
  end
  return (must(files.read(path .. ".pub")):gsub("%s+$", ""))
end

--- The fingerprints of a public key's file: md5 as DigitalOcean writes it ("aa:bb:…"), sha256 as OpenSSH ("SHA256:…").
function keys.fingerprints(path)
  local found = {}
  for kind, pattern in pairs { md5 = "MD5:(%S+)", sha256 = "(SHA256:%S+)" } do
    found[kind] = keygen({ "-l", "-E", kind, "-f", path }):match(pattern)
  end
  return found
end

--- Makes what is missing; see above. Raises stage "create".
function keys.make(lease)
  local folder = lease:folder()
  must(files.mkdir(folder))
  local public = pair(folder .. "/id_ed25519", lease.name)
  local host_public = pair(folder .. "/host_ed25519", "")
  if not system.exists(folder .. "/known_hosts") then
    must(files.write(folder .. "/known_hosts", ("%s %s\n"):format(lease.name, host_public)))
  end
  return {
    public = public, host_public = host_public, fingerprints = keys.fingerprints(folder .. "/id_ed25519.pub"),
  }
end

return keys
