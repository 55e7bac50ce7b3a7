-- rtlua diff: how far a picture is from a reference. Exit 1 where a limit is exceeded.

local core = require "rtlua.core.image"
local errors = require "rtlua.errors"
local json = require "rtlua.json"
local output = require "rtlua.output"

local diff = {}

local function load(path)
  local picture, message, code = core.load(path)
  if not picture then errors.raise(code, message) end
  return picture
end

function diff.command(parsed)
  local options = parsed.options
  local a, b = load(parsed.arguments[1]), load(parsed.arguments[2])
  local d, message, code = core.compare(a, b)
  if not d then errors.raise(code, message) end
  if options.json then
    output.write(json.encode { schema = 1, mse = d.mse, relmse = d.relmse, psnr = d.psnr, equal = d.mse == 0 } .. "\n")
  else
    output.write(("mse     %.6g\nrelmse  %.6g\npsnr    %.2f dB\n"):format(d.mse, d.relmse, d.psnr))
  end
  -- A figure that is not a number is within no limit.
  local function within(value, limit) return limit == nil or value <= limit end
  local close = within(d.mse, options.max_mse) and within(d.relmse, options.max_relmse)
    and (options.min_psnr == nil or d.psnr >= options.min_psnr)
  return close and 0 or 1
end

return diff
