-- Whatever goes wrong with a machine that is there, over SSH or while it renders: it is gone afterwards, the exit code
-- and one line say what happened, and the film that there was is kept. With the local cloud's real machines; a script
-- stands there for the renderer, which writes "whole" at its end and "part" where it is asked to end before.

local machines = require "spec.support.cloud.machines"
local mishap = require "spec.support.mishap"
local process = require "rtlua.process"

local LANES = 3
local PACE = 0.2
local DATA, UNAVAILABLE, CANT_WRITE, TRY_AGAIN = 65, 69, 73, 75

local RENDERER = [[#!/bin/sh
for word; do case $word in -o*) out=${word#-o} ;; esac; done
trap 'echo part >"$out"; exit 143' TERM INT HUP
echo rendering >&2
%s
]]
local LONG = "i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done; echo whole >$out"
local SHORT = "sleep 2; echo whole >$out"

-- Without an engine it renders on the machine itself.
local RENDER = [[
machine:run { command = { "rm", "/run/docker.sock" } }
%s
machine:copy_to(arg[4] .. "/renderer", "/usr/local/bin/rtlua")
machine:render("scenes/cornell.lua", {
  output = arg[4] .. "/out/a.png", spp = 1, on_log = function(line) if line == "rendering" then say(line) end end,
})
]]

-- A case that renders. fields.renderer: what the renderer does; fields.first: what the script does before.
local function rendering(name, fields)
  local before, renderer = fields.before, RENDERER:format(fields.renderer or LONG)
  fields.name, fields.driver = name, fields.driver or "digitalocean"
  fields.want = 'engine = "none", ready = "cloud-init", ' .. (fields.want or "")
  fields.body = RENDER:format(fields.first or "")
  function fields.before(self)
    self.dir:write("renderer", renderer)
    process.run { "chmod", "755", self.dir.path .. "/renderer", check = true }
    process.run { "mkdir", self.dir.path .. "/out", check = true }
    if before then before(self) end
  end
  return fields
end

-- What has come back has to be this; nil: nothing.
local function kept(what)
  return function(self)
    local file <close> = io.open(self.dir.path .. "/out/a.png", "rb")
    local found = file and file:read "a" or nil
    if found ~= what then return ("what came back is %s"):format(found and ("'%s'"):format(found) or "nothing") end
    local others = self.dir:list()
    return #others > 4 and "more was left here: " .. table.concat(others, " ") or nil
  end
end

local function machine_id(self)
  local alive = self.double:alive()
  return (alive.droplets[1] or alive.instances[1]).id
end

