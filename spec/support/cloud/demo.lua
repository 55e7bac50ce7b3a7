-- `make cloud-demo`: the whole pipeline, without an account: scripts/cloud.lua renders a scene on a machine of the
-- local DigitalOcean (init.lua), which really boots, with sshd, cloud-init and a Docker Engine. Says first what it
-- needs, and ends there where that is missing; at the end, what the ledger of the local cloud says came and went.

package.path = "./scripts/?.lua;./scripts/?/init.lua;./?.lua;./?/init.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local cloud = require "spec.support.cloud"
local docker = require "spec.support.cloud.docker"
local ledger = require "spec.support.cloud.ledger"
local process = require "rtlua.process"

local UNAVAILABLE, REMAINS = 69, 76
local SCENE, PICTURE, MACHINE_SIZE = "scenes/cornell.lua", "cloud-demo.png", "s-2vcpu-4gb"

local function say(format, ...)
  io.stderr:write(format:format(...), "\n")
  return true
end

-- What came and went, by the ledger, and how many things are still there. The word "rtlua" stays in the account's list
-- of tags: it belongs to no run, and costs nothing.
local function account(double)
  local events, left = double:ledger(), 0
  say "The local cloud's ledger:"
  for _, event in ipairs(events) do
    if event.event == "created" or event.event == "destroyed" then
      if event.name ~= "rtlua" then left = left + (event.event == "created" and 1 or -1) end
      say("  %7.1f s  %-9s  %-8s  %s", event.time - events[1].time, event.event, event.kind, event.name or event.id)
    end
  end
  say("  %d machine at a time at most, %s", ledger.most_alive(events),
    left == 0 and "nothing left" or ("%d things left"):format(left))
  return left
end

say "cloud-demo needs Docker (dockerd), debootstrap, slirp4netns, and root. It needs no account, and nothing is billed."
local missing = docker.missing()
if missing then
  say("cloud-demo: %s", missing)
  os.exit(UNAVAILABLE)
end

say "Starting a local DigitalOcean, whose machines boot: the first time, their images are made, which takes minutes."
local code
do
  local double <close> = cloud.start { real = true, images = "rtlua" }
  local command = {
    "./rtlua", "scripts/cloud.lua", SCENE, "--driver", "digitalocean", "--size", MACHINE_SIZE, "--spp", "16",
    "-o", PICTURE,
  }
  say("DIGITALOCEAN_API_URL=%s %s", double.base, table.concat(command, " "))
  command.env, command.stdin, command.stdout, command.stderr = double.env, false, 1, 2
  local child <close> = assert(process.start(command))
  code = child:wait().code or REMAINS
  if account(double) ~= 0 then code = REMAINS end
end
if code == 0 then say("%s is the picture.", PICTURE) end
os.exit(code)
