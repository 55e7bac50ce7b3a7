-- OpenEXR in and out. What is written is read here by a parser of its own (the format is openexr.com's "OpenEXR File
-- Layout"), uncompressed; compressed files must read back as these do. oiiotool, where it is installed, reads them too.

local folder = require "spec.support.folder"
local images = require "rtlua.core.image"
local run = require "spec.support.run"

local SIZES = { [0] = 4, [1] = 2, [2] = 4 } -- bytes of uint, half, float

--- The attributes of a file as { name = { type, value } }, the channels as a list of { name, type }, and where the
--- header ends.
local function parse_header(bytes)
  local magic, version = string.unpack("<I4I4", bytes)
  assert(magic == 20000630)
  local at, attributes = 9, {}
  while bytes:byte(at) ~= 0 do
    local name, kind, size
    name, kind, size, at = string.unpack("<zzI4", bytes, at)
    attributes[name] = { kind, bytes:sub(at, at + size - 1) }
    at = at + size
  end
  local channels, list, where = {}, attributes.channels[2], 1
  while list:byte(where) ~= 0 do
    local name, kind, _, x, y
    name, kind, _, x, y, where = string.unpack("<zI4I4I4I4", list, where)
    assert(x == 1 and y == 1)
    channels[#channels + 1] = { name, kind }
  end
  return attributes, channels, at + 1, version
end

local function window(attribute) return { string.unpack("<i4i4i4i4", attribute[2]) } end

local function half_value(bits)
  local sign, exponent, mantissa = bits >> 15, bits >> 10 & 31, bits & 1023
  local v
  if exponent == 31 then
    v = mantissa == 0 and math.huge or 0 / 0
  elseif exponent == 0 then
    v = mantissa * 2.0 ^ -24
  else
    v = (1024 + mantissa) * 2.0 ^ (exponent - 25)
  end
  return sign == 1 and -v or v
end

local READ = {
  [0] = function(bytes, at) return (string.unpack("<I4", bytes, at)) end,
  [1] = function(bytes, at) return half_value(string.unpack("<I2", bytes, at)) end,
  [2] = function(bytes, at) return (string.unpack("<f", bytes, at)) end,
}

--- { channel = { [y] = { [x] = value } } } of an uncompressed file, from 0.
local function parse(bytes)
  local attributes, channels, at = parse_header(bytes)
  assert(attributes.compression[2] == "\0")
  local data = window(attributes.dataWindow)
  local width, height = data[3] - data[1] + 1, data[4] - data[2] + 1
  local out = {}
  for _, channel in ipairs(channels) do out[channel[1]] = {} end
  for line = 0, height - 1 do
    local offset = string.unpack("<I8", bytes, at + 8 * line)
    local y, size, here = string.unpack("<i4I4", bytes, offset + 1)
    assert(y == data[2] + line)
    for _, channel in ipairs(channels) do
      local row = {}
      for x = 0, width - 1 do
        row[x] = READ[channel[2]](bytes, here)
        here = here + SIZES[channel[2]]
        size = size - SIZES[channel[2]]
      end
      out[channel[1]][line] = row
    end
    assert(size == 0)
  end
  return out, attributes, channels
end

local function noise(width, height, channels)
  local image, state = images.new(width, height, channels), 1
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local pixel = {}
      for c = 1, channels do
        state = (state * 1103515245 + 12345) % 2 ^ 31
        pixel[c] = state / 2 ^ 31 * 4
      end
      image:set(x, y, pixel)
    end
  end
  return image
end

local function assert_same_pixels(a, b)
  assert.same({ a.width, a.height, a.channels }, { b.width, b.height, b.channels })
  for y = 0, a.height - 1 do
    for x = 0, a.width - 1 do assert.same(a:pixel(x, y), b:pixel(x, y)) end
  end
end

local dir

before_each(function() dir = folder.new() end)
after_each(function() dir:remove() end)

local function path(name) return dir.path .. "/" .. name end

describe("an EXR file", function()
  it("holds floats to the bit, by the names of their channels", function()
    for channels, names in ipairs { { "Y" }, { "Y", "A" }, { "R", "G", "B" }, { "R", "G", "B", "A" } } do
      local image = noise(7, 5, channels)
      assert(image:save(path "a.exr", { exr_type = "float", exr_compression = "none" }))
      local planes, _, list = parse(dir:read "a.exr")
      assert.equal(channels, #list)
      for y = 0, 4 do
        for x = 0, 6 do
          for c, name in ipairs(names) do assert.equal(image:pixel(x, y)[c], planes[name][y][x]) end
        end
      end
    end
  end)

  it("rounds to the nearest half, ties to even, and what is finite stays finite", function()
    -- Of two neighbours a and b: what lies at and around their middle. Subnormal, the least normal, 1, the largest.
    local values, expected = {}, {}
    for _, low in ipairs { 0, 1, 2, 1023, 1024, 1025, 0x3bff, 0x3c00, 0x3c01, 0x7bfd, 0x7bfe } do
      local a, b = half_value(low), half_value(low + 1)
      local middle = (a + b) / 2
      for _, case in ipairs {
        { a, low }, { middle, low + low % 2 }, { middle - (b - a) / 4096, low }, { middle + (b - a) / 4096, low + 1 },
      } do
        for sign = 1, -1, -2 do
          values[#values + 1], expected[#expected + 1] = sign * case[1], sign * half_value(case[2])
        end
      end
    end
    for value, half in pairs { [65519] = 65504, [65520] = 65504, [1e30] = 65504, [-1e30] = -65504, [1e-30] = 0 } do
      values[#values + 1], expected[#expected + 1] = value, half
    end
    for _, value in ipairs { math.huge, -math.huge } do
      values[#values + 1], expected[#expected + 1] = value, value
    end
    local image = images.new(#values + 1, 1, 1)
    for i, v in ipairs(values) do image:set(i, 0, { v }) end
    image:set(0, 0, { 0 / 0 })
    assert(image:save(path "a.exr", { exr_compression = "none" }))
    local row = parse(dir:read "a.exr").Y[0]
    for i, v in ipairs(expected) do assert.equal(v, row[i], ("%.9g"):format(values[i])) end
    assert.is_true(row[0] ~= row[0])
    -- Every half reads back as the float that it is.
    assert.equal(expected[3], images.load(path "a.exr"):pixel(3, 0)[1])
  end)

  it("reads back the same with every compression, in blocks of 16 lines and of one", function()
    for _, size in ipairs { { 1, 1 }, { 33, 16 }, { 9, 17 } } do
      for _, kind in ipairs { "half", "float" } do
        local image = noise(size[1], size[2], 3)
        assert(image:save(path "a.exr", { exr_type = kind, exr_compression = "none" }))
        local plain = assert(images.load(path "a.exr"))
        if kind == "float" then assert_same_pixels(image, plain) end
        for _, compression in ipairs { "zip", "zips" } do
          assert(image:save(path "b.exr", { exr_type = kind, exr_compression = compression }))
          assert_same_pixels(plain, assert(images.load(path "b.exr")))
          local attributes, _, table_at = parse_header(dir:read "b.exr")
          assert.equal(compression == "zip" and "\3" or "\2", attributes.compression[2])
          -- The first block's bytes begin behind the table of offsets, one for each block.
          local first = string.unpack("<I8", dir:read "b.exr", table_at)
          assert.equal(compression == "zip" and (size[2] + 15) // 16 or size[2], (first - table_at + 1) // 8)
        end
      end
    end
  end)

  it("says what it is, and not where or when", function()
    assert(noise(3, 2, 3):save(path "a.exr", { text = { { "Software", "rtlua" }, { "seed", "7" } } }))
    local attributes = parse_header(dir:read "a.exr")
    local names = {}
    for name in pairs(attributes) do names[#names + 1] = name end
    table.sort(names)
    assert.same({
      "Software", "channels", "chromaticities", "compression", "dataWindow", "displayWindow", "lineOrder",
      "pixelAspectRatio", "screenWindowCenter", "screenWindowWidth", "seed", "type",
    }, names)
    assert.same({ "string", "7" }, attributes.seed)
    local rec709 = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 }
    for i, v in ipairs { string.unpack("<ffffffff", attributes.chromaticities[2]) } do
      if i <= 8 then assert.near(rec709[i], v, 1e-7) end
    end
  end)

  it("has layers, each with its channels' names and types", function()
    local layers = {
      { name = "", channels = "RGBA", image = noise(5, 3, 4) },
      { name = "albedo", channels = "RGB", image = noise(5, 3, 3) },
      { name = "depth", channels = "Z", image = noise(5, 3, 1) },
      { name = "normal", channels = "XYZ", image = noise(5, 3, 3) },
      { name = "uv", channels = "UV", image = noise(5, 3, 2) },
      { name = "shape", channels = "I", image = images.new(5, 3, 1) },
    }
    layers[6].image:set(2, 1, { 16777216 })
    layers[6].image:set(3, 1, { -1 })
    assert(images.save_layers(layers, path "a.exr", { exr_compression = "none" }))
    local planes, _, list = parse(dir:read "a.exr")
    local expected = {
      { "A", 1 }, { "B", 1 }, { "G", 1 }, { "R", 1 }, { "Z", 2 }, { "albedo.B", 1 }, { "albedo.G", 1 },
      { "albedo.R", 1 }, { "normal.X", 2 }, { "normal.Y", 2 }, { "normal.Z", 2 }, { "shape.I", 0 }, { "uv.U", 2 },
      { "uv.V", 2 },
    }
    assert.same(expected, list)
    assert.equal(layers[4].image:pixel(4, 2)[2], planes["normal.Y"][2][4])
    assert.equal(layers[3].image:pixel(1, 2)[1], planes.Z[2][1])
    assert.equal(16777216, planes["shape.I"][1][2])
    assert.equal(0, planes["shape.I"][1][3])
    -- The picture is what else reads it.
    assert.equal(4, images.load(path "a.exr").channels)
    -- And each layer by its name.
    for i, channels in ipairs { false, 3, 1, 3, 3, 1 } do
      local layer = channels and assert(images.load(path "a.exr", false, layers[i].name))
      if layer then
        local pixel = layers[i].image:pixel(4, 2)
        if i == 5 then pixel[3] = 0 end
        assert.equal(channels, layer.channels)
        for c = 1, channels do assert.near(pixel[c], layer:pixel(4, 2)[c], 2e-3) end
      end
    end
    local result = run.rtlua({ "convert", "a.exr", "b.pfm", "--layer", "depth" }, { cwd = dir.path })
    assert.equal(0, result.code, result.stderr)
    assert.same(layers[3].image:pixel(1, 2), images.load(path "b.pfm"):pixel(1, 2))
    assert.equal(0, run.rtlua({ "diff", "a.exr", "a.exr", "--layer", "albedo" }, { cwd = dir.path }).code)
    result = run.rtlua({ "convert", "b.pfm", "c.png", "--layer", "depth" }, { cwd = dir.path })
    assert.equal(65, result.code)
    assert.equal("rtlua: b.pfm: has no layer 'depth': an EXR has layers\n", result.stderr)
    local gone, why, number = images.load(path "a.exr", false, "colour")
    assert.same({ nil, 65 }, { gone, number })
    assert.truthy(why:find("no layer 'colour': it has albedo, normal, shape, uv", 1, true), why)
    local ok, message, code = images.save_layers(layers, path "a.png")
    assert.same({ nil, 64 }, { ok, code })
    assert.truthy(message:find("an .exr can", 1, true))
    layers[2].name = ""
    ok, message, code = images.save_layers(layers, path "b.exr")
    assert.same({ nil, 64 }, { ok, code })
    assert.truthy(message:find "two layers have the channel 'R'", message)
    assert.same({ "a.exr", "b.pfm" }, dir:list())
  end)
end)

local SCENE = [[
local rt = require "rtlua"
return rt.scene {
  camera = rt.camera { from = { 1, 2, 5 }, to = { 0.2, 0.5, 0 }, fov = 50, %s },
  render = { size = { 64, 48 }, spp = 16, quiet = true, max_depth = 0, filter = "box" },
  rt.sphere { center = { 0.7, 0.4, 0.3 }, radius = 0.06, material = rt.light { radiance = 5 } },
}
]]

describe("a rendered EXR", function()
  local function render(...)
    local result = run.rtlua({ ... }, { cwd = dir.path })
    assert.equal(0, result.code, result.stderr)
  end

  it("has a crop as its data window and the picture as its display window, converted too", function()
    dir:write("scene.lua", SCENE:format "")
    render("scene.lua", "--crop", "10,5,50,40", "-o", "a.exr")
    render("convert", "a.exr", "b.exr", "--exr-type", "float")
    for _, name in ipairs { "a.exr", "b.exr" } do
      local attributes = parse_header(dir:read(name))
      assert.same({ 10, 5, 49, 39 }, table.move(window(attributes.dataWindow), 1, 4, 1, {}))
      assert.same({ 0, 0, 63, 47 }, table.move(window(attributes.displayWindow), 1, 4, 1, {}))
      assert.truthy(attributes.worldToNDC)
    end
  end)

  it("has matrices that take a point of the world to its pixel", function()
    for _, camera in ipairs { 'type = "perspective"', 'type = "orthographic", height = 3' } do
      dir:write("scene.lua", SCENE:format(camera))
      render("scene.lua", "-o", "a.exr")
      local attributes = parse_header(dir:read "a.exr")
      local function transform(name, p)
        local m, out = { string.unpack("<" .. ("f"):rep(16), attributes[name][2]) }, {}
        for column = 1, 4 do
          out[column] = p[1] * m[column] + p[2] * m[4 + column] + p[3] * m[8 + column] + m[12 + column]
        end
        return out
      end
      local ndc = transform("worldToNDC", { 0.7, 0.4, 0.3 })
      local x, y = ndc[1] / ndc[4] * 64, ndc[2] / ndc[4] * 48
      local picture = images.load(path "a.exr")
      assert.is_true(picture:pixel(math.floor(x), math.floor(y))[1] > 0, camera)
      -- From the camera: the point that it looks at is before it, up is up.
      local at = transform("worldToCamera", { 0.2, 0.5, 0 })
      assert.near(0, at[1], 1e-6)
      assert.near(0, at[2], 1e-6)
      assert.near(math.sqrt(0.8 ^ 2 + 1.5 ^ 2 + 5 ^ 2), at[3], 1e-6)
      assert.is_true(transform("worldToCamera", { 0.2, 0.6, 0 })[2] > 0)
    end
  end)

  it("is the same to the byte for any threads, and merged from crops", function()
    dir:write("scene.lua", SCENE:format "")
    render("scene.lua", "--threads", "1", "-o", "a.exr")
    render("scene.lua", "--threads", "3", "-o", "b.exr", "-o", "right.part", "-o", "c.png")
    assert.equal(dir:read "a.exr", dir:read "b.exr")
    render("scene.lua", "--crop", "0,0,30,48", "-o", "left.part")
    render("scene.lua", "--crop", "30,0,64,48", "-o", "right.part")
    render("merge", "-o", "b.exr", "right.part", "left.part")
    assert.equal(dir:read "a.exr", dir:read "b.exr")
  end)

  it("is read as an environment and as a texture", function()
    assert(noise(8, 4, 3):save(path "sky.exr"))
    dir:write("scene.lua", [[
      local rt = require "rtlua"
      return rt.scene {
        background = rt.envmap "sky.exr", camera = rt.camera { from = { 0, 0, 5 } }, render = { size = { 8, 6 } },
        rt.quad {
          { -1, -1, 0 }, { 1, -1, 0 }, { 1, 1, 0 }, { -1, 1, 0 },
          material = rt.light { radiance = 1, color = rt.image "sky.exr" },
        },
      }]])
    local result = run.rtlua({ "render", "scene.lua", "-o", "a.exr", "--quiet" }, { cwd = dir.path })
    assert.equal(0, result.code, result.stderr)
  end)
end)

describe("an EXR that is wrong", function()
  local function load(bytes)
    dir:write("x.exr", bytes)
    local image, message, code = images.load(path "x.exr")
    if not image then
      assert.equal(65, code, message)
      assert.truthy(message:find("x.exr: ", 1, true))
      assert.falsy(message:find "\n")
    end
    return image, message
  end

  it("in any byte is answered, or read", function()
    for _, compression in ipairs { "none", "zip", "zips" } do
      assert(noise(19, 18, 4):save(path "a.exr", { exr_compression = compression }))
      local good = dir:read "a.exr"
      math.randomseed(2)
      for i = 1, 250 do
        -- Half of them in the header, which decides most.
        local at = math.random(i % 2 == 0 and 500 or #good)
        load(good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1))
      end
    end
  end)

  it("in any length is answered", function()
    assert(noise(19, 18, 3):save(path "a.exr"))
    local good = dir:read "a.exr"
    assert.truthy(load(good))
    for size = 4, #good - 1, math.max(1, #good // 100) do
      assert.falsy(load(good:sub(1, size)))
    end
    assert.falsy(load(good:sub(1, -2)))
  end)

  it("in its size is answered before memory is taken for it", function()
    assert(noise(19, 18, 3):save(path "a.exr"))
    local good = dir:read "a.exr"
    local most, least = (1 << 31) - 1, -(1 << 31)
    for _, last in ipairs { { 65535, 65535 }, { 65536, 1 }, { most, most }, { -1, 5 }, { 5, least } } do
      local head = "dataWindow\0box2i\0\16\0\0\0"
      local at = good:find(head, 1, true) + #head
      assert.falsy(load(good:sub(1, at + 7) .. string.pack("<i4i4", last[1], last[2]) .. good:sub(at + 16)))
    end
  end)

  it("in its channels is told which it has", function()
    assert(images.save_layers({ { name = "albedo", channels = "RGB", image = noise(4, 4, 3) } }, path "a.exr"))
    local image, message, code = images.load(path "a.exr")
    assert.same({ nil, 65 }, { image, code })
    assert.truthy(message:find("albedo.B", 1, true), message)
  end)
end)

local found = os.execute "command -v oiiotool >/dev/null"

describe("OpenImageIO", function()
  if not found then
    pending "oiiotool is not here: apt-get install openimageio-tools"
    return
  end
  it("reads the same channels, windows and values", function()
    local picture = noise(20, 17, 3)
    local depth = noise(20, 17, 1)
    local layers = {
      { name = "", channels = "RGB", image = picture }, { name = "depth", channels = "Z", image = depth },
    }
    for _, compression in ipairs { "none", "zip", "zips" } do
      assert(images.save_layers(layers, path "a.exr", { exr_type = "float", exr_compression = compression }))
      -- Written again by it, uncompressed, and read by the parser here.
      local result = run.program("oiiotool", { "a.exr", "--compression", "none", "-o", "b.exr" }, { cwd = dir.path })
      assert.equal(0, result.code, result.stderr)
      local planes = parse(dir:read "b.exr")
      for y = 0, 16 do
        for x = 0, 19 do
          assert.same(picture:pixel(x, y), { planes.R[y][x], planes.G[y][x], planes.B[y][x] })
          assert.same(depth:pixel(x, y), { planes.Z[y][x] })
        end
      end
      result = run.program("oiiotool", { "--info", "-v", "a.exr" }, { cwd = dir.path })
      assert.truthy(result.stdout:find("channel list: R, G, B, Z", 1, true), result.stdout)
    end
  end)
  it("writes tiles, other compressions and line orders that are read", function()
    local picture = noise(70, 45, 3)
    assert(picture:save(path "a.exr"))
    local expected = images.load(path "a.exr")
    for _, arguments in ipairs {
      { "--tile", "32", "16" }, { "--compression", "piz" }, { "--compression", "rle", "--tile", "16", "16" },
      { "--compression", "pxr24" }, { "--attrib", "openexr:lineOrder", "decreasingY" }, { "-d", "float" },
    } do
      local all = { "a.exr", table.unpack(arguments) }
      table.move({ "-o", "b.exr" }, 1, 2, #all + 1, all)
      assert.equal(0, run.program("oiiotool", all, { cwd = dir.path }).code)
      assert_same_pixels(expected, assert(images.load(path "b.exr")))
    end
  end)
end)
