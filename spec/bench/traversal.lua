-- Rays and builds beside Embree's, as Markdown tables on standard output: `make bench`. The peer, its meshes and its
-- rays are ../shared/peers/embree_rays.cpp, compiled here against libembree-dev: without them there is nothing to
-- trace, which is said. Engines take turns, and of each measure its best counts.
package.path = "./?.lua;scripts/?.lua;scripts/?/init.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local folder = require "spec.support.folder"
local lfs = require "lfs"
local run = require "spec.support.run"
local system = require "rtlua.system"

local ROUNDS = tonumber(os.getenv("RTLUA_BENCH_ROUNDS")) or 3
local PEERS = "../shared/peers"
local MESHES = { "dsphere", "terrain", "../shared/data/spot.obj", "soup" }
local SETS = { "primary", "bounce", "occl", "random" }
local THREADS = math.min(2, system.threads())
local THIN = 8 -- one ray of so many is traced: the soup's would take minutes

local function skip(why)
  print(("\nTraversal beside Embree: left out, as %s"):format(why))
  os.exit(0)
end

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

if not lfs.attributes(PEERS .. "/embree_rays.cpp") then skip(PEERS .. " is not here") end
local dir <close> = folder.new()
local embree = dir.path .. "/embree_rays"
local compile = { "-O3", "-march=native", "-o", embree, PEERS .. "/embree_rays.cpp", "-lembree3", "-lpthread" }
if run.program("g++", compile).code ~= 0 then
  dir:remove()
  skip "embree_rays.cpp does not compile: it needs g++ and libembree-dev"
end

local function output_of(program, arguments, env)
  env = env or {}
  env.RAYS = dir.path
  local result = run.program(program, arguments, { env = env })
  assert(result.code == 0, result.stderr)
  return result.stdout
end

local function thin(path)
  local file = assert(io.open(path, "rb"))
  local rays, kept = file:read "a", {}
  file:close()
  for at = 1, #rays, 32 * THIN do kept[#kept + 1] = rays:sub(at, at + 31) end
  file = assert(io.open(path, "wb"))
  file:write(table.concat(kept))
  file:close()
end

-- best[engine][measure]: Mray/s, or builds a second; bytes[engine][mesh]: kept and at peak, as printed.
local best, bytes = {}, {}

local function note(engine, text)
  best[engine], bytes[engine] = best[engine] or {}, bytes[engine] or {}
  local function take(key, value) best[engine][key] = math.max(best[engine][key] or 0, value) end
  for mesh, set, threads, fastest in text:gmatch "RAY,[^,]*,([^,]*),([^,]*),(%d+),%d+,%d+,[^,]*,[^,]*,([^,]*)," do
    take(mesh .. set .. threads, tonumber(fastest))
  end
  for mesh, threads, seconds, kept, peak in text:gmatch "BUILD,[^,]*,([^,]*),%d+,(%d+),([^,]*),([^,]*),([%d.]+)" do
    take(mesh .. "build" .. threads, 1 / tonumber(seconds))
    bytes[engine][mesh] = kept .. ", " .. peak
  end
end

local names = {}
for _, mesh in ipairs(MESHES) do
  local name = mesh:match("([^/]*)$"):gsub("%..*$", "")
  names[#names + 1] = name
  output_of(embree, { mesh, "MEDIUM", "avx2", "2", "gen" })
  output_of(embree, { mesh, "MEDIUM", "avx2", "2", "obj" })
  local obj, rays = ("%s/%s.obj"):format(dir.path, name), dir.path .. "/" .. name
  for _, set in ipairs(SETS) do thin(rays .. "." .. set) end
  for _ = 1, ROUNDS do
    for threads = 1, THREADS do
      local count = tostring(threads)
      local peer = { mesh, "MEDIUM", "avx2", count, threads < THREADS and "buildonly" or nil }
      note("embree", output_of(embree, peer))
      if threads == THREADS then note("robust", output_of(embree, peer, { ROBUST = "1" })) end
      note("rtlua", output_of("./rtlua", { "bench", "traversal", obj, "--rays", rays, "--threads", count }))
    end
  end
end

local sums = { n = 0 }
local function ratio(key, engine)
  local value = best.rtlua[key] / best[engine][key]
  sums[engine] = (sums[engine] or 0) + math.log(value)
  return ("%.2f"):format(value)
end

print(("\nBeside Embree 3 (MEDIUM, avx2; ROBUST: its watertight kernels), the best of %d; rtlua's kernel: %s\n"):format(
  ROUNDS, system.isa()))
row("mesh", "rays", "threads", "of Embree", "of ROBUST", "rtlua, Mray/s", "Embree", "ROBUST")
row("---", "---", "---:", "---:", "---:", "---:", "---:", "---:")
for threads = 1, THREADS do
  for _, name in ipairs(names) do
    for _, set in ipairs(SETS) do
      local key = name .. set .. threads
      local function rate(engine) return ("%.2f"):format(best[engine][key]) end
      sums.n = sums.n + 1
      row(name, set, threads, ratio(key, "embree"), ratio(key, "robust"), rate "rtlua", rate "embree", rate "robust")
    end
  end
end
row("geometric mean", "", "", ("%.2f"):format(math.exp(sums.embree / sums.n)),
  ("%.2f"):format(math.exp(sums.robust / sums.n)), "", "", "")

print ""
row("mesh", "threads", "build's time, of Embree's", "rtlua, s", "Embree, s", "bytes a triangle, kept, peak", "Embree's")
row("---", "---:", "---:", "---:", "---:", "---:", "---:")
for _, name in ipairs(names) do
  for threads = 1, THREADS do
    local ours, theirs = 1 / best.rtlua[name .. "build" .. threads], 1 / best.embree[name .. "build" .. threads]
    row(name, threads, ("%.2f"):format(ours / theirs), ("%.3f"):format(ours), ("%.3f"):format(theirs),
      bytes.rtlua[name], bytes.embree[name])
  end
end
