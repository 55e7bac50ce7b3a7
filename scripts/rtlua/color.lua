-- Colours: what a number, {r, g, b}, "#rrggbb" or "4000K" means in linear Rec. 709.
--
-- "#rrggbb" is sRGB, decoded by IEC 61966-2-1's curve. "4000K" is a black body: Planck's law summed over 360 to 830 nm
-- against the CIE 1931 observer by the multi-lobe fit of Wyman, Sloan & Shirley 2013, "Simple Analytic Approximations
-- to the CIE XYZ Color Matching Functions" (JCGT 2(2)), then to Rec. 709; a component below 0 (out of gamut, under
-- about 1900 K) becomes 0, and the result is scaled to luminance 1. White balance adapts by Bradford's transform (Lam
-- 1985), linear, as ICC profiles do. Exponentials are rtlua.core.elementary's, so a
-- colour is the same to the bit on every machine.

local elementary = require "rtlua.core.elementary"
local schema = require "rtlua.schema"

local color = {}

color.MIN_KELVIN, color.MAX_KELVIN = 500, 100000

local SECOND_RADIATION = 1.438776877e7 -- hc/k in nm K

--- Luminance of linear Rec. 709.
function color.luminance(r, g, b) return 0.2126 * r + 0.7152 * g + 0.0722 * b end

--- One sRGB-encoded component in [0, 1] to linear.
function color.decode_srgb(c)
  if c <= 0.04045 then return c / 12.92 end
  return elementary.pow((c + 0.055) / 1.055, 2.4)
end

-- A Gaussian with a width of its own on each side of its mean.
local function lobe(x, mean, below, above)
  local t = (x - mean) / (x < mean and below or above)
  return elementary.exp(-0.5 * t * t)
end

--- CIE 1931 2 degree colour matching functions at a wavelength in nm, by Wyman's fit.
function color.observer(nm)
  local x = 1.056 * lobe(nm, 599.8, 37.9, 31.0) + 0.362 * lobe(nm, 442.0, 16.0, 26.7)
    - 0.065 * lobe(nm, 501.1, 20.4, 26.2)
  local y = 0.821 * lobe(nm, 568.8, 46.9, 40.5) + 0.286 * lobe(nm, 530.9, 16.3, 31.1)
  local z = 1.217 * lobe(nm, 437.0, 11.8, 36.0) + 0.681 * lobe(nm, 459.0, 26.0, 13.8)
  return x, y, z
end

--- X, Y, Z of a black body, relative to the light that it has at 560 nm.
local function planck(temperature)
  local x, y, z = 0.0, 0.0, 0.0
  -- Relative to 560 nm, so that no exponential overflows.
  local reference = SECOND_RADIATION / (560.0 * temperature)
  for nm = 360, 830 do
    local u = nm / 560.0
    local radiance = elementary.exp(reference - SECOND_RADIATION / (nm * temperature))
      / (u * u * u * u * u * (1.0 - elementary.exp(-SECOND_RADIATION / (nm * temperature))))
    local cx, cy, cz = color.observer(nm)
    x, y, z = x + radiance * cx, y + radiance * cy, z + radiance * cz
  end
  return x, y, z
end

local FROM_XYZ = { -- to linear Rec. 709
  3.2404542, -1.5371385, -0.4985314,
  -0.9692660, 1.8760108, 0.0415560,
  0.0556434, -0.2040259, 1.0572252,
}

-- Matrices are lists of 9, row by row.
local function apply(m, x, y, z)
  return m[1] * x + m[2] * y + m[3] * z, m[4] * x + m[5] * y + m[6] * z, m[7] * x + m[8] * y + m[9] * z
end

local black_bodies = {}

--- The colour of a black body, luminance 1.
function color.kelvin(temperature)
  local known = black_bodies[temperature]
  if known then return known[1], known[2], known[3] end
  local r, g, b = apply(FROM_XYZ, planck(temperature))
  r, g, b = math.max(0.0, r), math.max(0.0, g), math.max(0.0, b)
  local luminance = color.luminance(r, g, b)
  r, g, b = r / luminance, g / luminance, b / luminance
  black_bodies[temperature] = { r, g, b }
  return r, g, b
end

-- ---- White balance

