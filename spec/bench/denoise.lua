-- What --denoise does for FLIP, as a Markdown table: lua5.4 spec/bench/denoise.lua [FOLDER]. Four scenes of 32 samples
-- a pixel, before and after, against a reference of another seed: a crop of each, so that the reference is affordable.
-- With a folder the pictures go there: noisy, clean and reference as PNG. RTLUA_BENCH_SPP is the reference's (4096).
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local loader = require "rtlua.loader"
local rt = require "rtlua"
local system = require "rtlua.system"

local SPP = tonumber(os.getenv "RTLUA_BENCH_SPP") or 4096
local FOLDER = arg[1]

local SCENES = {
  { "cornell", { 600, 600 }, { 200, 300, 400, 450 } }, { "spheres", { 800, 600 }, { 250, 300, 450, 450 } },
  { "showcase", { 800, 600 }, { 250, 250, 450, 400 } }, { "many_spheres", { 800, 600 }, { 300, 200, 500, 350 } },
}

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

row("scene", "FLIP, noisy", "FLIP, denoised", "ratio", "PSNR, noisy", "PSNR, denoised")
row("---", "---:", "---:", "---:", "---:", "---:")
for _, entry in ipairs(SCENES) do
  local name, size, crop = table.unpack(entry)
  local scene = assert(loader.load("scenes/" .. name .. ".lua", { threads = system.threads() })).scene
  local clean = scene:render { size = size, crop = crop, spp = 32, denoise = "builtin" }
  local noisy = clean:aov "noisy"
  local reference = scene:render { size = size, crop = crop, spp = SPP, seed = 77 }
  local before, after = rt.image.compare(noisy, reference), rt.image.compare(clean, reference)
  local function number(v) return ("%.4f"):format(v) end
  row(name, number(before.flip), number(after.flip), ("%.2f"):format(after.flip / before.flip),
    ("%.1f"):format(before.psnr), ("%.1f"):format(after.psnr))
  for kind, picture in pairs(FOLDER and { noisy = noisy, clean = clean, reference = reference } or {}) do
    picture:save(("%s/%s.%s.png"):format(FOLDER, name, kind))
  end
end
