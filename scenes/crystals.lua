-- Crystals on two crossing waves, each with a height of its own and leaning as the wave does: instances of one mesh.
-- `-D side=3163` makes ten million of them, in 2 GB.
local rt = require "rtlua"

local SIDE = rt.params { side = 200 }.side // 1 -- crystals along a side
local GOLDEN = 0.6180339887498949

-- Six faces around a stem, and six for its tip.
local function crystal()
  local vertices, indices = { { 0, 1, 0 } }, {}
  for i = 0, 5 do
    local x, z = math.cos(i * math.pi / 3), math.sin(i * math.pi / 3)
    table.move({ { 0.3 * x, 0, 0.3 * z }, { 0.36 * x, 0.7, 0.36 * z } }, 1, 2, #vertices + 1, vertices)
    local a, b = 2 + 2 * i, 2 + 2 * ((i + 1) % 6)
    table.move({ a, a + 1, b, b, a + 1, b + 1, a + 1, 1, b + 1 }, 1, 9, #indices + 1, indices)
  end
  return rt.mesh {
    name = "crystal", vertices = vertices, indices = indices,
    material = rt.plastic { color = { 0.14, 0.3, 0.42 }, roughness = 0.15 },
  }
end

-- The heights of a wave at 1 to SIDE, and its slopes there.
local function wave(length)
  local heights, slopes = {}, {}
  for i = 1, SIDE do
    heights[i] = math.sin(2 * math.pi * i / length)
    slopes[i] = math.cos(2 * math.pi * i / length) * 2 * math.pi / length
  end
  return heights, slopes
end

local across, across_slope = wave(23)
local along, along_slope = wave(31)

local function place(i)
  local column, row = (i - 1) % SIDE + 1, (i - 1) // SIDE + 1
  local tall = 0.9 + 1.6 * (i * GOLDEN % 1)
  local lean_x = -1.3 * across_slope[column] * along[row] * tall
  local lean_z = 1.3 * across[column] * along_slope[row] * tall
  return {
    1, lean_x, 0, column - SIDE / 2,
    0, tall, 0, 1.3 * across[column] * along[row],
    0, lean_z, 1, -row,
  }
end

return rt.scene {
  camera = rt.camera { from = { 0, 9, 8 }, to = { 0, 0, -16 }, fov = 40 },
  render = { size = { 800, 450 }, spp = 64, max_depth = 8, clamp_indirect = 5 },
  background = { top = { 0.25, 0.4, 0.7 }, bottom = { 0.9, 0.8, 0.7 } },
  rt.sun { direction = { 0.7, 0.45, -0.4 }, irradiance = 3, angle = 2, color = { 1, 0.75, 0.5 } },
  rt.plane { point = { 0, -1.3, 0 }, material = rt.diffuse { color = 0.05 } },
  rt.instances { crystal(), count = SIDE * SIDE, place },
}
