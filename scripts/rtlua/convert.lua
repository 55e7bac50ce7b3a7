-- rtlua convert: a picture in another format, with an exposure, a white balance and a tone curve.

local core = require "rtlua.core.image"
local errors = require "rtlua.errors"
local render_options = require "rtlua.render_options"
local run = require "rtlua.run"

local convert = {}

function convert.command(parsed)
  local from, to = parsed.arguments[1], parsed.arguments[2]
  run.check_output(to)
  local picture, message, code = core.load(from, false, parsed.options.layer)
  if not picture then errors.raise(code, message) end
  local ok
  ok, message, code = run.write_output(to, picture, render_options.encode(parsed.options))
  if not ok then errors.raise(code, message) end
  return 0
end

return convert
