-- Rendered truth against closed forms: the mean of a small picture over 16 seeds, and its standard error.
--
-- RTLUA_SPEC_SCALE=16 (the sanitizer builds) takes 1/16 of the samples and keeps the 4 standard errors.

local estimate = {}

estimate.scale = tonumber(os.getenv "RTLUA_SPEC_SCALE") or 1
estimate.SEEDS = 16

--- Samples a pixel, scaled down for slow builds.
function estimate.samples(n) return math.max(1, n // estimate.scale) end

--- Mean and standard error of a list of numbers.
function estimate.statistics(values)
  local sum = 0
  for _, v in ipairs(values) do
    sum = sum + v
  end
  local mean, squares = sum / #values, 0
  for _, v in ipairs(values) do
    squares = squares + (v - mean) ^ 2
  end
  return mean, math.sqrt(squares / (#values - 1) / #values)
end

local function picture_mean(image)
  local sum, alpha = { 0, 0, 0 }, 0
  for y = 0, image.height - 1 do
    for x = 0, image.width - 1 do
      local p = image:pixel(x, y)
      for c = 1, 3 do
        sum[c] = sum[c] + p[c]
      end
      alpha = alpha + (p[4] or 1)
    end
  end
  -- Over the covered part where the background is transparent: alpha is 1 everywhere else.
  for c = 1, 3 do
    sum[c] = sum[c] / alpha
  end
  return sum
end

--- Renders `scene` with each seed; returns the mean radiance of the picture's red channel and its standard error.
function estimate.radiance(scene, options)
  local values = {}
  for seed = 1, estimate.SEEDS do
    local settings = { size = { 16, 16 }, spp = 64, max_depth = math.huge, filter = "box", seed = seed }
    for k, v in pairs(options or {}) do
      settings[k] = v
    end
    settings.spp = estimate.samples(settings.spp)
    values[seed] = picture_mean(scene:render(settings))[1]
  end
  return estimate.statistics(values)
end

--- Within .5 % of `expected`, within 4 standard errors, and these at most .1 %. Rounding to float is allowed on top.
function estimate.check(expected, mean, standard_error)
  local off, rounding = math.abs(mean - expected), 2e-6 * expected
  assert(
    off <= 4 * standard_error + rounding,
    ("got %.7g, expected %.7g: %.1f standard errors (%.3g) away"):format(
      mean,
      expected,
      off / standard_error,
      standard_error
    )
  )
  if estimate.scale > 1 then return end
  assert(off <= 0.005 * expected, ("got %.7g, expected %.7g"):format(mean, expected))
  assert(
    standard_error <= 0.001 * expected,
    ("a standard error of %.3g is too much for %.7g"):format(standard_error, expected)
  )
end

--- Renders and checks in one go.
function estimate.matches(expected, scene, options) estimate.check(expected, estimate.radiance(scene, options)) end

return estimate
