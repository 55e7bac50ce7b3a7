-- A still life: a gold knot on a dark plinth, glass, copper, steel and plastic on a worn checkered table, lit by two
-- softboxes as a photographer would light it, the wide lens focused on the knot.
local rt = require "rtlua"

-- A tube about a torus knot, which winds p times about the axis and q times about the ring.
local function knot(p, q, major, minor, tube)
  local ALONG, ABOUT = 720, 48
  local function curve(t)
    local r = major + minor * math.cos(q * t)
    return r * math.cos(p * t), r * math.sin(p * t), minor * math.sin(q * t)
  end
  local vertices, normals, indices = {}, {}, {}
  for i = 0, ALONG - 1 do
    local t = 2 * math.pi * i / ALONG
    local x, y, z = curve(t)
    local x1, y1, z1 = curve(t + 1e-3)
    local tx, ty, tz = x1 - x, y1 - y, z1 - z -- along the curve
    local length = math.sqrt(tx * tx + ty * ty + tz * tz)
    tx, ty, tz = tx / length, ty / length, tz / length
    local ring = math.sqrt(x * x + y * y)
    local nx, ny, nz = x - major * x / ring, y - major * y / ring, z -- away from the ring's middle, normal to the curve
    local off = nx * tx + ny * ty + nz * tz
    nx, ny, nz = nx - off * tx, ny - off * ty, nz - off * tz
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx / length, ny / length, nz / length
    local bx, by, bz = ty * nz - tz * ny, tz * nx - tx * nz, tx * ny - ty * nx
    for j = 0, ABOUT - 1 do
      local c, s = math.cos(2 * math.pi * j / ABOUT), math.sin(2 * math.pi * j / ABOUT)
      local ox, oy, oz = c * nx + s * bx, c * ny + s * by, c * nz + s * bz
      normals[#normals + 1] = { ox, oy, oz }
      vertices[#vertices + 1] = { x + tube * ox, y + tube * oy, z + tube * oz }
      local a, b = i * ABOUT, (i + 1) % ALONG * ABOUT
      local k = (j + 1) % ABOUT
      indices[#indices + 1] = { a + j + 1, b + j + 1, b + k + 1 }
      indices[#indices + 1] = { a + j + 1, b + k + 1, a + k + 1 }
    end
  end
  return { vertices = vertices, normals = normals, indices = indices }
end

local PLINTH = 0.36
local gold = knot(2, 3, 0.5, 0.22, 0.135)
gold.material = rt.metal { preset = "gold", roughness = 0.22 }
gold.transform = rt.translate(0, PLINTH + 0.85, 0) * rt.rotate_y(-24)
gold.name = "knot"

local clear = rt.glass { ior = 1.5 }
local copper = rt.metal { preset = "copper", roughness = 0.45 }
local steel = rt.metal { preset = "iron", roughness = 0.3 }
local black = rt.plastic { color = 0.02, roughness = 0.12 }
local teal = rt.plastic { color = { 0.02, 0.25, 0.27 }, roughness = 0.1 }
local red = rt.plastic { color = { 0.55, 0.035, 0.02 }, roughness = 0.1 }
local amber = rt.plastic { color = { 0.75, 0.28, 0.03 }, roughness = 0.15 }
local ivory = rt.plastic { color = { 0.75, 0.68, 0.55 }, roughness = 0.25 }

local function ball(x, z, radius, material)
  return rt.sphere { center = { x, radius, z }, radius = radius, material = material }
end

-- A softbox: a square lamp, which reflections show and the camera does not, at `from` that faces the still life.
local function softbox(from, size, radiance, color)
  local h = size / 2
  return rt.quad {
    { -h, -h, 0 }, { -h, h, 0 }, { h, h, 0 }, { h, -h, 0 },
    material = rt.light { radiance = radiance, color = color },
    transform = rt.look_at(from, { 0, 0.8, 0 }, { 0, 1, 0 }), visible = false,
  }
end

return rt.scene {
  camera = rt.camera { from = { 1.1, 1.75, 7.2 }, to = { 0.1, 0.92, 0 }, fov = 24, aperture = 0.11, focus = 6.9 },
  render = { size = { 960, 540 }, spp = 192, max_depth = 12, clamp_indirect = 8, exposure = 0.9 },
  background = { top = { 0.1, 0.13, 0.18 }, bottom = { 0.06, 0.05, 0.05 } },

  rt.plane {
    point = { 0, 0, 0 }, normal = { 0, 1, 0 }, name = "table",
    material = rt.plastic {
      color = rt.checker { { 0.42, 0.38, 0.33 }, { 0.08, 0.075, 0.075 }, scale = 1.25 }, roughness = 0.38,
    },
  },
  rt.quad {
    { -30, 0, -9 }, { 30, 0, -9 }, { 30, 20, -9 }, { -30, 20, -9 }, name = "backdrop",
    material = rt.diffuse { color = { 0.07, 0.055, 0.05 } },
  },
  rt.spot {
    position = { -0.4, 0.7, -6 }, direction = { 0, 0.3, -1 }, intensity = 110, angle = 140, blend = 1,
    color = { 1, 0.6, 0.35 },
  },
  softbox({ -4, 4.5, 3 }, 2.6, 10, { 1, 0.82, 0.6 }),
  softbox({ 5, 3.2, -1.5 }, 2, 7, { 0.75, 0.86, 1 }),

  rt.cylinder { from = { 0, 0, 0 }, to = { 0, PLINTH, 0 }, radius = 0.78, caps = true, material = black },
  rt.mesh(gold),

  ball(-1.5, 0.75, 0.5, clear),
  ball(1.42, 0.5, 0.42, copper),
  ball(0.78, 1.55, 0.2, red),
  ball(-0.62, 1.7, 0.15, teal),
  ball(2.15, 1.2, 0.16, ivory),
  ball(-2.25, -0.6, 0.32, ivory),
  ball(2.5, -1.2, 0.55, teal),
  ball(-1.1, -2.4, 0.6, red),
  ball(0.95, -3.4, 0.45, steel),
  ball(-3.6, -3.6, 0.8, amber),
  rt.cylinder { from = { 1.75, 0, -2.1 }, to = { 1.75, 1.5, -2.1 }, radius = 0.2, caps = true, material = steel },
  rt.box {
    min = { -0.3, 0, -0.3 }, max = { 0.3, 0.6, 0.3 }, material = ivory,
    translate = { -2.1, 0, -1.7 }, rotate = { { 0, 1, 0 }, 28 },
  },
}
