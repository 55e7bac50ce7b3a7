-- The albedo of rough glass, from the BSDF's own samples, against a double-precision quadrature of the formula that
-- it is written from.

local rt = require "rtlua"
local core_of = require("rtlua.scene").core
local probe = require "rtlua.core.probe"

-- Walter et al. 2007 with Smith's shadowing for GGX, G2 = 1 / (1 + lambda_o + lambda_i) on both sides, integrated
-- over microfacet normals h: what leaves wo by reflection or refraction at h is D(h) G2(wo, wi) |wo.h| / |wo.z| dh,
-- shared between the two by Fresnel. For refraction light the solid angles' Jacobian cancels in the same way.
-- Radiance that enters glass is compressed by (1 / n)^2.
local function albedo(alpha, n, cos_o, inside)
  local eta = inside and 1 / n or n -- of the other side, relative to wo's
  local ox, oz = math.sqrt(1 - cos_o * cos_o), cos_o
  local function lambda(z)
    local tan2 = (1 - z * z) / (z * z)
    return (math.sqrt(1 + alpha * alpha * tan2) - 1) / 2
  end
  local function fresnel(c)
    local sin2 = (1 - c * c) / (eta * eta)
    if sin2 >= 1 then return 1, 0 end
    local t = math.sqrt(1 - sin2)
    local s, p = (c - eta * t) / (c + eta * t), (eta * c - t) / (eta * c + t)
    return (s * s + p * p) / 2, t
  end
  local reflected, transmitted, steps = 0, 0, 1200
  for i = 1, steps do
    -- tan^2 = alpha^2 x / (1 - x) makes D cos dh uniform in x; x = 1 - y^2 takes away what is left of the singularity
    -- at grazing h.
    local y = (i - 0.5) / steps
    local tan2 = alpha * alpha * (1 - y * y) / (y * y)
    local hz = 1 / math.sqrt(1 + tan2)
    local hr = math.sqrt(1 - hz * hz)
    for j = 1, steps // 4 do
      local phi = math.pi * (j - 0.5) / (steps // 4)
      local hx = hr * math.cos(phi)
      local oh = ox * hx + oz * hz
      if oh > 0 then
        local F, t = fresnel(oh)
        local common = 2 * y * oh / (oz * hz) / (steps * (steps // 4)) -- D |wo.h| / |wo.z| dh
        local rz = 2 * oh * hz - oz
        if rz > 0 then reflected = reflected + F * common / (1 + lambda(oz) + lambda(rz)) end
        -- Snell: wi = (c / eta - t) h - wo / eta
        local tz = (oh / eta - t) * hz - oz / eta
        if F < 1 and tz < 0 then transmitted = transmitted + (1 - F) * common / (1 + lambda(oz) + lambda(-tz)) end
      end
    end
  end
  return reflected, transmitted / (eta * eta)
end

local function sampled(alpha, n, cos_o, inside)
  local scene = rt.scene {
    camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 } },
    rt.sphere { radius = 1, material = rt.glass { ior = n, alpha = alpha } },
  }
  local hit = core_of(scene):intersect(0, 0, 4, 0, 0, -1)
  local bsdf = probe.bsdf(core_of(scene), hit.material, not inside)
  local ox, oz = math.sqrt(1 - cos_o * cos_o), inside and -cos_o or cos_o
  local sums, n_samples = { 0, 0 }, 1 << 20
  for i = 0, n_samples - 1 do
    local u1, u2, u3 = probe.sampler(0, 0, i, 0, 0)
    local wx, _, _, r, _, _, _, _, transmission = bsdf:sample(ox, 0, oz, u1, u2, u3)
    if wx then
      local k = transmission and 2 or 1
      sums[k] = sums[k] + r
    end
  end
  return sums[1] / n_samples, sums[2] / n_samples
end

describe("rough glass of index 1.5", function()
  for _, case in ipairs { { 0.1, 1 }, { 0.3, 0.5 }, { 0.5, 0.8 }, { 0.3, 0.9, true }, { 0.5, 0.5, true } } do
    local alpha, cos_o, inside = table.unpack(case)
    it(
      ("has the albedo of its formula: alpha %g, cosine %g%s"):format(alpha, cos_o, inside and ", inside" or ""),
      function()
        local r, t = albedo(alpha, 1.5, cos_o, inside)
        local sr, st = sampled(alpha, 1.5, cos_o, inside)
        assert.near(r, sr, 1e-4)
        assert.near(t, st, 1e-4 * math.max(1, t))
      end
    )
  end

  it("of alpha .01 is within 1 % of invisible", function()
    local scene = rt.scene {
      camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 }, fov = 20 },
      background = 1,
      rt.sphere { radius = 1, material = rt.glass { ior = 1.5, alpha = 0.01 } },
    }
    local image, sum = scene:render { size = { 16, 16 }, spp = 64, max_depth = math.huge }, 0
    for y = 0, 15 do
      for x = 0, 15 do
        sum = sum + image:pixel(x, y)[1]
      end
    end
    assert.near(1, sum / 256, 0.01)
  end)
end)

describe("Fresnel's equations", function()
  it("for a dielectric of index 1.5", function()
    local reflectance = { [0] = 0.04, [45] = 0.0502399, [60] = 0.0891867, [75] = 0.2530606, [85] = 0.6127997 }
    for degrees, expected in pairs(reflectance) do
      assert.near(expected, probe.fresnel(math.cos(math.rad(degrees)), 1.5), 2e-6)
    end
  end)
  it("for a conductor of n .2, k 3.9", function()
    assert.near(0.9519520, probe.fresnel_conductor(1, 0.2, 3.9), 2e-6)
    assert.near(0.9458824, probe.fresnel_conductor(0.5, 0.2, 3.9), 2e-6)
  end)
  it("reflect all of what comes from inside beyond the critical angle", function()
    assert.equal(1, probe.fresnel(-math.cos(math.rad(42)), 1.5))
    assert.is_true(probe.fresnel(-math.cos(math.rad(41)), 1.5) < 1)
  end)
end)
