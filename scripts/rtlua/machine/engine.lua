-- rtlua.machine.engine: the Docker Engine, by its HTTP API over a unix socket. No docker command is needed.
--
--     local engine <close> = engine.new { socket = "/var/run/docker.sock" }
--     engine:build { context = ".", tag = "rtlua", on_log = print }
--     local id = engine:create { image = "rtlua", command = { "rtlua", "--version" } }
--     engine:start(id)
--     engine:logs(id, print)
--     engine:wait(id)                                               --> 0
--
-- The version of the API is the newest that both sides know. Where the socket is a forwarded one, `before` is called
-- ahead of each connection, so that it can be made anew: waiting and logs then go on where they were.
--
-- Always holds: what the engine refuses raises stage "engine" with the engine's own words; code 75 where it could not
-- be asked. on_log(line, stream) is called between polls, and may raise, wait and use the engine.

local cjson = require "cjson"
local context = require "rtlua.machine.context"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local http = require "rtlua.http"
local json = require "rtlua.json"
local lines = require "rtlua.machine.lines"
local loop = require "rtlua.loop"
local system = require "rtlua.system"

local engine = {}

local NEWEST = "1.47" -- of the API's versions, that this was written for
local SLICE = 0.05 -- seconds between two looks at a stream
local RECONNECTS = 5 -- in a row without anything new, before a stream is given up
local PAUSE = 2 -- seconds between them
local LIMIT = 60 -- seconds for an answer that is no stream; removing a large container takes the longest

local Engine = { __name = "rtlua.machine.engine" }
Engine.__index = Engine

local REMEDY = "see what the engine says: docker info, journalctl -u docker"

local function fail(code, message, remedy) errors.stage("engine", code, message, remedy or REMEDY) end

-- ---- Requests

local function said(response)
  local fine, body = pcall(cjson.decode, response.body)
  if fine and type(body) == "table" and type(body.message) == "string" then return body.message end
  return ("status %d"):format(response.status)
end

local function raise_signal(message, code)
  if code and code > 128 then errors.raise(code, message) end
end

-- "1.41" as a number that can be compared.
local function version_number(text)
  local major, minor = tostring(text):match "^(%d+)%.(%d+)$"
  if not major then return nil end
  return tonumber(major) * 1000 + tonumber(minor)
end

local function prefix(self)
  if not self.api then
    local version = self:version()
    local newest, oldest = version_number(version.ApiVersion), version_number(version.MinAPIVersion or "1.12")
    if not newest or not oldest then fail(errors.UNAVAILABLE, "it speaks no version of the API that is known") end
    self.api = version.ApiVersion
    if newest > version_number(NEWEST) then self.api = NEWEST end
    if version_number(self.api) < oldest then self.api = version.MinAPIVersion end
  end
  return "/v" .. self.api
end

-- The fields of a request: `path` is behind the version. A table as body is sent as JSON.
local function prepare(self, method, path, fields)
  local r = { method = method, url = "http://docker" .. path, unix_socket = self.socket, headers = {}, timeout = LIMIT }
  for name, value in pairs(fields or {}) do r[name] = value end
  if type(r.body) == "table" then
    r.body, r.headers["Content-Type"] = json.encode(r.body), "application/json"
  elseif r.body_file then
    r.headers["Content-Type"] = "application/x-tar"
  end
  if self.before then self.before() end
  return r
end

-- A response of any status, or nil, message, code.
local function send(self, method, path, fields)
  local response, message, code = loop.request(self.client, prepare(self, method, path, fields))
  raise_signal(message, code)
  return response, message, code
end

-- A response whose status is below 400 or in `accepted`, a set. Anything else raises.
local function ask(self, method, path, fields, accepted)
  local response, message, code = send(self, method, prefix(self) .. path, fields)
  if not response then fail(code, message) end
  if response.status >= 400 and not (accepted and accepted[response.status]) then
    fail(errors.UNAVAILABLE, said(response))
  end
  return response
end

local function decode(response)
  local fine, value = pcall(cjson.decode, response.body)
  if not fine then fail(errors.UNAVAILABLE, "it answers with what is no JSON") end
  return value
