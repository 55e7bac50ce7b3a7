-- The double's EC2, and as much of STS as says whose account it is. See server.lua for how it is called.
--
-- As AWS: every request's signature is computed again; the region is that of the signature; parameters that nobody
-- knows are refused; a ClientToken makes one instance, and is refused for another request; what was just made is not
-- listed for a while; instances stay listed for an hour after they are terminated; a group is in use until its
-- instances have been gone for a while; lists come in pages. An instance that powers itself off is terminated where it
-- was launched so.

local account = require "spec.support.cloud.ec2_account"
local stock = require "spec.support.cloud.ec2_stock"
local wire = require "spec.support.cloud.ec2_wire"

local ec2 = {}

local actions, list_of, refuse = account.actions, account.list_of, account.refuse

local LOOK = 5 -- seconds at pace 1 between two looks whether a real instance has powered itself off
local LAUNCH_KINDS = { instance = true, volume = true }
local MOST_USER_DATA = 16384 -- bytes

-- ---- Launching

local function check_launch(context)
  local p = context.parameters
  for _, name in ipairs { "ImageId", "InstanceType", "MinCount", "MaxCount" } do
    if not p[name] then refuse("MissingParameter", "The request must contain the parameter " .. name) end
  end
  if p.MinCount ~= "1" or p.MaxCount ~= "1" then refuse("InvalidParameterValue", "this double launches one") end
  local kind, image = stock.type(p.InstanceType), account.image_of(context, p.ImageId)
  if not kind then
    refuse("InvalidParameterValue", ("Invalid value '%s' for InstanceType."):format(p.InstanceType))
  end
  if kind.processorInfo.supportedArchitectures[1] ~= image.architecture then
    refuse("InvalidParameterValue", ("The architecture '%s' of the specified instance type does not match the "
      .. "architecture '%s' of the specified AMI."):format(kind.processorInfo.supportedArchitectures[1],
      image.architecture))
  end
  local metadata = list_of(p.MetadataOptions)
  if metadata.HttpTokens and metadata.HttpTokens ~= "required" and metadata.HttpTokens ~= "optional" then
    refuse("InvalidParameterValue", "Invalid value for HttpTokens")
  end
  if p.CreditSpecification and not kind.burstablePerformanceSupported then
    refuse("InvalidParameterCombination", "The T2/T3 credit specification is not supported for this instance type")
  end
  local data = wire.decode(p.UserData or "")
  if not data then refuse("InvalidParameterValue", "Invalid BASE64 encoding of user data") end
  if #data > MOST_USER_DATA then refuse("InvalidParameterValue", "User data is limited to 16384 bytes") end
  local disk = 8
  for _, mapping in ipairs(list_of(p.BlockDeviceMapping)) do
    disk = math.tointeger(tonumber(list_of(mapping.Ebs).VolumeSize)) or disk
    if mapping.DeviceName ~= image.rootDeviceName or disk < image.blockDeviceMapping[1].ebs.volumeSize then
      refuse("InvalidBlockDeviceMapping", ("Volume of size %dGB is smaller than snapshot"):format(disk))
    end
  end
  return kind, data, disk
end

