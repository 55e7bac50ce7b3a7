-- What the double's EC2 does but for instances: answers, filters and pages, and the actions on images, keys and groups.
-- ec2.lua adds instances, disks and tags to `actions`.

local stock = require "spec.support.cloud.ec2_stock"
local wire = require "spec.support.cloud.ec2_wire"

local account = {}

local LAG = 1 -- seconds at pace 1 until what was made is listed
local REMEMBERED = 3600 -- seconds that terminated instances stay listed; not scaled
local PAGE = 4 -- items of a page, at most; AWS, too, gives less than MaxResults when it likes
local NAMESPACES = {
  ec2 = "http://ec2.amazonaws.com/doc/2016-11-15/", sts = "https://sts.amazonaws.com/doc/2011-06-15/",
}
local CODES = {
  pending = 0, running = 16, ["shutting-down"] = 32, terminated = 48, stopping = 64, stopped = 80,
}

-- ---- Answers

local function answer(status, body)
  return { status = status, headers = { ["Content-Type"] = "text/xml;charset=UTF-8" }, body = body }
end

local function request_id(request) return ("00000000-0000-4000-8000-%012d"):format(request.call or 0) end

local function failure(request, service, status, code, message)
  if service == "sts" then
    return answer(status, wire.xml("ErrorResponse", {
      Error = { Type = "Sender", Code = code, Message = message }, RequestId = request_id(request),
    }, NAMESPACES.sts))
  end
  return answer(status, wire.xml("Response", {
    Errors = { Error = { Code = code, Message = message } }, RequestID = request_id(request),
  }))
end

local Refusal = {}

-- Ends the action with an error of AWS.
local function refuse(code, message, status)
  error(setmetatable({ code = code, message = message, status = status or 400 }, Refusal), 0)
end

-- ---- What there is

local function state_of(cloud)
  cloud.ec2 = cloud.ec2 or { instances = {}, tokens = {}, pages = {}, last = 0 }
  return cloud.ec2
end

local function new_id(cloud, prefix)
  local state = state_of(cloud)
  state.last = state.last + 1
  return ("%s-0%016x"):format(prefix, 0xd0b1e0000 + state.last)
end

