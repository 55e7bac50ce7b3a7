-- Ten thousand porcelain petals: one petal is in memory, a small mesh made by a formula; the flower is 10,000 instances of it. They
-- sit on a ball as a sunflower's seeds sit on its head: each a golden angle further on, so that they never line up, and spirals show.
local rt = require "rtlua"

local PETALS = 10000
local GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))

-- A petal grows along +y from the origin, a unit long, and faces +z: pointed, cupped across, its tip bent forward.
local function petal()
  local LONG, WIDE = 14, 8
  local function point(t, s) -- t from root to tip, s from -1 to 1 across
    local width = 0.42 * math.pow(math.sin(math.pi * math.pow(0.02 + 0.98 * t, 0.75)), 0.8)
    return s * width, t, 0.5 * width * s * s + 0.35 * t * t * t
  end
  local vertices, normals, indices = {}, {}, {}
  for i = 0, LONG do
    for j = 0, WIDE do
      local t, s = math.min(i / LONG, 0.995), 2 * j / WIDE - 1
      local x, y, z = point(t, s)
      local xt, yt, zt = point(t + 1e-3, s)
      local xs, ys, zs = point(t, s + 1e-3)
      local ax, ay, az, bx, by, bz = xs - x, ys - y, zs - z, xt - x, yt - y, zt - z
      vertices[#vertices + 1] = { x, y, z }
      normals[#normals + 1] = rt.vec(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx):normalize()
      if i > 0 and j > 0 then
        local c = #vertices
        local a = c - WIDE - 2
        table.move({ a, a + 1, c, a, c, c - 1 }, 1, 6, #indices + 1, indices)
      end
    end
  end
  return rt.mesh {
    name = "petal", vertices = vertices, normals = normals, indices = indices,
    material = rt.plastic { color = { 0.8, 0.7, 0.6 }, roughness = 0.3 },
  }
end

-- Where petal i sits: on the unit ball at `out`, leaning from the ball towards its pole the more the nearer that is.
local one = petal()
local flower = {}
for i = 1, PETALS do
  local y = 1 - 2 * (i - 0.5) / PETALS
  local ring, angle = math.sqrt(1 - y * y), i * GOLDEN_ANGLE
  local out = rt.vec(ring * math.cos(angle), y, ring * math.sin(angle))
  local across = rt.vec(-math.sin(angle), 0, math.cos(angle))
  local up = out:cross(across) -- along the ball, to the pole
  local lean = math.rad(28 + 50 * math.pow((1 + y) / 2, 6))
  local grow = up * math.cos(lean) + out * math.sin(lean)
  local face = across:cross(grow)
  local size = 0.1
  flower[i] = one:at {
    transform = rt.matrix {
      size * across.x, size * grow.x, size * face.x, out.x,
      size * across.y, size * grow.y, size * face.y, out.y,
      size * across.z, size * grow.z, size * face.z, out.z,
      0, 0, 0, 1,
    },
  }
end

return rt.scene {
  camera = rt.camera { from = { 0, 2.2, 4.6 }, to = { 0, 0.98, 0 }, fov = 30, aperture = 0.05, focus = 3.9 },
  render = { size = { 640, 480 }, spp = 64, max_depth = 8 },
  background = { top = { 0.2, 0.3, 0.45 }, bottom = { 0.5, 0.42, 0.36 } },
  rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = { 0.2, 0.24, 0.28 } } },
  rt.sun { direction = { -0.9, 0.8, 0.35 }, irradiance = 2.6, angle = 5, color = { 1, 0.85, 0.65 } },
  rt.group(flower):at { rotate = { { 1, 0, -0.35 }, 42 }, translate = { 0, 1.05, 0 } },
}
