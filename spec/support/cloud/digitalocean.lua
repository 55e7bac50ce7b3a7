-- DigitalOcean's API v2 as the double plays it: account, keys, sizes, regions, images, tags, droplets and actions, as
-- its OpenAPI description has them (spec/local_cloud_spec.lua compares). Custom images, resizing, rebuilding and
-- backups are refused with 422: rtlua has no use for them.
--
-- A droplet is `new` until it has booted; until then, and while an action is in progress or it is being destroyed,
-- other actions and a DELETE are refused with 422 "pending event".

local catalog = require "spec.support.cloud.digitalocean_catalog"
local json = require "spec.support.cloud.json"
local md5 = require "spec.support.cloud.md5"
local wire = require "spec.support.cloud.digitalocean_wire"

local digitalocean = {}

local failure, iso, reply, refuse = wire.failure, wire.iso, wire.reply, wire.refuse

local PENDING = "Droplet already has a pending event."
local LIMIT_REACHED = "creating this/these droplet(s) will exceed your droplet limit"
local LARGEST_USER_DATA = 65536
local HOUR, MINUTE = 3600, 60

-- ---- State: catalogues and actions, of one double each

local states = setmetatable({}, { __mode = "k" })

local function state_of(cloud)
  if not states[cloud] then
    states[cloud] = { regions = catalog.regions(), sizes = catalog.sizes(), images = catalog.images(), actions = {},
      windows = {} }
  end
  return states[cloud]
end

local function by(list, field, value)
  for _, element in ipairs(list) do
    if element[field] == value then return element end
  end
  return nil
end

local function start_action(cloud, kind, droplet)
  local action = { id = cloud.registry:next_id(), status = "in-progress", type = kind, started_at = iso(cloud.now()),
    completed_at = json.null, resource_id = droplet.id, resource_type = "droplet",
    region = by(state_of(cloud).regions, "slug", droplet.region), region_slug = droplet.region }
  table.insert(state_of(cloud).actions, 1, action)
  return action
end

local function end_action(cloud, action) action.status, action.completed_at = "completed", iso(cloud.now()) end

-- ---- Droplets

local STATUS = { new = "new", running = "active", off = "off", gone = "active" }

local function public_image(image)
  local copy = {}
  for key, value in pairs(image) do copy[key] = value end
  copy.application, copy.kind = nil, nil
  return copy
end

local function droplet_view(cloud, droplet)
  local state, networks = state_of(cloud), { v4 = {}, v6 = {} }
  local size = by(state.sizes, "slug", droplet.size)
  if droplet.state ~= "new" then
    for _, network in ipairs { { "private", droplet.private_address, "255.255.0.0", "10.20.0.1" },
      { "public", droplet.address, "255.255.255.0", "192.0.2.1" } } do
      if network[2] then
        table.insert(networks.v4, { type = network[1], ip_address = network[2], netmask = network[3],
          gateway = network[4] })
      end
    end
  end
  return {
    id = droplet.id, name = droplet.name, memory = size.memory, vcpus = size.vcpus, disk = size.disk,
    disk_info = { { type = "local", size = { amount = size.disk, unit = "gib" } } }, kernel = json.null,
    locked = droplet.busy > cloud.clock(), status = STATUS[droplet.state], created_at = iso(droplet.created),
    features = { "droplet_agent", "private_networking" }, backup_ids = {}, next_backup_window = json.null,
    snapshot_ids = {}, image = droplet.image, volume_ids = {}, size = size, size_slug = droplet.size,
    networks = networks, region = by(state.regions, "slug", droplet.region), tags = droplet.tags,
    vpc_uuid = "760e09ef-dc84-11e8-981e-3cfdfeaae000",
  }
end

local function droplet_of(cloud, id)
  local droplet = cloud.registry:machine(math.tointeger(tonumber(id)))
  if not droplet or droplet.kind ~= "droplet" then refuse(404) end
  return droplet
end

