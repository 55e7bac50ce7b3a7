-- Ten thousand cushions on two crossing ripples. One cushion is in memory, a mesh made by a formula; the field is
-- 10,000 instances of it, each carried up by the wave and tilted as the wave is there.
local rt = require "rtlua"

local SIDE = 100 -- cushions along a side

-- A superellipsoid between a ball and a cube, with half a unit to each side: powers of sines and cosines, the signs
-- kept.
local function cushion()
  local ABOUT, DOWN, SOFT = 48, 24, 0.5
  local function power(x, e) return x < 0 and -math.pow(-x, e) or math.pow(x, e) end
  local function surface(u, v, e)
    local ring = power(math.cos(v), e)
    return { 0.5 * ring * power(math.cos(u), e), 0.5 * power(math.sin(v), e), -0.5 * ring * power(math.sin(u), e) }
  end
  local vertices, normals, indices = {}, {}, {}
  for i = 0, DOWN do
    for j = 0, ABOUT do
      local u, v = 2 * math.pi * j / ABOUT, math.pi * (i / DOWN - 0.5)
      vertices[#vertices + 1] = surface(u, v, SOFT)
      normals[#normals + 1] = surface(u, v, 2 - SOFT) -- the normal of such a shape is one too, its powers turned round
      if i > 0 and j > 0 then
        local c = #vertices
        local a = c - ABOUT - 2
        if i > 1 then table.move({ a, a + 1, c }, 1, 3, #indices + 1, indices) end
        if i < DOWN then table.move({ a, c, c - 1 }, 1, 3, #indices + 1, indices) end
      end
    end
  end
  return rt.mesh {
    name = "cushion", vertices = vertices, normals = normals, indices = indices,
    material = rt.metal { preset = "copper", roughness = 0.4 },
  }
end

-- The height of the water at (x, z): rings about two stones that fell into it.
local function wave(x, z)
  local sum = 0
  for _, stone in ipairs { { -14, -16, 2.6 }, { 17, -34, 2.2 } } do
    local dx, dz = x - stone[1], z - stone[2]
    local r = math.sqrt(dx * dx + dz * dz)
    sum = sum + stone[3] * math.cos(0.62 * r) / (1 + 0.07 * r)
  end
  return sum
end

-- Where the cushion stands in one row and column.
local function place(row, column)
  local x, z = column - SIDE / 2, row - 0.85 * SIDE
  local up = rt.vec(wave(x - 0.01, z) - wave(x + 0.01, z), 0.02, wave(x, z - 0.01) - wave(x, z + 0.01)):normalize()
  local right = up:cross(rt.vec(0, 0, 1)):normalize()
  local back = right:cross(up)
  return {
    0.86 * right.x, 0.5 * up.x, 0.86 * back.x, x,
    0.86 * right.y, 0.5 * up.y, 0.86 * back.y, wave(x, z),
    0.86 * right.z, 0.5 * up.z, 0.86 * back.z, z,
  }
end

return rt.scene {
  camera = rt.camera { from = { 4, 13, 19 }, to = { -1, -0.5, -14 }, fov = 34, aperture = 0.25, focus = 32 },
  render = { size = { 800, 450 }, spp = 64, max_depth = 8, clamp_indirect = 5 },
  background = { top = { 0.3, 0.34, 0.42 }, bottom = { 1, 0.72, 0.45 } },
  rt.sun { direction = { -0.8, 0.5, -0.6 }, irradiance = 2.5, angle = 6, color = { 1, 0.8, 0.55 } },
  rt.plane { point = { 0, -5, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = { 0.02, 0.05, 0.07 } } },
  rt.instances {
    cushion(), count = SIDE * SIDE,
    function(i) return place((i - 1) // SIDE + 1, (i - 1) % SIDE + 1) end,
  },
}
