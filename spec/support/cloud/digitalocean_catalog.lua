-- What the double sells: DigitalOcean's regions, sizes and images as its API describes them, with its prices of 2026.
-- More than a page of sizes, so that a client that does not follow pages misses some.

local catalog = {}

local REGIONS = {
  { "nyc1", "New York 1" }, { "nyc3", "New York 3" }, { "sfo2", "San Francisco 2" }, { "sfo3", "San Francisco 3" },
  { "ams3", "Amsterdam 3" }, { "fra1", "Frankfurt 1" }, { "lon1", "London 1" }, { "sgp1", "Singapore 1" },
  { "tor1", "Toronto 1" }, { "blr1", "Bangalore 1" }, { "syd1", "Sydney 1" }, { "nyc2", "New York 2", closed = true },
}

-- slug, memory (MiB), vCPUs, disk (GB), transfer (TB), $ a month, description; an hour is a 672nd of a month.
local SIZES = {
  { "s-1vcpu-512mb-10gb", 512, 1, 10, 0.5, 4, "Basic" }, { "s-1vcpu-1gb", 1024, 1, 25, 1, 6, "Basic" },
  { "s-1vcpu-2gb", 2048, 1, 50, 2, 12, "Basic" }, { "s-2vcpu-2gb", 2048, 2, 60, 3, 18, "Basic" },
  { "s-2vcpu-4gb", 4096, 2, 80, 4, 24, "Basic" }, { "s-4vcpu-8gb", 8192, 4, 160, 5, 48, "Basic" },
  { "s-8vcpu-16gb", 16384, 8, 320, 6, 96, "Basic" }, { "s-1vcpu-1gb-amd", 1024, 1, 25, 1, 7, "Basic AMD" },
  { "s-2vcpu-4gb-amd", 4096, 2, 80, 4, 28, "Basic AMD" }, { "s-4vcpu-8gb-amd", 8192, 4, 160, 5, 56, "Basic AMD" },
  { "s-1vcpu-1gb-intel", 1024, 1, 25, 1, 7, "Basic Intel" }, { "s-2vcpu-4gb-intel", 4096, 2, 80, 4, 28, "Basic Intel" },
  { "c-2", 4096, 2, 25, 4, 42, "CPU-Optimized" }, { "c-4", 8192, 4, 50, 5, 84, "CPU-Optimized" },
  { "c-8", 16384, 8, 100, 6, 168, "CPU-Optimized" }, { "c-16", 32768, 16, 200, 7, 336, "CPU-Optimized" },
  { "c-32", 65536, 32, 400, 9, 672, "CPU-Optimized" }, { "c-48", 98304, 48, 600, 11, 1008, "CPU-Optimized" },
  { "g-2vcpu-8gb", 8192, 2, 25, 4, 63, "General Purpose" }, { "g-4vcpu-16gb", 16384, 4, 50, 5, 126, "General Purpose" },
  { "g-8vcpu-32gb", 32768, 8, 100, 6, 252, "General Purpose" },
  { "g-16vcpu-64gb", 65536, 16, 200, 7, 504, "General Purpose" },
  { "m-2vcpu-16gb", 16384, 2, 50, 4, 84, "Memory-Optimized" },
  { "m-4vcpu-32gb", 32768, 4, 100, 6, 168, "Memory-Optimized" },
  { "m-8vcpu-64gb", 65536, 8, 200, 7, 336, "Memory-Optimized" },
  { "c-60-retired", 122880, 60, 750, 11, 1260, "CPU-Optimized", closed = true },
}

local IMAGES = {
  { 112929454, "ubuntu-20-04-x64", "20.04 (LTS) x64", "Ubuntu" },
  { 129211873, "ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu" },
  { 155133621, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu" },
  { 133537117, "debian-11-x64", "11 x64", "Debian" }, { 151843220, "debian-12-x64", "12 x64", "Debian" },
  { 152104712, "fedora-40-x64", "40 x64", "Fedora" }, { 135529021, "rockylinux-9-x64", "9 x64", "Rocky Linux" },
  { 147869101, "docker-20-04", "Docker on Ubuntu 22.04", "Ubuntu", application = true },
}

local FEATURES = { "backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer" }

--- All regions, as the API lists them.
function catalog.regions()
  local slugs, list = {}, {}
  for _, size in ipairs(SIZES) do
    if not size.closed then slugs[#slugs + 1] = size[1] end
  end
  for i, region in ipairs(REGIONS) do
    list[i] = { slug = region[1], name = region[2], features = FEATURES, available = not region.closed,
      sizes = region.closed and {} or slugs }
  end
  return list
end

local function open_regions()
  local slugs = {}
  for _, region in ipairs(REGIONS) do
    if not region.closed then slugs[#slugs + 1] = region[1] end
  end
  return slugs
end

--- All sizes, as the API lists them.
function catalog.sizes()
  local list = {}
  for i, size in ipairs(SIZES) do
    list[i] = { slug = size[1], memory = size[2], vcpus = size[3], disk = size[4], transfer = size[5],
      price_monthly = size[6], price_hourly = tonumber(("%.5f"):format(size[6] / 672)), description = size[7],
      available = not size.closed, regions = size.closed and {} or open_regions() }
  end
  return list
end

--- The public images, as the API lists them; `application` is ours, for the filter.
function catalog.images()
  local list = {}
  for i, image in ipairs(IMAGES) do
    list[i] = { id = image[1], slug = image[2], name = image[3], distribution = image[4], type = "base", public = true,
      regions = open_regions(), created_at = "2026-01-15T10:00:00Z", min_disk_size = 7, size_gigabytes = 2.3,
      description = image[3], tags = {}, status = "available", application = image.application }
  end
  return list
end

return catalog
