-- Parts of a render: joined, resumed or made at once, they are the same picture to the bit; what does not fit together,
-- or is damaged, is refused.

local core_film = require "rtlua.core.film"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local run = require "spec.support.run"

local CORNELL = "scenes/cornell.lua"
local KILLS = 20 // (tonumber(os.getenv "RTLUA_SPEC_SCALE") or 1) + 2

-- A folder whose files can be named briefly, and rtlua with cornell or another scene, small, in it.
local function new()
  local dir = folder.new()
  local self = { dir = dir }
  function self.at(name) return dir.path .. "/" .. name end
  function self.has(name) return lfs.attributes(self.at(name)) ~= nil end
  function self.render(scene, output, ...)
    local result = run.rtlua { scene, "--size", "50x37", "--quiet", "-o", self.at(output), ... }
    assert.equal(0, result.code, result.stderr)
  end
  function self.merge(output, ...)
    local words = { "merge", "-o", self.at(output) }
    for _, name in ipairs { ... } do words[#words + 1] = name:sub(1, 2) == "--" and name or self.at(name) end
    return run.rtlua(words)
  end
  return setmetatable(self, { __close = function() dir:remove() end })
end

local function refused(result, code, words)
  assert.equal(code, result.code, result.stderr)
  assert.matches("^rtlua: [^\n]*\n$", result.stderr)
  assert.matches(words, result.stderr)
end

describe("crops and ranges of samples", function()
  it("join to the bytes of one render, in any order, also by way of other parts", function()
    local t <close> = new()
    t.render(CORNELL, "whole.pfm", "--spp", "23")
    t.render(CORNELL, "a.part", "--samples", "0:9")
    t.render(CORNELL, "b.part", "--samples", "9:23", "--crop", "0,0,21,37")
    t.render(CORNELL, "c.part", "--samples", "9:23", "--crop", "21,0,50,19")
    t.render(CORNELL, "d.part", "--samples", "9:23", "--crop", "21,19,50,37")
    for _, order in ipairs { { "a", "b", "c", "d" }, { "d", "a", "c", "b" }, { "c", "d", "b", "a" } } do
      for i, name in ipairs(order) do order[i] = name .. ".part" end
      local merged = t.merge("merged.pfm", table.unpack(order))
      assert.equal(0, merged.code, merged.stderr)
      assert.equal(t.dir:read "whole.pfm", t.dir:read "merged.pfm")
    end
    assert.equal(0, t.merge("right.part", "d.part", "c.part").code)
    assert.equal(0, t.merge("left.part", "b.part", "a.part").code)
    assert.equal(0, t.merge("merged.pfm", "right.part", "left.part").code)
    assert.equal(t.dir:read "whole.pfm", t.dir:read "merged.pfm")
  end)

  it("of a transparent picture keep its coverage; PNG says how many samples there are", function()
    local t <close> = new()
    local scene = t.dir:write("open.lua", [[
      local rt = require "rtlua"
      return rt.scene { camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } }, render = { transparent = true },
        rt.sphere { center = { 0, 0, 0 }, radius = 1, material = rt.light { radiance = 2 } } }]])
    t.render(scene, "whole.png", "--spp", "8")
    t.render(scene, "a.part", "--samples", "0:3")
    t.render(scene, "b.part", "--samples", "3:8")
    assert.equal(0, t.merge("merged.png", "b.part", "a.part").code)
    assert.equal(t.dir:read "whole.png", t.dir:read "merged.png")
  end)

  it("that leave something out, or come twice, give no picture", function()
    local t <close> = new()
    t.render(CORNELL, "a.part", "--samples", "0:2")
    t.render(CORNELL, "b.part", "--samples", "3:4")
    t.render(CORNELL, "crop.part", "--samples", "0:2", "--crop", "0,0,20,37")
    t.render(CORNELL, "more.part", "--samples", "1:4")
    refused(t.merge("m.pfm", "a.part", "b.part"), 65, "leave out")
    refused(t.merge("m.pfm", "crop.part"), 65, "pixel 20,0 has none")
    refused(t.merge("m.pfm", "a.part", "crop.part"), 65, "crop.part: .*%-%-allow%-overlap")
    refused(t.merge("m.pfm", "a.part", "more.part", "--allow-overlap"), 65, "each has others")
    assert.is_false(t.has "m.pfm")
    t.render(CORNELL, "whole.pfm", "--spp", "2")
    for _, order in ipairs { { "a.part", "crop.part" }, { "crop.part", "a.part" } } do
      assert.equal(0, t.merge("m.pfm", "--allow-overlap", table.unpack(order)).code)
      assert.equal(t.dir:read "whole.pfm", t.dir:read "m.pfm")
    end
  end)

  it("of another scene, or with other settings, are refused", function()
    local t <close> = new()
    t.render(CORNELL, "a.part", "--samples", "0:1")
    local others = {
      scene = { "scenes/spheres.lua" }, seed = { CORNELL, "--seed", "1" }, size = { CORNELL, "--size", "50x38" },
      max_depth = { CORNELL, "--max-depth", "3" }, filter = { CORNELL, "--filter", "box" },
      clamp_indirect = { CORNELL, "--clamp-indirect", "9" }, transparent = { CORNELL, "--transparent" },
    }
    for what, words in pairs(others) do
      t.render(words[1], "other.part", "--samples", "1:2", table.unpack(words, 2))
      refused(t.merge("m.pfm", "a.part", "other.part"), 65, "other.part: has another " .. what)
    end
  end)

  it("are asked for by a range that has something in it", function()
    for _, range in ipairs { "3:3", "4:2", "1", "a:b", "-1:2", "0:16777217" } do
      refused(run.rtlua { CORNELL, "--samples", range }, 64, "samples")
    end
    refused(run.rtlua { "merge", "a.part" }, 64, "%-o")
  end)
