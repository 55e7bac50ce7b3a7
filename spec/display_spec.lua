-- From light to a display: dithering, white balance and tone curves.

local color = require "rtlua.color"
local folder = require "spec.support.folder"
local images = require "rtlua.core.image"
local render_options = require "rtlua.render_options"
local run = require "spec.support.run"

local dir

before_each(function() dir = folder.new() end)
after_each(function() dir:remove() end)

local function path(name) return dir.path .. "/" .. name end

local function decode(v) return v <= 0.04045 and v / 12.92 or ((v + 0.055) / 1.055) ^ 2.4 end
local function encode(v) return v <= 0.0031308 and 12.92 * v or 1.055 * v ^ (1 / 2.4) - 0.055 end

--- The integers of a PNG of `bits` bits: function (x, y, channel).
local function saved(image, options, bits)
  assert(image:save(path "a.png", options))
  local back, most = assert(images.load(path "a.png", true)), (1 << (bits or 8)) - 1
  return function(x, y, c) return back:pixel(x, y)[c or 1] * most end
end

local function flat(width, height, ...)
  local image = images.new(width, height, select("#", ...))
  for y = 0, height - 1 do
    for x = 0, width - 1 do image:set(x, y, { ... }) end
  end
  return image
end

describe("dithering", function()
  it("has the value itself as its mean, out of the two nearest levels, evenly spread", function()
    for _, level in ipairs { 0.3, 17.5, 100.04, 100.25, 200.7, 254.9 } do
      local at = saved(flat(64, 64, decode(level / 255)))
      local whole = 0
      for by = 0, 56, 8 do
        for bx = 0, 56, 8 do
          local sum = 0
          for y = by, by + 7 do
            for x = bx, bx + 7 do
              local v = at(x, y)
              assert.is_true(math.abs(v - math.floor(level)) < 1e-3 or math.abs(v - math.ceil(level)) < 1e-3, v)
              sum = sum + v
            end
          end
          -- 64 pixels, of which 64 thresholds decide: no block is far from its share.
          assert.near(level, sum / 64, 0.12)
          whole = whole + sum
        end
      end
      assert.near(level, whole / 4096, 0.02)
    end
  end)

  it("leaves what 8 bits hold exactly, grey grey, and 16 bits alone", function()
    local levels = images.new(256, 8, 3)
    for y = 0, 7 do
      for x = 0, 255 do levels:set(x, y, { decode(x / 255), decode((255 - x) / 255), decode((x * 7 % 256) / 255) }) end
    end
    assert(levels:save(path "a.png"))
    assert(images.load(path "a.png"):save(path "b.png"))
    assert(levels:save(path "c.png", { dither = false }))
    assert.equal(dir:read "a.png", dir:read "b.png")
    assert.equal(dir:read "a.png", dir:read "c.png")

    local ramp = images.new(200, 3, 3)
    for y = 0, 2 do
      for x = 0, 199 do ramp:set(x, y, { x / 999, x / 999, x / 999 }) end
    end
    local at, other = saved(ramp), 0
    for x = 0, 199 do assert.same({ at(x, 1, 1), at(x, 1, 1) }, { at(x, 1, 2), at(x, 1, 3) }) end
    local rounded = saved(ramp, { dither = false })
    for x = 0, 199 do
      assert.near(encode(x / 999) * 255, rounded(x, 0), 0.501)
      other = other + (math.abs(at(x, 0) - rounded(x, 0)) > 0.5 and 1 or 0)
    end
    assert.is_true(other > 30)
    saved(ramp, { bits = 16 })
    local deep = dir:read "a.png"
    saved(ramp, { bits = 16, dither = false })
    assert.equal(deep, dir:read "a.png")
  end)

  it("follows the whole picture, so that crops join", function()
    dir:write("scene.lua", [[
      local rt = require "rtlua"
      return rt.scene {
        camera = rt.camera { from = { 0, 0, 5 } },
        render = { size = { 40, 30 }, spp = 1, quiet = true, filter = "box" },
        background = { top = 0.3, bottom = 0.2 },
      }]])
    local function render(...)
      local result = run.rtlua({ "scene.lua", ... }, { cwd = dir.path })
      assert.equal(0, result.code, result.stderr)
    end
    render("-o", "whole.png", "-o", "whole.exr", "--exr-type", "float")
    render("-o", "crop.png", "-o", "crop.exr", "--crop", "13,7,31,22", "--exr-type", "float")
    local whole, crop = images.load(path "whole.png", true), images.load(path "crop.png", true)
    for y = 0, 14 do
      for x = 0, 17 do assert.same(whole:pixel(x + 13, y + 7), crop:pixel(x, y)) end
    end
    -- An EXR knows its place, too: what is converted from it is the same.
    assert.equal(0, run.rtlua({ "convert", "crop.exr", "again.png" }, { cwd = dir.path }).code)
    local again = images.load(path "again.png", true)
    for y = 0, 14 do
      for x = 0, 17 do assert.same(crop:pixel(x, y), again:pixel(x, y)) end
    end
  end)
end)