local function other_host_key(self)
  local path = self.dir.path .. "/other"
  process.run { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, check = true }
  local key = self.dir:read("other.pub"):match "^%S+ %S+"
  process.run {
    "sh", "-c", [[for f in "$0"/machines/*/known_hosts; do
      sed -i "s|ssh-ed25519 [^ ]*|$1|" "$f"; done]], self.env.RTLUA_STATE, key, check = true,
  }
end

local function small_disk(self)
  self.mounted = self.dir.path .. "/out"
  process.run { "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.mounted, check = true }
end

local function fill(self) process.run { "dd", "if=/dev/zero", "of=" .. self.dir.path .. "/out/filler", "bs=1k" } end

local function cut(self)
  for _, pid in ipairs(self.mark:list()) do
    local file <close> = io.open(("/proc/%d/cmdline"):format(pid))
    if file and (file:read "a" or ""):find "^ssh\0" then process.run { "kill", "-KILL", tostring(pid) } end
  end
end

local function cases()
  local list = {
    -- The longest first.
    rendering("its time is over: it is stopped before, and the part is fetched", {
      want = "ttl = 28", code = TRY_AGAIN, says = "run: rtlua was stopped, before the machine's end",
      check = kept "part\n",
    }),
    rendering("its time is over while an image is made", {
      want = "ttl = 28", code = TRY_AGAIN, says = "image: making the image rtlua was stopped, before the machine's end",
      first = [[
        machine.its_engine = { -- one that is slow
          has = function() end, close = function() end, build = function() loop.sleep(100) end,
        }
        machine:run { image = "rtlua", command = { "rtlua" } }]],
      check = kept(nil),
    }),
    rendering("its time is over while a file goes there", {
      want = "ttl = 28", code = TRY_AGAIN, says = "upload: copying .* was stopped, before the machine's end",
      first = [[
        machine:run { command = { "sh", "-c", "printf '#!/bin/sh\\nsleep 100\\n' >/usr/local/bin/sha256sum" } }
        machine:run { command = { "chmod", "755", "/usr/local/bin/sha256sum" } }]],
      check = kept(nil),
    }),
    rendering("the script is killed: its watcher fetches the part", {
      at = "rendering", does = "KILL", code = "KILL", check = kept "part\n",
    }),
    rendering("the machine dies", {
      at = "rendering", does = function(self) self.double:fail(machine_id(self), "off") end, code = UNAVAILABLE,
      says = "run: the machine rtlua%-%w+ is off: ", check = kept(nil),
    }),
    rendering("the machine is destroyed by somebody", {
      at = "rendering", does = function(self) self.double:fail(machine_id(self), "gone") end, code = UNAVAILABLE,
      says = "run: the machine rtlua%-%w+ is gone: ", check = kept(nil), driver = "ec2",
    }),
    rendering("the host key is another", {
      at = "over: address", does = other_host_key, code = UNAVAILABLE, says = "ssh: .*host key",
    }),
    rendering("the host key is another, at EC2", {
      at = "over: address", does = other_host_key, code = UNAVAILABLE, says = "ssh: .*host key", driver = "ec2",
    }),
    rendering("the render ends with 3", {
      renderer = "echo part >$out; echo 'it broke' >&2; exit 3", code = UNAVAILABLE,
      says = "run: rtlua ended with 3: it broke: ", check = kept "part\n",
    }),
    rendering("the scene is wrong there", {
      renderer = "echo 'rtlua: cornell.lua:3: it is wrong: mend it' >&2; exit 65", code = DATA,
      says = "run: cornell.lua:3: it is wrong: mend it", check = kept(nil),
    }),
    rendering("the disk there is full, for the picture", {
      first = [[machine:run { command = { "mount", "-t", "tmpfs", "-o", "size=64k", "none", machine:path "/out" } }]],
      renderer = "dd if=/dev/zero of=$out bs=1k count=999 2>/dev/null || "
        .. "{ rm $out; echo 'rtlua: a.png: no space left: free some' >&2; exit 73; }",
      code = CANT_WRITE, says = "run: a.png: no space left", check = kept(nil),
    }),
    rendering("the disk there is full, for what is copied", {
      first = [[
        machine:run { command = { "mount", "-t", "tmpfs", "-o", "size=64k", "none", machine:path "/work" } }
        machine:copy_to("rtlua.so", "rtlua.so")]],
      code = UNAVAILABLE, says = "upload: .*[Nn]o space", check = kept(nil),
    }),
    rendering("the disk here is full", {
      before = small_disk, at = "rendering", does = fill, renderer = "sleep 2; head -c 9999 /dev/zero >$out",
      code = CANT_WRITE, says = "download: .*[Nn]o space",
    }),
    rendering("the connection is cut", { at = "rendering", does = cut, renderer = SHORT, check = kept "whole\n" }),
    {
      name = "SIGINT while the engine is waited for", driver = "digitalocean", at = "stage: engine", does = "INT",
      want = 'engine = "image", ready = "engine"', code = 130, says = "interrupted in stage engine: ",
    },
  }
  local function stopped(at, stage, signal, code, fields)
    fields.at, fields.does, fields.code = at, signal, code
    -- An upload is over in a moment: the signal may come behind it.
    local seen = stage == "upload" and "%l+" or stage:gsub("%-", "%%-")
    fields.says = stage ~= "destroy" and ("interrupted in stage %s: "):format(seen) or nil
    list[#list + 1] = rendering(("SIG%s in stage %s"):format(signal, stage), fields)
  end
  for signal, code in pairs { HUP = 129, INT = 130, TERM = 143 } do
    stopped("rendering", "run", signal, code, { check = kept "part\n" })
  end
  stopped("stage: ssh", "ssh", "INT", 130, {})
  stopped("stage: cloud%-init", "cloud-init", "TERM", 143, { driver = "ec2" })
  stopped("stage: upload", "upload", "HUP", 129, {})
  stopped("stage: download", "download", "INT", 130, { renderer = "truncate -s 256M $out" })
  stopped("stage: destroy", "destroy", "TERM", 143, {
    renderer = SHORT, check = kept "whole\n",
    faults = { { match = { kind = "^DELETE /v2/droplets/ID$" }, what = "slow", seconds = 30 } },
  })
  -- Not the last: the lanes that are done close their doubles, and nobody looks for the moment meanwhile.
  table.insert(list, #list // 2, table.remove(list))
  return list
end

describe("a mishap with a real machine #real", function()
  local missing = machines.missing()
  if missing then
    pending(missing)
    return
  end
  local problems
  local list = cases()

  setup(function() problems = mishap.all(list, LANES, { real = true, pace = PACE }) end)
  for _, case in ipairs(list) do
    it(case.name, function() assert.equal("", problems[case] or "") end)
  end
end)
