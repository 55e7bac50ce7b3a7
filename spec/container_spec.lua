-- The project's image: small, no root, and the same bytes as rendered here; by itself and by compose.yaml's service.

local docker = require "spec.support.cloud.docker"
local folder = require "spec.support.folder"
local run = require "spec.support.run"

local ROOT = require("lfs").currentdir()
local RENDER = { "rtlua", "render", "cornell.lua", "--size", "32x32", "--spp", "2", "--quiet", "-o", "/out/a.png" }

describe("the image #real", function()
  local missing = docker.missing()
  if missing then
    pending(missing)
    return
  end
  local engine, out

  setup(function()
    engine = docker.start { seed = docker.rtlua() }
    out = folder.new()
    assert(os.execute(("chmod 1777 '%s'"):format(out.path)))
  end)
  teardown(function()
    engine:close()
    out:remove()
  end)

  local function inside(arguments, options)
    local command = { "run", "--rm" }
    for _, words in ipairs { options or {}, { "rtlua" }, arguments } do
      table.move(words, 1, #words, #command + 1, command)
    end
    return engine:docker(command).stdout
  end

  it("is built again from what is there", function()
    assert.matches("Using cache", engine:docker({ "build", "-t", "rtlua", "." }).stdout)
  end)
  it("renders any folder of scenes, to the same bytes", function()
    inside(RENDER, { "-v", ROOT .. "/scenes:/work:ro", "-v", out.path .. ":/out" })
    local direct = table.move(RENDER, 2, #RENDER - 1, 1, {})
    direct[#direct + 1] = out.path .. "/direct.png"
    assert.equal(0, run.rtlua(direct, { cwd = ROOT .. "/scenes" }).code)
    assert.is_true(out:read "a.png" == out:read "direct.png")
  end)
  it("works for whoever the user is", function()
    assert.equal("4321\n", inside({ "sh", "-c", "rtlua --version >/dev/null && id -u" }, { "--user", "4321:4321" }))
  end)
  it("has no root and no compiler, and is small", function()
    assert.equal("rtlua\n", inside { "id", "-un" })
    assert.equal("", inside { "sh", "-c", "command -v cc make luac || true" })
    local function size(image)
      return tonumber(engine:docker({ "image", "inspect", "-f", "{{.Size}}", image }).stdout)
    end
    assert.is_true(size "rtlua" - size(docker.BASE) < 60e6)
  end)
end)
