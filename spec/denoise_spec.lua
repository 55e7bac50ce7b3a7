-- The denoiser on planes whose truth is known, through the command and by a stand-in for Open Image Denoise.

local core = require "rtlua.core.image"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local rt = require "rtlua"
local run = require "spec.support.run"

local SIZE = 48

-- Numbers of a fixed sequence (Numerical Recipes' generator of 32 bits), nearly normal: sums of twelve of them less 6.
local function gaussian()
  local state = 1
  return function()
    local sum = -6
    for _ = 1, 12 do
      state = (state * 1664525 + 1013904223) & 0xffffffff
      sum = sum + state / 0x100000000
    end
    return sum
  end
end

-- An image of functions (x, y) of its channels.
local function image(channels, value)
  local out = core.new(SIZE, SIZE, channels)
  for y = 0, SIZE - 1 do
    for x = 0, SIZE - 1 do out:set(x, y, { value(x, y) }) end
  end
  return out
end

local function constant(...)
  local values = { ... }
  return image(#values, function() return table.unpack(values) end)
end

local NOISE = 0.1

-- A picture of truth(x, y) in each channel with noise of standard deviation NOISE, and two halves' view of it. The
-- features are constant unless given.
local function noisy(truth, features)
  local random = gaussian()
  local function grain() return NOISE * random(), NOISE * random(), NOISE * random() end
  local input = {
    colour = image(3, function(x, y)
      local r, g, b = grain()
      local v = truth(x, y)
      return v + r, v + g, v + b
    end),
    error = image(3, grain), variance = constant(NOISE * NOISE),
    albedo = constant(0.5, 0.5, 0.5), normal = constant(0, 0, 1), depth = constant(4),
    albedo_error = constant(0, 0, 0), normal_error = constant(0, 0, 0), depth_error = constant(0),
  }
  for name, value in pairs(features or {}) do input[name] = value end
  return input
end

local function clean_of(input, threads) return assert(core.denoise(input, threads or 2)) end

-- Over pixels x from begin to before `behind`: the root mean square of the difference from truth, and its mean.
local function errors_of(picture, truth, begin, behind)
  local squares, sum, n = 0, 0, 0
  for y = 0, SIZE - 1 do
    for x = begin or 0, (behind or SIZE) - 1 do
      for _, v in ipairs(picture:pixel(x, y)) do
        local d = v - truth(x, y)
        squares, sum, n = squares + d * d, sum + d, n + 1
      end
    end
  end
  return math.sqrt(squares / n), sum / n
end

local function same(a, b)
  for y = 0, a.height - 1 do
    for x = 0, a.width - 1 do
      for c, v in ipairs(a:pixel(x, y)) do
        if v ~= b:pixel(x, y)[c] then return false end
      end
    end
  end
  return true
end

describe("the denoiser", function()
  -- A window has 17 by 17 pixels: were all weights 1, the mean's deviation would be a 17th of the noise; at the border
  -- and with the weights' own noise it is more.
  it("makes a noisy constant constant, and keeps its mean", function()
    local function truth() return 1 end
    local input = noisy(truth)
    local before, mean_before = errors_of(input.colour, truth)
    local after, mean_after = errors_of(clean_of(input), truth)
    assert.is_true(before > 0.95 * NOISE and before < 1.05 * NOISE)
    assert.is_true(after < NOISE / 7, after)
    assert.is_true(math.abs(mean_after - mean_before) < NOISE / 50)
  end)

  it("keeps a slope: it fits planes", function()
    local function truth(x, y) return 1 + x / 80 + y / 200 end
    local clean = clean_of(noisy(truth))
    local after, mean = errors_of(clean, truth)
    assert.is_true(after < NOISE / 4, after)
    assert.is_true(math.abs(mean) < NOISE / 20)
    -- The mean of what is around a pixel of the left border would be up to 4 / 80 too bright.
    local _, border = errors_of(clean, truth, 0, 1)
    assert.is_true(math.abs(border) < 0.02, border)
  end)

  -- A step of half of the noise: no patch of 49 pixels shows that it is not noise, while the features do.
  local STEP = 0.05
  local function step(x) return x < SIZE / 2 and 1 or 1 + STEP end
  local function two(a, b)
    return image(#a, function(x) return table.unpack(x < SIZE / 2 and a or b) end)
  end

  for name, feature in pairs {
    albedo = { { 0.2, 0.2, 0.2 }, { 0.8, 0.2, 0.2 } },
    normal = { { 0, 0, 1 }, { 0, 1, 0 } },
    depth = { { 4 }, { 8 } },
  } do
    it(("keeps an edge of the %s"):format(name), function()
      local with = clean_of(noisy(step, { [name] = two(feature[1], feature[2]) }))
      local without = clean_of(noisy(step))
      local function jump(picture)
        local _, left = errors_of(picture, function() return 1 end, SIZE / 2 - 4, SIZE / 2)
        local _, right = errors_of(picture, function() return 1 end, SIZE / 2, SIZE / 2 + 4)
        return right - left
      end
      assert.is_true(math.abs(jump(with) - STEP) < 0.2 * STEP, jump(with))
      assert.is_true(jump(without) < 0.7 * STEP, jump(without))
    end)
  end

  it("leaves a picture without noise as it is, whatever it shows", function()
    local random = gaussian()
    local input = noisy(function() return math.abs(random()) end)
    input.error = constant(0, 0, 0)
    assert.is_true(same(input.colour, clean_of(input)))
  end)

  it("leaves detail that noise does not explain", function()
    local function truth(x, y) return (x // 4 + y // 4) % 2 == 0 and 1 or 2 end
    local after = errors_of(clean_of(noisy(truth)), truth)
    assert.is_true(after < NOISE, after)
  end)

  -- One path of 20 that no other pixel found, as its own error says.
  it("does not spread a firefly, while a highlight that all samples see stays", function()
    local function truth() return 1 end
    local M = SIZE // 2
    local input, fly = noisy(truth), 20
    local function brighten(error)
      input.colour:set(M, M, { fly, fly, fly })
      input.error:set(M, M, { error, error, error })
      input.variance:set(M, M, { math.max(error, NOISE) ^ 2 })
    end
    brighten(fly)
    local after = errors_of(clean_of(input), truth)
    assert.is_true(after < NOISE / 7, after)
    brighten(NOISE)
    assert.is_true(math.abs(clean_of(input):pixel(M, M)[1] - fly) < 3 * NOISE)
  end)

  it("gives the same bytes for any number of threads", function()
    local input = noisy(function(x, y) return 1 + math.floor(x / 20) * 0.1 + y / 100 end)
    local one = clean_of(input, 1)
    assert.is_true(same(one, clean_of(input, 2)))
    assert.is_true(same(one, clean_of(input, 7)))
  end)

  it("of a picture 2^20 times as bright is 2^20 times as bright", function()
    local input = noisy(function(x) return 1 + x / 30 end)
    local bright = {}
    for name, plane in pairs(input) do
      local factor = (name == "colour" or name == "error") and 2 ^ 20 or name == "variance" and 2 ^ 40 or 1
      bright[name] = image(plane.channels, function(x, y)
        local p = plane:pixel(x, y)
        for i, v in ipairs(p) do p[i] = v * factor end
        return table.unpack(p)
      end)
    end
    local dim = clean_of(input)
    assert.is_true(same(clean_of(bright), image(3, function(x, y)
      local p = dim:pixel(x, y)
      return p[1] * 2 ^ 20, p[2] * 2 ^ 20, p[3] * 2 ^ 20
    end)))
  end)

  it("keeps alpha, takes depths at infinity, and works on one pixel", function()
    local input = noisy(function() return 1 end, { depth = two({ 4 }, { math.huge }) })
    input.colour = image(4, function(x, y) return 1 + x % 2 * 0.1, 1, 1, y / SIZE end)
    local out = clean_of(input)
    assert.equal(input.colour:pixel(3, 40)[4], out:pixel(3, 40)[4])
    local one = {}
    for name, plane in pairs(noisy(function() return 1 end)) do
      one[name] = core.new(1, 1, plane.channels)
      one[name]:set(0, 0, plane:pixel(0, 0))
    end
    -- A single pixel has none to be averaged with: its value stays, to the rounding of the fit.
    assert.is_true(math.abs(clean_of(one):pixel(0, 0)[1] - one.colour:pixel(0, 0)[1]) < 1e-6)
  end)

  it("refuses what is not a film's", function()
    local function refused(change, code, words)
      local input = noisy(function() return 1 end)
      for name, value in pairs(change) do input[name] = value end
      local out, message, number = core.denoise(input, 1)
      assert.is_nil(out)
      assert.equal(code, number)
      assert.matches(words, message)
    end
    refused({ albedo = core.new(SIZE, SIZE - 1, 3) }, 64, "albedo is 48x47: it must be 48x48")
    refused({ depth = core.new(SIZE, SIZE, 3) }, 64, "depth has 3 channels")
    refused({ normal = constant(0, 0 / 0, 0) }, 65, "normal has %-?nan")
    refused({ colour = constant(1, 1, math.huge) }, 65, "colour has inf")
    refused({ error = constant(1e20, 0, 0) }, 65, "error has 1e%+20")
    assert.has_error(function() core.denoise({}, 1) end)
  end)
end)

describe("--denoise", function()
  local SCENE = "scenes/cornell.lua"
  local function rtlua(...)
    local result = run.rtlua { ... }
    assert.equal(0, result.code, result.stderr)
    return result
  end

  it("writes the clean picture, and the noisy one beside it in an EXR", function()
    local dir <close> = folder.new()
    local function at(name) return dir.path .. "/" .. name end
    rtlua(SCENE, "--size", "40x40", "--spp", "32", "--quiet", "-o", at "plain.pfm")
    rtlua(SCENE, "--size", "40x40", "--spp", "32", "--quiet", "--denoise", "-o", at "clean.exr", "-o", at "clean.pfm",
      "--exr-type", "float", "--threads", "1")
    rtlua(SCENE, "--size", "40x40", "--spp", "32", "--quiet", "--denoise", "builtin", "-o", at "again.pfm", "--threads",
      "3")
    assert.is_true(dir:read "clean.pfm" == dir:read "again.pfm")
    rtlua("convert", at "clean.exr", at "noisy.pfm", "--layer", "noisy")
    assert.is_true(dir:read "plain.pfm" == dir:read "noisy.pfm")
    assert.is_nil(lfs.attributes(at "clean.noisy.pfm"))
    local reference = at "reference.pfm"
    rtlua(SCENE, "--size", "40x40", "--spp", "256", "--seed", "5", "--quiet", "-o", reference)
    local function relmse(name) return rt.image.compare(rt.image.load(at(name)), rt.image.load(reference)).relmse end
    assert.is_true(relmse "clean.pfm" < 0.6 * relmse "plain.pfm")
  end)

  it("gives way to a signal: the picture is written as it is", function()
    local dir <close> = folder.new()
    local function at(name) return dir.path .. "/" .. name end
    local function arguments(...) return { SCENE, "--size", "400x300", "--spp", "1", "-o", ... } end
    rtlua(table.unpack(arguments(at "plain.pfm", "--quiet")))
    rtlua(table.unpack(arguments(at "whole.part", "--quiet", "--denoise", "--checkpoint", at "film")))
    -- All samples are there: what is left when it says that it has rendered is to denoise, which takes seconds.
    local result = run.rtlua(
      arguments(at "stopped.pfm", "--json", "--denoise", "--checkpoint", at "film", "--resume"),
      { signal = "INT", ready = "\"done\"" })
    assert.equal(130, result.code, result.stderr)
    assert.equal("", result.stderr)
    assert.is_true(dir:read "plain.pfm" == dir:read "stopped.pfm")
  end)

  it("of merged parts is that of the whole, with crops and --noise, too", function()
    local dir <close> = folder.new()
    local function at(name) return dir.path .. "/" .. name end
    local common = { SCENE, "--size", "40x30", "--spp", "32", "--noise", "0.2", "--denoise", "--quiet" }
    local function render(...) rtlua(table.unpack(table.move({ ... }, 1, select("#", ...), #common + 1,
      table.move(common, 1, #common, 1, {})))) end
    render("-o", at "whole.pfm")
    render("-o", at "a.part", "--crop", "0,0,17,30")
    render("-o", at "b.part", "--crop", "17,0,40,30")
    rtlua("merge", "-o", at "merged.pfm", "--denoise", at "b.part", at "a.part")
    assert.is_true(dir:read "whole.pfm" == dir:read "merged.pfm")
    assert.is_nil(lfs.attributes(at "merged.albedo.pfm"))
    rtlua(SCENE, "--size", "40x30", "--spp", "1", "--quiet", "-o", at "bare.part")
    local result = run.rtlua { "merge", "-o", at "merged.png", "--denoise", at "bare.part" }
    assert.equal(65, result.code)
    assert.matches("^rtlua: %-%-denoise: the parts have no albedo: render them with %-%-denoise, too\n$", result.stderr)
  end)

  it("takes a scene's word, and no other than the denoisers' names", function()
    local scene = rt.scene {
      camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } }, background = { top = 1, bottom = 0 },
      rt.sphere { center = { 0, 0, 0 }, radius = 1, material = rt.diffuse { color = 0.5 } },
    }
    local picture = scene:render { size = { 16, 16 }, spp = 16, denoise = "builtin" }
    local noise = picture:aov "noisy"
    assert.is_false(same(picture, noise))
    assert.is_true(same(noise, scene:render { size = { 16, 16 }, spp = 16 }))
    assert.has_error(function() scene:render { denoise = "fast" } end)
    assert.equal(64, run.rtlua({ SCENE, "--denoise=fast" }).code)
  end)
end)

-- ---- Open Image Denoise

-- Its calls, as lines of a file; the picture comes out as the colour times the albedo. Version 1 has other names.
local STAND_IN = [[
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { char *data; size_t width, height, pixel, row; } plane;
static plane planes[4];
static FILE *record;
static const char *problem;
static plane *find(const char *name) {
  return &planes[name[0] == 'c' ? 0 : name[0] == 'a' ? 1 : name[0] == 'n' ? 2 : 3];
}
void *oidnNewDevice(int type) {
  record = fopen(getenv("STAND_IN_RECORD"), "w");
  fprintf(record, "device %d\n", type);
  return planes;
}
void SET_INT(void *d, const char *name, int v) { (void)d; fprintf(record, "%s %d\n", name, v); }
void oidnCommitDevice(void *d) { (void)d; problem = getenv("STAND_IN_PROBLEM"); }
int oidnGetDeviceError(void *d, const char **m) { (void)d; *m = problem; return problem ? 1 : 0; }
void oidnReleaseDevice(void *d) { (void)d; fprintf(record, "released\n"); fclose(record); }
void *oidnNewFilter(void *d, const char *type) { (void)d; fprintf(record, "filter %s\n", type); return planes + 1; }
void oidnSetSharedFilterImage(void *f, const char *name, void *data, int format, size_t w, size_t h, size_t offset,
                              size_t pixel, size_t row) {
  (void)f;
  fprintf(record, "%s %d %zux%zu\n", name, format, w, h);
  *find(name) = (plane){(char *)data + offset, w, h, pixel, row};
}
void SET_BOOL(void *f, const char *name, bool v) { (void)f; fprintf(record, "%s %d\n", name, v); }
void oidnCommitFilter(void *f) { (void)f; }
void oidnExecuteFilter(void *f) {
  (void)f;
  for (size_t y = 0; y < planes[0].height; y++)
    for (size_t x = 0; x < planes[0].width; x++)
      for (int c = 0; c < 3; c++) {
        float v[3];
        for (int i = 0; i < 2; i++) memcpy(&v[i], planes[i].data + y * planes[i].row + x * planes[i].pixel + 4 * c, 4);
        v[2] = v[0] * v[1];
        memcpy(planes[3].data + y * planes[3].row + x * planes[3].pixel + 4 * c, &v[2], 4);
      }
}
void oidnReleaseFilter(void *f) { (void)f; fprintf(record, "filter released\n"); }
]]

describe("--denoise oidn", function()
  it("without the library says so before it renders", function()
    local dir <close> = folder.new()
    local result = run.rtlua({
      "scenes/cornell.lua", "--spp", "1000000", "--denoise", "oidn", "-o", dir.path .. "/a.png",
    }, { env = { LD_LIBRARY_PATH = dir.path } })
    assert.equal(69, result.code)
    assert.matches("^rtlua: denoise: libOpenImageDenoise.so.2 [^\n]* cannot be loaded: install [^\n]*\n$",
      result.stderr)
    assert.is_nil(lfs.attributes(dir.path .. "/a.png"))
  end)

  for version, names in pairs {
    ["2"] = { int = "oidnSetDeviceInt", bool = "oidnSetFilterBool" },
    ["1"] = { int = "oidnSetDevice1i", bool = "oidnSetFilter1b" },
  } do
    it(("calls version %s of it"):format(version), function()
      local dir <close> = folder.new()
      local function at(name) return dir.path .. "/" .. name end
      dir:write("stand_in.c", STAND_IN)
      local compiled = run.program(os.getenv "CC" or "cc", {
        "-shared", "-fPIC", "-o", at("libOpenImageDenoise.so." .. version), "-DSET_INT=" .. names.int,
        "-DSET_BOOL=" .. names.bool, at "stand_in.c",
      })
      assert.equal(0, compiled.code, compiled.stderr)
      local env = { LD_LIBRARY_PATH = dir.path, STAND_IN_RECORD = at "record" }
      local words = {
        "scenes/cornell.lua", "--size", "24x20", "--spp", "2", "--threads", "3", "--quiet", "--aov", "albedo",
        "--denoise", "oidn", "-o", at "a.pfm", "-o", at "a.exr", "--exr-type", "float",
      }
      local result = run.rtlua(words, { env = env })
      assert.equal(0, result.code, result.stderr)
      assert.equal("device 1\nnumThreads 3\nfilter RT\ncolor 3 24x20\nalbedo 3 24x20\nnormal 3 24x20\n"
        .. "output 3 24x20\nhdr 1\nfilter released\nreleased\n", dir:read "record")
      assert.equal(0, run.rtlua({ "convert", at "a.exr", at "noisy.pfm", "--layer", "noisy" }).code)
      local clean, noise, albedo = rt.image.load(at "a.pfm"), rt.image.load(at "noisy.pfm"),
        rt.image.load(at "a.albedo.pfm")
      local p, q, a = clean:pixel(3, 10), noise:pixel(3, 10), albedo:pixel(3, 10)
      for c = 1, 3 do assert.is_true(math.abs(p[c] - q[c] * a[c]) <= 1e-6 * q[c]) end

      env.STAND_IN_PROBLEM = "no luck"
      result = run.rtlua(words, { env = env })
      assert.equal(69, result.code)
      assert.matches("denoise: Open Image Denoise: no luck: use %-%-denoise builtin", result.stderr)
      assert.is_true(dir:read "a.pfm" == dir:read "noisy.pfm") -- the picture is not lost
    end)
  end
end)
