-- Denoising: which AOVs a film has to keep for it, and the clean picture from them (core/render/denoise.c). The noisy
-- one stays beside it, as the layer "noisy" of an EXR.

local aovs = require "rtlua.aovs"
local core_image = require "rtlua.core.image"
local errors = require "rtlua.errors"

local denoise = {}

denoise.features = { "albedo", "normal", "depth", "variance", "error", "albedo_error", "normal_error", "depth_error" }

local is_feature = {}
for _, name in ipairs(denoise.features) do is_feature[name] = true end

function denoise.is_on(settings) return settings.denoise ~= nil and settings.denoise ~= "off" end

--- The AOVs that a film keeps for settings.
function denoise.kept(settings)
  local wanted = {}
  for _, name in ipairs(settings.aov) do wanted[name] = true end
  local kept = {}
  for _, name in ipairs(aovs.names) do
    if wanted[name] or denoise.is_on(settings) and is_feature[name] then kept[#kept + 1] = name end
  end
  return kept
end

--- A list of AOVs' names without those that are there for denoising.
function denoise.others(names)
  local others = {}
  for _, name in ipairs(names) do
    if not is_feature[name] then others[#others + 1] = name end
  end
  return others
end

--- The first feature that a list of AOVs' names lacks, or nil.
function denoise.missing(names)
  local has = {}
  for _, name in ipairs(names) do has[name] = true end
  for _, name in ipairs(denoise.features) do
    if not has[name] then return name end
  end
end

--- Can it be done here? Returns true, or nil, message, code.
function denoise.check(settings)
  if settings.denoise ~= "oidn" then return true end
  return core_image.find_oidn()
end

--- The clean picture of what has a film, source:image(aov), whose own picture is `noisy`; and that as a layer. Returns
--- nil, message, code where it cannot be made, with errors.TRY_AGAIN where a signal stopped it.
function denoise.run(source, noisy, settings, threads)
  local input = { colour = noisy }
  for _, name in ipairs(denoise.features) do
    local image, message, code = source:image(name)
    if not image then return nil, message, code end
    input[name] = image
  end
  local clean, message, code = core_image.denoise(input, threads, settings.denoise)
  if not clean then return nil, message, code end
  return clean, {
    name = "noisy", channels = aovs.LETTERS[noisy.channels], show = "color", image = noisy, only_in_exr = true,
  }
end

denoise.STOPPED = errors.TRY_AGAIN

return denoise
