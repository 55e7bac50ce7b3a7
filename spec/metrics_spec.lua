-- SSIM and FLIP against closed forms, and against the papers' formulas written out here once more, without separable
-- filters and windows that slide.

local folder = require "spec.support.folder"
local images = require "rtlua.core.image"
local run = require "spec.support.run"

local function make(width, height, channels, f)
  local image = images.new(width, height, channels)
  for y = 0, height - 1 do
    for x = 0, width - 1 do image:set(x, y, { f(x, y) }) end
  end
  return image
end

local function flat(width, height, ...)
  local pixel = { ... }
  return make(width, height, #pixel, function() return table.unpack(pixel) end)
end

-- A picture with edges, points and colours, and one like it.
local function scene(x, y)
  local v = (x + y) % 7 == 0 and 0.9 or 0.1 + 0.02 * x
  return v, x > 9 and 0.7 or 0.2, ((x * 5 + y * 3) % 11) / 11
end
local function other(x, y)
  local r, _, b = scene(x, y)
  return r * 0.8 + 0.05, x > 10 and 0.6 or 0.25, y % 4 == 0 and 1.3 - b or b
end

local function srgb(v)
  v = math.max(0, math.min(1, v))
  return v <= 0.0031308 and 12.92 * v or 1.055 * v ^ (1 / 2.4) - 0.055
end

local function clamp(i, n) return math.max(0, math.min(n - 1, i)) end

describe("SSIM", function()
  local C1, C2 = 0.01 ^ 2, 0.03 ^ 2

  it("is 1 for the same picture and follows the luminance of flat ones", function()
    local a = make(24, 20, 3, scene)
    assert.near(1, images.ssim(a, a), 1e-12)
    for _, size in ipairs { { 24, 20 }, { 3, 2 }, { 30, 4 } } do
      -- Without contrast it is (2 p q + C1) / (p^2 + q^2 + C1).
      local p, q = srgb(0.2), srgb(0.6)
      local ssim = images.ssim(flat(size[1], size[2], 0.2, 0.2, 0.2), flat(size[1], size[2], 0.6, 0.6, 0.6))
      assert.near((2 * p * q + C1) / (p * p + q * q + C1), ssim, 1e-6)
    end
  end)

  it("is the paper's formula, window by window", function()
    local width, height = 24, 20
    local a, b = make(width, height, 3, scene), make(width, height, 3, other)
    local function luma(image, x, y)
      local p = image:pixel(x, y)
      return 0.2126 * srgb(p[1]) + 0.7152 * srgb(p[2]) + 0.0722 * srgb(p[3])
    end
    local total, n = 0, 0
    for cy = 5, height - 6 do
      for cx = 5, width - 6 do
        local w, ma, mb = 0, 0, 0
        local function each(f)
          for y = -5, 5 do
            for x = -5, 5 do
              f(math.exp(-(x * x + y * y) / (2 * 1.5 ^ 2)), luma(a, cx + x, cy + y), luma(b, cx + x, cy + y))
            end
          end
        end
        each(function(g, p, q) w, ma, mb = w + g, ma + g * p, mb + g * q end)
        ma, mb = ma / w, mb / w
        local va, vb, cov = 0, 0, 0
        each(function(g, p, q)
          va, vb, cov = va + g * (p - ma) ^ 2, vb + g * (q - mb) ^ 2, cov + g * (p - ma) * (q - mb)
        end)
        va, vb, cov = va / w, vb / w, cov / w
        total = total + (2 * ma * mb + C1) * (2 * cov + C2) / ((ma ^ 2 + mb ^ 2 + C1) * (va + vb + C2))
        n = n + 1
      end
    end
    assert.near(total / n, images.ssim(a, b), 1e-9)
  end)
end)

-- ---- FLIP, from the paper's equations

local function times(m, v)
  local out = {}
  for i = 1, 3 do out[i] = m[i][1] * v[1] + m[i][2] * v[2] + m[i][3] * v[3] end
  return out
end

local function inverse(m)
  local out, d = { {}, {}, {} }, 0
  for i = 0, 2 do
    for j = 0, 2 do
      local function at(p, q) return m[(i + p) % 3 + 1][(j + q) % 3 + 1] end
      out[j + 1][i + 1] = at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    end
  end
  for k = 1, 3 do d = d + m[1][k] * out[k][1] end
  for i = 1, 3 do
    for j = 1, 3 do out[i][j] = out[i][j] / d end
  end
  return out
end
-- Linear sRGB to XYZ, from the primaries' and the white's chromaticities: CIE's D65 in five digits, the authors' white.
local function chromaticity(x, y) return { x / y, 1, (1 - x - y) / y } end
local WHITE = chromaticity(0.31271, 0.32902)
local M = {}
do
  local r, g, b = chromaticity(0.64, 0.33), chromaticity(0.30, 0.60), chromaticity(0.15, 0.06)
  local columns = { { r[1], g[1], b[1] }, { r[2], g[2], b[2] }, { r[3], g[3], b[3] } }
  local amounts = times(inverse(columns), WHITE)
  for i = 1, 3 do M[i] = { columns[i][1] * amounts[1], columns[i][2] * amounts[2], columns[i][3] * amounts[3] } end
end
local INVERSE = inverse(M)

local function opponent_of(rgb)
  local xyz = times(M, rgb)
  for i = 1, 3 do xyz[i] = xyz[i] / WHITE[i] end
  return { 116 * xyz[2] - 16, 500 * (xyz[1] - xyz[2]), 200 * (xyz[2] - xyz[3]) }
end

local function rgb_of(opponent)
  local y = (opponent[1] + 16) / 116
  local xyz = { (y + opponent[2] / 500) * WHITE[1], y, (y - opponent[3] / 200) * WHITE[3] }
  local rgb = times(INVERSE, xyz)
  for i = 1, 3 do rgb[i] = math.max(0, math.min(1, rgb[i])) end
  return rgb
end

local function hunt_lab(rgb)
  local xyz, f = times(M, rgb), {}
  for i = 1, 3 do
    local t = xyz[i] / WHITE[i]
    f[i] = t > (6 / 29) ^ 3 and t ^ (1 / 3) or t / (3 * (6 / 29) ^ 2) + 4 / 29
  end
  local l = 116 * f[2] - 16
  return { l, 0.01 * l * 500 * (f[1] - f[2]), 0.01 * l * 200 * (f[2] - f[3]) }
end

local function hyab(p, q) return math.abs(p[1] - q[1]) + math.sqrt((p[2] - q[2]) ^ 2 + (p[3] - q[3]) ^ 2) end

local LARGEST = hyab(hunt_lab { 0, 1, 0 }, hunt_lab { 0, 0, 1 }) ^ 0.7

local function colour_error(p, q)
  local e, knee = hyab(p, q) ^ 0.7, 0.4 * LARGEST
  return e < knee and 0.95 / knee * e or 0.95 + (e - knee) / (LARGEST - knee) * 0.05
end

--- { radius, [y][x] = weight }, whose positive weights are divided by their sum, and the negative ones by theirs.
local function kernel(radius, f)
  local k, above, below = { radius = radius }, 0, 0
  for y = -radius, radius do
    k[y] = {}
    for x = -radius, radius do
      local v = f(x, y)
      k[y][x] = v
      if v > 0 then above = above + v else below = below - v end
    end
  end
  for y = -radius, radius do
    for x = -radius, radius do k[y][x] = k[y][x] / (k[y][x] > 0 and above or below) end
  end
  return k
end

local function convolve(k, at, width, height, x, y)
  local sum = 0
  for dy = -k.radius, k.radius do
    for dx = -k.radius, k.radius do
      sum = sum + k[dy][dx] * at[clamp(y + dy, height)][clamp(x + dx, width)]
    end
  end
  return sum
end

local function flip(a, b, ppd)
  local width, height = a.width, a.height
  local gaussians = { { { 1, 0.0047 } }, { { 1, 0.0053 } }, { { 34.1, 0.04 }, { 13.5, 0.025 } } }
  local radius = math.ceil(3 * math.sqrt(0.04 / (2 * math.pi ^ 2)) * ppd)
  local csf = {}
  for i, list in ipairs(gaussians) do
    csf[i] = kernel(radius, function(x, y)
      local sum = 0
      for _, g in ipairs(list) do
        sum = sum + g[1] * math.sqrt(math.pi / g[2]) * math.exp(-math.pi ^ 2 * (x * x + y * y) / ppd ^ 2 / g[2])
      end
      return sum
    end)
  end
  local sd = 0.5 * 0.082 * ppd
  local features = {}
  local function gauss(x, y) return math.exp(-(x * x + y * y) / (2 * sd * sd)) end
  local reach = math.ceil(3 * sd)
  features.edge_x = kernel(reach, function(x, y) return -x * gauss(x, y) end)
  features.edge_y = kernel(reach, function(x, y) return -y * gauss(x, y) end)
  features.point_x = kernel(reach, function(x, y) return (x * x / sd ^ 2 - 1) * gauss(x, y) end)
  features.point_y = kernel(reach, function(x, y) return (y * y / sd ^ 2 - 1) * gauss(x, y) end)

  local sides = {}
  for i, image in ipairs { a, b } do
    local planes = { {}, {}, {}, {} }
    for y = 0, height - 1 do
      for c = 1, 4 do planes[c][y] = {} end
      for x = 0, width - 1 do
        local rgb = image:pixel(x, y)
        for c = 1, 3 do rgb[c] = math.max(0, math.min(1, rgb[c])) end
        local o = opponent_of(rgb)
        for c = 1, 3 do planes[c][y][x] = o[c] end
        planes[4][y][x] = (o[1] + 16) / 116
      end
    end
    sides[i] = planes
  end
  local errors, total = {}, 0
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local lab, edge, point = {}, {}, {}
      for i, planes in ipairs(sides) do
        local o = {}
        for c = 1, 3 do o[c] = convolve(csf[c], planes[c], width, height, x, y) end
        lab[i] = hunt_lab(rgb_of(o))
        local f = {}
        for name, k in pairs(features) do f[name] = convolve(k, planes[4], width, height, x, y) end
        edge[i] = math.sqrt(f.edge_x ^ 2 + f.edge_y ^ 2)
        point[i] = math.sqrt(f.point_x ^ 2 + f.point_y ^ 2)
      end
      local feature = math.max(math.abs(edge[1] - edge[2]), math.abs(point[1] - point[2])) / math.sqrt(2)
      local e = colour_error(lab[1], lab[2]) ^ (1 - feature ^ 0.5)
      errors[#errors + 1] = e
      total = total + e
    end
  end
  return total / #errors, errors
end

describe("FLIP", function()
  it("is 0 for the same picture and what the colours say for flat ones", function()
    local a = make(24, 20, 3, scene)
    assert.equal(0, images.flip(a, a))
    for _, pair in ipairs {
      { { 0, 0, 0 }, { 1, 1, 1 } }, { { 0.2, 0.5, 0.1 }, { 0.25, 0.45, 0.1 } }, { { 0, 1, 0 }, { 0, 0, 1 } },
      { { 0.5, 0.5, 0.5 }, { 0.6, 0.6, 0.6 } },
    } do
      local expected = colour_error(hunt_lab(pair[1]), hunt_lab(pair[2]))
      local mean = images.flip(flat(15, 9, table.unpack(pair[1])), flat(15, 9, table.unpack(pair[2])))
      assert.near(expected, mean, 1e-6)
    end
    -- Green against blue is the largest colour error; grey pictures are grey in three channels; what a display clips is
    -- not seen.
    assert.near(1, images.flip(flat(9, 9, 0, 1, 0), flat(9, 9, 0, 0, 1)), 1e-6)
    local grey = images.flip(flat(9, 9, 0.3), flat(9, 9, 0.4))
    assert.equal(grey, images.flip(flat(9, 9, 0.3, 0.3, 0.3), flat(9, 9, 0.4, 0.4, 0.4)))
    assert.equal(0, images.flip(flat(9, 9, 7, -3, 0 / 0), flat(9, 9, 1, 0, -1)))
  end)

  it("is the paper's equations, pixel by pixel, for near and far viewers", function()
    local a, b = make(16, 9, 3, scene), make(16, 9, 3, other)
    for _, ppd in ipairs { 67, 20 } do
      local expected, errors = flip(a, b, ppd)
      local mean, map = images.flip(a, b, ppd)
      assert.near(expected, mean, 1e-7)
      for i, e in ipairs(errors) do assert.near(e, map:pixel((i - 1) % 16, (i - 1) // 16)[1], 1e-6) end
    end
  end)

  it("is below 1 and sees less from afar", function()
    local a = make(32, 32, 3, function(x, y) return (x + y) % 2, (x + y) % 2, (x + y) % 2 end)
    local b = flat(32, 32, 0.5, 0.5, 0.5)
    local near, far = images.flip(a, b, 10), images.flip(a, b, 100)
    assert.is_true(near < 1 and far < near, ("%g, %g"):format(near, far))
  end)
end)

describe("rtlua diff", function()
  local dir
  before_each(function()
    dir = folder.new()
    make(24, 20, 3, scene):save(dir.path .. "/a.exr", { exr_type = "float" })
    make(24, 20, 3, other):save(dir.path .. "/b.pfm")
  end)
  after_each(function() dir:remove() end)

  local function diff(...) return run.rtlua({ "diff", ... }, { cwd = dir.path }) end

  it("has a limit for each metric", function()
    local result = diff("a.exr", "b.pfm", "--json")
    assert.equal(0, result.code, result.stderr)
    local d = require("cjson").decode(result.stdout)
    local a, b = images.load(dir.path .. "/a.exr"), images.load(dir.path .. "/b.pfm")
    assert.near(images.ssim(a, b), d.ssim, 1e-9)
    assert.near(images.flip(a, b), d.flip, 1e-9)
    assert.equal(0, diff("a.exr", "b.pfm", "--max-flip", tostring(d.flip + 0.01)).code)
    assert.equal(1, diff("a.exr", "b.pfm", "--max-flip", tostring(d.flip - 0.01)).code)
    assert.equal(0, diff("a.exr", "b.pfm", "--min-ssim", tostring(d.ssim - 0.01)).code)
    assert.equal(1, diff("a.exr", "b.pfm", "--min-ssim", tostring(d.ssim + 0.01)).code)
    local lines = diff("a.exr", "b.pfm").stdout
    assert.truthy(lines:find "mse .*relmse .*psnr .*ssim .*flip ", lines)
  end)

  it("writes FLIP's map, for the viewer that it is given", function()
    local result = diff("a.exr", "b.pfm", "--map", "map.exr", "--ppd", "20")
    assert.equal(0, result.code, result.stderr)
    local a, b = images.load(dir.path .. "/a.exr"), images.load(dir.path .. "/b.pfm")
    local _, expected = images.flip(a, b, 20)
    local map = assert(images.load(dir.path .. "/map.exr"))
    assert.same({ 24, 20, 1 }, { map.width, map.height, map.channels })
    assert.near(expected:pixel(7, 11)[1], map:pixel(7, 11)[1], 1e-3) -- a half
    -- For a display in the colours of magma, whose ends are #000004 and #fcfdbf.
    assert.equal(0, diff("b.pfm", "b.pfm", "--map", "black.png").code)
    local black = images.load(dir.path .. "/black.png", true):pixel(3, 3)
    assert.near(4 / 255, black[3], 1e-4)
    assert.equal(0, black[1])
    local light = images.magma(flat(1, 1, 1)):pixel(0, 0)
    for c, v in ipairs { 0xfc, 0xfd, 0xbf } do assert.near(v / 255, srgb(light[c]), 1e-4) end
    os.remove(dir.path .. "/black.png")
    assert.equal(64, diff("a.exr", "b.pfm", "--map", "map.gif").code)
    assert.equal(64, diff("a.exr", "b.pfm", "--map", "-").code)
    assert.equal(64, diff("a.exr", "b.pfm", "--ppd", "0").code)
    assert.same({ "a.exr", "b.pfm", "map.exr" }, dir:list())
  end)
end)
