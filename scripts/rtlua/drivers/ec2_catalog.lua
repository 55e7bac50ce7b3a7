-- rtlua.drivers.ec2_catalog: what there is at EC2: regions, sizes, images; and what is wanted, checked against it.
--
-- Functions of an api (ec2_query) that only read. A size is an instance type that boots Linux on x86 or ARM; the
-- default image is the newest build of the newest Ubuntu LTS for the size's architecture.

local errors = require "rtlua.errors"
local prices = require "rtlua.drivers.ec2_prices"
local query = require "rtlua.drivers.ec2_query"
local suggest = require "rtlua.suggest"

local ec2_catalog = {}

ec2_catalog.DEFAULT_SIZE = "c6i.large"
ec2_catalog.DISK = 16 -- GB; Ubuntu, the Docker Engine and the image take 5

local CANONICAL = "099720109477"
local UBUNTU = "ubuntu/images/hvm-ssd*/ubuntu-*-%s-%s-server-*" -- version, architecture
local LONGEST_NAME = 200 -- of a tag's value are 256, and the run comes behind
local ARCHITECTURES = { x86_64 = "amd64", arm64 = "arm64" }
local LINUX = "Linux/UNIX" -- what is billed for Linux alone

local function refuse(message, remedy, cause) errors.stage("check", errors.USAGE, message, remedy, cause) end

