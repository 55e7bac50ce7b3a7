-- rtlua.drivers.ec2: instances of Amazon EC2, by its Query API.
--
-- A machine is an instance with a key pair and a security group of its own, which admits SSH alone. All of them, and
-- the disk, bear the marks as tags from the request that makes them; key and group are named "rtlua-RUN-exp-UNIXTIME".
-- The instance terminates itself when its time is over: it powers itself off (user_data, ends_itself), and a shutdown
-- from inside terminates. What there is, is checked in ec2_catalog.lua; prices are in ec2_prices.lua.
--
-- Always holds: asking again for the same lease makes nothing twice (ClientToken, names). EC2 is eventually consistent:
-- an id that it does not know is gone only when it is older than YOUNG, for terminated instances stay listed for an
-- hour. Destroyed means that EC2 says `terminated`, and that disk, group and key are deleted.

local catalog = require "rtlua.drivers.ec2_catalog"
local credentials = require "rtlua.drivers.ec2_credentials"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local loop = require "rtlua.loop"
local query = require "rtlua.drivers.ec2_query"
local records = require "rtlua.drivers.ec2_records"
local system = require "rtlua.system"

local ec2 = {}

local YOUNG = 600 -- seconds; EC2's lists lag by seconds, on bad days by minutes
local LAG = { limit = 60, interval = 2 } -- seconds, for what was just made to be known
local UNSURE = { limit = 15, interval = 2 } -- for what may have been made to be listed
local TERMINATING = { limit = 300, interval = 3 }
local FREEING = { limit = 180, interval = 3 } -- a group is in use until its interface is gone

local NOT_FOUND = { ["InvalidInstanceID.NotFound"] = true, ["InvalidInstanceID.Malformed"] = true }
local NOT_NOW_OR_NEVER = {
  DependencyViolation = "in use", ["InvalidGroup.InUse"] = "in use", VolumeInUse = "in use", IncorrectState = "in use",
  ["InvalidGroup.NotFound"] = "gone", ["InvalidGroupId.NotFound"] = "gone", ["InvalidVolume.NotFound"] = "gone",
  ["InvalidKeyPair.NotFound"] = "gone",
}
local UNKNOWN_YET = {
  ["InvalidGroup.NotFound"] = true, ["InvalidGroupId.NotFound"] = true, ["InvalidKeyPair.NotFound"] = true,
  ["InvalidInstanceID.NotFound"] = true,
}

local Ec2 = { __name = "rtlua.drivers.ec2" }
Ec2.__index = Ec2

-- Repeats f() -> done while it is not, within a limit.
local function patiently(times, f) return loop.until_true(loop.pace(times.limit), loop.pace(times.interval), f) end

-- Calls an action again while EC2 does not know yet what was just made.
local function call_late(self, action, parameters, options)
  local problem
  local answered, reply = patiently(LAG, function()
    local fine, result = pcall(self.api.call, self.api, action, parameters, options)
    if fine then return true, result end
    problem = result
    if not (errors.is(result) and UNKNOWN_YET[result.aws]) then error(result, 0) end
    return false
  end)
  if not answered then error(problem, 0) end
  return reply
end

-- ---- What there is

--- { account, endpoint, now, login }: the account is AWS's number of it. Raises stage "check".
function Ec2:check()
  local reply = self.api:call("GetCallerIdentity", {}, { service = "sts", region = self.region or catalog.home() })
  self.account = query.list(reply.GetCallerIdentityResult).Account
  if not self.account then
    errors.stage("check", errors.UNAVAILABLE, "the answer to GetCallerIdentity names no account",
      "check AWS_ENDPOINT_URL")
  end
  return {
    account = self.account, endpoint = self.api.endpoint or query.PUBLIC, now = math.floor(self.api:now()),
    login = "root",
  }
end

local function region_of(self, given)
  return given or self.region or errors.stage("check", errors.USAGE, "no region is set",
    "give --region, or set AWS_REGION")
end

function Ec2:regions() return catalog.regions(self.api, self.region or catalog.home()) end

function Ec2:sizes(region) return catalog.sizes(self.api, region_of(self, region), self.disk) end

function Ec2:images(region) return catalog.images(self.api, region_of(self, region)) end

