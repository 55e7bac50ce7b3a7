-- The Cornell box with a metal and a glass sphere. Light reaches the floor through the glass as a caustic, and the
-- white walls take the colour of their neighbours: both are there without any trick, by following light alone.
local rt = require "rtlua"

local white = rt.diffuse { color = 0.73 }
local red = rt.diffuse { color = { 0.65, 0.05, 0.05 } }
local green = rt.diffuse { color = { 0.12, 0.45, 0.15 } }
local lamp = rt.light { radiance = 12, color = { 1, 0.9, 0.75 } }

return rt.scene {
  camera = rt.camera { from = { 0, 1, 3.6 }, to = { 0, 1, 0 }, fov = 40 },
  render = { size = { 512, 512 }, spp = 128, max_depth = 16 },

  rt.quad { { -1, 0, 1 }, { 1, 0, 1 }, { 1, 0, -1 }, { -1, 0, -1 }, material = white, name = "floor" },
  rt.quad { { -1, 2, 1 }, { -1, 2, -1 }, { 1, 2, -1 }, { 1, 2, 1 }, material = white, name = "ceiling" },
  rt.quad { { -1, 0, -1 }, { 1, 0, -1 }, { 1, 2, -1 }, { -1, 2, -1 }, material = white, name = "back" },
  rt.quad { { -1, 0, 1 }, { -1, 0, -1 }, { -1, 2, -1 }, { -1, 2, 1 }, material = red, name = "left" },
  rt.quad { { 1, 0, -1 }, { 1, 0, 1 }, { 1, 2, 1 }, { 1, 2, -1 }, material = green, name = "right" },
  rt.quad {
    { -0.35, 1.99, -0.35 }, { 0.35, 1.99, -0.35 }, { 0.35, 1.99, 0.35 }, { -0.35, 1.99, 0.35 },
    material = lamp, name = "lamp",
  },

  rt.sphere {
    center = { -0.45, 0.4, -0.3 }, radius = 0.4, name = "metal",
    material = rt.metal { preset = "silver", roughness = 0.15 },
  },
  rt.sphere { center = { 0.45, 0.4, 0.25 }, radius = 0.4, material = rt.glass { ior = 1.5 }, name = "glass" },
}
