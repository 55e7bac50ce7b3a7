-- A pyramid of spheres, stacked as oranges are: each rests in the hollow between four below it.
local rt = require "rtlua"

local RADIUS, LAYERS = 0.5, 5

local materials = {
  rt.plastic { color = { 0.75, 0.09, 0.05 }, roughness = 0.15 },
  rt.metal { preset = "gold", roughness = 0.2 },
  rt.plastic { color = { 0.05, 0.32, 0.42 }, roughness = 0.3 },
  rt.metal { preset = "copper", roughness = 0.35 },
  rt.diffuse { color = { 0.82, 0.78, 0.7 } },
  rt.glass { ior = 1.5 },
}

local scene = {
  camera = rt.camera { from = { 5.2, 4.2, 6.9 }, to = { 0, 1.3, 0 }, fov = 34, aperture = 0.04, focus = 7.4 },
  render = { size = { 640, 480 }, spp = 128, max_depth = 12, clamp_indirect = 8 },
  background = { top = { 0.16, 0.25, 0.45 }, bottom = { 0.55, 0.5, 0.42 } },
  rt.plane { point = { 0, 0, 0 }, normal = { 0, 1, 0 }, material = rt.diffuse { color = { 0.32, 0.29, 0.26 } } },
  rt.sun { direction = { 0.9, 1.1, 0.35 }, irradiance = 3, angle = 4, color = { 1, 0.9, 0.75 } },
}

for layer = 0, LAYERS - 1 do
  local side = LAYERS - layer
  for i = 1, side do
    for k = 1, side do
      scene[#scene + 1] = rt.sphere {
        center = {
          (2 * i - side - 1) * RADIUS,
          (1 + layer * math.sqrt(2)) * RADIUS, -- a layer's height: the square pyramid's of unit edges
          (2 * k - side - 1) * RADIUS,
        },
        radius = RADIUS,
        material = materials[(i * 2 + k * 3 + layer) % #materials + 1],
      }
    end
  end
end

return rt.scene(scene)
