-- Benchmarks, as a Markdown table on standard output: `make bench`. Nothing is asserted: times belong to the machine
-- that is named above them. Pictures are thrown away; what is reported comes from the job's own counters.
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local loader = require "rtlua.loader"
local system = require "rtlua.system"

local SECONDS = tonumber(os.getenv("RTLUA_BENCH_SECONDS")) or 8

-- Renders for about SECONDS and returns the job's progress at its end.
local function measure(core, settings)
  local job <close> = assert(core:start(settings))
  job:wait(SECONDS)
  local progress = job:progress()
  job:stop()
  return progress
end

local function machine()
  local name = "unknown CPU"
  for line in io.lines("/proc/cpuinfo") do
    name = line:match("^model name%s*:%s*(.+)") or name
  end
  return ("%s, %d threads, rtlua %s"):format(name, system.threads(), system.version())
end

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

print("Machine: " .. machine() .. "\n")
row("scene", "threads", "size", "Msamples/s", "Mrays/s")
row("---", "---:", "---", "---:", "---:")
for _, name in ipairs { "cornell", "showcase", "terrain", "instances" } do
  local scene = assert(loader.load("scenes/" .. name .. ".lua", { threads = system.threads() })).scene
  local width, height = table.unpack(scene.render.size)
  for threads = 1, math.min(2, system.threads()) do
    local progress = measure(scene.core, {
      width = width, height = height, crop = { 0, 0, width, height }, sample_begin = 0, sample_end = 65536,
      threads = threads, seed = 0, max_depth = scene.render.max_depth,
    })
    row(name, threads, width .. "x" .. height, ("%.2f"):format(progress.samples / progress.seconds / 1e6),
      ("%.2f"):format(progress.rays / progress.seconds / 1e6))
  end
end
