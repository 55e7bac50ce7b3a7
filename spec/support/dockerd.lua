-- A Docker Engine of the spec's own (spec/support/cloud/docker.lua) with one image of 2 MB, "busybox:spec", made from
-- busybox-static: `local server <close> = dockerd.start()`; server.socket.

local docker = require "spec.support.cloud.docker"
local folder = require "spec.support.folder"
local process = require "rtlua.process"

local dockerd = {}

-- A tar of a root file system with busybox under all of its names.
local IMAGE = [[set -e; mkdir -p "$1/bin" "$1/tmp" "$1/root" "$1/etc"; chmod 1777 "$1/tmp"
cp "$(command -v busybox)" "$1/bin/"
for name in $(busybox --list); do [ -e "$1/bin/$name" ] || ln -s busybox "$1/bin/$name"; done
echo root:x:0:0::/root:/bin/sh >"$1/etc/passwd"
tar -c -f "$1.tar" -C "$1" .]]

--- What keeps a spec from starting one here, as a text; nil when nothing does.
dockerd.missing = docker.missing

function dockerd.start()
  local dir <close> = folder.new()
  process.run { "sh", "-c", IMAGE, "sh", dir.path .. "/busybox", check = true }
  local engine = docker.start()
  engine:docker { "import", dir.path .. "/busybox.tar", "busybox:spec" }
  return engine
end

return dockerd