-- All that was asked for, as one text: what a ClientToken stands for.
local function digest(parameters)
  local parts = {}
  local function add(prefix, value)
    if type(value) ~= "table" then
      parts[#parts + 1] = prefix .. "=" .. value
      return
    end
    for key, element in pairs(value) do add(prefix .. "." .. key, element) end
  end
  add("", parameters)
  table.sort(parts)
  return table.concat(parts, "\n")
end

local function time_text(seconds) return os.date("!%Y-%m-%dT%H:%M:%S.000Z", math.floor(seconds)) end

local function instance_xml(machine)
  local state = account.state_name(machine)
  local gone = state == "terminated"
  return {
    instanceId = machine.id, imageId = machine.image, instanceState = account.state_xml(state),
    instanceType = machine.size, launchTime = time_text(machine.created), clientToken = machine.token or "",
    ipAddress = machine.state == "running" and not machine.destroying and machine.address or nil,
    privateIpAddress = not gone and machine.private_address or nil, privateDnsName = "", dnsName = "",
    amiLaunchIndex = 0, keyName = machine.key,
    architecture = stock.type(machine.size).processorInfo.supportedArchitectures[1],
    cpuOptions = { coreCount = stock.type(machine.size).vCpuInfo.defaultVCpus // 2, threadsPerCore = 2 },
    placement = { availabilityZone = machine.region .. "a", groupName = "", tenancy = "default" },
    metadataOptions = machine.metadata, groupSet = not gone and { { groupId = machine.group } } or {},
    tagSet = account.tags_xml(machine.marks), reason = machine.reason or "",
    stateReason = machine.reason and { code = "Client.InstanceInitiatedShutdown", message = machine.reason } or nil,
    rootDeviceName = "/dev/sda1", rootDeviceType = "ebs", virtualizationType = "hvm", hypervisor = "xen",
    blockDeviceMapping = not gone and {
      { deviceName = "/dev/sda1",
        ebs = { volumeId = machine.volume, status = "attached", deleteOnTermination = machine.volume_goes } },
    } or {},
  }
end

local function reservation_xml(machine)
  return { reservationId = "r-" .. machine.id:sub(3), ownerId = stock.account, groupSet = {},
    instancesSet = { instance_xml(machine) } }
end

-- Its disk and address go with it.
local function remove(context, machine)
  context.cloud.registry:destroy(machine.id, function()
    if machine.volume_goes then context.cloud.registry:remove("volume", machine.volume) end
  end)
end

-- A real host that has powered itself off ends as it was launched.
local function look_after(context, machine)
  context.cloud.after(LOOK, function()
    if machine.state == "gone" or machine.destroying then return end
    if machine.state == "running" and not machine.stopping and machine.host and not machine.host:alive() then
      machine.reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
      if machine.shutdown == "terminate" then return remove(context, machine) end
      context.cloud.registry:power(machine.id, "off", 0)
    end
    look_after(context, machine)
  end)
end

function actions.RunInstances(context)
  local p, cloud, state = context.parameters, context.cloud, account.state_of(context.cloud)
  local kind, data, disk = check_launch(context)
  local tags, volume_tags = account.tags_for(context, "instance", LAUNCH_KINDS),
    account.tags_for(context, "volume", LAUNCH_KINDS)
  if p.DryRun == "true" then
    refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
  end
  local asked = digest(p)
  local known = p.ClientToken and state.tokens[context.region .. p.ClientToken]
  if known then
    if known.asked ~= asked then
      refuse("IdempotentParameterMismatch", "The client token you have provided is associated with a different request")
    end
    return reservation_xml(known.machine)
  end
  local group = account.group_of(context, list_of(p.SecurityGroupId)[1])
  local key = p.KeyName and account.named(context, "key", p.KeyName)
  if p.KeyName and not key then
    refuse("InvalidKeyPair.NotFound", ("The key pair '%s' does not exist"):format(p.KeyName))
  end
  local alive = 0
  for _, machine in ipairs(account.instances(context)) do
    if machine.state ~= "gone" then alive = alive + stock.type(machine.size).vCpuInfo.defaultVCpus end
  end
  if alive + kind.vCpuInfo.defaultVCpus > cloud.limits.instances then
    refuse("VcpuLimitExceeded", ("You have requested more vCPU capacity than your current vCPU limit of %d allows for "
      .. "the instance bucket that the specified instance type belongs to."):format(cloud.limits.instances))
  end
  local names = {}
  for name in pairs(tags) do names[#names + 1] = name end
  table.sort(names)
  local volume = account.put(context, "volume", "vol", { name = volume_tags.Name, tags = volume_tags, size = disk })
  local deletes = list_of(list_of(list_of(p.BlockDeviceMapping)[1]).Ebs).DeleteOnTermination
  local machine = cloud.registry:create {
    kind = "instance", id = account.new_id(cloud, "i"), name = tags.Name, region = context.region,
    size = p.InstanceType, image = p.ImageId, tags = names, marks = tags, user_data = data,
    public_keys = key and { key.public_key } or {},
    token = p.ClientToken, key = p.KeyName, group = group.id, volume = volume.id, volume_goes = deletes ~= "false",
    shutdown = p.InstanceInitiatedShutdownBehavior or "stop", metadata = {
      httpTokens = list_of(p.MetadataOptions).HttpTokens or "required",
      httpPutResponseHopLimit = list_of(p.MetadataOptions).HttpPutResponseHopLimit or 2,
    },
  }
  volume.machine = machine
  table.insert(state.instances, machine)
  if p.ClientToken then state.tokens[context.region .. p.ClientToken] = { asked = asked, machine = machine } end
  if cloud.real then look_after(context, machine) end
  return reservation_xml(machine)
end

-- ---- Instances

-- What is seen of them: not yet those that were just made.
local function seen(context, list)
  local old = {}
  for _, machine in ipairs(list) do
    if not account.is_new(context, machine.since) then old[#old + 1] = machine end
  end
  return old
end

local function asked_for(context)
  local list = {}
  for _, id in ipairs(list_of(context.parameters.InstanceId)) do
    local found
    if not id:find "^i%-%x+$" then refuse("InvalidInstanceID.Malformed", ("Invalid id: \"%s\""):format(id)) end
    for _, machine in ipairs(seen(context, account.instances(context))) do
      found = machine.id == id and machine or found
    end
    if not found then refuse("InvalidInstanceID.NotFound", ("The instance ID '%s' does not exist"):format(id)) end
    list[#list + 1] = found
  end
  return list
end

function actions.DescribeInstances(context)
  local p, list = context.parameters, {}
  if p.InstanceId and p.MaxResults then
    refuse("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
  end
  for _, machine in ipairs(p.InstanceId and asked_for(context) or seen(context, account.instances(context))) do
    if account.passes(context, function(name)
      return name == "instance-state-name" and { account.state_name(machine) }
        or account.tag_values(machine.marks, name)
    end) then list[#list + 1] = reservation_xml(machine) end
  end
  local some, token = account.page(context, list)
  return { reservationSet = some, nextToken = token }
end

local function check_dry(context)
  if context.parameters.DryRun == "true" then
    refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
  end
end

-- Carries f out on all that are asked for: the change of their states.
local function change(context, allowed, f)
  local changes, list = {}, asked_for(context)
  check_dry(context)
  for _, machine in ipairs(list) do
    local name = account.state_name(machine)
    if not allowed[name] then
      refuse("IncorrectInstanceState", ("The instance '%s' is not in a state from which it can be changed."):format(
        machine.id))
    end
  end
  for i, machine in ipairs(list) do
    local before = account.state_name(machine)
    f(machine, before)
    changes[i] = { instanceId = machine.id, previousState = account.state_xml(before),
      currentState = account.state_xml(account.state_name(machine)) }
  end
  return { instancesSet = changes }
end

local ANY = { pending = true, running = true, stopping = true, stopped = true, ["shutting-down"] = true,
  terminated = true }

function actions.TerminateInstances(context)
  return change(context, ANY, function(machine, before)
    if before ~= "terminated" and before ~= "shutting-down" then remove(context, machine) end
  end)
end

function actions.StartInstances(context)
  return change(context, { stopped = true, running = true, pending = true }, function(machine, before)
    if before == "stopped" then context.cloud.registry:power(machine.id, "running", context.cloud.latencies.power) end
  end)
end

function actions.StopInstances(context)
  return change(context, { running = true, stopping = true, stopped = true }, function(machine, before)
    if before ~= "running" then return end
    machine.stopping = true
    context.cloud.registry:power(machine.id, "off", context.cloud.latencies.power, function()
      machine.stopping = nil
    end)
  end)
end

function actions.RebootInstances(context)
  change(context, { running = true }, function(machine)
    context.cloud.registry:power(machine.id, "restart", context.cloud.latencies.power)
  end)
  return { ["return"] = true }
end

-- ---- Disks and tags

function actions.DescribeVolumes(context)
  local list = {}
  for _, volume in ipairs(account.listed(context, account.things(context, "volume"))) do
    if account.passes(context, function(name) return account.tag_values(volume.tags, name) end) then
      list[#list + 1] = { volumeId = volume.id, size = volume.size, volumeType = "gp3",
        status = volume.machine.state == "gone" and "available" or "in-use", tagSet = account.tags_xml(volume.tags) }
    end
  end
  local some, token = account.page(context, list)
  return { volumeSet = some, nextToken = token }
end

function actions.DeleteVolume(context)
  local volume = account.named(context, "volume", context.parameters.VolumeId)
  if not volume then
    refuse("InvalidVolume.NotFound", ("The volume '%s' does not exist."):format(context.parameters.VolumeId))
  end
  if volume.machine.state ~= "gone" then
    refuse("VolumeInUse", ("Volume %s is currently attached to %s"):format(volume.id, volume.machine.id))
  end
  context.cloud.registry:remove("volume", volume.id)
  return { ["return"] = true }
end

-- The tables of tags of what is named by ResourceId.
local function tagged(context)
  local tables = {}
  for _, id in ipairs(list_of(context.parameters.ResourceId)) do
    local found
    for _, machine in ipairs(seen(context, account.instances(context))) do
      if machine.id == id then found = machine end
    end
    for _, kind in ipairs { "volume", "group", "key" } do
      local thing = account.named(context, kind, id)
      if thing and thing.id == id then found = thing end
    end
    if not found then refuse("InvalidID", ("The ID '%s' is not valid"):format(id)) end
    tables[#tables + 1] = { thing = found, tags = found.marks or found.tags }
  end
  return tables
end

-- The names are what specs see of an instance.
local function renew(thing)
  if not thing.marks then return end
  thing.tags = {}
  for key in pairs(thing.marks) do table.insert(thing.tags, key) end
  table.sort(thing.tags)
end

function actions.CreateTags(context)
  for _, one in ipairs(tagged(context)) do
    for _, tag in ipairs(list_of(context.parameters.Tag)) do one.tags[tag.Key] = tag.Value or "" end
    renew(one.thing)
  end
  return { ["return"] = true }
end

function actions.DeleteTags(context)
  for _, one in ipairs(tagged(context)) do
    for _, tag in ipairs(list_of(context.parameters.Tag)) do
      if tag.Value == nil or one.tags[tag.Key] == tag.Value then one.tags[tag.Key] = nil end
    end
    renew(one.thing)
  end
  return { ["return"] = true }
end

-- ---- For the server

local function secrets(cloud)
  return function(access_key)
    if access_key == cloud.access_key then return cloud.secret_key, cloud.session_token end
    return nil
  end
end

local function check_parameters(parameters, service)
  local takes = account.takes[parameters.Action or ""]
  local is_sts = parameters.Action == "GetCallerIdentity"
  if not takes or is_sts ~= (service == "sts") then
    refuse("InvalidAction", ("The action %s is not valid for this web service."):format(tostring(parameters.Action)))
  end
  if parameters.Version ~= (is_sts and "2011-06-15" or "2016-11-15") then
    refuse("InvalidParameterValue", "The version is not valid")
  end
  for name in pairs(parameters) do
    if name ~= "Action" and name ~= "Version" and not (" " .. takes .. " "):find(" " .. name .. " ", 1, true) then
      refuse("UnknownParameter", ("The parameter %s is not recognized"):format(tostring(name)))
    end
  end
end

--- What the ledger calls a request: its action.
function ec2.kind(request) return request.body:match "^Action=(%w+)" or request.body:match "&Action=(%w+)" or "?" end

--- Answers a request.
function ec2.handle(cloud, request)
  local scope, status, code, message = wire.verify(request, secrets(cloud), cloud.now())
  local service = scope and scope.service or (request.headers.authorization or ""):match "/sts/" and "sts" or "ec2"
  if not scope then return account.failure(request, service, status, code, message) end
  if request.method ~= "POST" then
    return account.failure(request, service, 400, "InvalidRequest", "this double takes POST")
  end
  local parameters = wire.parse(request.body)
  local context = { cloud = cloud, request = request, parameters = parameters, region = scope.region, scope = scope }
  local fine, result = pcall(function()
    check_parameters(parameters, service)
    return actions[parameters.Action](context)
  end)
  if not fine then
    if getmetatable(result) ~= account.Refusal then error(result, 0) end
    return account.failure(request, service, result.status, result.code, result.message)
  end
  if service == "ec2" then result.requestId = ("00000000-0000-4000-8000-%012d"):format(request.call or 0) end
  return account.answer(200, wire.xml(parameters.Action .. "Response", result, account.NAMESPACES[service]))
end

--- Puts an instance there that the client did not ask for; false where the machine is none.
function ec2.put(cloud, machine)
  if machine.kind ~= "instance" then return false end
  machine.id = machine.id or account.new_id(cloud, "i")
  machine.size, machine.region = machine.size or "t3.micro", machine.region or stock.regions[1]
  machine.image, machine.shutdown = machine.image or stock.images(machine.region)[1].imageId, "stop"
  machine.marks = machine.marks or {}
  for _, tag in ipairs(machine.tags or {}) do machine.marks[tag] = "" end
  renew(machine)
  cloud.registry:create(machine)
  table.insert(account.state_of(cloud).instances, machine)
  return true
end

local FAULTS = {
  ["401"] = { 401, "AuthFailure", "AWS was not able to validate the provided access credentials" },
  ["403"] = { 403, "UnauthorizedOperation", "You are not authorized to perform this operation." },
  ["422"] = { 400, "IncorrectState", "The request cannot be done in this state." },
  ["429"] = { 503, "RequestLimitExceeded", "Request limit exceeded." },
  ["500"] = { 500, "InternalError", "An internal error has occurred" },
  ["503"] = { 503, "Unavailable", "The service is unavailable. Please try again." },
  limit = { 400, "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit allows." },
}

--- The answer of a fault, see faults.lua: as EC2 says it.
function ec2.fault(_, request, what, seconds)
  local fault = FAULTS[what] or { tonumber(what) or 400, "InternalFailure", "The request failed." }
  local service = (request.headers.authorization or ""):match "/sts/" and "sts" or "ec2"
  local response = account.failure(request, service, fault[1], fault[2], fault[3])
  if what == "422" and ec2.kind(request) == "DeleteSecurityGroup" then
    response = account.failure(request, service, 400, "DependencyViolation", "resource has a dependent object")
  end
  if seconds then response.headers["Retry-After"] = seconds end
  return response
end

return ec2
