-- Rendered radiance against closed forms. Each figure has its derivation beside it; a camera with a tiny field of
-- view reads the radiance of one point.

local rt = require "rtlua"
local estimate = require "spec.support.estimate"

local function look_at(point, from, more)
  local camera = { from = from, to = point, fov = 0.01 }
  for k, v in pairs(more or {}) do
    camera[k] = v
  end
  return rt.camera(camera)
end

describe("a closed box that emits 1 and reflects a", function()
  local function box(albedo)
    return rt.scene {
      camera = rt.camera { from = { 0.2, 0.1, 0 }, to = { 0, 0, 1 }, fov = 60 },
      rt.box { min = { -1, -1, -1 }, max = { 1, 1, 1 }, material = rt.diffuse { color = albedo, emission = 1 } },
    }
  end

  -- L = 1 + a L everywhere.
  for _, case in ipairs { { 0.5, 64 }, { 0.8, 128 }, { 0.9, 256 } } do
    local albedo, spp = table.unpack(case)
    it(
      ("has radiance 1 / (1 - %g)"):format(albedo),
      function() estimate.matches(1 / (1 - albedo), box(albedo), { spp = spp }) end
    )
  end

  -- n bounces: the geometric series cut off behind a^n.
  for depth, expected in pairs { [0] = 1, 1.8, 2.44, 2.952, 3.3616 } do
    it(
      ("has radiance %g with at most %d bounces"):format(expected, depth),
      function() estimate.matches(expected, box(0.8), { max_depth = depth }) end
    )
  end
end)

describe("a floor below a sphere light", function()
  -- A sphere of radiance L and radius r at distance d gives a surface the irradiance pi L (r / d)^2 cos(theta): that
  -- of a point source, since none of it is below the horizon. The floor's radiance is albedo / pi times it.
  local function scene(x)
    return rt.scene {
      camera = look_at({ x, 0, 0 }, { x + 1, 1, 1 }),
      rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = 0.5 } },
      rt.sphere { center = { 0, 3, 0 }, radius = 1, material = rt.light { radiance = 10 } },
    }
  end

  it("has .5555556 straight below: .5 * 10 / 9", function() estimate.matches(0.5 * 10 / 9, scene(0)) end)
  it("has .12 four units aside: .5 * 10 / 25 * 3/5", function() estimate.matches(0.12, scene(4)) end)
end)

describe("a convex diffuse shape under a constant background", function()
  -- Every ray that leaves it meets the background: radiance albedo * L, for each sample alone, since the cosine is
  -- sampled. Sampling the background itself would bring noise.
  it("is albedo times radiance without any noise", function()
    local image = rt.scene {
      camera = rt.camera { from = { 0, 0, 4 }, to = { 0, 0, 0 }, fov = 10 },
      background = 2,
      rt.sphere { center = { 0, 0, 0 }, radius = 1, material = rt.diffuse { color = 0.25 } },
    }:render { size = { 8, 8 }, spp = 4 }
    for y = 0, 7 do
      for x = 0, 7 do assert.is_true(math.abs(image:pixel(x, y)[1] - 0.5) < 1e-6) end
    end
  end)
end)

describe("a floor below a disk light", function()
  -- Irradiance from a parallel disk (R) at height h, at distance s from its axis: with Z = 1 + (h^2 + R^2) / s^2...
  -- in closed form E = pi L / 2 (1 - (s^2 + h^2 - R^2) / sqrt((s^2 + h^2 + R^2)^2 - 4 R^2 s^2)).
  local L, R, h, albedo = 5, 2, 3, 0.8
  local function expected(s)
    return albedo * L / 2 * (1 - (s * s + h * h - R * R) / math.sqrt((s * s + h * h + R * R) ^ 2 - 4 * R * R * s * s))
  end
  local function scene(s)
    return rt.scene {
      camera = look_at({ s, 0, 0 }, { s + 1, 1, 1 }),
      rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = albedo } },
      rt.disk { center = { 0, h, 0 }, normal = { 0, -1, 0 }, radius = R, material = rt.light { radiance = L } },
    }
  end

  for s, figure in pairs { [0] = 1.2307692, [2.5] = 0.6321177 } do
    it(("has %g at %g from the axis"):format(figure, s), function()
      assert(math.abs(expected(s) - figure) < 1e-7)
      estimate.matches(figure, scene(s), { spp = 256 })
    end)
  end
end)

