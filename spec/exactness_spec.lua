-- The same picture to the bit: for any number of threads, any crop, any scale by a power of two, and sums in any order.

local sha256 = require("rtlua.files").sha256_text
local rt = require "rtlua"
local probe = require "rtlua.core.probe"
local run = require "spec.support.run"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

local function temporary(extension)
  local name = os.tmpname()
  os.remove(name)
  local path = name .. extension
  finally(function() os.remove(path) end)
  return path
end

-- Renders through the command, as a user would.
local function render(scene, extension, ...)
  local path = temporary(extension)
  local result = run.rtlua { scene, "-o", path, "--quiet", ... }
  assert.equal(0, result.code, result.stderr)
  return read(path)
end

describe("a picture", function()
  for _, scene in ipairs { "scenes/cornell.lua", "scenes/cornell_boxes.lua", "scenes/stacked_spheres.lua" } do
    it("does not depend on the number of threads: " .. scene, function()
      local one = render(scene, ".pfm", "--size", "48x48", "--spp", "8", "--threads", "1")
      for _, threads in ipairs { "2", "3", "7" } do
        assert.is_true(one == render(scene, ".pfm", "--size", "48x48", "--spp", "8", "--threads", threads))
      end
    end)
  end

  it("is the same PNG file each time, without a host's name or a time in it", function()
    local first = render("scenes/cornell.lua", ".png", "--size", "32x32", "--spp", "4", "--threads", "1")
    assert.is_true(first == render("scenes/cornell.lua", ".png", "--size", "32x32", "--spp", "4", "--threads", "2"))
    assert.is_nil(first:find("tIME", 1, true))
  end)

  it("holds a crop to the bit", function()
    local whole, crop = temporary ".pfm", temporary ".pfm"
    local function render_to(path, ...)
      local result = run.rtlua { "scenes/cornell.lua", "--size", "40x30", "--spp", "8", "--quiet", "-o", path, ... }
      assert.equal(0, result.code, result.stderr)
    end
    render_to(whole)
    render_to(crop, "--crop", "7,5,29,18")
    local a, b = rt.image.load(whole), rt.image.load(crop)
    assert.same({ 22, 13 }, { b.width, b.height })
    for y = 0, b.height - 1 do
      for x = 0, b.width - 1 do
        assert.same(a:pixel(x + 7, y + 5), b:pixel(x, y))
      end
    end
  end)

  it("does not change when the whole scene, camera too, grows by 1024", function()
    -- The scene's own file, by constructors that multiply every length.
    local function picture(s)
      local function grow(v)
        if type(v) == "number" then return s * v end
        return { s * v[1], s * v[2], s * v[3] }
      end
      local lengths = {
        center = true,
        radius = true,
        from = true,
        to = true,
        focus = true,
        aperture = true,
        [1] = true,
        [2] = true,
        [3] = true,
        [4] = true,
      }
      local grown = {}
      for _, name in ipairs { "camera", "quad", "sphere" } do
        grown[name] = function(fields)
          for key, value in pairs(fields) do
            if lengths[key] then fields[key] = grow(value) end
          end
          return rt[name](fields)
        end
      end
      setmetatable(grown, { __index = rt })
      local env = setmetatable({ require = function() return grown end }, { __index = _G })
      local path = temporary ".pfm"
      assert(loadfile("scenes/cornell.lua", "t", env))():render({ size = { 48, 48 }, spp = 16 }):save(path)
      return read(path)
    end
    local small = picture(1)
    assert.is_true(small == render("scenes/cornell.lua", ".pfm", "--size", "48x48", "--spp", "16"))
    assert.is_true(small == picture(1024))
    assert.is_true(small == picture(2 ^ -10))
  end)

  it("changes with the seed", function()
    local a = render("scenes/cornell.lua", ".pfm", "--size", "16x16", "--spp", "2")
    assert.is_false(a == render("scenes/cornell.lua", ".pfm", "--size", "16x16", "--spp", "2", "--seed", "1"))
  end)
end)

describe("the film's sums", function()
  local function shuffled(list)
    local copy = table.move(list, 1, #list, 1, {})
    for i = #copy, 2, -1 do
      local j = math.random(i)
      copy[i], copy[j] = copy[j], copy[i]
    end
    return copy
  end

  it("do not depend on order", function()
    math.randomseed(1)
    local values = {}
    for i = 1, 10000 do
      values[i] = 10 ^ (24 * math.random() - 12)
    end
    local mean = probe.fixed_mean(values)
    for _ = 1, 10 do
      assert.equal(mean, probe.fixed_mean(shuffled(values)))
    end
  end)

  it("have a relative error below 2^-23 for radiances from 1e-12 to 1e12", function()
    math.randomseed(2)
    for exponent = -12, 11 do
      local values, sum = {}, 0
      for i = 1, 4096 do
        values[i] = string.unpack("f", string.pack("f", 10 ^ (exponent + math.random())))
        sum = sum + values[i]
      end
      assert.near(1, probe.fixed_mean(values) / (sum / #values), 2 ^ -23)
    end
  end)

  it("hold 2^24 samples of 1e12 without overflow", function()
    local mean, overflow = probe.fixed_mean({ 1e12 }, 2 ^ 24)
    assert.equal(string.unpack("f", string.pack("f", 1e12)), mean)
    assert.equal(0, overflow)
  end)

  it("count what is too bright and clamp it", function()
    local mean, overflow = probe.fixed_mean { 1e30 }
    assert.equal(1, overflow)
    assert.equal(2.0 ^ 40, mean)
  end)
end)

describe("SHA-256", function()
  -- NIST's examples, FIPS 180-4.
  it("gives NIST's digests", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sha256 "abc")
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", sha256 "")
    assert.equal(
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    )
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", sha256(("a"):rep(1000000)))
  end)

  it("is the same by the processor's own instructions and without them", function()
    local text = ("The quick brown fox jumps over the lazy dog. "):rep(20)
    for n = 0, 400 do assert.equal(probe.sha256_base(text:sub(1, n)), sha256(text:sub(1, n))) end
  end)
end)
