-- The render table's record: every option of a render, as a scene's `render` table, scene:render { } and the command
-- line have it.

local aovs = require "rtlua.aovs"
local color = require "rtlua.color"
local schema = require "rtlua.schema"

schema.types.duration = {
  expected = function() return 'a duration above 0: seconds, or such as "1.5s", "2m" or "1h"' end,
  read = function(value)
    local seconds = value
    if type(value) == "string" then
      local number, unit = value:match("^(%d*%.?%d*)([smh]?)$")
      local factor = ({ [""] = 1, s = 1, m = 60, h = 3600 })[unit or ""]
      seconds = tonumber(number) and tonumber(number) * factor
    end
    if type(seconds) ~= "number" or not (seconds > 0 and seconds < math.huge) then return nil, schema.show(value) end
    return seconds
  end,
  parse = function(text) return text end,
  luals = function() return "number|string" end,
}

--- File names in the working directory: a scene says how its picture is called, not where on the disk it goes.
schema.types.outputs = {
  expected = function() return "a file name without a folder, or a list of them" end,
  read = function(value)
    local list = type(value) == "string" and { value } or value
    if type(list) ~= "table" or getmetatable(list) ~= nil or #list == 0 then return nil, schema.show(value) end
    local out = {}
    for i, name in ipairs(list) do
      if type(name) ~= "string" or name == "" or name:sub(1, 1) == "-" or name:find("[/\\%z]") then
        return nil, schema.show(name)
      end
      for j = 1, i - 1 do
        if out[j] == name then return nil, ("%s twice"):format(schema.show(name)) end
      end
      out[i] = name
    end
    return out
  end,
  luals = function() return "string|string[]" end,
}

-- What the command line gives is any path; a scene cannot make a value with this metatable.
local FROM_COMMAND = {}

--- A file name in the working directory, or on the command line any path.
schema.types.file = {
  expected = function() return "a file name without a folder" end,
  read = function(value)
    if getmetatable(value) == FROM_COMMAND then return value.path end
    if type(value) ~= "string" or value == "" or value:sub(1, 1) == "-" or value:find("[/\\%z]") then
      return nil, schema.show(value)
    end
    return value
  end,
  parse = function(text) return text ~= "" and setmetatable({ path = text }, FROM_COMMAND) or nil end,
  luals = function() return "string" end,
}

local TEMPERATURE = { min = 1000, max = 40000 }
local TINT = { min = -150, max = 150 }

--- A temperature in kelvin, or it and a tint. Read as { temperature, tint }.
schema.types.white_balance = {
  expected = function() return "a temperature from 1000 to 40000 K, or it and a tint from -150 to 150" end,
  read = function(value)
    local pair = type(value) == "number" and { value, 0 } or value
    if type(pair) ~= "table" or #pair > 2 then return nil, schema.show(value) end
    local temperature, tint = pair[1], pair[2] or 0
    if type(temperature) ~= "number" or not schema.within(temperature, TEMPERATURE) then
      return nil, schema.show(temperature)
    end
    if type(tint) ~= "number" or not schema.within(tint, TINT) then return nil, "a tint of " .. schema.show(tint) end
    return { temperature, tint }
  end,
  parse = function(text)
    local temperature, comma, tint = text:match "^([^,]+)(,?)([^,]*)$"
    if not tonumber(temperature) or comma ~= "" and not tonumber(tint) then return nil end
    return { tonumber(temperature), tonumber(tint) }
  end,
  luals = function() return "number|number[]" end,
}

local MAX_SIDE, MAX_SPP = 65536, 1 << 24

