-- The table of promise 1: SHA-256 of pictures' pixels, one a scene, however they were made: by which build and kernel,
-- on how many threads, whole, joined from crops or from ranges of samples in any order, or stopped by SIGKILL at a
-- random moment and resumed; and one of the denoised picture, whole or of merged crops. Ends with 1 where a hash is
-- another.
--
--     lua5.4 spec/same_bits.lua gcc=./rtlua clang=../clang/rtlua "aarch64=qemu-aarch64-static … ./rtlua"
--
-- Builds are names with the words that run them; a kernel that a computer cannot run is left out, and said to be.

package.path = "./scripts/?.lua;./scripts/?/init.lua;./?.lua;" .. package.path
package.cpath = "./?.so;" .. package.cpath

local argparse = require "argparse"
local files = require "rtlua.files"
local folder = require "spec.support.folder"
local process = require "rtlua.process"

local SCENES = { "cornell", "spheres", "showcase" }
local USAGE = 64
local ORDERS = { { 1, 2, 3 }, { 3, 1, 2 }, { 2, 3, 1 } }

local function words_of(text)
  local list = {}
  for word in text:gmatch "[^%s,]+" do list[#list + 1] = word end
  return list
end

local parser = argparse("same_bits.lua", "Hashes of the same pictures, made in many ways.")
parser:option("--size", "Width and height.", "64x48")
parser:option("--spp", "Samples per pixel.", "64")
parser:option("--threads", "Numbers of threads.", "1,2,7,64"):convert(words_of)
parser:option("--isa", "Kernels.", "sse2,avx2,avx512,neon"):convert(words_of)
parser:option("--seed", "Of the moments of the kills.", tostring(os.time()))
parser:argument("builds", "NAME=WORDS"):args "+"
local wanted = parser:parse()
local width, height = wanted.size:match "^(%d+)x(%d+)$"
width, height = math.tointeger(width), math.tointeger(height)
local spp = math.tointeger(wanted.spp)
math.randomseed(math.tointeger(wanted.seed))

local dir <close> = folder.new()
local function at(name) return dir.path .. "/" .. name end

-- One build with one kernel on so many threads.
local function command(build, ...)
  local list = { env = { RTLUA_ISA = build.isa } }
  for _, word in ipairs(build.words) do list[#list + 1] = word end
  for i = 1, select("#", ...) do list[#list + 1] = tostring((select(i, ...))) end
  return list
end

local function rtlua(build, ...)
  local list = command(build, ...)
  local result = assert(process.run(list))
  if result.code ~= 0 then error(("%s: %s"):format(table.concat(list, " "), result.stderr), 0) end
end

local function render_words(build, scene, output, ...)
  return "render", ("scenes/%s.lua"):format(scene), "--size", wanted.size, "--threads", build.threads, "--quiet", "-o",
    at(output), ...
end

-- Of the pixels: a PFM's header is three lines.
local function hash(name)
  local pixels = dir:read(name):gsub("^[^\n]*\n[^\n]*\n[^\n]*\n", "", 1)
  return files.sha256_text(pixels)
end

-- ---- The ways; each calls note(way, hash)

local function whole(build, scene, note)
  rtlua(build, render_words(build, scene, "a.pfm", "--spp", spp))
  note("whole", hash "a.pfm")
end

-- Merges four crops, rendered and merged with more words.
local function merge_crops(build, scene, ...)
  local x, y = width // 3, height // 2
  local boxes = { { 0, 0, x, y }, { x, 0, width, y }, { 0, y, x, height }, { x, y, width, height } }
  for i, box in ipairs(boxes) do
    rtlua(build, render_words(build, scene, i .. ".part", "--spp", spp, "--crop", table.concat(box, ","), ...))
  end
  rtlua(build, "merge", "-o", at "a.pfm", at "4.part", at "2.part", at "1.part", at "3.part", ...)
end

local function crops(build, scene, note)
  merge_crops(build, scene)
  note("four crops merged", hash "a.pfm")
end

local function denoised(build, scene, note)
  rtlua(build, render_words(build, scene, "a.pfm", "--spp", spp, "--denoise", "builtin"))
  note("denoised", hash "a.pfm")
  merge_crops(build, scene, "--denoise", "builtin")
  note("crops denoised", hash "a.pfm")
end

local function ranges(build, scene, note)
  local bounds = { 0, spp // 5, spp // 2, spp }
  for i = 1, 3 do
    local range = ("%d:%d"):format(bounds[i], bounds[i + 1])
    rtlua(build, render_words(build, scene, i .. ".part", "--samples", range))
  end
  for _, order in ipairs(ORDERS) do
    local parts = {}
    for i, number in ipairs(order) do parts[i] = at(number .. ".part") end
    rtlua(build, "merge", "-o", at "a.pfm", table.unpack(parts))
    note("ranges merged " .. table.concat(order, " "), hash "a.pfm")
  end
end

-- How long the last whole picture took is a measure for when to kill.
local function killed(build, scene, note, seconds)
  os.remove(at "c.part")
  local function words(output)
    return render_words(build, scene, output, "--spp", spp, "--checkpoint", at "c.part", "--resume")
  end
  local child <close> = assert(process.start(command(build, words "a.pfm")))
  child:wait(seconds * math.random())
  child:kill "KILL"
  child:wait()
  rtlua(build, words "a.pfm")
  note("killed and resumed", hash "a.pfm")
end

-- ---- The table

local system = require "rtlua.system"
local ROW = "| %-10s | %-6s | %-21s |" .. (" %-16s |"):rep(#SCENES)
local first, problems, pictures = {}, 0, 0

-- Is the kernel one that this build has, here?
local function runs(build)
  local result = process.run(command(build, "--version"))
  if result.code == USAGE then return false end
  assert(result.code == 0, result.stderr)
  return true
end

-- All pictures of one build and kernel: cells by way, "differs" where one is another than the first of all.
local function make(build)
  local ways, cells = {}, {}
  for _, threads in ipairs(wanted.threads) do
    build.threads = threads
    for _, scene in ipairs(SCENES) do
      local function note(way, found)
        if not cells[way] then
          ways[#ways + 1], cells[way] = way, {}
        end
        local picture = way:find "denoised" and scene .. ", denoised" or scene
        first[picture] = first[picture] or found
        pictures = pictures + 1
        local same = found == first[picture]
        problems = problems + (same and 0 or 1)
        cells[way][scene] = same and (cells[way][scene] or found:sub(1, 16)) or "differs"
      end
      local begin = system.now()
      whole(build, scene, note)
      local seconds = system.now() - begin
      crops(build, scene, note)
      ranges(build, scene, note)
      killed(build, scene, note, seconds)
      denoised(build, scene, note)
    end
  end
  return ways, cells
end

print(("%s, %d spp, on %s threads; kills by --seed %s\n"):format(wanted.size, spp, table.concat(wanted.threads, ", "),
  wanted.seed))
print(ROW:format("build", "kernel", "way", table.unpack(SCENES)))
print((ROW:format("", "", "", table.unpack(SCENES)):gsub("[^|]", "-")))
for _, given in ipairs(wanted.builds) do
  local name, words = given:match "^([^=]+)=(.+)$"
  assert(name, "a build is NAME=WORDS")
  local any = false
  for _, isa in ipairs(wanted.isa) do
    local build = { words = words_of(words), isa = isa }
    if runs(build) then
      any = true
      local ways, cells = make(build)
      for _, way in ipairs(ways) do
        local row = {}
        for i, scene in ipairs(SCENES) do row[i] = cells[way][scene] end
        print(ROW:format(name, isa, way, table.unpack(row)))
      end
    else
      print(("(%s has no kernel %s here)"):format(name, isa))
    end
  end
  assert(any, name .. ": none of the kernels runs here")
end
print ""
for _, scene in ipairs(SCENES) do
  for _, picture in ipairs { scene, scene .. ", denoised" } do print(("%s: %s"):format(picture, first[picture])) end
end
print(("%d pictures, %d differ"):format(pictures, problems))
os.exit(problems == 0 and 0 or 1, true)
