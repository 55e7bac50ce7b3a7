-- rtlua bench traversal MESH: how fast rays meet a mesh, and how fast its tree is built. Prints lines of numbers,
--
--     BUILD,engine,mesh,triangles,threads,seconds,bytes a triangle kept,at peak
--     RAY,engine,mesh,set,threads,rays,hits,median,min,max Mray/s,mean t
--
-- Bytes are those beside vertices and indices; the peak is the whole process's, less what it had before.

local core_mesh = require "rtlua.core.mesh"
local core_scene = require "rtlua.core.scene"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local output = require "rtlua.output"
local system = require "rtlua.system"

local bench = {}

local SETS = { "primary", "bounce", "occl", "random" }
local PASSES = 5 -- after one that is not counted
local RAYS = 1 << 18 -- where no files are given

local function check(value, message, code)
  if value == nil then errors.raise(code, message) end
  return value
end

local function print_line(format, ...) output.write(format:format(...) .. "\n") end

-- The memory that the process has now.
local function resident()
  local file <close> = io.open "/proc/self/statm"
  return file and tonumber(file:read("a"):match "^%d+ (%d+)") * 4096 or 0
end

-- Rays through the ball around a box, from one random point of its surface to another.
local function random_rays(bounds)
  local center, square = {}, 0
  for axis = 1, 3 do
    center[axis] = (bounds.min[axis] + bounds.max[axis]) / 2
    square = square + (bounds.max[axis] - bounds.min[axis]) ^ 2 / 4
  end
  local radius, rays = math.sqrt(square), {}
  local function point()
    local z, turn = 1 - 2 * math.random(), 2 * math.pi * math.random()
    local r = math.sqrt(1 - z * z)
    return center[1] + radius * r * math.cos(turn), center[2] + radius * r * math.sin(turn), center[3] + radius * z
  end
  math.randomseed(1)
  for i = 1, RAYS do
    local ax, ay, az = point()
    local bx, by, bz = point()
    local x, y, z = bx - ax, by - ay, bz - az
    local length = math.sqrt(x * x + y * y + z * z)
    rays[i] = ("<ffffffff"):pack(ax, ay, az, 0, x / length, y / length, z / length, 1e30)
  end
  return table.concat(rays)
end

local function measure(scene, engine, name, set, rays, threads)
  local seconds, last = {}, nil
  for pass = 0, PASSES do
    last = check(scene:trace(rays, set == "occl", threads))
    if pass > 0 then seconds[pass] = last.seconds end
  end
  table.sort(seconds)
  local n = #rays // 32
  local function rate(s) return n / s * 1e-6 end
  print_line("RAY,%s,%s,%s,%d,%d,%d,%.3f,%.3f,%.3f,%.9g", engine, name, set, threads, n, last.hits,
    rate(seconds[(PASSES + 1) // 2]), rate(seconds[PASSES]), rate(seconds[1]), last.t_sum / math.max(1, last.hits))
end

function bench.command(parsed)
  local what, path = parsed.arguments[1], parsed.arguments[2]
  if what ~= "traversal" then
    errors.raise(errors.USAGE, ("bench: there is no bench '%s': rtlua bench traversal MESH"):format(what))
  end
  local threads = parsed.options.threads or system.threads()
  local mesh = check(core_mesh.load(path))
  local scene <close> = check(core_scene.new())
  local material = check(scene:material { kind = "diffuse", color = check(scene:texture {
    kind = "constant", value = { 0.5, 0.5, 0.5 },
  }) })
  check(scene:shape(0, { kind = "mesh", mesh = mesh, materials = { material } }))
  check(scene:camera { kind = "perspective", from = { 0, 0, 1 }, to = { 0, 0, 0 }, up = { 0, 1, 0 }, fov = 40 })
  local name, engine = path:match("([^/]*)$"):gsub("%..*$", ""), "rtlua-" .. system.isa()
  local had = resident()
  check(scene:commit(threads))
  local about = scene:describe()
  print_line("BUILD,%s,%s,%d,%d,%.4f,%.1f,%.1f", engine, name, about.triangles, threads, about.build_seconds,
    about.tree_bytes / about.triangles, (system.peak_memory() - had) / about.triangles)
  if not parsed.options.rays then
    measure(scene, engine, name, "random", random_rays(about.bounds), threads)
    return 0
  end
  for _, set in ipairs(SETS) do
    local rays, message = files.read(parsed.options.rays .. "." .. set)
    if not rays then errors.raise(errors.NO_INPUT, message) end
    for count = 1, threads do measure(scene, engine, name, set, rays, count) end
  end
  return 0
end

return bench