-- How pictures are encoded: what image:save takes, too.
local encoding = {
  {
    "exposure", type = "number", min = -64, max = 64, default = 0,
    doc = "Exposure in EV: display formats multiply by 2^exposure.",
    cli = { flag = "--exposure", metavar = "EV" },
  },
  {
    "white_balance", type = "white_balance",
    doc = "The light that is to look white, of display formats: a black body's temperature in kelvin, and a tint "
      .. "(above 0: greener than it, by 1/3000 of CIE 1960's u, v). No adaptation when absent.",
    cli = { flag = "--white-balance", metavar = "KELVIN[,TINT]" },
  },
  {
    "tonemap", type = "enum", values = { "none", "agx", "aces", "filmic" }, default = "none",
    doc = "Tone curve of display formats; none only clips.",
    cli = { flag = "--tonemap", metavar = "NAME" },
  },
  {
    "bits", type = "enum", values = { 8, 16 }, default = 8, doc = "Bits for each channel of a PNG.",
    cli = { flag = "--bits", metavar = "N" },
  },
  {
    "dither", type = "boolean", default = true,
    doc = "Hides the bands of slow gradients in 8 bits (PNG, JPEG) by an even pattern; what 8 bits hold exactly stays.",
    cli = { flag = "--dither", metavar = "BOOL" },
  },
  {
    "quality", type = "integer", min = 1, max = 100, default = 95, doc = "Quality of a JPEG.",
    cli = { flag = "--quality", metavar = "N" },
  },
  {
    "exr_type", type = "enum", values = { "half", "float" }, default = "half",
    doc = "Type of an EXR's colours: half (11 bits, at most 65504) or float. Data are float, ids uint.",
    cli = { flag = "--exr-type", metavar = "NAME" },
  },
  {
    "exr_compression", type = "enum", values = { "zip", "zips", "none" }, default = "zip",
    doc = "Compression of an EXR, always without loss: blocks of 16 lines or of 1.",
    cli = { flag = "--exr-compression", metavar = "NAME" },
  },
}

