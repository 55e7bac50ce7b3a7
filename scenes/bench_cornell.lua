-- A Cornell box to measure by, the same to the letter as that of the peers in spec/bench/cycles.lua: spheres are smooth
-- meshes of 256 by 128 quads, the lamp emits on both sides, and the metal reflects 0.9 at every angle.
local rt = require "rtlua"

local white = rt.diffuse { color = 0.73 }
local red = rt.diffuse { color = { 0.65, 0.05, 0.05 } }
local green = rt.diffuse { color = { 0.12, 0.45, 0.15 } }

-- Quads of nu by nv, the poles on the y axis, as flat arrays.
local function sphere(center, radius, material, nu, nv)
  local vertices, normals, indices = {}, {}, {}
  for j = 0, nv do
    for i = 0, nu - 1 do
      local theta, phi = math.pi * j / nv, 2 * math.pi * i / nu
      local n = { math.sin(theta) * math.cos(phi), math.cos(theta), math.sin(theta) * math.sin(phi) }
      for k = 1, 3 do
        normals[#normals + 1] = n[k]
        vertices[#vertices + 1] = center[k] + radius * n[k]
      end
    end
  end
  for j = 0, nv - 1 do
    for i = 0, nu - 1 do
      local p, q = j * nu + i + 1, j * nu + (i + 1) % nu + 1
      table.move({ p, q, q + nu, p, q + nu, p + nu }, 1, 6, #indices + 1, indices)
    end
  end
  return rt.mesh { vertices = vertices, normals = normals, indices = indices, material = material }
end

return rt.scene {
  camera = rt.camera { from = { 0, 1, -3.6 }, to = { 0, 1, 0 }, fov = 40 },
  render = { size = { 512, 512 }, spp = 64, max_depth = 16, filter = "box" },

  rt.quad { { -1, 0, -1 }, { 1, 0, -1 }, { 1, 0, 1 }, { -1, 0, 1 }, material = white, name = "floor" },
  rt.quad { { -1, 2, -1 }, { -1, 2, 1 }, { 1, 2, 1 }, { 1, 2, -1 }, material = white, name = "ceiling" },
  rt.quad { { -1, 0, 1 }, { 1, 0, 1 }, { 1, 2, 1 }, { -1, 2, 1 }, material = white, name = "back" },
  rt.quad { { -1, 0, -1 }, { -1, 0, 1 }, { -1, 2, 1 }, { -1, 2, -1 }, material = red, name = "left" },
  rt.quad { { 1, 0, -1 }, { 1, 2, -1 }, { 1, 2, 1 }, { 1, 0, 1 }, material = green, name = "right" },
  rt.quad {
    { -0.35, 1.99, -0.35 }, { 0.35, 1.99, -0.35 }, { 0.35, 1.99, 0.35 }, { -0.35, 1.99, 0.35 },
    material = rt.light { radiance = 12, two_sided = true }, name = "lamp",
  },
  sphere({ -0.45, 0.4, 0.3 }, 0.4, rt.mirror { color = 0.9 }, 256, 128),
  sphere({ 0.45, 0.4, -0.25 }, 0.4, rt.glass { ior = 1.5 }, 256, 128),
}
