-- Pictures in and out: what is written is what was meant, and reads back as it was.

local folder = require "spec.support.folder"
local images = require "rtlua.core.image"

local dir

before_each(function() dir = folder.new() end)
after_each(function() dir:remove() end)

local function ramp(width, height, channels)
  local image = images.new(width, height, channels or 3)
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local pixel = { x / width, y / height, (x * y % 7) / 7, 1 }
      image:set(x, y, table.move(pixel, 1, channels or 3, 1, {}))
    end
  end
  return image
end

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "a"
  return pipe:close() == true, output
end

describe("a PFM file", function()
  it("reads back to the bit", function()
    local image = ramp(13, 7)
    image:set(3, 2, { 1e-30, 12345.678, 3e38 })
    assert(image:save(dir.path .. "/a.pfm"))
    local back = assert(images.load(dir.path .. "/a.pfm"))
    for y = 0, 6 do
      for x = 0, 12 do
        assert.same(image:pixel(x, y), back:pixel(x, y))
      end
    end
  end)

  it("has its rows from bottom to top, in either byte order", function()
    for _, case in ipairs { { "<", "-1.0" }, { ">", "1.0" } } do
      dir:write("a.pfm", "Pf\n1 2\n" .. case[2] .. "\n" .. string.pack(case[1] .. "ff", 0.25, 0.5))
      local image = assert(images.load(dir.path .. "/a.pfm"))
      assert.equal(0.5, image:pixel(0, 0)[1])
      assert.equal(0.25, image:pixel(0, 1)[1])
    end
  end)
end)

describe("a Radiance HDR file", function()
  it("reads back within the format's precision of 1/256 of the largest channel", function()
    local image = ramp(40, 9)
    assert(image:save(dir.path .. "/a.hdr"))
    local back = assert(images.load(dir.path .. "/a.hdr"))
    for y = 0, 8 do
      for x = 0, 39 do
        local a, b = image:pixel(x, y), back:pixel(x, y)
        local largest = math.max(table.unpack(a))
        for c = 1, 3 do
          assert.near(a[c], b[c], largest / 128)
        end
      end
    end
  end)
end)

describe("a PNG file", function()
  it("passes pngcheck and says sRGB, in 8 and 16 bits, with and without alpha", function()
    for _, bits in ipairs { 8, 16 } do
      for _, channels in ipairs { 1, 2, 3, 4 } do
        assert(ramp(19, 11, channels):save(dir.path .. "/a.png", { bits = bits, text = { { "Software", "rtlua" } } }))
        local ok, output = run(("pngcheck -v '%s/a.png'"):format(dir.path))
        assert.is_true(ok, output)
        assert.truthy(output:find "sRGB", output)
        assert.truthy(output:find "tEXt", output)
      end
    end
  end)

  it("is encoded by sRGB's curve and rounded to nearest", function()
    local image = images.new(5, 1, 3)
    -- Linear values of the encoded 0, 64, 128, 188 (about half the light) and 255.
    for x, encoded in ipairs { 0, 64, 128, 188, 255 } do
      local v = encoded / 255
      local linear = v <= 0.04045 and v / 12.92 or ((v + 0.055) / 1.055) ^ 2.4
      image:set(x - 1, 0, { linear, linear, linear })
    end
    assert(image:save(dir.path .. "/a.png"))
    local raw = assert(images.load(dir.path .. "/a.png", true))
    for x, encoded in ipairs { 0, 64, 128, 188, 255 } do
      assert.near(encoded / 255, raw:pixel(x - 1, 0)[1], 1e-6)
    end
    local decoded = assert(images.load(dir.path .. "/a.png"))
    assert.near(image:pixel(2, 0)[1], decoded:pixel(2, 0)[1], 1e-5)
  end)

  it("clips what is brighter than white, and NaN is black", function()
    local image = images.new(3, 1, 3)
    image:set(0, 0, { 7, -1, 0 / 0 })
    image:set(1, 0, { math.huge, 0.5, -math.huge })
    assert(image:save(dir.path .. "/a.png"))
    local raw = assert(images.load(dir.path .. "/a.png", true))
    assert.same({ 1, 0, 0 }, raw:pixel(0, 0))
    assert.equal(1, raw:pixel(1, 0)[1])
  end)

  it("holds straight alpha, whose colour memory multiplies", function()
    local image = images.new(1, 1, 4)
    image:set(0, 0, { 0.25, 0.1, 0, 0.5 })
    assert(image:save(dir.path .. "/a.png", { bits = 16 }))
    local back = assert(images.load(dir.path .. "/a.png")):pixel(0, 0)
    for c, expected in ipairs { 0.25, 0.1, 0, 0.5 } do
      assert.near(expected, back[c], 1e-4)
    end
  end)

  it("survives any byte that is wrong", function()
    assert(ramp(9, 9):save(dir.path .. "/a.png"))
    local good = dir:read "a.png"
    math.randomseed(1)
    for _ = 1, 500 do
      local at = math.random(#good)
      dir:write("b.png", good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1))
      local image, _, code = images.load(dir.path .. "/b.png")
      assert.is_true(image ~= nil or code == 65)
    end
  end)
end)

describe("tone mapping", function()
  for _, name in ipairs { "none", "agx", "aces", "filmic" } do
    it("is monotone and keeps black and greys: " .. name, function()
      local image = images.new(256, 1, 3)
      for x = 0, 255 do
        local v = 2 ^ (x / 16 - 12)
        image:set(x, 0, x == 0 and { 0, 0, 0 } or { v, v, v })
      end
      assert(image:save(dir.path .. "/a.png", { tonemap = name, bits = 16 }))
      local raw, last = assert(images.load(dir.path .. "/a.png", true)), 0
      assert.near(0, raw:pixel(0, 0)[1], 1e-4)
      for x = 1, 255 do
        local r, g, b = table.unpack(raw:pixel(x, 0))
        assert.is_true(r >= last)
        assert.near(r, g, 1e-3)
        assert.near(r, b, 1e-3)
        last = r
      end
      assert.is_true(last > 0.95)
    end)
  end

  it("follows exposure in stops", function()
    local image = images.new(1, 1, 3)
    image:set(0, 0, { 0.1, 0.1, 0.1 })
    assert(image:save(dir.path .. "/a.png", { exposure = 1, bits = 16 }))
    assert.near(0.2, assert(images.load(dir.path .. "/a.png")):pixel(0, 0)[1], 1e-4)
  end)
end)

describe("the difference of two images", function()
  it("has the metrics of their definitions", function()
    local a, b = images.new(2, 1, 3), images.new(2, 1, 3)
    a:set(0, 0, { 0.5, 0.5, 0.5 })
    b:set(0, 0, { 0.4, 0.5, 0.5 })
    local d = images.compare(a, b)
    -- One of six values differs by .1 where the reference is .4.
    assert.near(0.01 / 6, d.mse, 1e-8)
    assert.near(0.01 / (0.16 + 0.01) / 6, d.relmse, 1e-7)
    assert.equal(math.huge, images.compare(a, a).psnr)
  end)
end)
