-- Some 500 spheres thrown on a plain: each throw takes the largest size that still touches nobody, so big ones come
-- first and small ones fill the gaps. A wide lens keeps only the middle sharp.
local rt = require "rtlua"

math.randomseed(7)
local random = math.random

local palette = {
  { 0.72, 0.11, 0.06 }, { 0.86, 0.44, 0.06 }, { 0.83, 0.72, 0.42 }, { 0.06, 0.33, 0.3 }, { 0.04, 0.14, 0.33 },
  { 0.78, 0.76, 0.7 },
}
local metals = { "gold", "copper", "silver", "aluminium", "iron" }

local function material()
  local kind, color = random(), palette[random(#palette)]
  if kind < 0.4 then return rt.plastic { color = color, roughness = 0.1 + 0.3 * random() } end
  if kind < 0.65 then return rt.diffuse { color = color } end
  if kind < 0.85 then return rt.metal { preset = metals[random(#metals)], roughness = 0.4 * random() } end
  return rt.glass { ior = 1.5 }
end

local scene = {
  camera = rt.camera { from = { 2.6, 2.1, 10.5 }, to = { 0.2, 0.75, 0 }, fov = 26, aperture = 0.14, focus = 9.5 },
  render = { size = { 800, 450 }, spp = 128, max_depth = 12, clamp_indirect = 8, exposure = 0.3 },
  background = { top = { 0.04, 0.2, 0.65 }, bottom = { 0.62, 0.6, 0.6 } },
  rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = { 0.3, 0.26, 0.22 } } },
  rt.sun { direction = { -0.7, 0.75, 0.5 }, irradiance = 3, angle = 3, color = { 1, 0.86, 0.66 } },
}

local placed = {}
local function place(x, z, radius, what)
  placed[#placed + 1] = { x, z, radius }
  scene[#scene + 1] = rt.sphere { center = { x, radius, z }, radius = radius, material = what }
end

place(-2.3, -0.9, 1, rt.metal { preset = "gold", roughness = 0.12 })
place(0, 0, 1, rt.glass { ior = 1.5 })
place(2.3, 0.9, 1, rt.plastic { color = { 0.04, 0.14, 0.33 }, roughness = 0.12 })

while #placed < 503 do
  local x, z = 26 * random() - 13, 30 * random() - 22
  local room = 0.38
  for _, other in ipairs(placed) do
    -- Two spheres on a plain touch where the distance of their feet, squared, is 4 r1 r2.
    local dx, dz, r = x - other[1], z - other[2], other[3]
    room = math.min(room, (dx * dx + dz * dz) / (4 * r))
  end
  if room >= 0.1 then place(x, z, 0.98 * room * (0.55 + 0.45 * random()), material()) end
end

return rt.scene(scene)
