-- Pearson's chi-squared test: what is sampled follows the density that is stated.
--
-- The sphere of directions is cut into bins of equal solid angle, (cos theta, phi); the stated density is integrated
-- over each, samples are counted, and the probability of so large a difference is computed. As pbrt's and Mitsuba's
-- tests do (after Wenzel Jakob).

local estimate = require "spec.support.estimate"

local chi_squared = {}

-- Q(a, x), the upper regularized incomplete gamma function: a series below a + 1, a continued fraction (Lentz) above.
-- Numerical Recipes, 6.2.
local function log_gamma(x)
  local c = {
    76.18009172947146,
    -86.50532032941677,
    24.01409824083091,
    -1.231739572450155,
    0.1208650973866179e-2,
    -0.5395239384953e-5,
  }
  local sum, t = 1.000000000190015, x + 5.5
  for i, v in ipairs(c) do
    sum = sum + v / (x + i)
  end
  return (x + 0.5) * math.log(t) - t + math.log(2.5066282746310005 * sum / x)
end

local function upper_gamma(a, x)
  if x <= 0 then return 1 end
  local front = math.exp(-x + a * math.log(x) - log_gamma(a))
  if x < a + 1 then
    local term, sum = 1 / a, 1 / a
    for n = 1, 10000 do
      term = term * x / (a + n)
      sum = sum + term
      if term < sum * 1e-14 then break end
    end
    return 1 - front * sum
  end
  local b = x + 1 - a
  local c, d = 1e300, 1 / b
  local h = d
  for i = 1, 10000 do
    local an = -i * (i - a)
    b = b + 2
    d = 1 / (an * d + b)
    c = b + an / c
    h = h * d * c
    if math.abs(d * c - 1) < 1e-14 then break end
  end
  return front * h
end

--- The probability that `statistic` or more comes from chance, with `freedom` degrees of freedom.
function chi_squared.p_value(statistic, freedom) return upper_gamma(freedom / 2, statistic / 2) end

local function compare(counts, expected, significance)
  -- Bins that expect less than five are pooled, as the test's approximation wants.
  local order = {}
  for i in ipairs(expected) do
    order[i] = i
  end
  table.sort(order, function(a, b) return expected[a] < expected[b] end)
  local statistic, freedom, pooled_expected, pooled_count = 0, -1, 0, 0
  for _, i in ipairs(order) do
    if expected[i] == 0 then
      assert(counts[i] <= 0, ("%d samples where the density is 0"):format(counts[i]))
    elseif expected[i] < 5 or (pooled_expected > 0 and pooled_expected < 5) then
      pooled_expected, pooled_count = pooled_expected + expected[i], pooled_count + counts[i]
    else
      statistic, freedom = statistic + (counts[i] - expected[i]) ^ 2 / expected[i], freedom + 1
    end
  end
  if pooled_expected > 0 then
    statistic = statistic + (pooled_count - pooled_expected) ^ 2 / math.max(pooled_expected, 1)
    freedom = freedom + 1
  end
  assert(freedom >= 1, "the density lies in one bin: use finer bins")
  local p = chi_squared.p_value(statistic, freedom)
  assert(p > significance, ("chi-squared %.1f with %d degrees of freedom: p = %.3g"):format(statistic, freedom, p))
end

local function zeros(n)
  local list = {}
  for i = 1, n do
    list[i] = 0
  end
  return list
end

-- The integral of the density over the bin of row and column, from steps^2 points, one in each of as many equal parts
-- of the bin; also the smallest and the largest value that was met.
local function integrate(pdf, row, column, rows, columns, steps)
  local sum, least, most = 0, math.huge, 0
  local dtheta, dphi = math.pi / (rows * steps), 2 * math.pi / (columns * steps)
  for i = 0, steps - 1 do
    local low = (row * steps + i) * dtheta
    local cell = (math.cos(low) - math.cos(low + dtheta)) * dphi
    for j = 0, steps - 1 do
      -- At random within its part: edges of a density that jumps would lie along rows of a regular grid.
      local theta, phi = low + math.random() * dtheta, (column * steps + j + math.random()) * dphi
      local density = pdf(math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta))
      sum, least, most = sum + density * cell, math.min(least, density), math.max(most, density)
    end
  end
  return sum, least, most
end