describe("a floor below a quad light", function()
  -- Irradiance from a parallel rectangle a by b at height h, below its corner: L / 2 (A atan(B / sqrt...)...), the
  -- configuration factor of a corner: F = 1 / (2 pi) (X / sqrt(1 + X^2) atan(Y / sqrt(1 + X^2)) + Y / sqrt(1 + Y^2)
  -- atan(X / sqrt(1 + Y^2))), X = a / h, Y = b / h.
  local L, h, albedo = 4, 1.5, 0.7
  local function corner(a, b)
    local X, Y = a / h, b / h
    local p, q = math.sqrt(1 + X * X), math.sqrt(1 + Y * Y)
    return (X / p * math.atan(Y / p) + Y / q * math.atan(X / q)) / (2 * math.pi)
  end
  local function scene(x, z)
    return rt.scene {
      camera = look_at({ x, 0, z }, { x + 1, 1, z + 1 }),
      rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = albedo } },
      rt.quad { { -1, h, -0.5 }, { 1, h, -0.5 }, { 1, h, 0.5 }, { -1, h, 0.5 }, material = rt.light { radiance = L } },
    }
  end

  it("has .5853995 below its centre: four corners of a quarter each", function()
    assert(math.abs(4 * albedo * L * corner(1, 0.5) - 0.5853995) < 1e-7)
    estimate.matches(0.5853995, scene(0, 0), { spp = 256 })
  end)
  it("has .3426071 below its corner", function()
    assert(math.abs(albedo * L * corner(2, 1) - 0.3426071) < 1e-7)
    estimate.matches(0.3426071, scene(1, 0.5), { spp = 256 })
  end)
end)

describe("a glass slab of index 1.5", function()
  -- Two surfaces of reflectance R, all internal reflections summed incoherently: T = (1 - R) / (1 + R).
  local function scene(degrees)
    local a = math.rad(degrees)
    return rt.scene {
      camera = rt.camera { from = { 20 * math.sin(a), 0, 20 * math.cos(a) }, to = { 0, 0, 0 }, fov = 0.01 },
      rt.box { min = { -500, -500, -1 }, max = { 500, 500, 0 }, material = rt.glass { ior = 1.5 } },
      rt.quad {
        { -1000, -1000, -5 },
        { 1000, -1000, -5 },
        { 1000, 1000, -5 },
        { -1000, 1000, -5 },
        material = rt.light { radiance = 1 },
      },
    }
  end

  it("transmits .9230769 at 0 degrees: R = .04", function() estimate.matches(0.96 / 1.04, scene(0), { spp = 256 }) end)
  it(
    "transmits .8362325 at 60 degrees: R = .0891867",
    function() estimate.matches(0.8362325, scene(60), { spp = 512 }) end
  )
end)