--- See the contract of drivers: what is wanted, resolved. The permission to launch it is tried, too (DryRun).
function Ec2:validate(want)
  local plan = catalog.validate(self.api, {
    size = want.size, region = want.region or self.region, image = want.image, name = want.name,
    price_hour = want.price_hour or self.price_hour, disk = self.disk,
  })
  self.api:call("RunInstances", {
    DryRun = true, ImageId = plan.image, InstanceType = plan.size.slug, MinCount = 1, MaxCount = 1,
    TagSpecification = records.specifications({ "rtlua" }, want.name or "rtlua", "instance", "volume"),
  }, { region = plan.region, except = { DryRunOperation = true } })
  return plan
end

-- ---- Looking

-- The instances of a region by filters or ids, as records, without those that are terminated. nil where EC2 does not
-- know an id.
local function describe(self, region, parameters, stage)
  local reservations, code, message = self.api:pages("DescribeInstances", parameters, "reservationSet",
    { region = region, stage = stage, except = parameters.InstanceId and NOT_FOUND })
  if not reservations then return nil, code, message end
  local found = {}
  for _, reservation in ipairs(reservations) do
    for _, item in ipairs(query.list(reservation.instancesSet)) do
      local record = records.to_record(item, region)
      if record.status ~= "terminated" then found[#found + 1] = record end
    end
  end
  return found
end

-- Only the account that made it may say that it is gone.
local function check_account(self, of)
  if not of.account then return end
  if not self.account then self:check() end
  if self.account ~= of.account then
    errors.stage("check", errors.UNAVAILABLE, ("%s belongs to the account %s, and these credentials to %s"):format(
      of.name, of.account, self.account), "set AWS_PROFILE or the keys of that account")
  end
end

--- Records of the instances that bear the lease's run, or its exact name.
function Ec2:find(lease)
  check_account(self, lease)
  local region, found, seen = region_of(self, lease.region), {}, {}
  for _, filter in ipairs {
    lease.run and records.tagged(records.RUN .. lease.run) or false,
    { Filter = { { Name = "tag:Name", Value = { lease.name } } } },
  } do
    for _, record in ipairs(filter and describe(self, region, filter, "create") or {}) do
      if not seen[record.id] then found[#found + 1] = record end
      seen[record.id] = true
    end
  end
  return found
end

local function is_young(self, of)
  local since = of.launched or of.created
  return type(since) == "number" and self.api:now() - since < YOUNG
end

--- The record of a lease or record, or nil when EC2 says that it is terminated. Raises 75 while it is not listed yet.
function Ec2:get(of)
  if not of.id then return self:find(of)[1] end
  check_account(self, of)
  local found = describe(self, region_of(self, of.region), { InstanceId = { of.id } }, "running")
  if not found and is_young(self, of) then
    errors.stage("running", errors.TRY_AGAIN, ("EC2 does not list %s yet"):format(of.id), "try again in a minute")
  end
  return found and found[1]
end

-- f(region) -> list for all regions, side by side: their lists as one. Regions where the account may do nothing are
-- left out, unless these are all.
local function everywhere(self, f)
  local jobs, all, problem, answered = {}, {}, nil, false
  for i, region in ipairs(self:regions()) do
    jobs[i] = function() return f(region.slug) end
  end
  for _, result in ipairs(loop.all(jobs)) do
    if result[1] then
      answered = true
      table.move(result[2], 1, #result[2], #all + 1, all)
    elseif errors.is(result[2]) and (result[2].aws == "UnauthorizedOperation" or result[2].aws == "OptInRequired") then
      problem = result[2]
    else
      error(result[2], 0)
    end
  end
  if problem and not answered then error(problem, 0) end
  return all
end

--- All instances of ours, in all regions.
function Ec2:list()
  return everywhere(self, function(region) return describe(self, region, records.tagged "rtlua", "check") end)
end

-- ---- Creating

-- What was made under this name by a request whose reply was lost.
local function made_before(self, lease, action, set, filter, name)
  return patiently(LAG, function()
    local options = { region = lease.region, stage = "create" }
    return query.list(self.api:call(action, { Filter = { { Name = filter, Value = { name } } } }, options)[set])[1]
  end) or errors.stage("create", errors.TRY_AGAIN, ("EC2 does not list %s, which is there"):format(name),
    "try again in a minute")
end

local function import_key(self, lease)
  local name = lease.key.name
  local options = { region = lease.region, stage = "create", except = { ["InvalidKeyPair.Duplicate"] = true } }
  local reply = self.api:call("ImportKeyPair", {
    KeyName = name, PublicKeyMaterial = files.base64(lease.public_key),
    TagSpecification = records.specifications(lease:marks(), name, "key-pair"),
  }, options)
  reply = reply or made_before(self, lease, "DescribeKeyPairs", "keySet", "key-name", name)
  lease:note { key = { fingerprint = lease.key.fingerprint, name = name, id = reply.keyPairId } }
end

local function make_group(self, lease)
  local name = lease.group.name
  local options = { region = lease.region, stage = "create" }
  local reply = self.api:call("CreateSecurityGroup", {
    GroupName = name, GroupDescription = "SSH to one machine of rtlua",
    TagSpecification = records.specifications(lease:marks(), name, "security-group"),
  }, { region = lease.region, stage = "create", except = { ["InvalidGroup.Duplicate"] = true } })
  reply = reply or made_before(self, lease, "DescribeSecurityGroups", "securityGroupInfo", "group-name", name)
  local id = reply.groupId
  lease:note { group = { name = name, id = id } }
  options.except = { ["InvalidPermission.Duplicate"] = true }
  call_late(self, "AuthorizeSecurityGroupIngress", {
    GroupId = id, IpPermissions = {
      { IpProtocol = "tcp", FromPort = 22, ToPort = 22, IpRanges = { { CidrIp = "0.0.0.0/0", Description = "SSH" } } },
    },
  }, options)
end

local function launch(self, lease, image)
  local parameters = {
    ClientToken = "rtlua-" .. lease.run, ImageId = image.id, InstanceType = lease.size, MinCount = 1, MaxCount = 1,
    KeyName = lease.key.name, SecurityGroupId = { lease.group.id }, UserData = files.base64(lease.user_data),
    InstanceInitiatedShutdownBehavior = "terminate",
    MetadataOptions = { HttpEndpoint = "enabled", HttpTokens = "required", HttpPutResponseHopLimit = 1 },
    BlockDeviceMapping = {
      {
        DeviceName = image.root,
        Ebs = { VolumeSize = catalog.disk(image, self.disk), VolumeType = "gp3", DeleteOnTermination = true },
      },
    },
    TagSpecification = records.specifications(lease:marks(), lease.name, "instance", "volume"),
  }
  -- Else what such a size computes beyond its credits is billed besides.
  if lease.size:match "^t%d" then parameters.CreditSpecification = { CpuCredits = "standard" } end
  lease.sent = true
  local reply = call_late(self, "RunInstances", parameters,
    { region = lease.region, stage = "create", launches = true })
  local item = query.list(reply.instancesSet)[1]
  local record = records.to_record(item, lease.region)
  lease:note { id = record.id, state = "created", launched = record.created }
  if record.state == "gone" then
    errors.stage("create", errors.UNAVAILABLE, ("%s was terminated already%s"):format(lease.name,
      type(item.stateReason) == "table" and ": " .. tostring(item.stateReason.message) or ""), "create another machine")
  end
  return record
end

--- Makes key, group and instance; what is known is in the journal before the next is asked for. See the contract.
function Ec2:create(lease)
  check_account(self, lease)
  local image = catalog.image(self.api, lease.image, lease.region)
  if not image then
    errors.stage("create", errors.USAGE, ("there is no image %s in %s"):format(lease.image, lease.region),
      "leave it out, for the newest Ubuntu")
  end
  local key, group = lease.key or {}, lease.group or {}
  local name = ("rtlua-%s-exp-%d"):format(lease.run, lease.expires)
  key.name, group.name = key.name or name, group.name or name
  lease:note { key = key, group = group }
  if not key.id then import_key(self, lease) end
  if not group.id then make_group(self, lease) end
  return launch(self, lease, image)
end

-- ---- Changing

-- What a run has besides its instances, each with its id and its name: by tag, and by what the journal knows.
local function belongings(self, of, stage)
  local options = { region = region_of(self, of.region), stage = stage }
  local function collect(action, set, id, name, filter, known)
    local list, seen = {}, {}
    local function add(one)
      if not seen[one.id] then list[#list + 1] = one end
      seen[one.id] = true
    end
    local function look(parameters)
      for _, item in ipairs(self.api:pages(action, parameters, set, options)) do
        add { id = item[id], name = item[name] }
      end
      return #list > 0
    end
    if known and known.id then add(known) end
    if of.run then look(records.tagged(records.RUN .. of.run)) end
    if known and known.name and not known.id and #list == 0 then -- who asked for it did not live to see the answer
      patiently(UNSURE, function() return look { Filter = { { Name = filter, Value = { known.name } } } } end)
    end
    return list
  end
  return {
    volumes = collect("DescribeVolumes", "volumeSet", "volumeId"),
    groups = collect("DescribeSecurityGroups", "securityGroupInfo", "groupId", "groupName", "group-name", of.group),
    keys = collect("DescribeKeyPairs", "keySet", "keyPairId", "keyName", "key-name", of.key),
  }
end

--- Adds the later expiry to instance, disk, group and key, and then removes the earlier ones.
function Ec2:extend(lease, expires)
  local record = self:get(lease)
  if not record then
    errors.stage("check", errors.UNAVAILABLE, ("the machine %s is gone"):format(lease.name), "create another")
  end
  local options = { region = lease.region, stage = "check" }
  local resources, there = { lease.id }, belongings(self, lease, "check")
  for _, list in pairs(there) do
    for _, one in ipairs(list) do resources[#resources + 1] = one.id end
  end
  local mark = ("rtlua:exp-%d"):format(expires)
  self.api:call("CreateTags", { ResourceId = resources, Tag = { { Key = mark, Value = "" } } }, options)
  local old = {}
  for _, one in ipairs(record.marks) do
    if one:match "^rtlua:exp%-" and one ~= mark then old[#old + 1] = { Key = one } end
  end
  if #old > 0 then self.api:call("DeleteTags", { ResourceId = resources, Tag = old }, options) end
end

-- Asks for a change of state and waits until EC2 says that it is `status`: the record.
local function switch(self, of, action, parameters, status)
  check_account(self, of)
  parameters.InstanceId = { of.id }
  self.api:call(action, parameters, { region = of.region, stage = "running" })
  return patiently(TERMINATING, function()
    local record = self:get(of)
    return record and record.status == status and record
  end) or errors.stage("running", errors.TRY_AGAIN, ("%s is not %s yet"):format(of.name, status),
    "see rtlua machine status " .. of.name)
end

function Ec2:start(of) return switch(self, of, "StartInstances", {}, "running") end

--- Off; its disk is still billed.
function Ec2:stop(of) return switch(self, of, "StopInstances", {}, "stopped") end

function Ec2:kill(of) return switch(self, of, "StopInstances", { Force = true }, "stopped") end

function Ec2:restart(of) return switch(self, of, "RebootInstances", {}, "running") end

-- ---- Ending

-- Terminates an instance; back when EC2 says that it is.
local function terminate(self, of, id, region)
  local options = { region = region, stage = "destroy", except = NOT_FOUND }
  local young = is_young(self, of)
  local asked = false
  local state
  local gone = patiently(TERMINATING, function()
    if not asked then
      asked = self.api:call("TerminateInstances", { InstanceId = { id } }, options) ~= nil
      if not asked then return not young end
    end
    local reply = self.api:call("DescribeInstances", { InstanceId = { id } }, options)
    if not reply then return not young end
    local reservation = query.list(reply.reservationSet)[1]
    local item = reservation and query.list(reservation.instancesSet)[1]
    state = item and item.instanceState.name
    return state == "terminated"
  end)
  if not gone then
    errors.stage("destroy", errors.TRY_AGAIN, ("the instance %s is %s"):format(id, state or "not listed yet"),
      "try again in a minute")
  end
end

-- Deletes what is in use until what uses it is gone. unsure: that it is said not to be there may be because it is not
-- known yet.
local function delete(self, action, parameters, region, what, unsure)
  local why
  local sure = system.now() + (unsure and loop.pace(UNSURE.limit) or 0)
  local done = patiently(FREEING, function()
    local reply, code, message = self.api:call(action, parameters,
      { region = region, stage = "destroy", except = NOT_NOW_OR_NEVER })
    why = message
    return reply or NOT_NOW_OR_NEVER[code] == "gone" and system.now() >= sure
  end)
  return done or errors.stage("destroy", errors.TRY_AGAIN, ("%s: %s"):format(what, why), "try again in a minute")
end

local function delete_belongings(self, of, region)
  local there, young = belongings(self, of, "destroy"), is_young(self, of)
  for _, volume in ipairs(there.volumes) do
    delete(self, "DeleteVolume", { VolumeId = volume.id }, region, "the volume " .. volume.id)
  end
  for _, group in ipairs(there.groups) do
    delete(self, "DeleteSecurityGroup", { GroupId = group.id }, region, "the security group " .. group.id, young)
  end
  for _, key in ipairs(there.keys) do
    delete(self, "DeleteKeyPair", { KeyPairId = key.id }, region, "the key pair " .. key.name)
  end
end

-- A lease takes all instances of its run with it, a record only itself. Group and key go with the run's last one.
local function destroy_all(self, of)
  check_account(self, of)
  local region = region_of(self, of.region)
  local whole = type(of.note) == "function"
  if of.id then terminate(self, of, of.id, region) end
  for _, record in ipairs(self:find(of)) do
    if record.state ~= "gone" and record.id ~= of.id then
      if not whole then return end
      terminate(self, record, record.id, region)
    end
  end
  delete_belongings(self, of, region)
end

--- Ends a lease's machines, or a record's one, with all that belongs to them; back when it is gone. Raises stage
--- "destroy", 76, saying what may be left.
function Ec2:destroy(of)
  local fine, problem = pcall(destroy_all, self, of)
  if fine then return end
  if errors.is(problem) and problem.code > 128 then error(problem, 0) end
  local what = of.id and ("%s (%s)"):format(of.name, of.id) or of.name
  errors.stage("destroy", errors.REMAINS, ("%s may be left in %s: %s"):format(what, of.region or "?",
    errors.is(problem) and problem.reason or tostring(problem)),
    ("rtlua machine rm %s, or end it in AWS's console"):format(of.name), problem)
end

-- What is past its end in a region, and belongs to no instance any more.
local function sweep_region(self, region, now)
  local living, removed = {}, {}
  for _, record in ipairs(describe(self, region, records.tagged "rtlua", "destroy")) do
    if record.state ~= "gone" then living[record.run or ""] = true end
  end
  local function each(action, set, field, remove, parameter, what)
    local options = { region = region, stage = "destroy" }
    for _, item in ipairs(self.api:pages(action, records.tagged "rtlua", set, options)) do
      local marks, run, name = records.marks_of(item)
      table.insert(marks, name)
      local expires = records.expiry(marks)
      if expires and expires <= now and not living[run or ""] then
        local label = ("%s %s in %s"):format(what, item[field], region)
        delete(self, remove, { [parameter] = item[field] }, region, label, true) -- it was listed just now
        removed[#removed + 1] = "the " .. label
      end
    end
  end
  each("DescribeVolumes", "volumeSet", "volumeId", "DeleteVolume", "VolumeId", "volume")
  each("DescribeSecurityGroups", "securityGroupInfo", "groupId", "DeleteSecurityGroup", "GroupId", "security group")
  each("DescribeKeyPairs", "keySet", "keyName", "DeleteKeyPair", "KeyName", "key pair")
  return removed
end

--- Removes disks, groups and keys of ours that are past their end, in all regions: a list of what it removed.
function Ec2:sweep(now)
  return everywhere(self, function(region) return sweep_region(self, region, now) end)
end

function Ec2:close() self.api:close() end

Ec2.__close = Ec2.close

-- ---- Opening

--- config: region, endpoint (an address in the place of AWS's), price_hour (dollars, of sizes that ec2_prices does not
--- know), disk (GB).
function ec2.open(config)
  config = config or {}
  local endpoint, sts = credentials.endpoints(config.endpoint)
  return setmetatable({
    name = "ec2", transport = "ssh", billed = true, ends_itself = true,
    region = config.region or credentials.region(), price_hour = config.price_hour, disk = config.disk,
    api = query.new { credentials = credentials.new(), endpoint = endpoint, sts = sts },
  }, Ec2)
end

return ec2