local BRADFORD = {
  0.8951, 0.2664, -0.1614,
  -0.7502, 1.7135, 0.0367,
  0.0389, -0.0685, 1.0296,
}

local function product(a, b)
  local out = {}
  for i = 0, 2 do
    for j = 1, 3 do
      out[3 * i + j] = a[3 * i + 1] * b[j] + a[3 * i + 2] * b[3 + j] + a[3 * i + 3] * b[6 + j]
    end
  end
  return out
end

local function inverse(m)
  local a, b, c, d, e, f, g, h, i = table.unpack(m)
  local out = {
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  }
  local determinant = a * out[1] + b * out[4] + c * out[7]
  for k = 1, 9 do out[k] = out[k] / determinant end
  return out
end

-- CIE 1960.
local function uv_of(x, y, z)
  local sum = x + 15 * y + 3 * z
  return 4 * x / sum, 6 * y / sum
end

-- X, Y, Z with Y = 1 of the light that a temperature and a tint name: a black body, moved at a right angle to the locus
-- of black bodies by tint / 3000 in CIE 1960's u, v, as raw converters count it: upwards, to green, when positive.
local function white_of(temperature, tint)
  local u, v = uv_of(planck(temperature))
  local u1, v1 = uv_of(planck(temperature * 0.999))
  local u2, v2 = uv_of(planck(temperature * 1.001))
  local du, dv = u2 - u1, v2 - v1 -- along the locus, to the hot end: to the left
  local length = math.sqrt(du * du + dv * dv)
  u, v = u + dv / length * tint / 3000, v - du / length * tint / 3000
  return 1.5 * u / v, 1.0, (4 - u - 10 * v) / (2 * v)
end

--- The matrix, 9 numbers by rows, that takes linear Rec. 709 seen in the light of a temperature (K) and a tint to
--- Rec. 709 seen in its own white, D65: that light becomes neutral and keeps its luminance.
function color.white_balance(temperature, tint)
  local to_xyz = inverse(FROM_XYZ)
  local white = { apply(BRADFORD, apply(to_xyz, 1.0, 1.0, 1.0)) }
  local light = { apply(BRADFORD, white_of(temperature, tint)) }
  local scaling = { white[1] / light[1], 0, 0, 0, white[2] / light[2], 0, 0, 0, white[3] / light[3] }
  local adapted = product(inverse(BRADFORD), product(scaling, BRADFORD))
  return product(FROM_XYZ, product(adapted, to_xyz))
end

local function from_string(text)
  local digits = text:match("^#(%x%x%x%x%x%x)$")
  if digits then
    local out = {}
    for i = 1, 3 do out[i] = color.decode_srgb(tonumber(digits:sub(2 * i - 1, 2 * i), 16) / 255) end
    return out
  end
  local temperature = tonumber(text:match("^(%d+%.?%d*)K$"))
  if temperature then
    if temperature < color.MIN_KELVIN or temperature > color.MAX_KELVIN then
      return nil, nil, nil, ("expected %dK to %dK, got '%s'"):format(color.MIN_KELVIN, color.MAX_KELVIN, text)
    end
    return { color.kelvin(temperature) }
  end
  return nil, schema.show(text)
end

--- {r, g, b} of a colour as a user writes it, within the limits of `field`; or nil and what schema.value wants to know.
function color.read(value, field)
  field = field or {}
  if type(value) == "number" then
    if not schema.within(value, field) then return nil, schema.show(value) end
    return { value, value, value }
  end
  if type(value) == "string" then
    local out, got, subpath, message = from_string(value)
    if out then
      for i = 1, 3 do
        if not schema.within(out[i], field) then return nil, schema.show(value) end
      end
    end
    return out, got, subpath, message
  end
  if type(value) ~= "table" then return nil, schema.show(value) end
  local meta = getmetatable(value)
  if type(meta) == "string" and meta ~= "rtlua.vec" then return nil, schema.show(value) end
  if #value ~= 3 then
    return nil, #value > 0 and ("a table of %d"):format(#value) or schema.show(value)
  end
  local out = {}
  for i = 1, 3 do
    local v = value[i]
    if type(v) ~= "number" or not schema.within(v, field) then
      return nil, schema.show(v), ("[%d]"):format(i), nil, schema.types.number.expected(field)
    end
    out[i] = v
  end
  return out
end

return color