describe("a smooth glass object in a uniform environment", function()
  -- What is reflected and what is refracted both come from the environment, whatever the shape: it cannot be seen.
  local glass = rt.glass { ior = 1.5 }
  local vertices, normals, indices = {}, {}, {}
  local NU, NV = 24, 12 -- a torus with smooth normals: concave, and its shading normals are off the surface
  for i = 0, NU - 1 do
    for j = 0, NV - 1 do
      local u, v = 2 * math.pi * i / NU, 2 * math.pi * j / NV
      local n = { math.cos(v) * math.cos(u), math.sin(v), math.cos(v) * math.sin(u) }
      vertices[#vertices + 1] = { math.cos(u) + 0.4 * n[1], 0.4 * n[2], math.sin(u) + 0.4 * n[3] }
      normals[#normals + 1] = n
      local function id(a, b) return (a % NU) * NV + b % NV + 1 end
      indices[#indices + 1] = { id(i, j), id(i, j + 1), id(i + 1, j + 1) }
      indices[#indices + 1] = { id(i, j), id(i + 1, j + 1), id(i + 1, j) }
    end
  end
  local shapes = {
    sphere = rt.sphere { center = { 0, 0, 0 }, radius = 1, material = glass },
    box = rt.box { min = { -1, -0.5, -1 }, max = { 1, 0.5, 1 }, material = glass, rotate = { { 1, 2, 3 }, 40 } },
    cylinder = rt.cylinder { from = { 0, -1, 0 }, to = { 0, 1, 0 }, radius = 0.6, caps = true, material = glass },
    torus = rt.mesh { vertices = vertices, normals = normals, indices = indices, material = glass },
  }
  for name, shape in pairs(shapes) do
    it(("is invisible: a %s"):format(name), function()
      local scene =
        rt.scene { camera = rt.camera { from = { 1, 2, 4 }, to = { 0, 0, 0 }, fov = 40 }, background = 1, shape }
      estimate.matches(1, scene, { spp = 16 })
    end)
  end
end)

describe("a white Lambert sphere in sunlight", function()
  -- Chandrasekhar's Lambert sphere: geometric albedo 2/3, so that the mean radiance over the disk is E / pi * 2/3 *
  -- phase, with phase(a) = (sin a + (pi - a) cos a) / pi: 1 at 0 and 1 / pi at 90 degrees.
  local function scene(sun, distance)
    return rt.scene {
      camera = distance and rt.camera { from = { 0, 0, distance }, to = { 0, 0, 0 }, fov = 120 / distance }
        or rt.camera { type = "orthographic", from = { 0, 0, 9 }, to = { 0, 0, 0 }, height = 2.1 },
      rt.sphere { center = { 0, 0, 0 }, radius = 1, material = rt.diffuse { color = 1 } },
      rt.sun { direction = sun, irradiance = 1 },
    }
  end

  it(
    "has .2122066 on average at full phase",
    function() estimate.matches(2 / 3 / math.pi, scene { 0, 0, 1 }, { transparent = true }) end
  )
  it(
    "has .2123657 on average at full phase from 1,000 radii: 1 / (2 pi D) more, since the rays turn towards the limb",
    function()
      estimate.matches(2 / 3 / math.pi + 1 / (2 * math.pi * 1000), scene({ 0, 0, 1 }, 1000), { transparent = true })
    end
  )
  it(
    "has .0675475 on average at phase 90",
    function() estimate.matches(2 / 3 / math.pi / math.pi, scene { 1, 0, 0 }, { transparent = true, spp = 128 }) end
  )
end)

describe("a lamp that is shut in", function()
  -- However thin the wall, and however far away its shadow: no light comes out.
  for _, case in ipairs { { 1e-5, 3 }, { 1e-3, 3 }, { 1e-3, 1000 } } do
    local gap, distance = table.unpack(case)
    it(("by a black shell %g away gives nothing %g away"):format(gap, distance), function()
      local scene = rt.scene {
        camera = look_at({ 0, -distance, 0 }, { distance, 0, distance }),
        rt.sphere { radius = 1, material = rt.light { radiance = 1000 } },
        rt.sphere { radius = 1 + gap, material = rt.diffuse { color = 0 } },
        rt.plane { point = { 0, -distance, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = 1 } },
      }
      local image = scene:render { size = { 8, 8 }, spp = estimate.samples(64) }
      for y = 0, 7 do
        for x = 0, 7 do assert.same({ 0, 0, 0 }, image:pixel(x, y)) end
      end
    end)
  end

  -- A panel's far face emits into the panel: what the floor sees is the near face alone, however thin the panel.
  it("in a thin panel is seen once", function()
    local function panel(thickness)
      return rt.scene {
        camera = look_at({ 0, 0, 0 }, { 1, 1, 1 }),
        rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = 1 } },
        rt.box {
          min = { -1, 20, -1 }, max = { 1, 20 + thickness, 1 }, material = rt.diffuse { color = 0, emission = 100 },
        },
      }
    end
    -- The near face is a quad of 2 by 2 at height 20: the corner factor of 1 by 1 four times.
    local X = 1 / 20
    local p = math.sqrt(1 + X * X)
    local expected = 100 * 4 * (2 * X / p * math.atan(X / p)) / (2 * math.pi)
    for _, thickness in ipairs { 1e-3, 0.1 } do estimate.matches(expected, panel(thickness), { spp = 256 }) end
  end)
end)

describe("form factors", function()
  -- The receiver is white, so that its radiance over the emitter's is the form factor. The emitter is hidden from the
  -- camera, which looks through it.
  local white, lamp = rt.diffuse { color = 1 }, rt.light { radiance = 1 }
  local options = { transparent = true, spp = 128 }

  it("between unit disks at distance 1 is .3819660", function()
    -- X - sqrt(X^2 - 4) over 2 with X = 1 + (1 + 1) / 1 = 3.
    local scene = rt.scene {
      camera = rt.camera { type = "orthographic", from = { 0, 0, 5 }, to = { 0, 0, 0 }, height = 2.2 },
      rt.disk { center = { 0, 0, 0 }, normal = { 0, 0, 1 }, radius = 1, material = white },
      rt.disk { center = { 0, 0, 1 }, normal = { 0, 0, -1 }, radius = 1, material = lamp, visible = false },
    }
    estimate.matches((3 - math.sqrt(5)) / 2, scene, options)
  end)

  -- Faces of a cube (Howell's catalogue, C-11 and C-14).
  local function face(emitter)
    return rt.scene {
      camera = rt.camera { type = "orthographic", from = { 0.5, 0.5, 5 }, to = { 0.5, 0.5, 0 }, height = 1.1 },
      rt.quad { { 0, 0, 0 }, { 1, 0, 0 }, { 1, 1, 0 }, { 0, 1, 0 }, material = white },
      emitter,
    }
  end
  it("between opposite faces of a cube is .1998249", function()
    local scene = face(rt.quad { { 0, 0, 1 }, { 0, 1, 1 }, { 1, 1, 1 }, { 1, 0, 1 }, material = lamp, visible = false })
    estimate.matches(0.1998249, scene, options)
  end)
  it("between adjacent faces of a cube is .2000438", function()
    local scene = face(rt.quad { { 0, 0, 0 }, { 0, 1, 0 }, { 0, 1, 1 }, { 0, 0, 1 }, material = lamp, visible = false })
    estimate.matches(0.2000438, scene, { transparent = true, spp = 256 })
  end)
end)
