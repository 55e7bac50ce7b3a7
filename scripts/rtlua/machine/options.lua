-- rtlua.machine.options: the options of a machine as records, for cloud.provision { … }, scripts/cloud.lua and
-- `rtlua machine create` alike; and render options as the words of a command line.

local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local render_options = require "rtlua.render_options"
local schema = require "rtlua.schema"

local options = {}

local STAGES = { "running", "address", "ssh", "cloud-init", "engine" }

schema.types.hook = schema.types.hook or {
  expected = function() return "a function" end,
  read = function(value)
    if type(value) ~= "function" then return nil, schema.show(value) end
    return value
  end,
  luals = function() return "function" end,
}

local function dollars(name, doc)
  return {
    name, type = "number", above = 0, noun = "dollars above 0", doc = doc,
    cli = { flag = "--" .. name:gsub("_", "-"), metavar = "USD" },
  }
end

--- What says which machine is wanted, and how long and dear it may be.
options.machine = {
  {
    "driver", type = "enum", values = drivers.names, default = drivers.DEFAULT, doc = "Who has the machine.",
    cli = { flag = "--driver", metavar = "NAME" },
  },
  {
    "size", type = "string", doc = "The machine's size, as rtlua machine sizes lists them.",
    cli = { flag = "--size", metavar = "SIZE" },
  },
  { "region", type = "string", doc = "Where the machine is.", cli = { flag = "--region", metavar = "REGION" } },
  {
    "image", type = "string", doc = "What its disk begins with; the driver's own choice when absent.",
    cli = { flag = "--image", metavar = "IMAGE" },
  },
  {
    "name", type = "string", doc = "Its name, which a run's own letters are put behind.",
    cli = { flag = "--name", metavar = "NAME" },
  },
  {
    "host", type = "string", doc = "The host of the driver ssh.",
    cli = { flag = "--host", metavar = "USER@HOST" },
  },
  {
    "engine", type = "string",
    doc = "Where its Docker Engine comes from: apt, image (it is there), an https URL of an install script, or none.",
    cli = { flag = "--engine", metavar = "HOW" },
  },
  {
    "ttl", type = "duration", doc = 'It is destroyed after this time at the latest: "90m", "2h"; 8 hours when absent.',
    cli = { flag = "--ttl", metavar = "DUR" },
  },
  dollars("max_cost", "The most that it may cost; work stops before, and it is destroyed."),
  dollars("max_price", "The most that an hour may cost."),
  dollars("price_hour", "What an hour costs, where the provider does not say it (ec2's rarer sizes, a host of ssh)."),
}

--- What scripts/cloud.lua has besides.
options.script = {
  {
    "dry_run", type = "boolean", doc = "Says what would be created and what it would cost, and changes nothing.",
    cli = { flag = "--dry-run" },
  },
  {
    "keep", type = "boolean", doc = "Leaves the machine there, until its time is over.",
    cli = { flag = "--keep" },
  },
}

