-- rtlua beside Blender Cycles on the same two scenes, in one run: seconds a sample, the noise at equal samples, and the
-- time that each needs for the same noise. lua5.4 spec/bench/cycles.lua [REFERENCE_SPP] prints a Markdown table.
--
-- Noise is the root mean square error over the mean, linear, against our own reference of another seed. It falls with
-- the square root of the samples, so that the time for a noise is the seconds a sample times samples times noise^2.
-- Seconds a sample are the slope between two numbers of samples: what comes before the first sample is left out.
-- Needs Debian's blender and ../shared/peers/cycles.py.

package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local files = require "rtlua.files"
local process = require "rtlua.process"
local rt = require "rtlua"
local system = require "rtlua.system"

local PEER = "../shared/peers/cycles.py"
local SIZE = 128
local SPP = { 16, 64, 256 }
local BETWEEN = { 64, 1024 } -- samples, of the slope
local reference_spp = tonumber(arg[1] or 65536)
local threads = system.threads()

if system.exists(PEER) ~= "file" then
  print("skipped: there is no " .. PEER)
  os.exit(0)
end
if not process.run { "blender", "--version" } then
  print "skipped: there is no blender: apt-get install blender"
  os.exit(0)
end

local dir <close> = assert(files.temporary())

-- One picture of a renderer: a list of rows, top first, of { r, g, b }, and the seconds that it took.
local renderers = {
  rtlua = function(scene, spp, seed)
    local path = dir.path .. "/a.pfm"
    local result = process.run {
      "./rtlua", ("scenes/bench_%s.lua"):format(scene), "--size", SIZE .. "x" .. SIZE, "--spp", tostring(spp), "--seed",
      tostring(seed), "--threads", tostring(threads), "--stats", "--quiet", "-o", path, check = true,
    }
    local image, rows = rt.image.load(path), {}
    for y = 0, SIZE - 1 do
      rows[y + 1] = {}
      for x = 0, SIZE - 1 do rows[y + 1][x + 1] = image:pixel(x, y) end
    end
    return rows, tonumber(result.stderr:match "samples%s+[%d,]+ in ([%d.]+) s")
  end,
  Cycles = function(scene, spp, seed)
    local path = dir.path .. "/b"
    local result = process.run {
      "blender", "-b", "-P", PEER, "--", scene, tostring(SIZE), tostring(spp), tostring(threads), path, tostring(seed),
      check = true,
    }
    local raw, rows = assert(files.read(path .. ".raw")), {}
    for y = 0, SIZE - 1 do
      local row = {}
      for x = 0, SIZE - 1 do row[x + 1] = { string.unpack("<fff", raw, (y * SIZE + x) * 16 + 1) } end
      rows[SIZE - y] = row
    end
    return rows, tonumber(result.stdout:match "render=([%d.]+)")
  end,
}

local function noise(rows, reference)
  local squares, sum, n = 0, 0, 0
  for y, row in ipairs(reference) do
    for x, pixel in ipairs(row) do
      for c = 1, 3 do
        local d = rows[y][x][c] - pixel[c]
        squares, sum, n = squares + d * d, sum + pixel[c], n + 1
      end
    end
  end
  return math.sqrt(squares / n) / (sum / n)
end

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

print(("%d x %d, %d threads, reference of %d spp\n"):format(SIZE, SIZE, threads, reference_spp))
row("scene", "renderer", "noise at " .. table.concat(SPP, ", ") .. " spp", "ms a sample of all pixels",
  "time for equal noise, of Cycles'")
row("---", "---", "---", "---:", "---:")
for _, scene in ipairs { "cornell", "dsphere" } do
  local reference = renderers.rtlua(scene, reference_spp, 99)
  local costs = {}
  for _, name in ipairs { "Cycles", "rtlua" } do
    local render, cells, product = renderers[name], {}, 0
    for i, spp in ipairs(SPP) do
      local found = noise(render(scene, spp, 1), reference)
      cells[i] = ("%.4f"):format(found)
      product = product + found * found * spp / #SPP
    end
    local _, few = render(scene, BETWEEN[1], 1)
    local _, many = render(scene, BETWEEN[2], 1)
    local slope = (many - few) / (BETWEEN[2] - BETWEEN[1])
    costs[name] = slope * product
    row(scene, name, table.concat(cells, ", "), ("%.2f"):format(1e3 * slope),
      ("%.2f"):format(costs[name] / costs.Cycles))
  end
end
