-- rtlua.drivers.digitalocean_marks: what tells whose a droplet is: tags, and keys, which at DigitalOcean have no tags.
--
-- Both are objects of their own, which outlive droplets. A key is called "rtlua-RUN-exp-UNIXTIME"; it is made before
-- its droplet and deleted after it, by its fingerprint, so that a key that is there says that its run may be going on.
-- Keys are never polled: ten reads of them a minute are allowed. Deleting a tag takes it from all that bear it: only
-- one that nothing bears is deleted.

local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local process = require "rtlua.process"

local marks = {}

-- Seconds, scaled by RTLUA_PACE, in which counts catch up: of a run's own tag, and of an expiry, which may be another
-- machine's, too, and is then not waited for.
local POLL, OWN, SHARED = 2, 20, 4
local KEYGEN = 30

local NOT_FOUND = { [404] = true }

-- ---- Tags

--- The expiry that a tag says, unix seconds, or nil.
function marks.expiry(tag) return math.tointeger(tonumber(tag:match "^rtlua:exp%-(%d+)$")) end

--- The run that a tag says, or nil.
function marks.run(tag) return tag:match "^rtlua:run%-(%w+)$" end

local function droplets(id) return { resources = { { resource_id = tostring(id), resource_type = "droplet" } } } end

--- Puts a tag on a droplet.
function marks.add(api, id, tag, stage)
  local scope = "tag:create and droplet:update"
  api:call("POST", "/tags", { body = { name = tag }, stage = stage, scope = scope, again = true })
  api:call("POST", ("/tags/%s/resources"):format(tag), {
    body = droplets(id), stage = stage, scope = scope, again = true,
  })
end

--- Takes a tag off a droplet.
function marks.remove(api, id, tag, stage)
  api:call("DELETE", ("/tags/%s/resources"):format(tag), {
    body = droplets(id), stage = stage, scope = "tag:delete and droplet:update", except = NOT_FOUND,
  })
end

-- The number of things that bear a tag; nil when there is no such tag.
local function bearers(api, tag, stage)
  local body = api:call("GET", "/tags/" .. tag, { stage = stage, scope = "tag:read", except = NOT_FOUND })
  local resources = body and body.tag and body.tag.resources
  return body and (type(resources) == "table" and resources.count or 0)
end

-- Deletes a tag that nothing bears, waiting for a count that lags. True when it is gone.
local function drop(api, tag, seconds)
  return loop.until_true(loop.pace(seconds), loop.pace(POLL), function()
    local count = bearers(api, tag, "destroy")
    if count == 0 then
      api:call("DELETE", "/tags/" .. tag, { stage = "destroy", scope = "tag:delete", except = NOT_FOUND })
    end
    return not count or count == 0
  end)
end

--- Deletes those tags of a set that nothing bears any more, but "rtlua", which is everybody's. A token without the
--- scope for it leaves them: they cost nothing, and sweep finds them.
function marks.drop_all(api, tags)
  for tag in pairs(tags) do
    if tag ~= "rtlua" then
      local fine, problem = pcall(drop, api, tag, marks.run(tag) and OWN or SHARED)
      if not fine and (not errors.is(problem) or problem.status ~= 403) then error(problem, 0) end
    end
  end
end

-- ---- Keys

-- The fingerprint by which DigitalOcean knows a public key.
local function fingerprint_of(public_key)
  local result, message, code = process.run {
    "ssh-keygen", "-l", "-E", "md5", "-f", "-", stdin = public_key .. "\n",
    timeout = math.max(KEYGEN, loop.pace(KEYGEN)),
  }
  if not result then errors.stage("create", code, message, "install the package openssh-client") end
  return result.stdout:match "MD5:([%x:]+)"
    or errors.stage("create", errors.USAGE, "that is no public key", "make one with ssh-keygen")
end

local function key_path(identifier) return "/account/keys/" .. identifier end

--- Makes the lease's key; what is there from an attempt that was not answered is taken. Returns its fingerprint, which
--- is in the journal before it is asked for.
function marks.create_key(api, lease)
  local key = lease.key or {}
  if key.id then return key.fingerprint end
  local fingerprint = key.fingerprint or fingerprint_of(lease.public_key)
  local name = ("rtlua-%s-exp-%d"):format(lease.run, lease.expires)
  lease:note { key = { fingerprint = fingerprint, name = name } }
  local body, _, refusal = api:call("POST", "/account/keys", {
    body = { name = name, public_key = lease.public_key }, stage = "create", scope = "ssh_key:create", again = true,
    except = { [422] = true },
  })
  if not body then
    body = api:call("GET", key_path(fingerprint), { stage = "create", scope = "ssh_key:read", except = NOT_FOUND })
    if not body then errors.stage("create", errors.UNAVAILABLE, refusal, "change what it names") end
  end
  lease:note { key = { fingerprint = fingerprint, name = name, id = body.ssh_key and body.ssh_key.id } }
  return fingerprint
end

--- Deletes a key by its fingerprint or id; one that is not there is fine.
function marks.delete_key(api, identifier, stage)
  api:call("DELETE", key_path(identifier), { stage = stage, scope = "ssh_key:delete", except = NOT_FOUND })
end

-- The account's keys that are ours: { id, name, run, expires }.
local function our_keys(api)
  local list = {}
  for _, key in ipairs(api:pages("/account/keys", "ssh_keys", { stage = "destroy", scope = "ssh_key:read" })) do
    local run, expires = tostring(key.name):match "^rtlua%-(%w+)%-exp%-(%d+)$"
    if run then
      expires = math.tointeger(tonumber(expires))
      list[#list + 1] = { id = key.fingerprint, name = key.name, run = run, expires = expires }
    end
  end
  return list
end

--- Deletes the keys of a run whose fingerprint nobody knows, by their names.
function marks.delete_keys_of(api, run)
  for _, key in ipairs(our_keys(api)) do
    if key.run == run then marks.delete_key(api, key.id, "destroy") end
  end
end

-- ---- Both

--- Removes keys that are past their end, and tags of ours that nothing bears. Runs that may be going on keep theirs:
--- those with a droplet, and those with a key that is not over. list() returns the records of all droplets of ours.
--- Returns what was removed, a list of texts.
function marks.sweep(api, now, list)
  local removed, busy, borne = {}, {}, {}
  -- In this order: a run that begins meanwhile makes its key, then its droplet, then its tags.
  local tags = api:pages("/tags", "tags", { stage = "destroy", scope = "tag:read" })
  local keys = our_keys(api)
  for _, record in ipairs(list()) do
    if record.run then busy[record.run] = true end
    for _, mark in ipairs(record.marks) do borne[mark] = true end
  end
  for _, key in ipairs(keys) do
    if key.expires > now then
      busy[key.run] = true
    elseif not busy[key.run] then
      marks.delete_key(api, key.id, "destroy")
      removed[#removed + 1] = "key " .. key.name
    end
  end
  for _, tag in ipairs(tags) do
    local run, expires = marks.run(tag.name), marks.expiry(tag.name)
    local over = run and not busy[run] or expires and expires <= now
    if over and not borne[tag.name] and drop(api, tag.name, 0) then
      removed[#removed + 1] = "tag " .. tag.name
    end
  end
  return removed
end

return marks
