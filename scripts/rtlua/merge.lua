-- rtlua merge: joins part files into a picture, or into a part again, exactly.

local core_film = require "rtlua.core.film"
local denoise = require "rtlua.denoise"
local errors = require "rtlua.errors"
local run = require "rtlua.run"
local system = require "rtlua.system"

local merge = {}

local function check(value, message, code)
  if value == nil then errors.raise(code, message) end
  return value, message
end

-- Named as the user named it, once: the core's messages begin with a part's name where it has one.
local function join(whole, path, allow_overlap)
  local part <close> = check(core_film.load(path))
  check(whole:join(part, path, allow_overlap))
end

function merge.command(parsed)
  local o = parsed.options
  if not o.output then
    errors.raise(errors.USAGE, "-o: merge needs the name of the picture, or of the .part file, to write")
  end
  run.check_outputs(o.output)
  run.check_denoiser(o)
  local whole <close> = core_film.new()
  for _, path in ipairs(parsed.arguments) do join(whole, path, o.allow_overlap) end
  local picture, text, about, noisy
  local names = {}
  if run.has_picture(o.output) then
    -- Parts of parts may have holes; a picture may not.
    local spp, mean, code = whole:whole()
    if not spp then errors.raise(code, mean) end
    picture, about = check(whole:image()), whole:about()
    text = run.png_text(about.scene, run.whole_spp_text(spp, mean, about.noise > 0), about.seed)
    names = about.aovs
    if denoise.is_on(o) then
      local missing = denoise.missing(names)
      if missing then
        errors.raise(errors.DATA, ("--denoise: the parts have no %s: render them with --denoise, too"):format(missing))
      end
      picture, noisy = check(denoise.run(whole, picture, o, o.threads or system.threads()))
      names = denoise.others(names)
    end
  end
  run.write_outputs(o.output, whole, picture, names, o, text, nil, noisy)
  return 0
end

return merge
