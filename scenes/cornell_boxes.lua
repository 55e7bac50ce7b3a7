-- The Cornell box as it was measured at Cornell: two white boxes, turned towards each other, in a red and green room.
-- Lengths are metres, after the published figures (555 mm wide); the boxes stand where they stood.
local rt = require "rtlua"

local white = rt.diffuse { color = { 0.73, 0.71, 0.68 } }
local red = rt.diffuse { color = { 0.57, 0.043, 0.044 } }
local green = rt.diffuse { color = { 0.105, 0.38, 0.09 } }

local W, H, D = 0.555, 0.549, 0.559 -- inner width, height and depth; x to the right, z towards the camera

-- A box on the floor: its middle, its sides and how far it is turned about the vertical.
local function block(x, z, width, height, depth, degrees)
  return rt.box {
    min = { -width / 2, 0, -depth / 2 }, max = { width / 2, height, depth / 2 }, material = white,
    transform = rt.translate(x, 0, z) * rt.rotate_y(degrees),
  }
end

return rt.scene {
  camera = rt.camera { from = { 0, H / 2, 0.8 }, to = { 0, H / 2, 0 }, fov = 37.8 },
  render = { size = { 512, 512 }, spp = 128, max_depth = 16 },

  rt.quad { { -W / 2, 0, 0 }, { W / 2, 0, 0 }, { W / 2, 0, -D }, { -W / 2, 0, -D }, material = white },
  rt.quad { { -W / 2, H, 0 }, { -W / 2, H, -D }, { W / 2, H, -D }, { W / 2, H, 0 }, material = white },
  rt.quad { { -W / 2, 0, -D }, { W / 2, 0, -D }, { W / 2, H, -D }, { -W / 2, H, -D }, material = white },
  rt.quad { { -W / 2, 0, 0 }, { -W / 2, 0, -D }, { -W / 2, H, -D }, { -W / 2, H, 0 }, material = red },
  rt.quad { { W / 2, 0, -D }, { W / 2, 0, 0 }, { W / 2, H, 0 }, { W / 2, H, -D }, material = green },
  rt.quad {
    { -0.065, H - 0.001, -0.332 }, { 0.065, H - 0.001, -0.332 },
    { 0.065, H - 0.001, -0.227 }, { -0.065, H - 0.001, -0.227 },
    material = rt.light { radiance = 30, color = { 1, 0.83, 0.58 } },
  },

  block(0.0925, -0.169, 0.165, 0.165, 0.165, -18),
  block(-0.0905, -0.351, 0.165, 0.33, 0.165, 17),
}
