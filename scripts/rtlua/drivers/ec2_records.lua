-- rtlua.drivers.ec2_records: tags that are ours, and instances as the records that drivers give.

local clock = require "rtlua.drivers.clock"
local prices = require "rtlua.drivers.ec2_prices"
local query = require "rtlua.drivers.ec2_query"

local records = {}

local STATES = {
  pending = "new", running = "running", stopping = "off", stopped = "off", ["shutting-down"] = "gone",
  terminated = "gone",
}

--- What a run's mark begins with.
records.RUN = "rtlua:run-"

--- The filter for what bears one of these tags.
function records.tagged(...) return { Filter = { { Name = "tag-key", Value = { ... } } } } end

--- Tags for what a request makes, of the kinds that are named: the marks, and a name.
function records.specifications(marks, name, ...)
  local tags = { { Key = "Name", Value = name } }
  for _, mark in ipairs(marks) do tags[#tags + 1] = { Key = mark, Value = "" } end
  local list = {}
  for i, kind in ipairs { ... } do list[i] = { ResourceType = kind, Tag = tags } end
  return list
end

--- The latest expiry among marks and names, or nil.
function records.expiry(names)
  local latest
  for _, name in ipairs(names) do
    local expires = math.tointeger(tonumber(name:match "exp%-(%d+)$"))
    if expires and (not latest or expires > latest) then latest = expires end
  end
  return latest
end

--- The marks among an element's tags, sorted; the run, and the name.
function records.marks_of(item)
  local marks, run, name = {}, nil, nil
  for _, tag in ipairs(query.list(item.tagSet)) do
    if tag.key == "Name" then name = tag.value end
    if tag.key == "rtlua" or tag.key:match "^rtlua:" then marks[#marks + 1] = tag.key end
    if tag.key:sub(1, #records.RUN) == records.RUN then run = tag.key:sub(#records.RUN + 1) end
  end
  table.sort(marks)
  return marks, run, name
end

local function text_of(value) return type(value) == "string" and value ~= "" and value or nil end

--- A record of the contract; its status is EC2's own word for its state.
function records.to_record(item, region)
  local marks, run, name = records.marks_of(item)
  local cpu = query.list(item.cpuOptions)
  local vcpus = (tonumber(cpu.coreCount) or 0) * (tonumber(cpu.threadsPerCore) or 1)
  return {
    id = item.instanceId, name = name or item.instanceId, state = STATES[item.instanceState.name] or "new",
    address = text_of(item.ipAddress), private_address = text_of(item.privateIpAddress), region = region,
    size = item.instanceType, image = item.imageId, created = clock.unix(item.launchTime), run = run,
    expires = records.expiry(marks), marks = marks, driver = "ec2",
    price_hour = vcpus > 0 and prices.hour(item.instanceType, vcpus, region) or nil,
    status = item.instanceState.name,
  }
end

return records
