-- rtlua.machine.user_data: what cloud-init makes of a new machine.
--
-- The document is JSON below "#cloud-config": JSON is YAML, and quotes itself. On the machine it brings about, in this
-- order: a firewall at every boot, before sshd is up; the one host key that we know, root's one authorized key, no
-- passwords; the Docker Engine.
--
-- Always holds: no token of a provider is in it. The host key in it serves the first connection alone (ssh.lua, rekey),
-- since whatever runs on the machine may read its user data.

local errors = require "rtlua.errors"
local files = require "rtlua.files"
local json = require "rtlua.json"

local user_data = {}

--- Where a machine that ends itself keeps its expiry, unix seconds; who extends the lease writes it there, too.
user_data.EXPIRES = "/etc/rtlua-expires"

-- The table is ours alone, and made anew as a whole: Docker's own tables, which NAT its containers, are left alone.
local FIREWALL = [[
command -v nft >/dev/null || { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install nftables; }
nft -f - <<'END'
table inet rtlua
delete table inet rtlua
table inet rtlua {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
    udp dport { 68, 546 } accept comment "DHCP"
    tcp dport 22 accept
%s  }
  chain forward {
    type filter hook forward priority filter - 10; policy drop;
    iifname "docker*" accept
    iifname "br-*" accept
    ct state established,related accept
%s  }
}
END
]]

-- First values win, and this file is read before the image's. Silent clients are let go after a minute, so that what
-- they ran ends with them; many copies and commands share one connection.
local SSHD = [[
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
ClientAliveInterval 15
ClientAliveCountMax 4
MaxSessions 64
]]

local ENGINE_APT = [[
set -e
command -v dockerd >/dev/null || {
  export DEBIAN_FRONTEND=noninteractive
  for i in 1 2 3; do apt-get -q update && apt-get -q -y install docker.io && break || sleep 10; done
}
systemctl enable --now docker || service docker start
]]

local ENGINE_URL = [[
set -e
curl -fsSL --proto '=https' --retry 3 --max-time 120 -o /root/rtlua-engine.sh "$1"
sh /root/rtlua-engine.sh
]]

local EXPIRE = 'test "$(date +%%s)" -lt "$(cat %s)" || shutdown -P now\n'

local EXPIRE_SERVICE = [[
[Unit]
Description=Ends this machine when its lease is over
[Service]
Type=oneshot
ExecStart=/bin/sh /usr/local/sbin/rtlua-expire
]]

local EXPIRE_TIMER = [[
[Unit]
Description=Looks whether this machine's lease is over
[Timer]
OnBootSec=60
OnUnitActiveSec=60
[Install]
WantedBy=timers.target
]]

local function engine_command(engine)
  if engine == nil or engine == "image" then return nil end
  if engine == "apt" then return { "sh", "-c", ENGINE_APT } end
  if type(engine) == "string" and engine:match "^https://[%w._~:/?#@!$&()*+,;=%%-]+$" then
    return { "sh", "-c", ENGINE_URL, "sh", engine }
  end
  return errors.stage("check", errors.USAGE, ("engine: '%s' is unknown"):format(tostring(engine)),
    "give 'apt', 'image' or an https:// address of an install script")
end

local function read(lease, name)
  local text, message, code = files.read(lease:folder() .. "/" .. name)
  if not text then errors.stage("create", code, message, "make the machine's keys first") end
  return text
end

--- The document for a lease whose keys are made. Options: engine ("apt", "image", the https URL of an install script,
--- or nil for none); private_range, a pool's addresses ("10.0.0.0/8"), from which all ports are open; ends_itself =
--- true: the machine powers itself off when the lease is over, which terminates an instance of EC2. Raises stage
--- "check" or "create".
function user_data.make(lease, options)
  options = options or {}
  local engine = engine_command(options.engine)
  local range = ""
  if options.private_range then
    if not tostring(options.private_range):match "^[%d.]+/%d+$" then
      errors.stage("check", errors.USAGE, ("private range: '%s' is none"):format(tostring(options.private_range)),
        "give one as 10.0.0.0/8")
    end
    range = ("    ip saddr %s accept\n"):format(options.private_range)
  end
  local document = {
    users = { { name = "root", lock_passwd = false } }, -- a server without PAM refuses a locked one
    disable_root = false,
    ssh_pwauth = false,
    ssh_deletekeys = true,
    ssh_keys = { ed25519_private = read(lease, "host_ed25519"), ed25519_public = read(lease, "host_ed25519.pub") },
    ssh_authorized_keys = { (read(lease, "id_ed25519.pub"):gsub("%s+$", "")) },
    bootcmd = { { "sh", "-c", FIREWALL:format(range, range) } },
    write_files = { { path = "/etc/ssh/sshd_config.d/00-rtlua.conf", permissions = "0600", content = SSHD } },
  }
  local commands = { engine }
  local function write(path, content)
    table.insert(document.write_files, { path = path, permissions = "0644", content = content })
  end
  if options.ends_itself then
    write(user_data.EXPIRES, ("%d\n"):format(lease.expires))
    write("/usr/local/sbin/rtlua-expire", EXPIRE:format(user_data.EXPIRES))
    write("/etc/systemd/system/rtlua-expire.service", EXPIRE_SERVICE)
    write("/etc/systemd/system/rtlua-expire.timer", EXPIRE_TIMER)
    table.insert(commands, 1, { "systemctl", "enable", "--now", "rtlua-expire.timer" })
  end
  document.runcmd = #commands > 0 and commands or nil
  return "#cloud-config\n" .. json.encode(document) .. "\n"
end

return user_data
