-- Benchmarks, as a Markdown table on standard output: `make bench`. Nothing is asserted: times belong to the machine
-- that is named above them. Pictures are thrown away; what is reported comes from the job's own counters.
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local loader = require "rtlua.loader"
local system = require "rtlua.system"

local SECONDS = tonumber(os.getenv("RTLUA_BENCH_SECONDS")) or 8

-- Renders for SECONDS, with more samples than that is enough for, and returns the job's progress at the end.
local function measure(scene, threads)
  local job <close> = scene:start { threads = threads, spp = 1 << 20 }
  job:wait(SECONDS)
  return job:progress()
end

local function machine()
  local name = "unknown CPU"
  local file <close> = io.open("/proc/cpuinfo")
  for line in (file and file:lines() or function() end) do name = line:match("^model name%s*:%s*(.+)") or name end
  return ("%s, %d threads, rtlua %s"):format(name, system.threads(), system.version())
end

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

print("Machine: " .. machine() .. "\n")
row("scene", "threads", "placed primitives", "build, s", "Msamples/s", "Mrays/s")
row("---", "---:", "---:", "---:", "---:", "---:")
for _, name in ipairs { "cornell", "showcase", "terrain", "instances" } do
  local scene = assert(loader.load("scenes/" .. name .. ".lua", { threads = system.threads() })).scene
  local info = scene:describe()
  for threads = 1, math.min(2, system.threads()) do
    local progress = measure(scene, threads)
    local function million(count) return ("%.2f"):format(count / progress.seconds / 1e6) end
    row(name, threads, info.placed_primitives, ("%.2f"):format(info.build_seconds), million(progress.samples),
      million(progress.rays))
  end
end
