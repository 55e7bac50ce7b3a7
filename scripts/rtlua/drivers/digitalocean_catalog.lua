-- rtlua.drivers.digitalocean_catalog: what there is to rent, and whether what is wanted is among it.
--
--     local resolved = catalog.validate(api, { size = "c-32", region = "sfo3", image = nil, name = "render" })
--
-- Nothing is created by asking. What is refused is said with the nearest name and with what there is instead.

local errors = require "rtlua.errors"
local suggest = require "rtlua.suggest"

local catalog = {}

local GIGABYTE_MONTH = 0.06 -- dollars, of a snapshot; DigitalOcean's API does not say it

local DEFAULT_SIZE = "s-1vcpu-1gb"
local MOST_LISTED = 12
local LONGEST_NAME = 63 - 11 -- of the host's name: a "-" and the run's ten characters come behind it

-- By the second since 2026, at least 60 s and at least a cent.
local LEAST_SECONDS, LEAST_PRICE = 60, 0.01

local function sorted(list, key)
  table.sort(list, function(a, b) return tostring(a[key]) < tostring(b[key]) end)
  return list
end

local function has(list, wanted)
  for _, element in ipairs(list or {}) do
    if element == wanted then return true end
  end
  return false
end

--- All sizes; with a region, those that it has.
function catalog.sizes(api, region)
  local list = {}
  for _, size in ipairs(api:pages("/sizes", "sizes", { stage = "check", scope = "sizes:read" })) do
    if not region or has(size.regions, region) then
      list[#list + 1] = {
        slug = size.slug, memory = size.memory, vcpus = size.vcpus, disk = size.disk, regions = size.regions or {},
        price_month = size.price_monthly, price_hour = size.price_hourly, available = size.available ~= false,
        description = size.description,
      }
    end
  end
  return sorted(list, "slug")
end