local function some(names)
  if #names <= 12 then return table.concat(names, ", ") end
  return table.concat(names, ", ", 1, 12) .. (" and %d more"):format(#names - 12)
end

-- ---- Regions

--- { slug, name, available } of the regions that the account may use.
function ec2_catalog.regions(api, from)
  local list = {}
  for _, item in ipairs(query.list(api:call("DescribeRegions", {}, { region = from }).regionInfo)) do
    list[#list + 1] = { slug = item.regionName, name = item.regionName, available = true }
  end
  table.sort(list, function(a, b) return a.slug < b.slug end)
  return list
end

--- The region of a region's partition that can always be asked.
function ec2_catalog.home(region)
  if region and region:match "^cn%-" then return "cn-north-1" end
  return region and region:match "^us%-gov%-" and "us-gov-west-1" or "us-east-1"
end

local function check_region(api, region)
  local names = {}
  -- Where a region does not exist, there is no host of that name to ask.
  for _, one in ipairs(ec2_catalog.regions(api, ec2_catalog.home(region))) do
    if one.slug == region then return end
    names[#names + 1] = one.slug
  end
  refuse(("unknown region '%s'%s"):format(region, suggest.hint(region, names)), "available: " .. some(names))
end

-- ---- Sizes

local function architecture_of(item)
  for _, name in ipairs(query.list(item.processorInfo and item.processorInfo.supportedArchitectures)) do
    if ARCHITECTURES[name] then return name end
  end
  return nil
end

local function to_size(item, region, disk)
  local architecture = architecture_of(item)
  if not architecture then return nil end
  local vcpus = math.tointeger(tonumber(item.vCpuInfo.defaultVCpus))
  local hour = prices.hour(item.instanceType, vcpus, region)
  return {
    slug = item.instanceType, memory = math.tointeger(tonumber(item.memoryInfo.sizeInMiB)), vcpus = vcpus, disk = disk,
    price_hour = hour, price_month = hour and hour * prices.MONTH, regions = { region }, available = true,
    architecture = architecture, burstable = item.burstablePerformanceSupported == "true",
  }
end

--- All sizes of a region, cheapest first; those without a price_hour (ec2_prices) last.
function ec2_catalog.sizes(api, region, disk)
  local list = {}
  for _, item in ipairs(api:pages("DescribeInstanceTypes", {
    MaxResults = 100, Filter = { { Name = "current-generation", Value = { "true" } } },
  }, "instanceTypeSet", { region = region })) do
    list[#list + 1] = to_size(item, region, disk or ec2_catalog.DISK)
  end
  table.sort(list, function(a, b)
    local first, second = a.price_hour or math.huge, b.price_hour or math.huge
    if first ~= second then return first < second end
    return a.slug < b.slug
  end)
  return list
end

local function find_size(api, slug, region, disk)
  local reply = api:call("DescribeInstanceTypes", { InstanceType = { slug } }, {
    region = region, except = { InvalidInstanceType = true, InvalidParameterValue = true },
  })
  local item = reply and query.list(reply.instanceTypeSet)[1]
  local size = item and to_size(item, region, disk)
  if size then return size end
  local names = {}
  for _, one in ipairs(ec2_catalog.sizes(api, region)) do names[#names + 1] = one.slug end
  return refuse(("unknown size '%s' in %s%s"):format(slug, region, suggest.hint(slug, names)),
    "available: " .. some(names))
end

-- ---- Images

local function to_image(item)
  local version, architecture = (item.name or ""):match "/ubuntu%-%l+%-(%d%d%.%d%d)%-(%w+)%-server%-"
  local root, disk = item.rootDeviceName, 0
  for _, mapping in ipairs(query.list(item.blockDeviceMapping)) do
    if mapping.deviceName == root and type(mapping.ebs) == "table" then disk = tonumber(mapping.ebs.volumeSize) or 0 end
  end
  return {
    id = item.imageId, slug = version and ("ubuntu-%s-%s"):format(version, architecture) or item.imageId,
    name = item.name, created = item.creationDate, version = version, architecture = item.architecture,
    root = root, disk = disk, platform = item.platformDetails,
  }
end

-- The newest build of each LTS (even years' April) for Debian's name of an architecture, or all; the newest LTS first.
local function ubuntus(api, region, version, architecture)
  local newest = {}
  for _, item in ipairs(api:pages("DescribeImages", {
    Owner = { CANONICAL }, Filter = {
      { Name = "name", Value = { UBUNTU:format(version or "??.04", architecture or "*") } },
      { Name = "state", Value = { "available" } }, { Name = "root-device-type", Value = { "ebs" } },
    },
  }, "imagesSet", { region = region })) do
    local image = to_image(item)
    if image.version and tonumber(image.version:sub(1, 2)) % 2 == 0 then
      local known = newest[image.slug]
      if not known or image.created > known.created then newest[image.slug] = image end
    end
  end
  local list = {}
  for _, image in pairs(newest) do list[#list + 1] = image end
  table.sort(list, function(a, b)
    if a.version ~= b.version then return a.version > b.version end
    return a.slug < b.slug
  end)
  return list
end

--- The newest build of each Ubuntu LTS: { slug, id, name, … }.
function ec2_catalog.images(api, region) return ubuntus(api, region) end

--- An image by its id, or nil.
function ec2_catalog.image(api, id, region)
  local reply = api:call("DescribeImages", { ImageId = { id } }, {
    region = region, except = { ["InvalidAMIID.NotFound"] = true, ["InvalidAMIID.Malformed"] = true },
  })
  local item = reply and query.list(reply.imagesSet)[1]
  return item and to_image(item)
end

-- An id, "ubuntu-24.04", "ubuntu-24.04-arm64", or none: the newest.
local function find_image(api, wanted, region, size)
  local found
  if wanted and wanted:match "^ami%-" then
    found = ec2_catalog.image(api, wanted, region)
  elseif wanted then
    local version = wanted:match "^ubuntu%-(%d%d%.%d%d)$" or wanted:match "^ubuntu%-(%d%d%.%d%d)%-%w+$"
    local architecture = wanted:match "^ubuntu%-%d%d%.%d%d%-(%w+)$" or ARCHITECTURES[size.architecture]
    found = version and ubuntus(api, region, version, architecture)[1]
  else
    found = ubuntus(api, region, nil, ARCHITECTURES[size.architecture])[1]
    if not found then refuse("there is no Ubuntu image in " .. region, "name one: --image ami-…") end
  end
  if not found then
    local names = {}
    for _, one in ipairs(ubuntus(api, region, nil, ARCHITECTURES[size.architecture])) do
      names[#names + 1] = "ubuntu-" .. one.version
    end
    refuse(("unknown image '%s' in %s%s"):format(wanted, region, suggest.hint(wanted, names)),
      "give an id of that region (ami-…), or one of: " .. some(names))
  end
  if found.architecture ~= size.architecture then
    refuse(("the image %s is for %s, and the size %s for %s"):format(found.slug, found.architecture, size.slug,
      size.architecture), "leave the image out, or take another size")
  end
  return found
end

-- ---- All of it

--- GB of a machine's disk: what was asked for, but at least what its image takes.
function ec2_catalog.disk(image, disk) return math.max(disk or ec2_catalog.DISK, image.disk) end

--- What is wanted ({ size, region, image, name, price_hour, disk }), resolved: { size, region, image, price_hour,
--- minimum, extras_hour }. Raises 64 for what there is not, and for a size whose price nobody knows.
function ec2_catalog.validate(api, want)
  local region = want.region or refuse("no region is set", "give --region, or set AWS_REGION")
  check_region(api, region)
  if want.name and (#want.name > LONGEST_NAME or want.name:find "[^%w%s_.:/=+@-]") then
    refuse(("EC2 takes no name '%s'"):format(want.name), "use letters, digits, '-', '_' and '.'")
  end
  local size = find_size(api, want.size or ec2_catalog.DEFAULT_SIZE, region, want.disk or ec2_catalog.DISK)
  local image = find_image(api, want.image, region, size)
  local hour = want.price_hour
  if not hour and image.platform and image.platform ~= LINUX then
    refuse(("the image %s is billed as '%s', which has no known price"):format(image.slug, image.platform),
      "give its size's price_hour, in dollars, from https://aws.amazon.com/ec2/pricing/on-demand/, or another image")
  end
  hour = hour or size.price_hour
  if not hour then
    refuse(("no price is known for %s in %s, so no limit on its cost could be kept"):format(size.slug, region),
      "give its price_hour, in dollars, from https://aws.amazon.com/ec2/pricing/on-demand/, or take a size of the"
      .. " families c5 to c7, m5 to m7 or t3, t4 in " .. table.concat(prices.REGIONS, ", "))
  end
  size.price_hour, size.price_month = hour, hour * prices.MONTH
  return {
    size = size, region = region, image = image.id, price_hour = hour, minimum = hour / 60,
    extras_hour = prices.extras(ec2_catalog.disk(image, want.disk), region),
  }
end

return ec2_catalog
