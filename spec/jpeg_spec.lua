-- JPEG in and out. A block of one colour is its mean, which the format holds exactly but for the rounding of YCbCr.

local folder = require "spec.support.folder"
local images = require "rtlua.core.image"

local dir

before_each(function() dir = folder.new() end)
after_each(function() dir:remove() end)

local function path(name) return dir.path .. "/" .. name end

local function flat(width, height, pixel)
  local image = images.new(width, height, #pixel)
  for y = 0, height - 1 do
    for x = 0, width - 1 do image:set(x, y, pixel) end
  end
  return image
end

-- Hills of colour, as smooth as pictures are.
local function hills(width, height, channels)
  local image = images.new(width, height, channels)
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local pixel = {}
      for c = 1, channels do pixel[c] = 0.5 + 0.4 * math.sin(x * 0.11 * c + y * 0.07) end
      image:set(x, y, pixel)
    end
  end
  return image
end

--- The segments of a file up to its first scan: a list of { marker, content }.
local function segments(bytes)
  local out, at = {}, 3
  assert(bytes:sub(1, 2) == "\xff\xd8")
  repeat
    local marker, size = string.unpack(">I2I2", bytes, at)
    out[#out + 1] = { marker, bytes:sub(at + 4, at + 1 + size) }
    at = at + 2 + size
  until marker == 0xffda
  return out
end

describe("a JPEG file", function()
  it("holds the sRGB of a colour within the rounding of its components", function()
    for _, encoded in ipairs { { 0, 0, 0 }, { 255, 255, 255 }, { 188, 188, 188 }, { 200, 40, 90 }, { 10, 250, 128 } } do
      local linear = {}
      for c = 1, 3 do
        local v = encoded[c] / 255
        linear[c] = v <= 0.04045 and v / 12.92 or ((v + 0.055) / 1.055) ^ 2.4
      end
      assert(flat(19, 13, linear):save(path "a.jpg", { quality = 100 }))
      local back = assert(images.load(path "a.jpg", true))
      assert.same({ 19, 13, 3 }, { back.width, back.height, back.channels })
      for c = 1, 3 do
        assert.near(encoded[c], back:pixel(18, 12)[c] * 255, 2.01)
      end
      assert.near(linear[1], assert(images.load(path "a.jpg")):pixel(3, 3)[1], 0.02)
    end
  end)

  it("is grey for one channel, and leaves alpha out", function()
    for channels, expected in ipairs { 1, 1, 3, 3 } do
      assert(hills(20, 10, channels):save(path "a.jpeg"))
      assert.equal(expected, images.load(path "a.jpeg").channels)
    end
    -- Premultiplied colours before black.
    assert(flat(8, 8, { 0.25, 0.25, 0.25, 0.5 }):save(path "a.jpg"))
    assert.near(0.25, images.load(path "a.jpg"):pixel(4, 4)[1], 0.01)
  end)

  it("is JFIF with all components at full resolution, the same bytes each time", function()
    local image = hills(40, 30, 3)
    assert(image:save(path "a.jpg"))
    assert(image:save(path "b.jpg"))
    assert.equal(dir:read "a.jpg", dir:read "b.jpg")
    local found = {}
    for _, segment in ipairs(segments(dir:read "a.jpg")) do found[segment[1]] = segment[2] end
    assert.equal("JFIF\0", found[0xffe0]:sub(1, 5))
    local bits, height, width, n = string.unpack(">I1I2I2I1", found[0xffc0])
    assert.same({ 8, 30, 40, 3 }, { bits, height, width, n })
    for c = 0, 2 do assert.equal(0x11, found[0xffc0]:byte(8 + 3 * c)) end
    -- Nothing else: no comment, no time.
    for marker in pairs(found) do
      assert.is_true(({ [0xffe0] = 1, [0xffdb] = 1, [0xffc0] = 1, [0xffc4] = 1, [0xffda] = 1 })[marker] ~= nil)
    end
  end)

  it("is nearer to the picture, and larger, with a higher quality", function()
    local image, last_size, last_error = hills(64, 64, 3), 0, math.huge
    for _, quality in ipairs { 1, 25, 50, 75, 95, 100 } do
      assert(image:save(path "a.jpg", { quality = quality, dither = false }))
      local size = #dir:read "a.jpg"
      local mse = images.compare(images.load(path "a.jpg"), image).mse
      assert.is_true(size >= last_size and mse < last_error, quality)
      last_size, last_error = size, mse
    end
    assert.is_true(last_error < 1e-4)
    local saved = pcall(image.save, image, path "a.jpg", { quality = 0 })
    assert.is_false(saved)
  end)

  it("has at most 65500 pixels a side", function()
    local image, message, code = images.new(65501, 1, 1):save(path "a.jpg")
    assert.same({ nil, 64 }, { image, code })
    assert.truthy(message:find("65500", 1, true))
    assert.same({}, dir:list())
  end)
end)

describe("a JPEG that is wrong", function()
  local function load(bytes)
    dir:write("x.jpg", bytes)
    local image, message, code = images.load(path "x.jpg")
    if not image then
      assert.equal(65, code, message)
      assert.truthy(message:find("x.jpg: ", 1, true))
      assert.falsy(message:find "\n")
    end
    return image, message
  end

  it("in any byte is answered, or read", function()
    for channels = 1, 3, 2 do
      assert(hills(33, 21, channels):save(path "a.jpg"))
      local good = dir:read "a.jpg"
      math.randomseed(3)
      for i = 1, 400 do
        local at = math.random(3, i % 2 == 0 and 650 or #good)
        load(good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1))
      end
    end
  end)

  it("in any length is answered, where libjpeg itself would make something up", function()
    assert(hills(33, 21, 3):save(path "a.jpg"))
    local good = dir:read "a.jpg"
    assert.truthy(load(good))
    for size = 3, #good - 3, 7 do
      local image, message = load(good:sub(1, size))
      assert.falsy(image, size)
      assert.truthy(message:find("cut short", 1, true))
    end
  end)

  it("in its size is answered before memory is taken for it", function()
    assert(hills(33, 21, 3):save(path "a.jpg"))
    local good = dir:read "a.jpg"
    local at = good:find("\xff\xc0", 1, true)
    local image, message = load(good:sub(1, at + 4) .. string.pack(">I2I2", 65500, 65500) .. good:sub(at + 9))
    assert.falsy(image)
    assert.truthy(message:find("65500 x 65500 pixels cannot be in", 1, true), message)
  end)

  it("in CMYK colours is told what to do", function()
    -- Four components of a grey file's one, as Adobe writes them.
    assert(hills(8, 8, 1):save(path "a.jpg"))
    local good = dir:read "a.jpg"
    local frame, scan = good:find("\xff\xc0", 1, true), good:find("\xff\xda", 1, true)
    local head = good:sub(1, frame - 1) .. "\xff\xc0\0\20\8\0\8\0\8\4\1\x11\0\2\x11\0\3\x11\0\4\x11\0"
    local scan_head = "\xff\xda\0\14\4\1\0\2\0\3\0\4\0\0\63\0"
    local image, message = load(head .. good:sub(frame + 13, scan - 1) .. scan_head .. good:sub(scan + 10))
    assert.falsy(image)
    assert.truthy(message:find("CMYK", 1, true), message)
  end)
end)