local provision = {
  name = "cloud.provision",
  fields = {
    {
      "ready", type = "enum", values = STAGES,
      doc = "The stage that is waited for; the last that the machine has when absent.",
    },
    { "kind", type = "enum", values = { "script", "time" }, default = "script", doc = "What its lease belongs to." },
    { "private_range", type = "string", doc = "Addresses from which all ports are open." },
    { "count", type = "integer", min = 1, max = 1000, default = 1, doc = "Machines of a pool, which max_cost is for." },
    { "dry_run", type = "boolean", doc = "Returns nil and the plan." },
    {
      "on_stage", type = "hook",
      doc = "Called with a stage's name as it begins, and with its seconds, too, when it is over.",
    },
    { "on_line", type = "hook", doc = "Called with lines that its user should see." },
    { "on_log", type = "hook", doc = "Called with the lines of an image's build." },
  },
}
table.move(options.machine, 1, #options.machine, #provision.fields + 1, provision.fields)

--- All of them, of cloud.provision.
options.provision = provision

-- ---- Scripts

-- One flag for both, which never look alike: a picture's is 800x600.
local SIZE = {
  "sizes", type = "string",
  doc = "The machine's size, as rtlua machine sizes lists them, or the picture's; repeatable.",
  cli = { flag = "--size", metavar = "SIZE|WxH", repeated = true },
}

local PICTURE_SIZE
for _, field in ipairs(render_options.fields) do
  if field[1] == "size" then PICTURE_SIZE = field end
end

local function join(list, more)
  for _, field in ipairs(more) do
    if field[1] ~= "size" then list[#list + 1] = field end
  end
  return list
end

-- Fields of `records` among the given.
local function pick(given, records)
  local picked = {}
  for _, field in ipairs(records) do picked[field[1]] = given[field[1]] end
  return picked
end

--- Reads the arguments of a script that renders on a machine. Returns { scene, machine, render, dry_run, keep }, of
--- which machine is for cloud.provision and render for machine:render; or { help = text }. Raises 64.
function options.parse(name, summary, arguments)
  local cli = require "rtlua.cli"
  local fields = join(join(join({ SIZE }, options.machine), options.script), render_options.fields)
  local parsed = cli.parse({
    name = name, summary = summary, arguments = { "SCENE.lua" }, options = join(fields, cli.load_options),
  }, arguments, true)
  if parsed.help then return parsed end
  -- It is the render's, and not the script's, which has a machine to end.
  if parsed.options.time_limit then require("rtlua.core.guard").lift() end
  local given = parsed.options
  local all = {
    scene = parsed.arguments[1], machine = pick(given, options.machine), render = pick(given, render_options.fields),
    dry_run = given.dry_run, keep = given.keep,
  }
  for _, field in ipairs { "params", "asset_path", "trust" } do all.render[field] = given[field] end
  for _, size in ipairs(given.sizes or {}) do
    if size:find "^%d+x%d+$" then
      local value, message = schema.text(PICTURE_SIZE, size, "--size")
      if not value then errors.raise(errors.USAGE, ("%s: see rtlua %s --help"):format(message, name)) end
      all.render.size = value
    else
      all.machine.size = size
    end
  end
  return all
end

-- ---- Words

local function word(field, value)
  if type(value) == "table" then value = table.concat(value, field.join or ",") end
  if value == math.huge then value = "inf" end
  return ("%s%s%s"):format(field.cli.flag, field.cli.flag:sub(1, 2) == "--" and "=" or "", tostring(value))
end

-- What a command on a machine does not get: where its pictures go and how it reports is ours.
local OURS = { output = true, quiet = true, json = true, checkpoint = true, resume = true }

--- Render options, checked, as words for rtlua render on a machine.
function options.words(given)
  local words = {}
  for _, field in ipairs(render_options.fields) do
    local value = given[field[1]]
    if value ~= nil and not OURS[field[1]] then
      if field.cli.metavar then
        words[#words + 1] = word(field, value)
      elseif value then
        words[#words + 1] = field.cli.flag
      end
    end
  end
  return words
end

-- What machine:render has besides render options.
local BESIDES = {
  output = true, params = true, asset_path = true, trust = true, bundle = true, on_event = true, on_log = true,
  image = true, timeout = true, checkpoint = true, resume = true,
}

--- The render options of machine:render's table, checked. Raises 64.
function options.read_render(given)
  local plain = {}
  for name, value in pairs(given) do
    if not BESIDES[name] then plain[name] = value end
  end
  local checked, message = schema.read(render_options, plain, true)
  if not checked then errors.stage("run", errors.USAGE, "render: " .. message, "see rtlua render --help") end
  return checked
end

--- A crop has to lie in the picture. Raises 64.
function options.check_crop(bundle, given)
  local crop, size = given.crop, given.size or { bundle.width, bundle.height }
  if not crop or crop[1] < crop[3] and crop[3] <= size[1] and crop[2] < crop[4] and crop[4] <= size[2] then return end
  errors.stage("run", errors.USAGE, ("crop: expected x0 < x1 <= %d and y0 < y1 <= %d, got %s"):format(size[1], size[2],
    table.concat(crop, ",")), "see rtlua render --help")
end

return options