local options = {
  name = "render",
  encoding = encoding,
  doc = "How a scene is rendered. Every field is an option of the command too, which wins.",
  fields = {
    {
      "size", type = "numbers", count = 2, join = "x", element = { type = "integer", min = 1, max = MAX_SIDE },
      default = { 800, 600 },
      noun = "{width, height}, from 1 to 65536 each", doc = "Width and height in pixels.",
      cli = { flag = "--size", metavar = "WxH", noun = "WxH with sides from 1 to 65536" },
    },
    {
      "spp", type = "integer", min = 1, max = MAX_SPP, default = 64, doc = "Samples per pixel.",
      cli = { flag = "--spp", metavar = "N" },
    },
    {
      "samples", type = "numbers", count = 2, join = ":", element = { type = "integer", min = 0, max = MAX_SPP },
      noun = "{first, behind the last}",
      doc = "Renders these sample indices alone, from the first to before the second, instead of 0 to spp.",
      cli = { flag = "--samples", metavar = "A:B", noun = "A:B with 0 <= A < B, half open" },
    },
    {
      "crop", type = "numbers", count = 4, join = ",", element = { type = "integer", min = 0, max = MAX_SIDE },
      noun = "{x0, y0, x1, y1} in pixels",
      doc = "Renders a part alone: pixels from (x0, y0) to before (x1, y1), counted from top left.",
      cli = { flag = "--crop", metavar = "X0,Y0,X1,Y1", noun = "X0,Y0,X1,Y1 in pixels, half open" },
    },
    {
      "threads", type = "integer", min = 1, max = 1024, doc = "Threads; as many as the process may use when absent.",
      cli = { flag = "--threads", metavar = "N" },
    },
    {
      "seed", type = "integer", min = 0, max = 0xffffffff, default = 0,
      doc = "Another seed gives another, independent noise.",
      cli = { flag = "--seed", metavar = "N" },
    },
    {
      "max_depth", type = "integer", min = 0, max = 0xfffffffe, infinite = true, default = 16,
      doc = "Bounces of a path; 0 is emission alone; math.huge (inf on the command line) has no limit.",
      cli = { flag = "--max-depth", metavar = "N" },
    },
    {
      "filter", type = "enum", values = { "box", "gaussian", "blackman-harris" }, default = "blackman-harris",
      doc = "The pixel filter.",
      cli = { flag = "--filter", metavar = "NAME" },
    },
    {
      "clamp_indirect", type = "number", min = 0, default = 0,
      doc = "The largest radiance of a sample's indirect part: less noise for some light lost; 0 is off.",
      cli = { flag = "--clamp-indirect", metavar = "L" },
    },
    {
      "transparent", type = "boolean", default = false, doc = "The background is alpha 0 to the camera.",
      cli = { flag = "--transparent" },
    },
    {
      "aov", type = "aovs", default = {},
      doc = "What is kept of the samples besides radiance; docs/aovs.md says what each is.",
      cli = {
        flag = "--aov", metavar = "LIST", noun = "names with commas between them",
        doc = "Writes these, too: layers of an EXR, or a file each, NAME.AOV.png: " .. table.concat(aovs.names, ", ")
          .. ".",
      },
    },
    {
      "noise", type = "number", above = 0, max = 1,
      doc = "A pixel takes no more samples when the relative error of its luminance is estimated to be below this.",
      cli = { flag = "--noise", metavar = "T" },
    },
    {
      "denoise", type = "enum", values = { "off", "builtin", "oidn" }, default = "off",
      doc = "Takes the noise away in the end (docs/denoising.md): builtin, exact; or oidn, Intel's Open Image Denoise.",
      cli = {
        flag = "--denoise", metavar = "[NAME]", alone = "builtin",
        doc = "Takes the noise away in the end: builtin where no name is given, or oidn, Intel's Open Image Denoise.",
      },
    },
    {
      "time_limit", type = "duration",
      doc = 'Stops after this time with what is there: seconds, "90s", "2m", "1h". The command counts from its start.',
      cli = { flag = "--time-limit", metavar = "DUR" },
    },
    {
      "output", type = "outputs",
      doc = "Names of the pictures that the command writes in the working directory; SCENE.png when absent.",
      cli = {
        flag = "-o", metavar = "FILE", repeated = true,
        doc = "Writes a picture, .png, .jpg, .exr, .pfm or .hdr, or a .part file for rtlua merge; repeatable; - is "
          .. "standard output, as PNG.",
      },
    },
    {
      "checkpoint", type = "file",
      doc = "A part file that holds the render so far: written every so often and at every stop.",
      cli = { flag = "--checkpoint", metavar = "FILE", noun = "a path" },
    },
    {
      "resume", type = "boolean", default = false,
      doc = "Goes on from the checkpoint, where there is one; with a higher spp it adds samples.",
      cli = { flag = "--resume" },
    },
    {
      "quiet", type = "boolean", default = false, doc = "Shows no progress.",
      cli = { flag = "--quiet" },
    },
    {
      "json", type = "boolean", default = false,
      doc = "Prints events as JSON lines on standard output (standard error when -o - takes that) instead of progress.",
      cli = { flag = "--json" },
    },
    {
      "stats", type = "boolean", default = false,
      doc = "Reports triangles, build time, memory, rays per second and dropped samples on standard error.",
      cli = { flag = "--stats" },
    },
  },
}

-- Behind the light's options, as they are listed.
local function place_of(name)
  for i, f in ipairs(options.fields) do
    if f[1] == name then return i end
  end
end
local after = place_of "transparent" + 1
table.move(options.fields, after, #options.fields, after + #encoding)
table.move(encoding, 1, #encoding, after, options.fields)

--- What the core's picture:save takes, out of checked options; text: what a file says about itself, or nil.
function options.encode(settings, text)
  local out = { text = text }
  for _, f in ipairs(encoding) do out[f[1]] = settings[f[1]] end
  local balance = settings.white_balance
  out.white_balance = balance and color.white_balance(balance[1], balance[2])
  return out
end

return options
