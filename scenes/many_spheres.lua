-- A cube of 10 x 10 x 10 spheres, coloured by where they are. many_spheres_tri.lua is the same picture from triangles.
local rt = require "rtlua"

local SIDE = 10

local scene = {
  camera = rt.camera { from = { 14.5, 11, 18 }, to = { 0, -0.5, 0 }, fov = 34 },
  render = { size = { 640, 480 }, spp = 64, max_depth = 8 },
  background = { top = { 0.7, 0.75, 0.8 }, bottom = { 0.2, 0.19, 0.22 } },
  rt.sun { direction = { 0.5, 1, 0.8 }, irradiance = 1.2, angle = 3 },
}

for x = 1, SIDE do
  for y = 1, SIDE do
    for z = 1, SIDE do
      local function shade(i) return 0.06 + 0.84 * (i - 1) / (SIDE - 1) end
      scene[#scene + 1] = rt.sphere {
        center = { x - (SIDE + 1) / 2, y - (SIDE + 1) / 2, z - (SIDE + 1) / 2 },
        radius = 0.42,
        material = rt.plastic { color = { shade(x), shade(y), shade(z) }, roughness = 0.25 },
      }
    end
  end
end

return rt.scene(scene)