describe("white balance", function()
  local function balanced(pixel, temperature, tint)
    local image = images.new(1, 1, 3)
    image:set(0, 0, pixel)
    local at = saved(image, render_options.encode { white_balance = { temperature, tint or 0 }, bits = 16 }, 16)
    return { decode(at(0, 0, 1) / 65535), decode(at(0, 0, 2) / 65535), decode(at(0, 0, 3) / 65535) }
  end

  it("makes a black body of its temperature neutral and keeps its luminance", function()
    for _, temperature in ipairs { 2000, 2856, 4000, 6504, 12000, 40000 } do
      local r, g, b = color.kelvin(temperature)
      -- Within the digits in which the luminance of Rec. 709 and its matrix are usually written.
      for _, v in ipairs(balanced({ 0.3 * r, 0.3 * g, 0.3 * b }, temperature)) do assert.near(0.3, v, 1e-4) end
    end
  end)

  it("does nothing for D65, which is 6504 K and a little green", function()
    -- Its distance from the black bodies is .0032 in CIE 1960's u, v. The observer here is a fit.
    local matrix = color.white_balance(6504, 3000 * 0.0032)
    for i = 1, 9 do assert.near(i % 4 == 1 and 1 or 0, matrix[i], 0.015) end
  end)

  it("turns to blue for warm light, to red for cold, to magenta for green", function()
    local grey = { 0.2, 0.2, 0.2 }
    local warm, cold, green = balanced(grey, 3000), balanced(grey, 15000), balanced(grey, 6504, 60)
    assert.is_true(warm[3] > 0.25 and warm[1] < 0.18)
    assert.is_true(cold[1] > 0.22 and cold[3] < 0.17)
    assert.is_true(green[2] < green[1] and green[2] < green[3])
  end)

  it("leaves grey pictures, and what holds linear values", function()
    local options = render_options.encode { white_balance = { 3000, 0 }, tonemap = "agx", exposure = 2 }
    for _, name in ipairs { "a.exr", "a.pfm", "a.hdr" } do
      local image = flat(8, 8, 0.2, 0.5, 0.3)
      assert(image:save(path(name)))
      local plain = dir:read(name)
      assert(image:save(path(name), options))
      assert.equal(plain, dir:read(name))
    end
    local at = saved(flat(2, 2, 0.2), render_options.encode { white_balance = { 3000, 0 }, bits = 16 }, 16)
    assert.near(encode(0.2), at(0, 0) / 65535, 1e-5)
  end)

  it("is an option of the commands that write pictures", function()
    flat(4, 4, 0.2, 0.2, 0.2):save(path "a.pfm")
    local function convert(...) return run.rtlua({ "convert", "a.pfm", "b.png", ... }, { cwd = dir.path }) end
    for _, wrong in ipairs { "500", "warm", "5000,", "5000,200", "5000,1,2", "" } do
      assert.equal(64, convert("--white-balance=" .. wrong).code, wrong)
    end
    assert.equal(0, convert("--white-balance", "3000,5", "--dither", "false").code)
    assert.is_true(images.load(path "b.png"):pixel(0, 0)[3] > 0.25)
  end)
end)

describe("a tone curve", function()
  local function curve(name, v)
    return decode(saved(flat(1, 1, v, v, v), { tonemap = name, bits = 16 }, 16)(0, 0) / 65535)
  end

  it("is Hable's for filmic", function()
    local function hable(x)
      return (x * (0.15 * x + 0.05) + 0.004) / (x * (0.15 * x + 0.5) + 0.06) - 0.02 / 0.3
    end
    for _, v in ipairs { 0.001, 0.02, 0.18, 1, 3, 5.6 } do
      assert.near(math.min(1, hable(2 * v) / hable(11.2)), curve("filmic", v), 3e-5)
    end
    assert.near(1, curve("filmic", 5.6), 3e-5)
  end)

  it("is Hill's fit of the RRT and ODT for aces", function()
    -- Both of its matrices keep neutral colours; its middle grey is brightened by 1 / .6.
    for _, v in ipairs { 0.01, 0.18, 0.5, 1, 4 } do
      local x = v / 0.6
      local fit = (x * (x + 0.0245786) - 0.000090537) / (x * (0.983729 * x + 0.4329510) + 0.238081)
      assert.near(fit, curve("aces", v), 2e-4)
    end
  end)

  it("has middle grey at the middle of AgX's sigmoid", function()
    assert.near(0.5 ^ 2.2, curve("agx", 0.18), 1e-4)
    -- The ends: 10 stops below and 6.5 above.
    assert.near(0, curve("agx", 0.18 * 2 ^ -10), 1e-5)
    assert.near(1, curve("agx", 0.18 * 2 ^ 6.5), 1e-4)
  end)
end)