function catalog.regions(api)
  local list = {}
  for _, region in ipairs(api:pages("/regions", "regions", { stage = "check", scope = "regions:read" })) do
    list[#list + 1] = { slug = region.slug, name = region.name, available = region.available ~= false }
  end
  return sorted(list, "slug")
end

--- Public images by their slugs, and the account's own ones (snapshots) by their ids.
function catalog.images(api)
  local list = {}
  for _, image in ipairs(api:pages("/images", "images", { stage = "check", scope = "image:read" })) do
    list[#list + 1] = {
      slug = image.slug, id = image.id, name = image.name, distribution = image.distribution,
      public = image.public == true, kind = image.type, regions = image.regions or {}, disk = image.min_disk_size or 0,
      available = image.status == nil or image.status == "available", size = image.size_gigabytes,
      price_month = image.public and 0 or (image.size_gigabytes or 0) * GIGABYTE_MONTH,
    }
  end
  table.sort(list, function(a, b) return (a.slug or "~" .. a.id) < (b.slug or "~" .. b.id) end)
  return list
end

local function refuse(message, remedy) errors.stage("check", errors.USAGE, message, remedy) end

-- Names, the nearest to `given` first, as many as fit a line.
local function some(names, given)
  local list = table.move(names, 1, #names, 1, {})
  if #list > MOST_LISTED and given then
    local distances = {}
    for _, name in ipairs(list) do distances[name] = suggest.distance(given, name) end
    table.sort(list, function(a, b)
      if distances[a] ~= distances[b] then return distances[a] < distances[b] end
      return a < b
    end)
  end
  local text = table.concat(list, ", ", 1, math.min(#list, MOST_LISTED))
  if #list > MOST_LISTED then text = ("%s and %d more"):format(text, #list - MOST_LISTED) end
  return #list > 0 and text or "none"
end

local function slugs(list, fits)
  local names = {}
  for _, element in ipairs(list) do
    if not fits or fits(element) then names[#names + 1] = element.slug end
  end
  return names
end

local function by_slug(list, slug)
  for _, element in ipairs(list) do
    if element.slug == slug then return element end
  end
  return nil
end

local function is_available(element) return element.available end

local function check_name(name)
  local fine = #name <= LONGEST_NAME and name:find "^[%w][%w.-]*$" and not name:find "%.%." and not name:find "[.-]$"
    and not name:find "%-%." and not name:find "%.%-"
  if not fine then
    refuse(("DigitalOcean takes no droplet with the name '%s'"):format(name),
      ("use at most %d letters, digits, '-' and '.', a letter or digit at both ends"):format(LONGEST_NAME))
  end
end

local function pick_size(list, slug)
  local size = by_slug(list, slug)
  local there = slugs(list, is_available)
  if not size then
    refuse(("unknown size '%s'%s"):format(slug, suggest.hint(slug, there)),
      "there are " .. some(there, slug) .. ": rtlua machine sizes --driver digitalocean")
  elseif not size.available or #size.regions == 0 then
    refuse(("size '%s' cannot be had at the moment"):format(slug), "there are " .. some(there, slug))
  end
  return size
end

local function pick_region(list, slug, size)
  local function serves(region) return region.available and has(size.regions, region.slug) end
  local serving = slugs(list, serves)
  if not slug then
    return serving[1] or refuse(("no region has size '%s' at the moment"):format(size.slug), "use another size")
  end
  local region = by_slug(list, slug)
  local there = slugs(list, is_available)
  if not region then
    refuse(("unknown region '%s'%s"):format(slug, suggest.hint(slug, there)), "there are " .. some(there, slug))
  elseif not region.available then
    refuse(("region '%s' takes no new droplets"):format(slug), "use one of " .. some(serving, slug))
  elseif not has(size.regions, slug) then
    refuse(("region '%s' has no size '%s'"):format(slug, size.slug),
      ("%s is in %s"):format(size.slug, some(serving, slug)))
  end
  return slug
end

-- The newest Ubuntu with long support.
local function default_image(list)
  local best, newest = nil, 0
  for _, image in ipairs(list) do
    local year = tonumber((image.slug or ""):match "^ubuntu%-(%d%d)%-04%-x64$")
    if year and year % 2 == 0 and year > newest and image.available then best, newest = image, year end
  end
  return best or refuse("there is no image of Ubuntu", "name an image: rtlua machine images --driver digitalocean")
end

local function pick_image(list, wanted)
  if not wanted then return default_image(list) end
  wanted = tostring(wanted)
  local found, names = {}, {}
  for _, image in ipairs(list) do
    if image.slug == wanted or tostring(image.id) == wanted then return image end
    if not image.public and image.name == wanted then found[#found + 1] = image end
    names[#names + 1] = image.slug or image.name
  end
  if #found > 1 then
    local ids = {}
    for i, image in ipairs(found) do ids[i] = tostring(image.id) end
    refuse(("there are %d images with the name '%s'"):format(#found, wanted), "say which: " .. table.concat(ids, ", "))
  end
  return found[1] or refuse(("unknown image '%s'%s"):format(wanted, suggest.hint(wanted, names)),
    "there are " .. some(names, wanted))
end

local function check_image(image, region, size)
  local name = image.slug or image.name
  if not image.available then refuse(("image '%s' is not ready"):format(name), "wait for it, or use another") end
  if #image.regions > 0 and not has(image.regions, region) then
    refuse(("image '%s' is not in region '%s'"):format(name, region), "it is in " .. some(image.regions, region))
  elseif image.disk > size.disk then
    refuse(("image '%s' wants a disk of %d GB, size '%s' has %d"):format(name, image.disk, size.slug, size.disk),
      "use a larger size")
  end
end

--- What is wanted, resolved: { size, region, image, price_hour, minimum, extras_hour }. Raises 64.
function catalog.validate(api, want)
  if want.name then check_name(want.name) end
  local size = pick_size(catalog.sizes(api), want.size or DEFAULT_SIZE)
  local region = pick_region(catalog.regions(api), want.region, size)
  local image = pick_image(catalog.images(api), want.image)
  check_image(image, region, size)
  return {
    size = size, region = region, image = image.slug or tostring(image.id), price_hour = size.price_hour,
    minimum = math.max(LEAST_PRICE, size.price_hour * LEAST_SECONDS / 3600), extras_hour = 0,
  }
end

return catalog
