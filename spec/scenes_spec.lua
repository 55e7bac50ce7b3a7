-- Every scene that is shipped renders, in the sandbox, without a sample lost to NaN or infinity.

local cjson = require "cjson"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local run = require "spec.support.run"

local scenes = {}
for name in lfs.dir "scenes" do
  if name:find "%.lua$" then scenes[#scenes + 1] = name end
end
table.sort(scenes)

describe("a shipped scene", function()
  for _, name in ipairs(scenes) do
    it("renders, and drops no sample: " .. name, function()
      local dir <close> = folder.new()
      local result = run.rtlua {
        "render",
        "scenes/" .. name,
        "--size",
        "48x32",
        "--spp",
        "4",
        "--quiet",
        "--stats",
        "-o",
        dir.path .. "/a.pfm",
      }
      assert.equal(0, result.code, result.stderr)
      assert.truthy(result.stderr:find "[Dd]ropped%D*0[^%d.]", result.stderr)
      local pixels = dir:read("a.pfm"):sub(-48 * 32 * 12)
      local sum = 0
      for i = 0, 48 * 32 * 3 - 1 do
        local v = string.unpack("<f", pixels, 4 * i + 1)
        assert.is_true(v >= 0 and v < math.huge)
        sum = sum + v
      end
      assert.is_true(sum / (48 * 32 * 3) > 0.02, "the picture is black")
    end)
  end

  it("says what is in it: the terrain has over a million triangles", function()
    local result = run.rtlua { "info", "scenes/terrain.lua", "--json" }
    assert.equal(0, result.code, result.stderr)
    local info = cjson.decode(result.stdout)
    assert.is_true(info.triangles > 1e6)
    assert.equal(64, #info.hash)
  end)

  it("shares geometry: ten thousand instances store one mesh", function()
    local result = run.rtlua { "info", "scenes/instances.lua", "--json" }
    local info = cjson.decode(result.stdout)
    assert.is_true(info.instances >= 10000)
    assert.is_true(info.placed_triangles >= 10000 * (info.triangles - 1000))
  end)
end)
