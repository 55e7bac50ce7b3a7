-- rtlua diff: how far a picture is from a reference. Exit 1 where a limit is exceeded.

local core = require "rtlua.core.image"
local errors = require "rtlua.errors"
local image = require "rtlua.image"
local json = require "rtlua.json"
local output = require "rtlua.output"

local diff = {}

local function check(value, message, code)
  if not value then errors.raise(code, message) end
  return value
end

-- A display gets the colours that FLIP's authors use; formats of linear values get the errors themselves.
local function write_map(file, map)
  local display = file:lower():find "%.png$" or file:lower():find "%.jpe?g$"
  local picture = map
  if display then picture = check(core.magma(map)) end
  check(picture:save(file))
end

function diff.command(parsed)
  local options = parsed.options
  if options.map == "-" then errors.raise(errors.USAGE, "--map -: standard output has the figures: name a file") end
  if options.map then check(core.can_save(options.map)) end
  local a = check(core.load(parsed.arguments[1], false, options.layer))
  local b = check(core.load(parsed.arguments[2], false, options.layer))
  local d, map, code = image.compare(a, b, options.ppd)
  if not d then errors.raise(code, map) end
  if options.map then write_map(options.map, map) end
  if options.json then
    output.write(json.encode {
      schema = 1, mse = d.mse, relmse = d.relmse, psnr = d.psnr, ssim = d.ssim, flip = d.flip, equal = d.mse == 0,
    } .. "\n")
  else
    output.write(("mse     %.6g\nrelmse  %.6g\npsnr    %.2f dB\nssim    %.6f\nflip    %.6f\n"):format(
      d.mse, d.relmse, d.psnr, d.ssim, d.flip))
  end
  -- A figure that is not a number is within no limit.
  local function at_most(value, limit) return limit == nil or value <= limit end
  local function at_least(value, limit) return limit == nil or value >= limit end
  local close = at_most(d.mse, options.max_mse) and at_most(d.relmse, options.max_relmse)
    and at_least(d.psnr, options.min_psnr) and at_least(d.ssim, options.min_ssim) and at_most(d.flip, options.max_flip)
  return close and 0 or 1
end

return diff
