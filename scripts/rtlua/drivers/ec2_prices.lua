-- rtlua.drivers.ec2_prices: what instances cost an hour.
--
-- EC2's own interface has no prices. Here are those of the common families: on demand, Linux, shared hardware, in
-- us-east-1, which us-east-2 and us-west-2 share, as AWS published them in November 2025. A size or region that is not
-- here has no price: it is used only with one that its user gives, since a limit on cost could not be kept without.

local ec2_prices = {}

--- The regions that the table is for.
ec2_prices.REGIONS = { "us-east-1", "us-east-2", "us-west-2" }

-- Dollars an hour for one vCPU; all sizes of these families cost by their vCPUs.
local PER_VCPU = {
  c5 = 0.0425, c5a = 0.0385, c6a = 0.03825, c6g = 0.034, c6i = 0.0425, c7a = 0.05132, c7g = 0.03625, c7i = 0.044625,
  m5 = 0.048, m5a = 0.043, m6a = 0.0432, m6g = 0.0385, m6i = 0.048, m7a = 0.05796, m7g = 0.0408, m7i = 0.0504,
}

-- Dollars an hour, with the credits that are earned (CreditSpecification standard: no others are ever billed).
local PER_SIZE = {
  t3 = { nano = 0.0052, micro = 0.0104, small = 0.0208, medium = 0.0416, large = 0.0832, xlarge = 0.1664,
    ["2xlarge"] = 0.3328 },
  t3a = { nano = 0.0047, micro = 0.0094, small = 0.0188, medium = 0.0376, large = 0.0752, xlarge = 0.1504,
    ["2xlarge"] = 0.3008 },
  t4g = { nano = 0.0042, micro = 0.0084, small = 0.0168, medium = 0.0336, large = 0.0672, xlarge = 0.1344,
    ["2xlarge"] = 0.2688 },
}

local GP3_MONTH, GP3_MONTH_MOST = 0.08, 0.16 -- dollars for a GB; the second is above what any region takes
local ADDRESS_HOUR = 0.005 -- a public IPv4 address, everywhere
local MONTH = 730 -- hours, as AWS counts

--- Hours of a month.
ec2_prices.MONTH = MONTH

local here = {}
for _, region in ipairs(ec2_prices.REGIONS) do here[region] = true end

--- Dollars an hour for a size ("c7i.large") with so many vCPUs in a region; nil where the table does not know.
function ec2_prices.hour(size, vcpus, region)
  if not here[region] then return nil end
  local family, name = size:match "^(%w+)%.([%w-]+)$"
  if not family or name:find "metal" then return nil end
  if PER_SIZE[family] then return PER_SIZE[family][name] end
  return PER_VCPU[family] and PER_VCPU[family] * vcpus
end

--- Dollars an hour for a disk of so many GB and a public address.
function ec2_prices.extras(disk, region)
  return disk * (here[region] and GP3_MONTH or GP3_MONTH_MOST) / MONTH + ADDRESS_HOUR
end

return ec2_prices
