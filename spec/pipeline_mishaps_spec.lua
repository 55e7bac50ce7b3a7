-- The named sample of the fault matrix: scripts/cloud.lua renders with rtlua itself, in a container of a machine's own
-- Docker Engine, reached by SSH, and somebody is killed, or the machine dies, on the way. All is gone then, and the
-- picture is the one of a render that nothing happened to: at once, or when it goes on from what came back.

local docker = require "spec.support.cloud.docker"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local mishap = require "spec.support.mishap"
local process = require "rtlua.process"
local run = require "spec.support.run"

local PACE = 0.2
local RENDER = { "scenes/cornell.lua", "--size", "64x48", "--spp", "1024", "--threads", "1" } -- some seconds of work
local RENDERING = "cornell%.lua +[%d.]+ %%"
local SCRIPT, WATCHER = "scripts/cloud.lua", "rtlua.machine.watcher"

-- Kills those of the case's processes whose command lines have one of these words.
local function kill(words)
  return function(self)
    for _, pid in ipairs(self.mark:list()) do
      local file <close> = io.open(("/proc/%d/cmdline"):format(pid))
      local line = file and file:read "a" or ""
      for _, word in ipairs(words) do
        if line:find(word, 1, true) then process.run { "kill", "-KILL", tostring(pid) } end
      end
    end
  end
end

local function rtlua(self, words, state)
  local env = { RTLUA_STATE = state }
  for name, value in pairs(self.env) do env[name] = env[name] or value end
  return run.rtlua(words, { env = env })
end

local function render_here(more)
  local words = table.move(RENDER, 1, #RENDER, 1, { "--quiet" })
  local result = run.rtlua(table.move(more, 1, #more, #words + 1, words))
  assert(result.code == 0, result.stderr)
end

describe("a mishap of the pipeline #real", function()
  local missing = docker.missing()
  if missing then
    pending(missing)
    return
  end
  local problems, direct

  -- Waits for the checkpoint to come back before it does what is said.
  local function with_checkpoint(does)
    return function(self)
      assert(marked.within(function() return lfs.attributes(self.dir.path .. "/out/c.pfm.part") end, 30))
      does(self)
    end
  end

  local function is_whole(self)
    if self.dir:read "out/c.pfm" ~= direct then return "the picture is another one" end
  end

  local function goes_on(self)
    local part = self.dir.path .. "/out/c.pfm.part"
    if #self.dir:read "out/c.pfm" ~= #direct then return "no picture came back" end
    render_here { "--checkpoint", part, "--resume", "-o", self.dir.path .. "/out/c.pfm" }
    return is_whole(self)
  end

  local list = {
    {
      name = "the script is killed while it renders: its watcher fetches the picture and the checkpoint",
      at = RENDERING, does = kill { SCRIPT }, code = "KILL", check = goes_on,
    },
    {
      name = "the watcher is killed while it renders", at = RENDERING, does = kill { WATCHER }, check = is_whole,
    },
    {
      name = "both are killed while it renders: the next command ends it",
      at = RENDERING, does = with_checkpoint(kill { SCRIPT, WATCHER }), code = "KILL",
      after = function(self) rtlua(self, { "machine", "ls" }) end,
    },
    {
      name = "the script is killed when the image is to be made", at = "upload ", does = kill { SCRIPT }, code = "KILL",
    },
    {
      name = "the script is killed when it has copied", at = "download ", does = kill { SCRIPT }, code = "KILL",
      check = is_whole,
    },
    {
      name = "the machine dies while it renders: another goes on", made = 2, says = "is off: .*another takes its place",
      at = RENDERING, check = is_whole,
      does = with_checkpoint(function(self) self.double:fail(self.double:alive().droplets[1].id, "off") end),
    },
    { -- the last, for the clock of the provider stays as it is set
      name = "all is killed while it renders: a reap elsewhere ends it",
      at = RENDERING, does = kill { "" }, code = "KILL",
      after = function(self)
        self.double:set { skew = 9 * 3600 }
        local other <close> = folder.new()
        rtlua(self, { "machine", "reap", "--driver", "digitalocean" }, other.path)
      end,
    },
  }
  for _, case in ipairs(list) do
    case.driver = "digitalocean"
    function case.before(self) process.run { "mkdir", self.dir.path .. "/out", check = true } end
    function case.words(self)
      local words = table.move(RENDER, 1, #RENDER, 2, { SCRIPT })
      for _, word in ipairs {
        "-o", self.dir.path .. "/out/c.pfm", "--driver", "digitalocean", "--size", "s-2vcpu-4gb",
      } do words[#words + 1] = word end
      return words
    end
  end

  setup(function()
    local out <close> = folder.new()
    render_here { "-o", out.path .. "/c.pfm" }
    direct = out:read "c.pfm"
    problems = mishap.all(list, 1, { real = true, images = "rtlua", pace = PACE })
  end)
  for _, case in ipairs(list) do
    it(case.name, function() assert.equal("", problems[case] or "") end)
  end
end)