end)

describe("a stopped render", function()
  it("goes on to the bytes of one that was never stopped, killed at whatever moments", function()
    local t <close> = new()
    local seed = os.time()
    math.randomseed(seed)
    local words = { CORNELL, "--size", "160x120", "--spp", tostring(KILLS * 20), "--quiet" }
    local function render(options, ...)
      return run.rtlua(table.move({ ... }, 1, select("#", ...), #words + 1, { table.unpack(words) }), options)
    end
    local resumed = { "-o", t.at "b.pfm", "--checkpoint", t.at "c.part", "--resume" }
    local ended = 0
    for i = 1, KILLS do
      local signal = i % 4 == 0 and "TERM" or "KILL"
      local after = math.random() * (i % 5 == 0 and 1.5 or 0.4)
      local result = render({ signal = signal, after = after }, table.unpack(resumed))
      ended = ended + (result.code == 137 and 1 or 0)
      assert.is_true(result.code == 137 or result.code == 143 or result.code == 0, result.stderr)
      -- A process catches signals some milliseconds before it has loaded its scene.
      assert.truthy(core_film.load(t.at "c.part") or i == 1 and not t.has "c.part", "seed " .. seed)
    end
    assert.is_true(ended > KILLS / 2, "the render is too short to be killed")
    assert.equal(0, render({}, table.unpack(resumed)).code)
    assert.equal(0, render({}, "-o", t.at "a.pfm").code)
    assert.equal(t.dir:read "a.pfm", t.dir:read "b.pfm")
  end)

  it("takes more samples when it goes on with a higher spp, and none that it has", function()
    local t <close> = new()
    t.render(CORNELL, "a.pfm", "--spp", "5", "--checkpoint", t.at "c.part")
    t.render(CORNELL, "a.pfm", "--spp", "21", "--checkpoint", t.at "c.part", "--resume")
    t.render(CORNELL, "b.pfm", "--spp", "21")
    assert.equal(t.dir:read "b.pfm", t.dir:read "a.pfm")
    local result = run.rtlua { CORNELL, "--size", "50x37", "--spp", "21", "-o", t.at "a.pfm", "--checkpoint",
      t.at "c.part", "--resume", "--json" }
    assert.matches('"made":0,', result.stdout)
    assert.equal(t.dir:read "b.pfm", t.dir:read "a.pfm")
  end)

  it("takes what is missing, pixel by pixel, of a film that was joined from crops", function()
    local t <close> = new()
    t.render(CORNELL, "a.part", "--samples", "0:20", "--crop", "0,0,13,37")
    t.render(CORNELL, "b.part", "--samples", "3:9")
    t.render(CORNELL, "c.part", "--samples", "0:3", "--crop", "13,5,50,30")
    assert.equal(0, t.merge("film.part", "c.part", "a.part").code)
    refused(t.merge("film.part", "film.part", "b.part"), 65, "pixel 0,0")
    t.render(CORNELL, "b.part", "--samples", "3:9", "--crop", "20,0,50,37")
    assert.equal(0, t.merge("film.part", "film.part", "b.part").code)
    t.render(CORNELL, "a.pfm", "--spp", "24", "--checkpoint", t.at "film.part", "--resume")
    t.render(CORNELL, "b.pfm", "--spp", "24")
    assert.equal(t.dir:read "b.pfm", t.dir:read "a.pfm")
  end)

  it("refuses a checkpoint of something else, and leaves it as it is", function()
    local t <close> = new()
    t.render(CORNELL, "a.pfm", "--spp", "1", "--checkpoint", t.at "c.part")
    local before = t.dir:read "c.part"
    local function resume(scene, ...)
      return run.rtlua { scene, "--size", "50x37", "--quiet", "-o", t.at "b.pfm", "--checkpoint", t.at "c.part",
        "--resume", ... }
    end
    refused(resume "scenes/spheres.lua", 65, "c.part: has another scene")
    refused(resume(CORNELL, "--seed", "9"), 65, "c.part: has another seed")
    refused(resume(CORNELL, "--crop", "0,0,9,9"), 65, "c.part: is of another crop")
    assert.equal(before, t.dir:read "c.part")
    t.dir:write("c.part", "no film")
    refused(resume(CORNELL), 65, "c.part: is no part file")
    refused(run.rtlua { CORNELL, "--resume" }, 64, "checkpoint")
    refused(run.rtlua { CORNELL, "--checkpoint", t.at "none/c.part" }, 73, "none/c.part")
    assert.is_false(t.has "b.pfm")
  end)
end)

describe("a damaged part file", function()
  it("is refused: each of 1,000 flipped bits, each length, anything else", function()
    local t <close> = new()
    t.render(CORNELL, "a.part", "--samples", "0:3", "--crop", "7,3,17,9")
    local whole = t.dir:read "a.part"
    assert.truthy(core_film.load(t.at "a.part"))
    local function refuses(text)
      local film, message, code = core_film.load(t.dir:write("b.part", text))
      assert.is_nil(film)
      assert.equal(65, code)
      assert.matches("^[^\n]*b%.part: is [^\n]*$", message)
    end
    math.randomseed(20)
    for _ = 1, 1000 do
      local at = math.random(#whole)
      refuses(whole:sub(1, at - 1) .. string.char(whole:byte(at) ~ 1 << math.random(0, 7)) .. whole:sub(at + 1))
    end
    for n = 0, #whole - 1, 7 do refuses(whole:sub(1, n)) end
    refuses(whole .. "\0")
    refuses(("\255"):rep(500))
    assert.equal(66, select(3, core_film.load(t.dir.path)))
    assert.equal(66, select(3, core_film.load(t.at "none")))
  end)

  it("that asks for a huge film allocates none", function()
    local t <close> = new()
    t.render(CORNELL, "a.part", "--samples", "0:1", "--crop", "0,0,2,2")
    local text = t.dir:read "a.part"
    local huge = ("<I4"):pack(65536)
    -- Behind magic, format, version and scene: width and height; after five more fields the crop.
    local sized = text:sub(1, 92) .. huge .. huge .. text:sub(101, 120) .. ("<I4I4"):pack(0, 0) .. huge .. huge
      .. text:sub(137)
    local film, message = core_film.load(t.dir:write("b.part", sized))
    assert.is_nil(film)
    assert.matches("damaged", message)
  end)
end)
