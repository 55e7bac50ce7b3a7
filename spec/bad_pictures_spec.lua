-- Pictures that are none, in every format that is read: one line on standard error, an exit code, and nothing written.

local folder = require "spec.support.folder"
local images = require "rtlua.core.image"
local run = require "spec.support.run"

local FORMATS = { "png", "jpg", "exr", "hdr", "pfm" }

local good = {}

setup(function()
  local dir <close> = folder.new()
  local image = images.new(40, 30, 3)
  for y = 0, 29 do
    for x = 0, 39 do image:set(x, y, { x / 40, y / 30, (x * y % 17) / 17 }) end
  end
  for _, format in ipairs(FORMATS) do
    assert(image:save(dir.path .. "/a." .. format))
    good[format] = dir:read("a." .. format)
  end
end)

--- Runs the command in a folder with the file `bad.FORMAT` of these bytes, and a good picture.
local function answer(format, bytes, arguments)
  local dir <close> = folder.new()
  if bytes then dir:write("bad." .. format, bytes) end
  dir:write("good.pfm", good.pfm)
  local before = dir:list()
  local result = run.rtlua(arguments, { cwd = dir.path })
  assert.same(before, dir:list())
  return result
end

local assert_line = run.assert_line

describe("a picture", function()
  for _, format in ipairs(FORMATS) do
    local name = "bad." .. format
    local convert = { "convert", name, "out.png" }
    it("that is empty, missing, a folder or cut short is answered: " .. format, function()
      assert_line(answer(format, "", convert), 65, "empty")
      assert_line(answer(format, nil, convert), 66, "bad%." .. format)
      assert_line(answer(format, nil, { "convert", ".", "out.png" }), 66, "%.: ")
      for _, size in ipairs { 1, 3, 20, #good[format] // 2, #good[format] - 3 } do
        assert_line(answer(format, good[format]:sub(1, size), convert), 65, "bad%." .. format .. ": ")
      end
    end)
    it("that is wrong is no reference, and makes no map: " .. format, function()
      local half = good[format]:sub(1, #good[format] // 2)
      assert_line(answer(format, half, { "diff", name, "good.pfm", "--map", "map.png" }), 65, "bad%." .. format)
      assert_line(answer(format, half, { "diff", "good.pfm", name, "--json" }), 65, "bad%." .. format)
    end)
    it("is not lost where its converted self cannot be written: " .. format, function()
      for out, code in pairs { ["out.gif"] = 64, ["out"] = 64, ["gone/out.png"] = 73 } do
        assert_line(answer(format, good[format], { "convert", name, out }), code, "out")
      end
    end)
  end

  -- The places where each format says its sides.
  local huge = {
    png = function(b) return b:sub(1, 16) .. string.pack(">I4I4", 65536, 65536) .. b:sub(25) end,
    jpg = function(b)
      local at = b:find("\xff\xc0", 1, true)
      return b:sub(1, at + 4) .. string.pack(">I2I2", 65500, 65500) .. b:sub(at + 9)
    end,
    exr = function(b)
      local _, at = b:find("dataWindow\0box2i\0....")
      return b:sub(1, at + 8) .. string.pack("<i4i4", 65535, 65535) .. b:sub(at + 17)
    end,
    hdr = function(b) return (b:gsub("%-Y 30 %+X 40", "-Y 65536 +X 65536")) end,
    pfm = function(b) return (b:gsub("40 30", "65536 65536")) end,
  }
  it("that claims more than it has is answered before memory is taken", function()
    for _, format in ipairs(FORMATS) do
      local bytes = huge[format](good[format])
      assert.not_equal(good[format], bytes)
      assert_line(answer(format, bytes, { "convert", "bad." .. format, "out.png" }), 65, "bad%." .. format .. ": ")
    end
  end)
end)
