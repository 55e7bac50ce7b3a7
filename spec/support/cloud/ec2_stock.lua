-- What the double's EC2 has to offer: regions, instance types, images. For ec2.lua.

local stock = {}

stock.account = "123456789012"

stock.regions = { "us-east-1", "eu-central-1", "us-west-2" }

-- type, vCPUs, MiB, architecture
local TYPES = {
  { "t3.micro", 2, 1024, "x86_64" }, { "t3.medium", 2, 4096, "x86_64" }, { "t4g.small", 2, 2048, "arm64" },
  { "c6i.large", 2, 4096, "x86_64" }, { "c6i.xlarge", 4, 8192, "x86_64" }, { "c7i.large", 2, 4096, "x86_64" },
  { "c7i.8xlarge", 32, 65536, "x86_64" }, { "c7g.large", 2, 4096, "arm64" }, { "m7i.large", 2, 8192, "x86_64" },
  { "p5.48xlarge", 192, 2097152, "x86_64" }, { "mac2.metal", 8, 16384, "arm64_mac" },
}

local function to_type(row)
  return {
    instanceType = row[1], currentGeneration = true, bareMetal = row[1]:find "metal" ~= nil, hypervisor = "nitro",
    burstablePerformanceSupported = row[1]:find "^t" ~= nil, vCpuInfo = { defaultVCpus = row[2] },
    memoryInfo = { sizeInMiB = row[3] }, processorInfo = { supportedArchitectures = { row[4] } },
    instanceStorageSupported = false, supportedUsageClasses = { "on-demand", "spot" },
  }
end

stock.types = {}
for i, row in ipairs(TYPES) do stock.types[i] = to_type(row) end

--- An instance type by its name, or nil.
function stock.type(name)
  for _, one in ipairs(stock.types) do
    if one.instanceType == name then return one end
  end
  return nil
end

local CANONICAL, SOMEBODY = "099720109477", "210987654321"

-- id's end, name, architecture, date, GB, owner, platform
local IMAGES = {
  { "01", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261101", "x86_64", "2026-11-01", 8 },
  { "02", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260901", "x86_64", "2026-09-01", 8 },
  { "03", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261015", "x86_64", "2026-10-15", 8 },
  { "04", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20261016", "arm64", "2026-10-16", 8 },
  { "05", "ubuntu/images/hvm-ssd-gp3/ubuntu-plucky-25.04-amd64-server-20261110", "x86_64", "2026-11-10", 8 },
  { "06", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261111", "x86_64", "2026-11-11", 8, SOMEBODY },
  { "07", "RHEL-9.4_HVM-20261001-x86_64-0-Hourly2-GP3", "x86_64", "2026-10-01", 10, SOMEBODY,
    "Red Hat Enterprise Linux" },
  { "08", "large-disk", "x86_64", "2026-10-01", 100, SOMEBODY },
}

--- The images of a region; their ids are other ones in each.
function stock.images(region)
  local place
  for i, name in ipairs(stock.regions) do place = name == region and i or place end
  local list = {}
  for i, row in ipairs(IMAGES) do
    list[i] = {
      imageId = ("ami-0%014d%s"):format(place, row[1]), name = row[2], architecture = row[3],
      creationDate = row[4] .. "T08:30:00.000Z", imageOwnerId = row[6] or CANONICAL, imageState = "available",
      isPublic = true, platformDetails = row[7] or "Linux/UNIX", rootDeviceName = "/dev/sda1", rootDeviceType = "ebs",
      virtualizationType = "hvm", imageType = "machine",
      blockDeviceMapping = {
        { deviceName = "/dev/sda1", ebs = { volumeSize = row[5], volumeType = "gp3", deleteOnTermination = true } },
        { deviceName = "/dev/sdb", virtualName = "ephemeral0" },
      },
    }
  end
  return list
end

return stock
