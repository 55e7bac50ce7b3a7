-- What --noise gives: the error of each pixel's luminance, relative and as root mean square over the pixels that took
-- more than the least number of samples, against a reference of another seed with sixteen times their samples (for a
-- quarter of the noise); and how many samples it took, beside those that the same number for each pixel needs for that.
--
--     lua5.4 spec/bench/noise.lua [NOISE [SIZE [SCENE...]]]   -- 0.02, 24x18: the reference takes most of an hour

package.path = "./scripts/?.lua;./scripts/?/init.lua;./?.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local core_image = require "rtlua.core.image"
local folder = require "spec.support.folder"
local process = require "rtlua.process"

local LEAST = 16
local MOST = 1 << 22

local noise, size = tonumber(arg[1] or 0.02), arg[2] or "24x18"
local scenes = arg[3] and table.move(arg, 3, #arg, 1, {}) or { "cornell", "showcase" }
local dir <close> = folder.new()

-- Renders a scene: its picture, and how many samples each pixel has.
local function render(scene, ...)
  local path = dir.path .. "/a.pfm"
  local words = {
    "./rtlua", ("scenes/%s.lua"):format(scene), "--size", size, "--aov", "samples", "--quiet", "-o", path, check = true,
  }
  for i = 1, select("#", ...) do words[#words + 1] = tostring((select(i, ...))) end
  process.run(words)
  return assert(core_image.load(path)), assert(core_image.load(dir.path .. "/a.samples.pfm"))
end

local function luminance(image, x, y)
  local p = image:pixel(x, y)
  return 0.2126 * p[1] + 0.7152 * p[2] + 0.0722 * p[3]
end

-- Over the pixels that took more than the least.
local function error_of(image, reference, samples)
  local squares, n = 0, 0
  for y = 0, image.height - 1 do
    for x = 0, image.width - 1 do
      local truth = luminance(reference, x, y)
      if samples:pixel(x, y)[1] > LEAST and truth > 0 then
        squares, n = squares + (luminance(image, x, y) / truth - 1) ^ 2, n + 1
      end
    end
  end
  return math.sqrt(squares / n)
end

local function mean(samples)
  local sum = 0
  for y = 0, samples.height - 1 do
    for x = 0, samples.width - 1 do sum = sum + samples:pixel(x, y)[1] end
  end
  return sum / (samples.width * samples.height)
end

print(("--noise %g, %s\n"):format(noise, size))
print "| scene | error / noise | samples | the same number each: error / noise | needs, for that error |"
print "|---|---|---|---|---|"
for _, scene in ipairs(scenes) do
  local image, samples = render(scene, "--spp", MOST, "--noise", noise)
  local taken = mean(samples)
  local uniform = render(scene, "--spp", math.floor(taken), "--seed", 3)
  local reference = render(scene, "--spp", 16 * MOST // 4, "--noise", noise / 4, "--seed", 7)
  local ours, theirs = error_of(image, reference, samples), error_of(uniform, reference, samples)
  print(("| %s | %.2f | %.0f | %.2f | %.0f |"):format(scene, ours / noise, taken, theirs / noise,
    taken * (theirs / ours) ^ 2))
end
