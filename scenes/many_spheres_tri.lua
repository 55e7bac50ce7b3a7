-- The spheres of many_spheres.lua as triangle meshes: each is an icosahedron whose faces are cut into smaller ones,
-- with the sphere's own normals, so that it looks as smooth as the real thing: 1,280 triangles each, over a million in
-- all.
local rt = require "rtlua"

local SIDE, CUTS = 10, 3

-- A unit sphere: the icosahedron's faces, cut into four CUTS times, every new corner pushed out to the sphere.
local function icosphere()
  local vertices, faces = {}, {}
  local function corner(x, y, z)
    local length = math.sqrt(x * x + y * y + z * z)
    vertices[#vertices + 1] = { x / length, y / length, z / length }
    return #vertices
  end
  local golden = (1 + math.sqrt(5)) / 2
  for _, s in ipairs { { 1, 1 }, { 1, -1 }, { -1, 1 }, { -1, -1 } } do
    corner(0, s[1], s[2] * golden)
    corner(s[1], s[2] * golden, 0)
    corner(s[2] * golden, 0, s[1])
  end
  local function neighbours(a, b)
    local p, q = vertices[a], vertices[b]
    return p[1] * q[1] + p[2] * q[2] + p[3] * q[3] > 0.4 -- cos 63.4 degrees is 0.447, the next is -0.447
  end
  for a = 1, 12 do
    for b = a + 1, 12 do
      for c = b + 1, 12 do
        if neighbours(a, b) and neighbours(b, c) and neighbours(a, c) then
          local p, q, r = vertices[a], vertices[b], vertices[c]
          local outwards = p[1] * (q[2] * r[3] - q[3] * r[2]) + p[2] * (q[3] * r[1] - q[1] * r[3])
            + p[3] * (q[1] * r[2] - q[2] * r[1]) > 0
          faces[#faces + 1] = outwards and { a, b, c } or { a, c, b }
        end
      end
    end
  end
  for _ = 1, CUTS do
    local middles, finer = {}, {}
    local function middle(a, b)
      local key = math.min(a, b) << 32 | math.max(a, b)
      local p, q = vertices[a], vertices[b]
      middles[key] = middles[key] or corner(p[1] + q[1], p[2] + q[2], p[3] + q[3])
      return middles[key]
    end
    for _, face in ipairs(faces) do
      local a, b, c = face[1], face[2], face[3]
      local ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
      table.move({ { a, ab, ca }, { ab, b, bc }, { ca, bc, c }, { ab, bc, ca } }, 1, 4, #finer + 1, finer)
    end
    faces = finer
  end
  return vertices, faces
end

local vertices, faces = icosphere()

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
      scene[#scene + 1] = rt.mesh {
        vertices = vertices, normals = vertices, indices = faces,
        material = rt.plastic { color = { shade(x), shade(y), shade(z) }, roughness = 0.25 },
        scale = 0.42, translate = { x - (SIDE + 1) / 2, y - (SIDE + 1) / 2, z - (SIDE + 1) / 2 },
      }
    end
  end
end

return rt.scene(scene)