--- Directions. options: sample(u1, u2, u3) -> x, y, z or nil (a sample that gives nothing); pdf(x, y, z) -> density
--- over solid angle; samples (default 200,000), rows (of equal angle from z) and columns of bins.
function chi_squared.directions(options)
  local rows, columns = options.rows or 36, options.columns or 36
  local n = estimate.samples(options.samples or 200000)
  local bins = rows * columns
  local counts, expected = zeros(bins + 1), zeros(bins + 1)
  math.randomseed(options.seed or 1)
  for _ = 1, n do
    local x, y, z = options.sample(math.random(), math.random(), math.random())
    local bin = bins + 1 -- nothing
    if x then
      local phi = math.atan(y, x) / (2 * math.pi)
      local row = math.min(rows - 1, math.floor(math.acos(math.max(-1, math.min(1, z))) / math.pi * rows))
      local column = math.min(columns - 1, math.floor((phi - math.floor(phi)) * columns))
      bin = row * columns + column + 1
    end
    counts[bin] = counts[bin] + 1
  end
  local total = 0
  for bin = 1, bins do
    local row, column = (bin - 1) // columns, (bin - 1) % columns
    local sum, least, most = integrate(options.pdf, row, column, rows, columns, 6)
    -- Where the density changes much or was overlooked, more closely.
    if most > 1.2 * least or (sum == 0 and counts[bin] > 0) then
      sum = integrate(options.pdf, row, column, rows, columns, 48)
    end
    expected[bin] = sum * n
    total = total + sum * n
  end
  assert(total <= n * 1.005, ("the density integrates to %.5g"):format(total / n))
  -- What is left of probability 1 gives nothing. A remainder within the quadrature's own error is left out of the test.
  expected[bins + 1] = math.max(0, n - total)
  if math.max(counts[bins + 1], expected[bins + 1]) < 0.005 * n then
    counts[bins + 1], expected[bins + 1] = 0, 0
  end
  compare(counts, expected, options.significance or 1e-4)
end

--- For densities with poles: the mean of 1 / density over the samples in a bin is the solid angle of what they cover
--- of it, which uniform directions measure as well. sample(u1, u2, u3) -> x, y, z, density; pdf(x, y, z) > 0 says
--- what is covered.
function chi_squared.solid_angles(options)
  local rows, columns, n = 12, 12, estimate.samples(400000)
  local sampled, squares, uniform = zeros(rows * columns), zeros(rows * columns), zeros(rows * columns)
  local function bin_of(x, y, z)
    local phi = math.atan(y, x) / (2 * math.pi)
    return math.min(rows - 1, math.floor((z + 1) / 2 * rows)) * columns
      + math.min(columns - 1, math.floor((phi - math.floor(phi)) * columns))
      + 1
  end
  math.randomseed(options.seed or 1)
  for _ = 1, n do
    local x, y, z, density = options.sample(math.random(), math.random(), math.random())
    if x then
      local bin = bin_of(x, y, z)
      sampled[bin], squares[bin] = sampled[bin] + 1 / density, squares[bin] + 1 / density ^ 2
    end
    z = 2 * math.random() - 1
    local r, phi = math.sqrt(1 - z * z), 2 * math.pi * math.random()
    x, y = r * math.cos(phi), r * math.sin(phi)
    if options.pdf(x, y, z) > 0 then
      local bin = bin_of(x, y, z)
      uniform[bin] = uniform[bin] + 1
    end
  end
  local filled = 0
  for bin = 1, rows * columns do
    local a, p = sampled[bin] / n, uniform[bin] / n
    local variance = (squares[bin] / n - a * a) / n + p * (1 - p) / n * (4 * math.pi) ^ 2
    if p > 0 then filled = filled + 1 end
    -- 4.5 standard deviations: 1e-5 over a hundred bins.
    if variance > 0 and math.abs(a - 4 * math.pi * p) > 4.5 * math.sqrt(variance) + 10 / n then
      error(("bin %d has solid angle %.4g by samples, %.4g by uniform directions"):format(bin, a, 4 * math.pi * p))
    end
  end
  assert(filled > 5, "the light covers too few bins")
end

--- One dimension: sample(u) -> x; pdf(x) on [low, high].
function chi_squared.line(options)
  local bins, steps = options.bins or 64, options.steps or 64
  local low, high, n = options.low, options.high, estimate.samples(options.samples or 200000)
  local counts, expected = zeros(bins), zeros(bins)
  math.randomseed(options.seed or 1)
  for _ = 1, n do
    local x = options.sample(math.random())
    assert(x >= low and x <= high, "a sample lies outside")
    local bin = math.min(bins, 1 + math.floor((x - low) / (high - low) * bins))
    counts[bin] = counts[bin] + 1
  end
  for i = 0, bins * steps - 1 do
    local x = low + (high - low) * (i + 0.5) / (bins * steps)
    local bin = i // steps + 1
    expected[bin] = expected[bin] + options.pdf(x) * (high - low) / (bins * steps) * n
  end
  compare(counts, expected, options.significance or 1e-4)
end

return chi_squared