local function must_be_idle(cloud, droplet)
  if droplet.busy > cloud.clock() then refuse(422, PENDING) end
end

local function has_tag(droplet, name)
  for i, tag in ipairs(droplet.tags) do
    if tag == name then return i end
  end
  return nil
end

local function tag_name(name)
  if type(name) ~= "string" or not name:find "^[%w_:%-]+$" or #name > 255 then
    refuse(422, "Tag name is invalid: letters, numbers, colons, dashes and underscores only")
  end
  return name
end

local function ensure_tag(cloud, name)
  if not cloud.registry:object("tag", name) then cloud.registry:put("tag", name, { name = name }) end
end

local function body_of(request)
  local ok, body = pcall(json.decode, request.body)
  if not ok or type(body) ~= "table" then refuse(400, "There was a problem parsing the request's body.") end
  return body
end

local function key_of(cloud, identifier)
  for _, key in ipairs(cloud.registry:objects "key") do
    if key.droplets and (key.fingerprint == identifier or key.id == math.tointeger(tonumber(identifier))) then
      return key
    end
  end
  return nil
end

local function all_images(cloud)
  local list = table.move(state_of(cloud).images, 1, #state_of(cloud).images, 1, {})
  for _, image in ipairs(cloud.registry:objects "image") do
    if image.distribution then list[#list + 1] = image end
  end
  return list
end

local function image_of(cloud, identifier)
  local images, id = all_images(cloud), math.tointeger(tonumber(identifier))
  return id and by(images, "id", id) or by(images, "slug", identifier)
end

local function check_name(name)
  if type(name) ~= "string" or #name > 255 or not name:find "^[%w.%-]*%w$" or name:find "^[.%-]" then
    refuse(422, "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
  end
end

local function public_keys(cloud, identifiers)
  local keys = {}
  for i, identifier in ipairs(identifiers or {}) do
    local key = key_of(cloud, identifier)
    if not key then refuse(422, tostring(identifier) .. " are invalid key identifiers for Droplet creation.") end
    keys[i] = key.public_key
  end
  return keys
end

local function includes(list, value)
  for _, element in ipairs(list) do
    if element == value then return true end
  end
  return false
end

-- What the body asks for, checked, for registry:create.
local function checked(cloud, body)
  local state = state_of(cloud)
  local size = by(state.sizes, "slug", body.size)
  if not size then refuse(422, "You specified an invalid size for Droplet creation.") end
  local region = by(state.regions, "slug", body.region or "nyc3")
  if not region then refuse(422, "You specified an invalid region for Droplet creation.") end
  if not size.available or not region.available or not includes(size.regions, region.slug) then
    refuse(422, "Size is not available in this region.")
  end
  local image = image_of(cloud, body.image)
  if not image then refuse(422, "You specified an invalid image for Droplet creation.") end
  if not includes(image.regions, region.slug) then refuse(422, "Image is not available in this region.") end
  if #(body.user_data or "") > LARGEST_USER_DATA then refuse(422, "User data is too long (maximum is 64 KiB)") end
  for _, tag in ipairs(body.tags or {}) do tag_name(tag) end
  return { kind = "droplet", size = size.slug, region = region.slug, image = public_image(image),
    user_data = body.user_data, public_keys = public_keys(cloud, body.ssh_keys), tags = body.tags or {} }
end

local function must_fit(cloud, count)
  if #cloud.registry:machines { kind = "droplet" } + count > cloud.limits.droplets then refuse(422, LIMIT_REACHED) end
end

local function create(cloud, want)
  for _, tag in ipairs(want.tags) do ensure_tag(cloud, tag) end
  want.tags = table.move(want.tags, 1, #want.tags, 1, {})
  local droplet = cloud.registry:create(want)
  local action = start_action(cloud, "create", droplet)
  cloud.after(cloud.latencies.boot, function()
    if droplet.state ~= "new" then end_action(cloud, action) end
  end)
  return droplet, { id = action.id, rel = "create", href = ("%s/v2/actions/%d"):format(cloud.base, action.id) }
end

local ACTIONS = { -- type -> state that comes of it
  reboot = "restart", power_cycle = "restart", shutdown = "off", power_off = "off", power_on = "running",
}

local function take_snapshot(cloud, droplet, name, action)
  droplet.busy = cloud.clock() + cloud.seconds(cloud.latencies.snapshot)
  cloud.after(cloud.latencies.snapshot, function()
    local id = cloud.registry:next_id()
    cloud.registry:put("image", id, { id = id, name = name or iso(cloud.now()), slug = json.null, type = "snapshot",
      distribution = droplet.image.distribution, public = false, regions = { droplet.region }, tags = {},
      created_at = iso(cloud.now()), status = "available", size_gigabytes = 2.36, description = name or "",
      min_disk_size = by(state_of(cloud).sizes, "slug", droplet.size).disk })
    end_action(cloud, action)
  end)
end

local function act(cloud, droplet, body)
  local kind = body.type
  if not ACTIONS[kind] and kind ~= "snapshot" then refuse(422, tostring(kind) .. ": the double has no such action") end
  must_be_idle(cloud, droplet)
  if kind == "power_on" and droplet.state == "running" then refuse(422, "Droplet is already powered on.") end
  if kind ~= "power_on" and kind ~= "snapshot" and droplet.state == "off" then
    refuse(422, "Droplet is currently off. Please power it on to run this event.")
  end
  local action = start_action(cloud, kind, droplet)
  if kind == "snapshot" then
    take_snapshot(cloud, droplet, body.name, action)
  else
    cloud.registry:power(droplet.id, ACTIONS[kind], cloud.latencies.power, function() end_action(cloud, action) end)
  end
  return action
end

-- ---- Routes: method and path, with ID for what a handler is given

local ROUTES = {}
local function route(method, path, f)
  ROUTES[#ROUTES + 1] = { method = method, pattern = "^" .. path:gsub("ID", "([^/]+)") .. "$", f = f,
    kind = method .. " " .. path }
end

route("GET", "/v2/account", function(cloud)
  return reply(200, { account = { droplet_limit = cloud.limits.droplets, floating_ip_limit = 5, name = "Double",
    email = "double@example.com", email_verified = true, uuid = "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
    status = "active", status_message = "", team = { uuid = "5df3e3004a17e242b7c20ca6c9fc25b701a47ece",
      name = "Double" } } })
end)

route("GET", "/v2/regions", function(cloud, request)
  return wire.paged(cloud, request, "regions", state_of(cloud).regions)
end)
route("GET", "/v2/sizes", function(cloud, request)
  return wire.paged(cloud, request, "sizes", state_of(cloud).sizes)
end)

local function key_view(key)
  return { id = key.id, name = key.name, fingerprint = key.fingerprint, public_key = key.public_key }
end

local function key_or_refuse(cloud, id) return key_of(cloud, id) or refuse(404) end

-- Reading keys has a limit of its own.
local function count_key_read(cloud)
  local window = state_of(cloud).windows
  local now = cloud.clock()
  if not window.keys or now >= window.keys.stop then
    window.keys = { used = 0, stop = now + cloud.seconds(MINUTE) }
  end
  window.keys.used = window.keys.used + 1
  if window.keys.used > cloud.limits.keys then
    refuse(429, nil, { ["Retry-After"] = math.ceil(window.keys.stop - now) })
  end
end

route("GET", "/v2/account/keys", function(cloud, request)
  count_key_read(cloud)
  local list = {}
  for _, key in ipairs(cloud.registry:objects "key") do
    if key.droplets then list[#list + 1] = key_view(key) end
  end
  return wire.paged(cloud, request, "ssh_keys", list)
end)
route("POST", "/v2/account/keys", function(cloud, request)
  local body = body_of(request)
  if type(body.name) ~= "string" or body.name == "" then refuse(422, "Name can't be blank") end
  local kind, text = tostring(body.public_key):match "^(%S+) (%S+)"
  local blob = text and md5.unbase64(text)
  if not blob or not blob:find(kind, 5, true) then
    refuse(422, "Key invalid, key should be of the format `type key [comment]`")
  end
  local fingerprint = md5.fingerprint(blob)
  if key_of(cloud, fingerprint) then refuse(422, "SSH Key is already in use on your account") end
  local id = cloud.registry:next_id()
  local key = cloud.registry:put("key", id, { id = id, name = body.name, public_key = body.public_key,
    fingerprint = fingerprint, droplets = true })
  return reply(201, { ssh_key = key_view(key) })
end)
route("GET", "/v2/account/keys/ID", function(cloud, _, id)
  count_key_read(cloud)
  return reply(200, { ssh_key = key_view(key_or_refuse(cloud, id)) })
end)
route("PUT", "/v2/account/keys/ID", function(cloud, request, id)
  local key = key_or_refuse(cloud, id)
  key.name = body_of(request).name or key.name
  return reply(200, { ssh_key = key_view(key) })
end)
route("DELETE", "/v2/account/keys/ID", function(cloud, _, id)
  cloud.registry:remove("key", key_or_refuse(cloud, id).id)
  return reply(204)
end)

route("GET", "/v2/images", function(cloud, request)
  local list, query = {}, request.query
  for _, image in ipairs(all_images(cloud)) do
    local application = image.application or false
    if (query.private ~= "true" or not image.public)
      and (not query.type or image.public and application == (query.type == "application"))
      and (not query.tag_name or includes(image.tags, query.tag_name)) then list[#list + 1] = public_image(image) end
  end
  return wire.paged(cloud, request, "images", list)
end)
local function image_or_refuse(cloud, id) return image_of(cloud, id) or refuse(404) end
route("GET", "/v2/images/ID", function(cloud, _, id)
  return reply(200, { image = public_image(image_or_refuse(cloud, id)) })
end)
route("PUT", "/v2/images/ID", function(cloud, request, id)
  local image = image_or_refuse(cloud, id)
  if image.public then refuse(403) end
  image.name = body_of(request).name or image.name
  return reply(200, { image = public_image(image) })
end)
route("DELETE", "/v2/images/ID", function(cloud, _, id)
  local image = image_or_refuse(cloud, id)
  if image.public then refuse(403) end
  cloud.registry:remove("image", image.id)
  return reply(204)
end)
route("POST", "/v2/images", function() return failure(422, "the double makes no custom images") end)

local function tag_view(cloud, tag)
  local count, last = 0, nil
  for _, droplet in ipairs(cloud.registry:machines { kind = "droplet" }) do
    if has_tag(droplet, tag.name) then count, last = count + 1, droplet end
  end
  local used = json.object { count = count,
    last_tagged_uri = last and ("%s/v2/droplets/%d"):format(cloud.base, last.id) or nil }
  return { name = tag.name, resources = { count = count, last_tagged_uri = used.last_tagged_uri, droplets = used,
    images = { count = 0 }, volumes = { count = 0 }, volume_snapshots = { count = 0 }, databases = { count = 0 } } }
end
local function tag_or_refuse(cloud, name) return cloud.registry:object("tag", name) or refuse(404) end

route("GET", "/v2/tags", function(cloud, request)
  local list = {}
  for i, tag in ipairs(cloud.registry:objects "tag") do list[i] = tag_view(cloud, tag) end
  return wire.paged(cloud, request, "tags", list)
end)
route("POST", "/v2/tags", function(cloud, request)
  local name = tag_name(body_of(request).name)
  ensure_tag(cloud, name)
  return reply(201, { tag = tag_view(cloud, { name = name }) })
end)
route("GET", "/v2/tags/ID", function(cloud, _, name)
  return reply(200, { tag = tag_view(cloud, tag_or_refuse(cloud, name)) })
end)
route("DELETE", "/v2/tags/ID", function(cloud, _, name)
  tag_or_refuse(cloud, name)
  for _, droplet in ipairs(cloud.registry:machines { kind = "droplet" }) do
    local i = has_tag(droplet, name)
    if i then table.remove(droplet.tags, i) end
  end
  cloud.registry:remove("tag", name)
  return reply(204)
end)

local function each_resource(cloud, request, f)
  local resources = body_of(request).resources
  if type(resources) ~= "table" then refuse(422, "resources: a list expected") end
  for _, resource in ipairs(resources) do
    if resource.resource_type ~= "droplet" then refuse(422, "the double tags droplets alone") end
    f(droplet_of(cloud, resource.resource_id))
  end
  return reply(204)
end
route("POST", "/v2/tags/ID/resources", function(cloud, request, name)
  tag_or_refuse(cloud, name)
  return each_resource(cloud, request, function(droplet)
    if not has_tag(droplet, name) then table.insert(droplet.tags, name) end
  end)
end)
route("DELETE", "/v2/tags/ID/resources", function(cloud, request, name)
  tag_or_refuse(cloud, name)
  return each_resource(cloud, request, function(droplet)
    local i = has_tag(droplet, name)
    if i then table.remove(droplet.tags, i) end
  end)
end)

route("GET", "/v2/droplets", function(cloud, request)
  local query, list = request.query, {}
  if query.name and query.tag_name then refuse(422, "name can not be combined with tag_name") end
  for _, droplet in ipairs(cloud.registry:machines { kind = "droplet", lag = request.lag }) do
    if (not query.name or droplet.name:lower() == query.name:lower())
      and (not query.tag_name or has_tag(droplet, query.tag_name)) and query.type ~= "gpus" then
      list[#list + 1] = droplet_view(cloud, droplet)
    end
  end
  return wire.paged(cloud, request, "droplets", list)
end)
route("POST", "/v2/droplets", function(cloud, request)
  local body = body_of(request)
  local names = body.names or { body.name }
  if type(names) ~= "table" or #names == 0 then refuse(422, "Name can't be blank") end
  for _, name in ipairs(names) do check_name(name) end
  local views, links = {}, {}
  checked(cloud, body)
  must_fit(cloud, #names)
  for i, name in ipairs(names) do
    local want = checked(cloud, body)
    want.name = name
    local droplet, link = create(cloud, want)
    views[i], links[i] = droplet_view(cloud, droplet), link
  end
  if body.names then return reply(202, { droplets = views, links = { actions = links } }) end
  return reply(202, { droplet = views[1], links = { actions = links } })
end)
route("DELETE", "/v2/droplets", function(cloud, request)
  local name = request.query.tag_name
  if not name then refuse(422, "tag_name is missing") end
  local list = {}
  for _, droplet in ipairs(cloud.registry:machines { kind = "droplet" }) do
    if has_tag(droplet, name) then
      must_be_idle(cloud, droplet)
      list[#list + 1] = droplet
    end
  end
  for _, droplet in ipairs(list) do cloud.registry:destroy(droplet.id) end
  return reply(204)
end)
route("POST", "/v2/droplets/actions", function(cloud, request)
  local actions, body = {}, body_of(request)
  for _, droplet in ipairs(cloud.registry:machines { kind = "droplet" }) do
    if has_tag(droplet, request.query.tag_name) then actions[#actions + 1] = act(cloud, droplet, body) end
  end
  return reply(201, { actions = actions })
end)
route("GET", "/v2/droplets/ID", function(cloud, _, id)
  return reply(200, { droplet = droplet_view(cloud, droplet_of(cloud, id)) })
end)
route("DELETE", "/v2/droplets/ID", function(cloud, _, id)
  local droplet = droplet_of(cloud, id)
  must_be_idle(cloud, droplet)
  cloud.registry:destroy(droplet.id)
  return reply(204)
end)

local function actions_of(cloud, id)
  local list = {}
  for _, action in ipairs(state_of(cloud).actions) do
    if not id or action.resource_id == id then list[#list + 1] = action end
  end
  return list
end
local function action_or_refuse(cloud, id, droplet)
  return by(actions_of(cloud, droplet), "id", math.tointeger(tonumber(id))) or refuse(404)
end
route("GET", "/v2/droplets/ID/actions", function(cloud, request, id)
  return wire.paged(cloud, request, "actions", actions_of(cloud, droplet_of(cloud, id).id))
end)
route("POST", "/v2/droplets/ID/actions", function(cloud, request, id)
  return reply(201, { action = act(cloud, droplet_of(cloud, id), body_of(request)) })
end)
route("GET", "/v2/droplets/ID/actions/ID", function(cloud, _, id, action)
  return reply(200, { action = action_or_refuse(cloud, action, droplet_of(cloud, id).id) })
end)
route("GET", "/v2/actions", function(cloud, request)
  return wire.paged(cloud, request, "actions", actions_of(cloud))
end)
route("GET", "/v2/actions/ID", function(cloud, _, id)
  return reply(200, { action = action_or_refuse(cloud, id) })
end)

local function find_route(request)
  for _, candidate in ipairs(ROUTES) do
    local parts = candidate.method == request.method and { request.path:match(candidate.pattern) } or {}
    if parts[1] then return candidate, parts end
  end
  return nil
end

-- ---- What the server calls

--- What a request is, for the ledger: "DELETE /v2/droplets/ID".
function digitalocean.kind(request)
  local found = find_route(request)
  return found and found.kind or request.method .. " " .. request.path
end

local function authorize(cloud, request)
  local token = (request.headers.authorization or ""):match "^Bearer (%S+)$"
  if not token or (token ~= cloud.token and token ~= cloud.read_token) then refuse(401) end
  if token == cloud.read_token and request.method ~= "GET" then refuse(403) end
end

-- The hour's window. Returns what is left of it, and when it ends by the provider's clock.
local function count_request(cloud)
  local windows, now = state_of(cloud).windows, cloud.clock()
  if not windows.all or now >= windows.all.stop then windows.all = { used = 0, stop = now + cloud.seconds(HOUR) } end
  windows.all.used = windows.all.used + 1
  return cloud.limits.requests - windows.all.used, windows.all.stop - now
end

--- Answers a request.
function digitalocean.handle(cloud, request)
  local left, seconds = count_request(cloud)
  local response = wire.answer(function()
    authorize(cloud, request)
    if left < 0 then refuse(429, nil, { ["Retry-After"] = math.ceil(seconds) }) end
    local found, parts = find_route(request)
    if not found then refuse(404) end
    return found.f(cloud, request, table.unpack(parts))
  end)
  response.headers["ratelimit-limit"] = cloud.limits.requests
  response.headers["ratelimit-remaining"] = math.max(left, 0)
  response.headers["ratelimit-reset"] = math.floor(cloud.now() + seconds)
  return response
end

--- The reply of a fault: "429", "403", "limit", ...
function digitalocean.fault(cloud, _, what, seconds)
  local response = what == "limit" and failure(422, LIMIT_REACHED) or failure(math.tointeger(tonumber(what)))
  if what == "429" then response.headers["Retry-After"] = math.floor(cloud.seconds(seconds or 1) + 0.5) end
  local left, rest = count_request(cloud)
  response.headers["ratelimit-limit"] = cloud.limits.requests
  response.headers["ratelimit-remaining"] = what == "429" and 0 or math.max(left, 0)
  response.headers["ratelimit-reset"] = math.floor(cloud.now() + rest)
  return response
end

--- Puts a droplet into the account: what is not said is a small one. Returns true when it was one.
function digitalocean.put(cloud, machine)
  if machine.kind ~= "droplet" then return false end
  local want = checked(cloud, { size = machine.size or "s-1vcpu-1gb", region = machine.region or "nyc3",
    image = machine.image or "debian-12-x64", tags = machine.tags })
  for key, value in pairs(want) do machine[key] = value end
  create(cloud, machine)
  return true
end

return digitalocean
