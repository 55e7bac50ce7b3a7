-- A clear glass sphere on a checkered table. It turns the scene upside down, and a lamp high on the left draws a
-- caustic beside it.
local rt = require "rtlua"

return rt.scene {
  camera = rt.camera { from = { -0.6, 2, 5.6 }, to = { 0.25, 0.82, 0 }, fov = 32, aperture = 0.04, focus = 4.9 },
  render = { size = { 640, 480 }, spp = 128, max_depth = 24 },
  background = { top = { 0.1, 0.2, 0.45 }, bottom = { 0.6, 0.5, 0.4 } },

  rt.plane {
    point = { 0, 0, 0 }, normal = { 0, 1, 0 },
    material = rt.diffuse { color = rt.checker { { 0.75, 0.72, 0.66 }, { 0.16, 0.2, 0.24 }, scale = 2 } },
  },
  rt.sphere { center = { 0, 1, 0 }, radius = 1, material = rt.glass { ior = 1.5 } },
  rt.sphere {
    center = { -4, 6, 1.5 }, radius = 0.8, visible = false,
    material = rt.light { radiance = 45, color = { 1, 0.88, 0.7 } },
  },
}
