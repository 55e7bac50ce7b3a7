-- Adaptive sampling: pixels stop by themselves, where their own samples say so: the same to the bit for any number of
-- threads, for crops and resumed renders, and near to what is known of the scene.

local folder = require "spec.support.folder"
local rt = require "rtlua"
local run = require "spec.support.run"

local CORNELL = "scenes/cornell.lua"

-- A folder, and cornell, small, in it; every file may be asked for by its name.
local function new()
  local dir = folder.new()
  local self = { dir = dir }
  function self.at(name) return dir.path .. "/" .. name end
  function self.render(output, ...)
    local result = run.rtlua {
      CORNELL, "--size", "37x21", "--noise", "0.3", "--aov", "samples", "-o", self.at(output), "--quiet", ...,
    }
    assert.equal(0, result.code, result.stderr)
  end
  function self.same(a, b)
    assert.is_true(dir:read(a .. ".pfm") == dir:read(b .. ".pfm"))
    assert.is_true(dir:read(a .. ".samples.pfm") == dir:read(b .. ".samples.pfm"))
  end
  return setmetatable(self, { __close = function() dir:remove() end })
end

describe("a pixel", function()
  it("whose samples are all the same stops at the first look", function()
    local image = rt.scene {
      camera = rt.camera { from = { 0, 0, 5 }, to = { 0, 0, 0 } }, background = 0.7,
    }:render { size = { 5, 4 }, spp = 1024, noise = 0.01, aov = "samples" }
    for x = 0, 4 do assert.same({ 16 }, image:aov("samples"):pixel(x, 2)) end
  end)

  it("takes 16, 32, 64, ... samples, as many as it needs and no more than spp", function()
    local t <close> = new()
    t.render("a.pfm", "--spp", "100")
    local samples, met = rt.image.load(t.at "a.samples.pfm"), {}
    for y = 0, 20 do
      for x = 0, 36 do met[samples:pixel(x, y)[1]] = true end
    end
    for count in pairs(met) do assert.is_truthy(({ [16] = 1, [32] = 1, [64] = 1, [100] = 1 })[count], count) end
    for _, count in ipairs { 16, 32, 64, 100 } do assert.is_true(met[count], count) end
  end)

  it("is as near to the truth as was asked", function()
    -- A wall that a round light of radiance 10 and radius 1, 3 before it, lights: from the point below its centre's
    -- axis at distance r the irradiance of a sphere is pi L (R / d)^2 cos, all of it above the horizon.
    local noise = 0.02
    local image = rt.scene {
      camera = rt.camera { type = "orthographic", height = 4, from = { 0, 0, 2 }, to = { 0, 0, 0 } },
      rt.quad { { -9, -9, 0 }, { 9, -9, 0 }, { 9, 9, 0 }, { -9, 9, 0 }, material = rt.diffuse { color = 0.5 } },
      rt.sphere { center = { 0, 0, 3 }, radius = 1, material = rt.light { radiance = 10 } },
    }:render { size = { 16, 16 }, spp = 65536, noise = noise, filter = "box", max_depth = 1, aov = "samples" }
    local squares, taken = 0, 0
    for y = 0, 15 do
      for x = 0, 15 do
        local px, py = (x + 0.5) / 4 - 2, 2 - (y + 0.5) / 4
        local d2 = px ^ 2 + py ^ 2 + 9
        local expected = 0.5 * 10 * 3 / d2 ^ 1.5
        squares = squares + (image:pixel(x, y)[1] / expected - 1) ^ 2
        taken = taken + image:aov("samples"):pixel(x, y)[1]
      end
    end
    assert.is_true(taken / 256 < 8192, "it never stops")
    assert.is_true(math.sqrt(squares / 256) <= noise, math.sqrt(squares / 256))
  end)
end)

describe("a render with a noise to stop at", function()
  it("does not depend on threads, crops or being resumed", function()
    local t <close> = new()
    t.render("a.pfm", "--spp", "300", "--threads", "1")
    t.render("b.pfm", "--spp", "300", "--threads", "7")
    t.same("a", "b")

    t.render("left.part", "--spp", "300", "--crop", "0,0,17,21")
    t.render("right.part", "--spp", "300", "--crop", "17,0,37,21", "--threads", "3")
    local merged = run.rtlua { "merge", "-o", t.at "b.pfm", t.at "right.part", t.at "left.part" }
    assert.equal(0, merged.code, merged.stderr)
    t.same("a", "b")

    for _, spp in ipairs { "7", "64", "150", "300" } do
      t.render("b.pfm", "--spp", spp, "--checkpoint", t.at "c.part", "--resume")
    end
    t.same("a", "b")
  end)

  it("says so in its PNG, the same as a merge", function()
    local t <close> = new()
    t.render("a.png", "--spp", "50")
    t.render("a.part", "--spp", "50")
    assert.equal(0, run.rtlua({ "merge", "-o", t.at "b.png", t.at "a.part" }).code)
    assert.is_true(t.dir:read "a.png" == t.dir:read "b.png")
    local spp = tonumber(t.dir:read("a.png"):match "spp\0([%d.]+)")
    assert.is_true(spp > 16 and spp < 50)
  end)

  it("counts what it needs: at the end all is done", function()
    local t <close> = new()
    local result = run.rtlua {
      CORNELL, "--size", "37x21", "--spp", "100", "--noise", "0.3", "-o", t.at "a.pfm", "--json",
    }
    local done = result.stdout:match '[^\n]*"event":"done"[^\n]*'
    assert.matches('"complete":true', done)
    assert.equal(done:match '"samples":(%d+)', done:match '"total":(%d+)')
    assert.is_true(tonumber(done:match '"samples":(%d+)') < 37 * 21 * 100)
  end)

  it("is refused for a range that does not begin at 0", function()
    local result = run.rtlua { CORNELL, "--noise", "0.1", "--samples", "4:9" }
    assert.equal(64, result.code)
    assert.matches("^rtlua: %-%-noise: [^\n]*cannot know when to stop: leave one of the two out\n$", result.stderr)
    local t <close> = new()
    t.render("a.pfm", "--samples", "0:40")
    t.render("b.pfm", "--spp", "40")
    t.same("a", "b")
  end)

  it("does not join with parts that have another noise, or that stopped too soon", function()
    local t <close> = new()
    t.render("left.part", "--spp", "300", "--crop", "0,0,17,21")
    t.render("right.part", "--spp", "16", "--crop", "17,0,37,21")
    local merged = run.rtlua { "merge", "-o", t.at "b.pfm", t.at "right.part", t.at "left.part" }
    assert.equal(65, merged.code)
    assert.matches("pixel %d+,%d+ has fewer than others", merged.stderr)
    local other = { CORNELL, "--size", "37x21", "--aov", "samples", "--crop", "17,0,37,21", "--quiet" }
    run.rtlua(table.move({ "-o", t.at "right.part" }, 1, 2, #other + 1, other))
    merged = run.rtlua { "merge", "-o", t.at "b.pfm", t.at "right.part", t.at "left.part" }
    assert.equal(65, merged.code)
    assert.matches("has another noise", merged.stderr)
  end)
end)