end

-- ---- Streams: bodies that are handed over in pieces as they come

-- Each has a client of its own: an error belongs to the coroutine that asked.
local Stream = { __name = "rtlua.machine.engine.stream" }
Stream.__index = Stream

-- Starts a request: a to-be-closed stream. on_chunk(text) is called by step alone.
local function open_stream(self, method, path, fields, on_chunk)
  local s = setmetatable({ queue = {}, on_chunk = on_chunk, client = http.new() }, Stream)
  local request = prepare(self, method, prefix(self) .. path, fields)
  request.timeout, request.retry = 0, { attempts = 1 }
  request.on_data = function(chunk) s.queue[#s.queue + 1] = chunk end
  s.transfer = s.client:start(request)
  return s
end

-- Waits at most `seconds` for more: true once all has come.
function Stream:step(seconds)
  local inside = loop.inside()
  local finished, message, code = self.client:wait(inside and 0 or seconds)
  if not finished then errors.raise(code, message) end
  local got = self.queue
  self.queue = {}
  for _, chunk in ipairs(got) do self.on_chunk(chunk) end
  if self.transfer:done() then return #self.queue == 0 end
  if inside then loop.yield() end
  return false
end

-- After the last step: the response, or nil, message, code where it was cut off. `what` is what a refusal is about.
function Stream:result(what)
  local response, message, code = self.transfer:result()
  raise_signal(message, code)
  if response and response.status >= 400 then
    fail(errors.UNAVAILABLE, what and ("%s: %s"):format(what, said(response)) or said(response))
  end
  return response, message, code
end

function Stream:close() self.client:close() end

Stream.__close = Stream.close

local function follow_stream(self, method, path, fields, on_chunk, what)
  local s <close> = open_stream(self, method, path, fields, on_chunk)
  while not s:step(SLICE) do end -- luacheck: ignore
  return s:result(what)
end

-- ---- What comes in pieces

engine.lines = lines.cut

local STREAMS = { [0] = "stdout", "stdout", "stderr" }

--- Takes frames apart: 8 bytes of which the first is the stream and the last four the length, then as many bytes.
--- Returns a function (chunk) that calls on_frame(stream, text) for each that is whole.
function engine.frames(on_frame)
  local parts, have, need = {}, 0, 8
  return function(chunk)
    parts[#parts + 1], have = chunk, have + #chunk
    if have < need then return end
    local text, from = table.concat(parts), 1
    while true do
      need = 8
      if #text - from + 1 < 8 then break end
      local kind, length = (">BxxxI4"):unpack(text, from)
      need = 8 + length
      if #text - from + 1 < need then break end
      on_frame(STREAMS[kind] or "stderr", text:sub(from + 8, from + need - 1))
      from = from + need
    end
    text = text:sub(from)
    parts, have = { text }, #text
  end
end

-- Progress in JSON objects, one a line. Returns a function (chunk), and one that gives the error among them, or nil.
local function progress(on_log)
  local problem
  local text = engine.lines("stdout", on_log or function() end)
  local take = engine.lines("json", function(line)
    local fine, event = pcall(cjson.decode, line)
    if not fine or type(event) ~= "table" then return end
    if event.error then
      problem = tostring(event.error)
    elseif event.stream then
      text((event.stream:gsub("\27%[[%d;]*m", ""))) -- what a RUN wrote to standard error comes in red
    elseif event.status and not event.progressDetail then
      text((event.id and event.id .. ": " or "") .. event.status .. "\n")
    end
  end)
  return function(chunk)
    take(chunk)
    if not chunk then text(nil) end
  end, function() return problem end
end

-- A request that answers with progress. Raises its error.
local function follow_progress(self, what, path, fields, on_log, remedy)
  local take, problem = progress(on_log)
  local response, message, code = follow_stream(self, "POST", path, fields, take, what)
  take(nil)
  if problem() then fail(errors.UNAVAILABLE, ("%s: %s"):format(what, problem()), remedy) end
  if not response then fail(code, ("%s: %s"):format(what, message)) end
end

-- ---- The engine itself

--- Does it answer? True, or nil, message, code.
function Engine:ping()
  local response, message, code = send(self, "GET", "/_ping", { retry = { attempts = 1 }, timeout = 10 })
  if not response then return nil, message, code end
  if response.status == 200 then return true end
  return nil, said(response), errors.TRY_AGAIN
end

--- { Version, ApiVersion, … }
function Engine:version()
  local response, message, code = send(self, "GET", "/version")
  if not response then fail(code, message) end
  return decode(response)
end

--- { ID, NCPU, MemTotal, … }
function Engine:info() return decode(ask(self, "GET", "/info")) end

-- ---- Images

--- Builds an image from a folder: { context, tag, dockerfile = "Dockerfile", arguments = { NAME = value }, on_log }.
function Engine:build(options)
  local dockerfile = options.dockerfile or "Dockerfile"
  local dir <close> = assert(files.temporary())
  local tar = dir.path .. "/context.tar"
  context.pack(options.context, tar, dockerfile)
  local query = { t = options.tag, dockerfile = dockerfile, rm = 1, forcerm = 1 }
  if options.arguments then query.buildargs = json.encode(options.arguments) end
  follow_progress(self, options.tag .. " cannot be built", "/build", { query = query, body_file = tar },
    options.on_log, "see the build's lines, and mend the Dockerfile")
end

--- Loads images from the tar that `docker save` writes.
function Engine:load(path, on_log)
  follow_progress(self, path .. " cannot be loaded", "/images/load", { body_file = path }, on_log,
    "give a tar that docker save wrote")
end

-- "name:tag" in parts; a colon before a slash is a port's. An image by digest has its digest as tag.
local function image_parts(image)
  local name, digest = image:match "^(.-)@(.+)$"
  if name then return name, digest end
  local before, tag = image:match "^(.+):([^/:]+)$"
  return before or image, tag or "latest"
end

--- Fetches an image from its registry.
function Engine:pull(image, on_log)
  local name, tag = image_parts(image)
  follow_progress(self, image .. " cannot be pulled", "/images/create", { query = { fromImage = name, tag = tag } },
    on_log, "check the image's name and the machine's network, or load it from a file")
end

--- What the engine knows of an image, or nil where it has none of this name.
function Engine:image(name)
  local response = ask(self, "GET", ("/images/%s/json"):format(name), nil, { [404] = true })
  return response.status ~= 404 and decode(response) or nil
end

--- All images: what the API lists, { { Id, RepoTags, Size, Created, … }, … }.
function Engine:images() return decode(ask(self, "GET", "/images/json")) end

function Engine:has(image) return self:image(image) ~= nil end

--- Removes an image's name, and the image where it has no other; nothing where there is none.
function Engine:remove_image(image)
  ask(self, "DELETE", "/images/" .. image, { query = { force = 1 } }, { [404] = true })
end

-- ---- Containers

local function pairs_of(map)
  local list = {}
  for name, value in pairs(map or {}) do list[#list + 1] = ("%s=%s"):format(name, value) end
  table.sort(list)
  return #list > 0 and list or nil
end

--- Makes a container: { image, name, command, entrypoint, env = { NAME = value }, labels = { NAME = value }, user, cwd,
--- binds = { "/on/the/host:/inside" }, network = "none", memory (bytes), cpus }. Returns its id.
function Engine:create(options)
  local labels = options.labels and next(options.labels) and options.labels or nil
  local body = {
    Image = options.image, Cmd = options.command, Entrypoint = options.entrypoint, Env = pairs_of(options.env),
    Labels = labels, User = options.user, WorkingDir = options.cwd,
    HostConfig = {
      Binds = options.binds, NetworkMode = options.network or "default", Memory = options.memory,
      NanoCpus = options.cpus and math.floor(options.cpus * 1e9),
    },
  }
  local query = options.name and { name = options.name } or nil
  return decode(ask(self, "POST", "/containers/create", { body = body, query = query })).Id
end

local function of(id, verb) return ("/containers/%s%s"):format(id, verb and "/" .. verb or "") end

--- Starts one that does not run; nothing where it does.
function Engine:start(id) ask(self, "POST", of(id, "start")) end

--- SIGTERM, and SIGKILL after `seconds` (10). Nothing where it does not run.
function Engine:stop(id, seconds)
  seconds = seconds or 10
  ask(self, "POST", of(id, "stop"), { query = { t = seconds }, timeout = LIMIT + seconds })
end

--- Sends a signal, KILL: true; false where it does not run.
function Engine:kill(id, signal)
  local query = { signal = "SIG" .. (signal or "KILL") }
  return ask(self, "POST", of(id, "kill"), { query = query }, { [409] = true }).status ~= 409
end

--- { State = { Running, ExitCode, OOMKilled, … }, Config, … }, or nil where there is none.
function Engine:inspect(id)
  local response = ask(self, "GET", of(id, "json"), nil, { [404] = true })
  return response.status ~= 404 and decode(response) or nil
end

--- Removes a container with its own volumes, running or not, and is back when it is gone; nothing where there is none.
function Engine:remove(id)
  local gone = loop.until_true(loop.pace(LIMIT), loop.pace(0.5), function()
    local query = { force = 1, v = 1 }
    local accepted = { [404] = true, [409] = true } -- 409: it is being removed
    return ask(self, "DELETE", of(id), { query = query }, accepted).status ~= 409 and not self:inspect(id)
  end)
  if not gone then fail(errors.TRY_AGAIN, ("container %s is still being removed"):format(id)) end
end

--- Containers with a label ("name" or "name=value", or a list of which all have to be there): what the API lists.
function Engine:list(options)
  local label = options and options.label
  local filters = { label = type(label) == "string" and { label } or label }
  local query = { all = 1, filters = next(filters) and json.encode(filters) or nil }
  return decode(ask(self, "GET", "/containers/json", { query = query }))
end

-- Calls attempt() -> value, or nil, message, code, until it has one. Its progress() tells whether anything is new.
local function persist(what, attempt, progress_count)
  local left, before = RECONNECTS, progress_count()
  while true do
    local value, message, code = attempt()
    if value ~= nil then return value end
    if progress_count() ~= before then left, before = RECONNECTS, progress_count() end
    left = left - 1
    if left < 0 then fail(code, ("%s: %s"):format(what, message)) end
    loop.sleep(loop.pace(PAUSE))
  end
end

--- Waits until a container has ended: its exit code; nil, "still running", 75 when `seconds` are over.
function Engine:wait(id, seconds)
  local deadline = seconds and system.now() + seconds or math.huge
  local code = persist("container " .. id, function()
    local left = deadline - system.now()
    if left <= 0 then return false end
    local response, message, number = send(self, "POST", prefix(self) .. of(id, "wait"), {
      timeout = left < math.huge and left or 0, retry = { attempts = 1 },
    })
    if not response then
      if system.now() >= deadline then return false end
      return nil, message, number
    end
    if response.status >= 400 then fail(errors.UNAVAILABLE, said(response)) end
    return math.tointeger(decode(response).StatusCode)
  end, function() return 0 end)
  if code then return code end
  return nil, "still running", errors.TRY_AGAIN
end

--- "2026-11-26T12:42:44.184232540Z" as unix seconds, and the nine digits behind the point; nil for what is none.
function engine.unix_time(stamp)
  local parts = { stamp:match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)Z$" }
  if not parts[1] then return nil end
  local fraction = (parts[7] .. "000000000"):sub(1, 9)
  for i = 1, 6 do parts[i] = math.tointeger(parts[i]) end
  local y, m, d, hour, minute, second = table.unpack(parts, 1, 6)
  if m <= 2 then y, m = y - 1, m + 12 end
  -- Days since 1970-01-01, by the civil calendar with years that begin in March.
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + d - 1 - 719468
  return days * 86400 + hour * 3600 + minute * 60 + second, fraction
end

--- Hands over a container's output as lines: on_log(line, stream), until it ends. Options: follow = false gives what
--- there is; since, a stamp that an earlier call returned: what comes after it. Returns the stamp of the last line.
function Engine:logs(id, on_log, options)
  options = options or {}
  local cutters = { stdout = engine.lines("stdout", on_log), stderr = engine.lines("stderr", on_log) }
  -- The API knows times alone: of the frames that bear the last one's, so many were seen already.
  local last, seen, total = nil, 0, 0
  if options.since then
    last, seen = options.since:match "^(%S+) (%d+)$"
    seen = math.tointeger(seen) or 0
  end
  local function read_on(following)
    local skip_stamp, skip = last, seen
    local take = engine.frames(function(name, text)
      local stamp, rest = text:match "^(%S+) (.*)$"
      if stamp == skip_stamp and skip > 0 then
        skip = skip - 1
        return
      end
      if stamp == last then
        seen = seen + 1
      elseif not last or stamp > last then -- the two streams may come a little out of order
        last, seen = stamp, 1
      end
      total = total + 1
      cutters[name](rest)
    end)
    local query = { stdout = 1, stderr = 1, timestamps = 1, follow = following and 1 or 0 }
    if last then query.since = ("%d.%s"):format(engine.unix_time(last)) end
    local response, message, code = follow_stream(self, "GET", of(id, "logs"), { query = query }, take)
    return response and true or nil, message, code
  end
  local function count() return total end
  if options.follow ~= false then persist("container " .. id, function() return read_on(true) end, count) end
  -- Engine 20.10 ends a log that is followed without the line that was begun last: it is read then.
  persist("container " .. id, function() return read_on(false) end, count)
  for _, cut in pairs(cutters) do cut(nil) end
  return last and ("%s %d"):format(last, seen) or options.since
end

--- Unpacks a tar into a folder of the container, which has to be there.
function Engine:put_archive(id, path, tar)
  ask(self, "PUT", of(id, "archive"), { query = { path = path }, body_file = tar, timeout = 0 })
end

--- Packs a file or folder of the container into a tar at `to`: true, or nil where there is no such path.
function Engine:get_archive(id, path, to)
  local response = ask(self, "GET", of(id, "archive"), { query = { path = path }, to_file = to, timeout = 0 },
    { [404] = true })
  return response.status ~= 404 or nil
end

-- ---- Commands in a container that runs

local Exec = { __name = "rtlua.machine.engine.exec" }
Exec.__index = Exec

--- Waits at most `seconds`, handing over what comes meanwhile: true once the command has closed its output.
function Exec:step(seconds) return self.stream:step(seconds) end

--- After the last step: the exit code, or nil, message, 75 where the connection to the command was lost.
function Exec:result()
  local response, message, code = self.stream:result()
  if not response then return nil, message, code end
  -- The stream may end a moment before the engine has noticed.
  local state
  loop.until_true(5, 0.02, function()
    state = decode(ask(self.engine, "GET", ("/exec/%s/json"):format(self.id)))
    return not state.Running
  end)
  if not state.Running then return math.tointeger(state.ExitCode) end
  return nil, "the connection to the command was lost", errors.TRY_AGAIN
end

--- Lets go of the command, which goes on.
function Exec:close() self.stream:close() end

Exec.__close = Exec.close

--- Starts a command { program, argument…, cwd, env, user } in a container that runs: a to-be-closed value with step and
--- result. on_frame(stream, text) is given its output.
function Engine:exec(id, command, on_frame)
  local body = {
    AttachStdout = true, AttachStderr = true, Cmd = table.move(command, 1, #command, 1, {}), WorkingDir = command.cwd,
    Env = pairs_of(command.env), User = command.user,
  }
  local exec = decode(ask(self, "POST", of(id, "exec"), { body = body })).Id
  local fields = { body = { Detach = false, Tty = false } }
  local stream = open_stream(self, "POST", ("/exec/%s/start"):format(exec), fields, engine.frames(on_frame))
  return setmetatable({ engine = self, id = exec, stream = stream }, Exec)
end

-- ---- Objects

function Engine:close()
  local client = self.client
  self.client = nil
  if client then client:close() end
end

Engine.__close = Engine.close

--- An engine: { socket = path, before = function that makes sure of the socket }. Nothing is connected yet.
function engine.new(fields)
  local self = { socket = assert(fields.socket, "a socket"), before = fields.before, client = http.new() }
  return setmetatable(self, Engine)
end

return engine
