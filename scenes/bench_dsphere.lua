-- A sphere with displacement, 1.3 million triangles, to measure by: the same to the letter as that of the peers in
-- spec/bench/cycles.lua.
local rt = require "rtlua"

local NU, NV = 1024, 640

local function displaced()
  local sin, cos, pi = math.sin, math.cos, math.pi
  local vertices, indices = {}, {}
  local n = 0
  for j = 0, NV do
    local theta = pi * j / NV
    local st, ct = sin(theta), cos(theta)
    local s5, s37, c149 = sin(5 * theta), sin(37 * theta), cos(149 * theta)
    for i = 0, NU do
      local phi = i < NU and 2 * pi * i / NU or 0
      local r = 1 + 0.08 * sin(7 * phi) * s5 * st + 0.02 * sin(41 * phi + 3) * s37 * st
        + 0.005 * sin(173 * phi) * c149 * st
      vertices[n + 1], vertices[n + 2], vertices[n + 3] = r * st * cos(phi), r * ct, r * st * sin(phi)
      n = n + 3
    end
  end
  n = 0
  for j = 0, NV - 1 do
    for i = 0, NU - 1 do
      local a = j * (NU + 1) + i + 1
      local c = a + NU + 1
      indices[n + 1], indices[n + 2], indices[n + 3] = a, a + 1, c + 1
      indices[n + 4], indices[n + 5], indices[n + 6] = a, c + 1, c
      n = n + 6
    end
  end
  return vertices, indices
end

local vertices, indices = displaced()

return rt.scene {
  camera = rt.camera { from = { 0, 0, -3.6 }, to = { 0, 0, 0 }, fov = 40 },
  render = { size = { 512, 512 }, spp = 64, max_depth = 16, filter = "box" },
  background = 0.2,

  rt.mesh {
    vertices = vertices, indices = indices, material = rt.diffuse { color = { 0.7, 0.6, 0.5 } }, name = "sphere",
  },
  rt.quad {
    { -10, -1.1, -10 }, { 10, -1.1, -10 }, { 10, -1.1, 10 }, { -10, -1.1, 10 },
    material = rt.diffuse { color = 0.6 }, name = "floor",
  },
  rt.quad {
    { -1, 4, -2 }, { 1, 4, -2 }, { 1, 4, 0 }, { -1, 4, 0 },
    material = rt.light { radiance = 20, two_sided = true }, name = "lamp",
  },
}
