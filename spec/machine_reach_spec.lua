-- Verbs of `rtlua machine` that reach into a machine, with machines that boot: a command by SSH, copies, the engine's
-- socket that env names, the log of a job that runs, and a container as machine.

local cjson = require "cjson"
local cloud = require "spec.support.cloud"
local dockerd = require "spec.support.dockerd"
local machines = require "spec.support.cloud.machines"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local run = require "spec.support.run"

local function commands(env)
  local function machine(words, stdin)
    return run.rtlua({ "machine", table.unpack(words) }, { env = env, stdin = stdin })
  end
  local function works(words, stdin)
    local result = machine(words, stdin)
    assert.equal(0, result.code, result.stderr)
    return result.stdout
  end
  return machine, works
end

describe("rtlua machine with a machine that boots #real", function()
  local missing = machines.missing()
  if missing then
    pending(missing)
    return
  end
  local double, machine, works

  setup(function()
    double = cloud.start { real = true, images = "rtlua" }
    machine, works = commands(double.env)
    works { "create", "box", "--driver", "digitalocean", "--size", "c-2", "--region", "sfo3", "--image", "docker-20-04",
      "--engine", "image" }
  end)
  teardown(function()
    if machine then machine { "rm", "box" } end
    if double then double:close() end
  end)

  it("runs commands with their exit codes, words and standard input", function()
    local result = machine { "ssh", "box", "sh", "-c", 'echo "$1"; echo e >&2; exit 7', "sh", "a  'b $x" }
    assert.same({ code = 7, stdout = "a  'b $x\n", stderr = "e\n" }, result)
    assert.equal("5\n", works { "ssh", "box", "--", "echo $((2 + 3))" })
    assert.equal("x\0y", works({ "ssh", "box", "cat" }, "x\0y"))
  end)

  it("bakes a snapshot that has the image, and lists what it costs", function()
    local image = cjson.decode(works { "bake", "box", "--name", "baked", "--json" })
    assert.same({ 1, "baked", false }, { image.schema, image.name, image.public })
    assert.matches("rtlua:", works { "ssh", "box", "docker", "images", "--format", "{{.Repository}}:{{.Tag}}" })
    local listed = works { "images", "--driver", "digitalocean" }
    assert.matches(("\n%d +baked +yes +%%$%%d"):format(image.id), listed)
  end)

  it("copies files and folders, both ways", function()
    local folder <close> = require("spec.support.folder").new()
    local source = folder.path .. "/source"
    process.run { "sh", "-c", 'mkdir -p "$1/sub"; echo a >"$1/a b"; echo c >"$1/sub/c"', "sh", source, check = true }
    works { "scp", source .. "/a b", "box:sub/one" }
    works { "scp", "box:sub/one", folder.path .. "/back" }
    assert.equal("a\n", folder:read "back")
    assert.equal(64, machine({ "scp", source, "box:all" }).code)
    works { "scp", "-r", source, "box:all" }
    works { "scp", "-r", "box:all", folder.path .. "/all" }
    assert.equal("a\n", folder:read "all/a b")
    assert.equal("c\n", folder:read "all/sub/c")
  end)

  it("follows the log of what another process runs, until it ends", function()
    local folder <close> = require("spec.support.folder").new()
    folder:write("job.lua", [[
      local machine <close> = require("rtlua.cloud").attach "box"
      machine:run { command = { "sh", "-c", "for i in 1 2 3 4 5 6; do echo line $i; sleep 1; done" } }]])
    local job <close> = process.start { "./rtlua", folder.path .. "/job.lua", env = double.env, stderr = false }
    assert.is_true(marked.within(function() return machine({ "logs", "box" }).code == 0 end, 30))
    local followed = works { "logs", "-f", "box" }
    assert.equal("line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n", followed)
    assert.equal(0, job:wait(30).code)
  end)

  it("points the docker command at its engine, and takes that back", function()
    local script = [[eval "$(./rtlua machine env box)"
      docker version --format '{{.Server.Os}}' && ./rtlua machine active
      eval "$(./rtlua machine env --unset)"; echo "[$DOCKER_HOST]"]]
    local result = run.program("sh", { "-c", script }, { env = double.env })
    assert.equal("linux\nbox\n[]\n", result.stdout, result.stderr)
    local url = works { "url", "box" }
    assert.equal("-H " .. url, works { "config", "box" })
    assert.matches("^unix:///%g+\n$", url)
  end)
end)

describe("rtlua machine with a container as machine #real", function()
  local missing = dockerd.missing()
  if missing then
    pending(missing)
    return
  end
  it("runs, copies and destroys", function()
    local engine = dockerd.start()
    local folder <close> = require("spec.support.folder").new()
    local closed <close> = setmetatable({}, { __close = function() engine:close() end }) -- luacheck: ignore
    local machine, works = commands {
      DOCKER_HOST = "unix://" .. engine.socket, RTLUA_STATE = folder.path .. "/state", HOME = folder.path,
    }
    works { "create", "c", "--driver", "docker", "--image", "busybox:spec" }
    assert.equal(4, machine({ "ssh", "c", "sh", "-c", "exit 4" }).code)
    assert.equal("x\n", works({ "ssh", "c", "cat" }, "x\n"))
    folder:write("a", "text")
    works { "scp", folder.path .. "/a", "c:a" }
    works { "scp", "c:a", folder.path .. "/b" }
    assert.equal("text", folder:read "b")
    assert.equal("unix://" .. engine.socket .. "\n", works { "url", "c" })
    works { "rm", "c" }
    assert.equal("", works { "ls", "-q" })
  end)
end)
