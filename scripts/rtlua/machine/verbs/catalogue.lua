-- rtlua machine sizes, regions, images: what a provider has.

local budget = require "rtlua.machine.budget"
local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local life = require "rtlua.machine.verbs.life"
local show = require "rtlua.machine.verbs.show"
local suggest = require "rtlua.suggest"

local catalogue = {}

local JSON = life.JSON

local DRIVER = {
  "driver", type = "enum", values = drivers.names, default = drivers.DEFAULT, doc = "Whose.",
  cli = { flag = "--driver", metavar = "NAME" },
}
local REGION = {
  "region", type = "string", doc = "What this region has.", cli = { flag = "--region", metavar = "REGION" },
}

local function open(options)
  return drivers.open(options.driver, { region = options.region })
end

-- A region that there is, or none. Raises 64 with near names.
local function check_region(driver, region)
  if not region then return end
  local names = {}
  for _, one in ipairs(driver:regions()) do
    if one.slug == region then return end
    names[#names + 1] = one.slug
  end
  errors.stage("check", errors.USAGE, ("unknown region '%s'%s"):format(region, suggest.hint(region, names)),
    "there are " .. table.concat(names, ", "))
end

local function per_vcpu(size) return size.price_hour and size.price_hour / size.vcpus or math.huge end

local ORDERS = {
  slug = function(a, b) return a.slug < b.slug end,
  price = function(a, b) return (a.price_hour or math.huge) < (b.price_hour or math.huge) end,
  vcpu = function(a, b) return per_vcpu(a) < per_vcpu(b) end,
}

local function money(dollars) return dollars and budget.money(dollars) or "-" end

local function sizes(parsed)
  local o = parsed.options
  local driver = open(o)
  check_region(driver, o.region)
  local list = driver:sizes(o.region)
  local order = ORDERS[o.sort or "slug"]
  table.sort(list, function(a, b)
    if order(a, b) ~= order(b, a) then return order(a, b) end
    return a.slug < b.slug
  end)
  if o.json then
    show.json { sizes = list }
    return 0
  end
  local rows = { { "SLUG", "MEMORY MiB", "VCPUS", "DISK GB", "$/MONTH", "$/HOUR", "$/VCPU HOUR" } }
  for _, size in ipairs(list) do
    rows[#rows + 1] = {
      size.slug, ("%d"):format(size.memory), ("%d"):format(size.vcpus), ("%d"):format(size.disk or 0),
      money(size.price_month), money(size.price_hour), money(size.price_hour and per_vcpu(size)),
    }
  end
  show.table(rows)
  return 0
end

local function regions(parsed)
  local list = open(parsed.options):regions()
  if parsed.options.json then
    show.json { regions = list }
    return 0
  end
  local rows = { { "SLUG", "NAME", "AVAILABLE" } }
  for _, region in ipairs(list) do
    rows[#rows + 1] = { region.slug, region.name or "-", region.available and "yes" or "no" }
  end
  show.table(rows)
  return 0
end

local function images(parsed)
  local driver = open(parsed.options)
  check_region(driver, parsed.options.region)
  local list = driver:images()
  if parsed.options.json then
    show.json { images = list }
    return 0
  end
  local rows = { { "IMAGE", "NAME", "OURS", "$/MONTH" } }
  for _, image in ipairs(list) do
    rows[#rows + 1] = {
      tostring(image.slug or image.id), image.name or "-", image.public == false and "yes" or "no",
      money(image.price_month),
    }
  end
  if #list > 0 then show.table(rows) end
  return 0
end

catalogue.verbs = {
  {
    "sizes", arguments = {}, run = sizes, summary = "Sizes and their prices.",
    options = {
      DRIVER, REGION,
      {
        "sort", type = "enum", values = { "slug", "price", "vcpu" }, default = "slug",
        doc = "vcpu: the cheapest for a vCPU and an hour first.", cli = { flag = "--sort", metavar = "BY" },
      },
      JSON,
    },
  },
  { "regions", arguments = {}, options = { DRIVER, JSON }, run = regions, summary = "Regions." },
  {
    "images", arguments = {}, options = { DRIVER, REGION, JSON }, run = images,
    summary = "Images, and snapshots of ours.",
  },
}

return catalogue