local function things(context, kind)
  local list = {}
  for _, object in ipairs(context.cloud.registry:objects(kind)) do
    if object.ec2 and object.region == context.region then list[#list + 1] = object end
  end
  return list
end

local function is_new(context, made, lag)
  local cloud = context.cloud
  return cloud.clock() - made < cloud.seconds(math.max(lag or LAG, context.request.lag or 0))
end

local function listed(context, list)
  local old = {}
  for _, thing in ipairs(list) do
    if not is_new(context, thing.since) then old[#old + 1] = thing end
  end
  return old
end

local function instances(context)
  local list, clock = {}, context.cloud.clock()
  for _, machine in ipairs(state_of(context.cloud).instances) do
    local forgotten = machine.state == "gone" and clock - machine.until_time > REMEMBERED
    if machine.region == context.region and not forgotten then list[#list + 1] = machine end
  end
  return list
end

local function state_name(machine)
  if machine.state == "gone" then return "terminated" end
  if machine.destroying then return "shutting-down" end
  if machine.stopping then return "stopping" end
  return ({ new = "pending", running = "running", off = "stopped" })[machine.state]
end

local function state_xml(name) return { code = CODES[name], name = name } end

local function tags_xml(tags)
  local keys, list = {}, {}
  for key in pairs(tags) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do list[i] = { key = key, value = tags[key] } end
  return list
end

-- ---- Parameters

local function list_of(value) return type(value) == "table" and value or {} end

-- Tags of the TagSpecifications of a kind, as a table.
local function tags_for(context, kind, kinds)
  local tags, count = {}, 0
  for _, specification in ipairs(list_of(context.parameters.TagSpecification)) do
    if not kinds[specification.ResourceType] then
      refuse("InvalidParameterValue", ("'%s' is not a valid taggable resource type"):format(
        tostring(specification.ResourceType)))
    end
    for _, tag in ipairs(specification.ResourceType == kind and list_of(specification.Tag) or {}) do
      local key, value = tag.Key, tag.Value or ""
      if not key or #key > 127 or key:find "^aws:" or #value > 255 then
        refuse("InvalidParameterValue", ("Tag key or value is not allowed: %s"):format(tostring(key)))
      end
      if tags[key] then refuse("InvalidParameterValue", ("Duplicate tag key '%s' specified."):format(key)) end
      tags[key], count = value, count + 1
    end
  end
  if count > 50 then refuse("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.") end
  return tags
end

local function glob(pattern, text)
  local lua = pattern:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".")
  return text:find("^" .. lua .. "$") ~= nil
end

-- Does a thing pass the filters? values(name) -> the list of its values, or nil for a name that there is not.
local function passes(context, values)
  for _, filter in ipairs(list_of(context.parameters.Filter)) do
    local own = values(filter.Name)
    if not own then
      refuse("InvalidParameterValue", ("The filter '%s' is invalid"):format(tostring(filter.Name)))
    end
    local found = false
    for _, wanted in ipairs(list_of(filter.Value)) do
      for _, value in ipairs(own) do found = found or glob(wanted, value) end
    end
    if not found then return false end
  end
  return true
end

local function tag_values(tags, name)
  local keys = {}
  if name == "tag-key" then
    for key in pairs(tags) do keys[#keys + 1] = key end
    return keys
  end
  local key = name:match "^tag:(.+)$"
  return key and { tags[key] } or nil
end

-- Some of the list, by NextToken and MaxResults, and the token of what comes next.
local function page(context, list)
  local parameters, pages = context.parameters, state_of(context.cloud).pages
  local most = tonumber(parameters.MaxResults or 1000)
  if not most or most < 5 or most > 1000 then
    refuse("InvalidParameterValue", ("Value ( %s ) for parameter maxResults is invalid."):format(
      tostring(parameters.MaxResults)))
  end
  local from = 1
  if parameters.NextToken then
    local known = pages[parameters.NextToken]
    if not known or known.action ~= parameters.Action then
      refuse("InvalidParameterValue", "Unable to parse pagination token")
    end
    from = known.from
  end
  local last = math.min(#list, from + math.min(most, PAGE) - 1)
  local token
  if last < #list then
    token = ("page-%d-%d"):format(context.request.call or 0, last)
    pages[token] = { action = parameters.Action, from = last + 1 }
  end
  return table.move(list, from, last, 1, {}), token
end

-- ---- Actions: context -> what the answer holds

local actions = {}

-- The parameters that an action takes besides Action and Version.
local TAKES = {
  GetCallerIdentity = "", DescribeRegions = "Filter AllRegions RegionName",
  DescribeInstanceTypes = "Filter InstanceType MaxResults NextToken DryRun",
  DescribeImages = "Filter ImageId Owner MaxResults NextToken",
  DescribeInstances = "Filter InstanceId MaxResults NextToken",
  DescribeVolumes = "Filter VolumeId MaxResults NextToken", DescribeKeyPairs = "Filter KeyName KeyPairId",
  DescribeSecurityGroups = "Filter GroupId GroupName MaxResults NextToken",
  ImportKeyPair = "KeyName PublicKeyMaterial TagSpecification DryRun", DeleteKeyPair = "KeyName KeyPairId DryRun",
  CreateSecurityGroup = "GroupName GroupDescription VpcId TagSpecification DryRun",
  AuthorizeSecurityGroupIngress = "GroupId IpPermissions DryRun", DeleteSecurityGroup = "GroupId DryRun",
  RunInstances = "ClientToken ImageId InstanceType MinCount MaxCount KeyName SecurityGroupId UserData "
    .. "InstanceInitiatedShutdownBehavior MetadataOptions BlockDeviceMapping TagSpecification CreditSpecification "
    .. "DryRun",
  CreateTags = "ResourceId Tag", DeleteTags = "ResourceId Tag", DeleteVolume = "VolumeId DryRun",
  StartInstances = "InstanceId DryRun", StopInstances = "InstanceId Force DryRun",
  RebootInstances = "InstanceId DryRun", TerminateInstances = "InstanceId DryRun",
}

function actions.GetCallerIdentity(context)
  return {
    GetCallerIdentityResult = {
      Account = stock.account, Arn = ("arn:aws:iam::%s:user/rtlua"):format(stock.account),
      UserId = context.scope.access_key,
    },
    ResponseMetadata = { RequestId = request_id(context.request) },
  }
end

function actions.DescribeRegions()
  local list = {}
  for i, name in ipairs(stock.regions) do
    list[i] = { regionName = name, regionEndpoint = ("ec2.%s.amazonaws.com"):format(name),
      optInStatus = "opt-in-not-required" }
  end
  return { regionInfo = list }
end

function actions.DescribeInstanceTypes(context)
  local wanted, list = list_of(context.parameters.InstanceType), {}
  if #wanted > 0 and context.parameters.MaxResults then
    refuse("InvalidParameterCombination", "MaxResults cannot be specified with InstanceTypes")
  end
  for _, name in ipairs(wanted) do
    if not stock.type(name) then
      refuse("InvalidInstanceType", ("The following supplied instance types do not exist: [%s]"):format(name))
    end
    list[#list + 1] = stock.type(name)
  end
  for _, one in ipairs(#wanted == 0 and stock.types or {}) do
    if passes(context, function(name)
      return name == "current-generation" and { "true" }
        or name == "processor-info.supported-architecture" and one.processorInfo.supportedArchitectures or nil
    end) then list[#list + 1] = one end
  end
  local some, token = page(context, list)
  return { instanceTypeSet = some, nextToken = token }
end

local function image_of(context, id)
  if not id:find "^ami%-%x+$" then refuse("InvalidAMIID.Malformed", ("Invalid id: \"%s\""):format(id)) end
  for _, image in ipairs(stock.images(context.region)) do
    if image.imageId == id then return image end
  end
  return refuse("InvalidAMIID.NotFound", ("The image id '[%s]' does not exist"):format(id))
end

function actions.DescribeImages(context)
  local list = {}
  for _, id in ipairs(list_of(context.parameters.ImageId)) do list[#list + 1] = image_of(context, id) end
  for _, image in ipairs(context.parameters.ImageId and {} or stock.images(context.region)) do
    local owned = not context.parameters.Owner
    for _, owner in ipairs(list_of(context.parameters.Owner)) do owned = owned or owner == image.imageOwnerId end
    if owned and passes(context, function(name)
      return ({ name = { image.name }, state = { image.imageState }, architecture = { image.architecture },
        ["root-device-type"] = { image.rootDeviceType } })[name]
    end) then list[#list + 1] = image end
  end
  local some, token = page(context, list)
  return { imagesSet = some, nextToken = token }
end

-- ---- Keys and groups

local KEY_KINDS, GROUP_KINDS = { ["key-pair"] = true }, { ["security-group"] = true }

local function named(context, kind, name)
  for _, object in ipairs(things(context, kind)) do
    if object.name == name or object.id == name then return object end
  end
  return nil
end

local function put(context, kind, prefix, fields)
  fields.ec2, fields.region, fields.since = true, context.region, context.cloud.clock()
  fields.id = new_id(context.cloud, prefix)
  return context.cloud.registry:put(kind, fields.id, fields)
end

function actions.ImportKeyPair(context)
  local parameters = context.parameters
  local tags = tags_for(context, "key-pair", KEY_KINDS)
  if named(context, "key", parameters.KeyName) then
    refuse("InvalidKeyPair.Duplicate", ("The keypair '%s' already exists."):format(parameters.KeyName))
  end
  local text = wire.decode(parameters.PublicKeyMaterial or "")
  if not text or not text:find "^ssh%-[%w-]+ [%w+/=]+" then
    refuse("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
  end
  local key = put(context, "key", "key", { name = parameters.KeyName, public_key = text, tags = tags,
    fingerprint = "double+" .. #text })
  return { keyName = key.name, keyPairId = key.id, keyFingerprint = key.fingerprint, tagSet = tags_xml(tags) }
end

function actions.DescribeKeyPairs(context)
  local list = {}
  for _, name in ipairs(list_of(context.parameters.KeyName)) do
    local key = named(context, "key", name)
    if not key or is_new(context, key.since) then
      refuse("InvalidKeyPair.NotFound", ("The key pair '%s' does not exist"):format(name))
    end
  end
  for _, key in ipairs(listed(context, things(context, "key"))) do
    local wanted = not context.parameters.KeyName
    for _, name in ipairs(list_of(context.parameters.KeyName)) do wanted = wanted or name == key.name end
    if wanted and passes(context, function(name)
      return name == "key-name" and { key.name } or tag_values(key.tags, name)
    end) then
      list[#list + 1] = { keyName = key.name, keyPairId = key.id, keyFingerprint = key.fingerprint, keyType = "ed25519",
        tagSet = tags_xml(key.tags) }
    end
  end
  return { keySet = list }
end

function actions.DeleteKeyPair(context)
  local key = named(context, "key", context.parameters.KeyName or context.parameters.KeyPairId)
  if key then context.cloud.registry:remove("key", key.id) end
  return { ["return"] = true, keyPairId = key and key.id or nil }
end

function actions.CreateSecurityGroup(context)
  local parameters = context.parameters
  local tags = tags_for(context, "security-group", GROUP_KINDS)
  if not parameters.GroupDescription then refuse("MissingParameter", "The request must contain GroupDescription") end
  if not (parameters.GroupName or ""):find "^[%w %._%-:/()#,@%[%]+=&;{}!$*]+$" or parameters.GroupName:find "^sg%-" then
    refuse("InvalidParameterValue", "Invalid value for GroupName")
  end
  if named(context, "group", parameters.GroupName) then
    refuse("InvalidGroup.Duplicate", ("The security group '%s' already exists for VPC 'vpc-0d0b1e'"):format(
      parameters.GroupName))
  end
  local group = put(context, "group", "sg", { name = parameters.GroupName, tags = tags, rules = {} })
  return { ["return"] = true, groupId = group.id, tagSet = tags_xml(tags) }
end

-- The first who asks for a new one hears that there is none: always, so that a run can be repeated.
local function group_of(context, id)
  local group = named(context, "group", id)
  local known = group and group.known
  if group then group.known = true end
  if not known or group.name == id then
    refuse("InvalidGroup.NotFound", ("The security group '%s' does not exist"):format(tostring(id)))
  end
  return group
end

function actions.AuthorizeSecurityGroupIngress(context)
  local group = group_of(context, context.parameters.GroupId)
  for _, permission in ipairs(list_of(context.parameters.IpPermissions)) do
    for _, range in ipairs(list_of(permission.IpRanges)) do
      local rule = ("%s %s-%s %s"):format(permission.IpProtocol, permission.FromPort, permission.ToPort, range.CidrIp)
      for _, known in ipairs(group.rules) do
        if known == rule then
          refuse("InvalidPermission.Duplicate", "the specified rule already exists")
        end
      end
      table.insert(group.rules, rule)
    end
  end
  return { ["return"] = true, securityGroupRuleSet = {} }
end

function actions.DescribeSecurityGroups(context)
  local list = {}
  for _, id in ipairs(list_of(context.parameters.GroupId)) do group_of(context, id) end
  for _, group in ipairs(listed(context, things(context, "group"))) do
    local wanted = not context.parameters.GroupId
    for _, id in ipairs(list_of(context.parameters.GroupId)) do wanted = wanted or id == group.id end
    if wanted and passes(context, function(name)
      return name == "group-name" and { group.name } or tag_values(group.tags, name)
    end) then
      list[#list + 1] = { groupId = group.id, groupName = group.name, ownerId = stock.account, vpcId = "vpc-0d0b1e",
        tagSet = tags_xml(group.tags), ipPermissions = {} }
    end
  end
  local some, token = page(context, list)
  return { securityGroupInfo = some, nextToken = token }
end

function actions.DeleteSecurityGroup(context)
  local group = group_of(context, context.parameters.GroupId)
  local holds = false
  for _, machine in ipairs(instances(context)) do
    if machine.group == group.id then
      holds = holds or machine.state ~= "gone" or not group.detaching
      group.detaching = machine.state == "gone"
    end
  end
  if holds then refuse("DependencyViolation", ("resource %s has a dependent object"):format(group.id)) end
  context.cloud.registry:remove("group", group.id)
  return { ["return"] = true, groupId = group.id }
end

for name, f in pairs {
  answer = answer, failure = failure, refuse = refuse, state_of = state_of, new_id = new_id, listed = listed,
  is_new = is_new, instances = instances, state_name = state_name, state_xml = state_xml, tags_xml = tags_xml,
  list_of = list_of, tags_for = tags_for, passes = passes, tag_values = tag_values, page = page, image_of = image_of,
  things = things, named = named, group_of = group_of, put = put,
} do account[name] = f end

account.actions, account.takes, account.Refusal, account.NAMESPACES = actions, TAKES, Refusal, NAMESPACES

return account
