-- A lake among mountains: a mesh of 1.2 million triangles, made here by a formula. The height is a ridged multifractal
-- (Musgrave): layers of noise, each finer and weaker than the last, folded so that their middle becomes a ridge, and
-- stronger where the layer above is high already. What grows where is decided a triangle at a time, by height and by
-- slope.
local rt = require "rtlua"

local N = 780 -- squares along a side
local SIZE, HEIGHT, OCTAVES = 40, 9, 8
local LAKE = 1.55

math.randomseed(21)

-- Smooth noise in [0, 1] on a lattice of random numbers, a row at a time: what depends on z alone is done once a row.
local function noise(cells)
  local lattice = {}
  for k = 0, cells + 1 do
    lattice[k] = {}
    for i = 0, cells + 1 do lattice[k][i] = math.random() end
  end
  local function split(j)
    local at = j / N * cells
    local cell = math.floor(at)
    local f = at - cell
    return cell, f * f * f * (f * (f * 6 - 15) + 10)
  end
  local cell, weight = {}, {}
  for i = 0, N do cell[i], weight[i] = split(i) end
  return function(k)
    local z, f = split(k)
    local near, far, row = lattice[z], lattice[z + 1], {}
    for i = 0, cells + 1 do row[i] = near[i] + f * (far[i] - near[i]) end
    return function(i)
      local c = cell[i]
      local a = row[c]
      return a + weight[i] * (row[c + 1] - a)
    end
  end
end

local layers = {}
for octave = 1, OCTAVES do layers[octave] = noise(3 << octave - 1) end

local height = {} -- of point (i, k), at k * (N + 1) + i
for k = 0, N do
  local rows = {}
  for octave = 1, OCTAVES do rows[octave] = layers[octave](k) end
  for i = 0, N do
    local sum, strength, last = 0, 0.5, 1
    for octave = 1, OCTAVES do
      local ridge = 1 - math.abs(2 * rows[octave](i) - 1)
      ridge = ridge * ridge * last
      sum, strength, last = sum + strength * ridge, strength * 0.52, math.min(1, 1.8 * ridge)
    end
    local x, z = 2 * i / N - 1, 2 * k / N - 1
    local valley = math.min(1, 0.12 + 1.3 * x * x + 0.5 * (z - 0.55) * (z - 0.55))
    height[k * (N + 1) + i] = HEIGHT * sum * valley
  end
end

local vertices, normals, indices, kinds = {}, {}, {}, {}
local step = SIZE / N
for k = 0, N do
  for i = 0, N do
    local at = k * (N + 1) + i
    local left, right = height[i > 0 and at - 1 or at], height[i < N and at + 1 or at]
    local back, front = height[k > 0 and at - N - 1 or at], height[k < N and at + N + 1 or at]
    local nx, nz = (left - right) / (2 * step), (back - front) / (2 * step)
    local length = math.sqrt(nx * nx + 1 + nz * nz)
    local v = 3 * at
    vertices[v + 1], vertices[v + 2], vertices[v + 3] = i * step - SIZE / 2, height[at], k * step - SIZE / 2
    normals[v + 1], normals[v + 2], normals[v + 3] = nx / length, 1 / length, nz / length
  end
end

local SHORE, GRASS, ROCK, SNOW = 1, 2, 3, 4
local function kind(corner)
  local y, flatness = height[corner - 1], normals[3 * corner - 1]
  y = y + 0.5 * math.random()
  if y > 4.6 and flatness > 0.62 then return SNOW end
  if flatness < 0.74 then return ROCK end
  if y < LAKE + 0.45 then return SHORE end
  return y < 3.6 and GRASS or ROCK
end
local function triangle(a, b, c)
  local n = #indices
  indices[n + 1], indices[n + 2], indices[n + 3] = a, b, c
  kinds[#kinds + 1] = kind(a)
end
for k = 0, N - 1 do
  for i = 1, N do
    local a = k * (N + 1) + i
    local c = a + N + 1
    triangle(a, c, c + 1)
    triangle(a, c + 1, a + 1)
  end
end

return rt.scene {
  camera = rt.camera { from = { 1.5, 3.1, 17.5 }, to = { -0.5, 3.2, 0 }, fov = 38 },
  render = { size = { 800, 450 }, spp = 64, max_depth = 6 },
  background = { top = { 0.02, 0.17, 0.6 }, bottom = { 1.05, 0.85, 0.68 } },
  rt.sun { direction = { -0.8, 0.42, 0.5 }, irradiance = 5, angle = 0.53, color = { 1, 0.82, 0.6 } },

  rt.mesh {
    name = "mountains", vertices = vertices, normals = normals, indices = indices, material_ids = kinds,
    materials = {
      [SHORE] = rt.diffuse { color = { 0.3, 0.25, 0.18 } },
      [GRASS] = rt.diffuse { color = { 0.09, 0.13, 0.05 } },
      [ROCK] = rt.diffuse { color = { 0.21, 0.19, 0.18 } },
      [SNOW] = rt.diffuse { color = { 0.85, 0.87, 0.9 } },
    },
  },
  rt.plane {
    name = "lake", point = { 0, LAKE, 0 }, normal = { 0, 1, 0 },
    material = rt.plastic { color = { 0.01, 0.03, 0.04 }, ior = 1.33, roughness = 0.08 },
  },
}
