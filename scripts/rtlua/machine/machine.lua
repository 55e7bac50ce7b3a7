-- rtlua.machine.machine: a machine, as scripts have it: commands, copies and renders on it, and its end.
--
--     machine:run { command = { "uname", "-a" }, on_log = print }
--     machine:render("scene.lua", { spp = 64, output = "scene.png" })
--     machine:destroy()                                  -- as its <close> does
--
-- The same script runs with every driver. Paths that are relative, and /work, are the machine's work folder, where
-- commands run; /out is its folder of results. In a container both are there under these names; elsewhere they are
-- folders that go with the machine, and words of a command that begin so are changed.
--
-- Always holds: a machine of a script is destroyed by its <close>, whatever happened; what was rendered, and be it a
-- part, is fetched before, and checked by its SHA-256. Work stops a while before the machine's end. A failure of the
-- end never hides the failure that came first: it becomes its cause.

local budget = require "rtlua.machine.budget"
local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local lfs = require "lfs"
local system = require "rtlua.system"
local watcher = require "rtlua.machine.watcher"

local machine = {}

local SALVAGE_GRACE = 10 -- seconds in which what is stopped may write its picture

local methods = {}

-- What a machine says of itself is its lease's.
local OF_THE_LEASE = {
  name = true, address = true, private_address = true, region = true, size = true, expires = true, created = true,
  price_hour = true, max_cost = true,
}

local Machine = { __name = "rtlua.machine" }

function Machine:__index(key)
  if methods[key] then return methods[key] end
  if OF_THE_LEASE[key] then return self.lease[key] end
  return nil
end

function Machine:__tostring() return "the machine " .. self.lease.name end

local function ignore() end

local function stage(self, name, f, ...)
  local begin = system.now()
  self.on_stage(name)
  local results = table.pack(f(...))
  self.on_stage(name, system.now() - begin)
  return table.unpack(results, 1, results.n)
end

-- ---- Making them

--- The machine of a lease that this process owns: its <close> ends it. hooks: on_stage(stage, seconds), on_line(line)
--- and on_log(line), as cloud.provision has them.
function machine.own(lease, driver, hooks)
  hooks = hooks or {}
  local self = {
    lease = lease, driver = driver, owned = true, on_line = hooks.on_line or ignore, on_log = hooks.on_log,
  }
  local doing = {} -- a stage may be part of another
  function self.on_stage(name, seconds)
    if seconds then table.remove(doing) else doing[#doing + 1] = name end
    self.doing = doing[#doing]
    if hooks.on_stage then hooks.on_stage(name, seconds) end
  end
  return setmetatable(self, Machine)
end

local function make_transport(self)
  local kind = self.driver.transport
  return require("rtlua.machine.transports." .. kind).new(self.lease, kind ~= "ssh" and self.driver or nil)
end

--- The machine of a lease that somebody else cares for: its <close> lets go of it.
function machine.open(lease, driver, hooks)
  local self = machine.own(lease, driver, hooks)
  self.owned, self.asked = false, true
  return self
end

--- Waits until a stage is reached; see rtlua.machine.readiness.
function methods:wait_until(last)
  local kind = self.driver.transport
  if kind == "local" then return end
  local transport = require("rtlua.machine.readiness").wait(self.lease, self.driver,
    { until_stage = last, on_stage = self.on_stage })
  if self.transport and transport then self.transport:close() end
  self.transport = transport or self.transport
end

local function transport_of(self)
  if self.over then
    errors.stage("run", errors.USAGE, ("%s is gone"):format(self.lease.name), "provision another machine")
  end
  self.transport = self.transport or make_transport(self)
  return self.transport
end

--- The transport, for what there is no method for; see ARCHITECTURE.md. It is closed with the machine.
methods.connection = transport_of

-- ---- Places

local PLACES = [[chmod 711 "$1" && mkdir -p "$1/work" "$1/out" && chmod 755 "$1/work" && chmod 1777 "$1/out"]]

-- Where /work and /out are.
local function places(self)
  if self.places then return self.places end
  local kind = self.driver.transport
  local transport = transport_of(self)
  if kind == "docker" then
    self.places = { work = "/work", out = "/out" }
  else
    local root = kind == "local" and transport.root or self.lease.work
    if not root then
      root = transport:folder()
      transport:run { "sh", "-c", PLACES, "sh", root, check = true, timeout = math.max(30, loop.pace(60)) }
      self.lease:note { work = root }
    end
    self.places = { work = root .. "/work", out = root .. "/out" }
  end
  return self.places
end

--- A path, as scripts name it, on the machine itself.
function methods:path(path)
  local where = places(self)
  local which, rest = path:match "^/(%a+)(.*)$"
  if where[which] and (rest == "" or rest:sub(1, 1) == "/") then return where[which] .. rest end
  return path:sub(1, 1) == "/" and path or where.work .. "/" .. path
end

-- A word of a command that runs outside of a container: /out/a.png, -o/out/a.png, --output=/out/a.png.
local function local_word(where, word)
  for name, folder in pairs(where) do
    local before, rest = word:match("^(%-?%-?[%w-]*=?)/" .. name .. "(.*)$")
    local is_path = rest and (rest == "" or rest:sub(1, 1) == "/")
    if is_path and (before == "" or before:match "^%-%w$" or before:match "^%-%-.*=$") then
      return before .. folder .. rest
    end
  end
  return word
end

-- ---- Copies

--- Copies a file, or what is in a folder, to the machine. Raises stage "upload".
function methods:copy_to(from, to)
  if type(from) ~= "string" or type(to) ~= "string" then
    errors.stage("upload", errors.USAGE, "two paths are expected, here and on the machine",
      'write machine:copy_to("a.obj", "a.obj")')
  end
  transport_of(self):put(from, self:path(to))
end

-- On the disk before the machine goes.
local function fetch(self, from, to)
  transport_of(self):get(from, to)
  require("rtlua.process").run { "sync", to }
end

--- Copies a file from the machine: whole, or not at all. Raises stage "download".
function methods:copy_from(from, to)
  if type(from) ~= "string" or type(to) ~= "string" then
    errors.stage("download", errors.USAGE, "two paths are expected, on the machine and here",
      'write machine:copy_from("/out/a.exr", "a.exr")')
  end
  fetch(self, self:path(from), to)
end

-- ---- Time and money

--- What it has cost so far, dollars.
function methods:cost() return budget.spent(self.lease, self.ended or self.lease:now()) end

--- Moves its end on by so much ("30m"). Raises 64 where that would cost more than max_cost.
function methods:extend(duration)
  local lease = self.lease
  lease:refresh()
  local expires = math.ceil(lease.expires + budget.duration(duration, "extend"))
  budget.check_extension(lease, expires)
  self.driver:extend(lease, expires)
  if self.driver.ends_itself then
    local path = require("rtlua.machine.user_data").EXPIRES
    transport_of(self):run { "sh", "-c", 'echo "$2" >"$1"', "sh", path, tostring(expires), check = true }
  end
  lease:extend(expires)
  return expires
end

--- It is not destroyed with its script, but when its time is over. ttl: from now on, at least.
function methods:keep(ttl)
  local lease = self.lease
  if ttl then
    local more = lease:now() + budget.duration(ttl) - lease.expires
    if more > 0 then self:extend(more) end
  end
  watcher.ensure(lease)
  lease:keep()
  self.kept = true
end

-- The time of this computer's steady clock at which work has to have stopped.
local function deadline_of(self, timeout)
  local left = budget.deadline(self.lease) - self.lease:now()
  if timeout and timeout < left then return system.now() + timeout, "timeout" end
  return system.now() + left, "end"
end

-- ---- What it is

--- "new", "running", "off" or "gone", as the provider says.
function methods:status()
  local record = self.driver:get(self.lease)
  return record and record.state or "gone"
end

--- Its address.
function methods:ip()
  if not self.lease.address then
    local record = self.driver:get(self.lease)
    if record and record.address then self.lease:note { address = record.address } end
  end
  return self.lease.address
end

-- Raises where the machine is known to be gone or off.
local function alive(self)
  local fine, record = pcall(self.driver.get, self.driver, self.lease)
  if not fine then
    if errors.is(record) and record.code > 128 then error(record, 0) end
    return
  end
  local state = record and record.state or "gone"
  if state == "gone" or state == "off" then
    local e = errors.staged("run", errors.UNAVAILABLE, ("the machine %s is %s"):format(self.lease.name, state),
      "run it again: see rtlua machine cost for what this one took")
    e.gone = true
    error(e, 0)
  end
end

-- ---- Engine

--- The machine's Docker Engine; see rtlua.machine.engine. It is closed with the machine. Raises stage "engine".
function methods:engine()
  if self.its_engine then return self.its_engine end
  local engine = require "rtlua.machine.engine"
  local kind = self.driver.transport
  if kind == "local" then
    errors.stage("engine", errors.USAGE, "the driver local has no Docker Engine", "use --driver docker")
  elseif kind == "docker" then
    self.its_engine = engine.new { socket = self.driver.socket }
  else
    local transport = transport_of(self)
    local forward, message, code = transport:forward(nil, require("rtlua.machine.readiness").ENGINE_SOCKET)
    if not forward then
      errors.stage("engine", code, message, "see whether sshd there forwards sockets, and who may use the engine's")
    end
    self.forward = forward
    self.its_engine = engine.new { socket = forward.socket, before = function() forward:ensure() end }
  end
  return self.its_engine
end

--- Does it have one? A host that exists may.
function methods:has_engine()
  if self.driver.transport ~= "ssh" then return false end
  if self.lease.engine then return true end
  if self.probed == nil then
    self.probed = require("rtlua.machine.readiness").engine_answers(transport_of(self)) == true
  end
  return self.probed
end

-- ---- Commands

-- A command's job: in a container where `image` is given and the machine is none itself, else on the machine.
local function start(self, spec)
  local jobs = require "rtlua.machine.job"
  local kind = self.driver.transport
  local where = places(self)
  if spec.image and kind == "ssh" then
    return require("rtlua.machine.container").start(self, where, spec)
  elseif spec.image and spec.image ~= "rtlua" and spec.image ~= self.lease.image then
    errors.stage("run", errors.USAGE, ("the driver %s runs no other image than its own, not '%s'"):format(kind,
      spec.image), kind == "docker" and "name it at cloud.provision { image = … }" or "use --driver docker")
  end
  local command = { env = spec.env, cwd = spec.cwd and self:path(spec.cwd) or where.work }
  for i, word in ipairs(spec.command) do command[i] = local_word(where, tostring(word)) end
  return jobs.start(transport_of(self), command, { detached = kind ~= "local" })
end

-- Fetches what a job that did not end well has made, as far as that goes.
local function salvage(self, outputs)
  for _, output in ipairs(outputs) do
    print(pcall(function()
      if output["local"] ~= "-" and transport_of(self):sha256(output.remote) then
        fetch(self, output.remote, output["local"])
        self.on_line(("%s: what had been rendered was kept"):format(output["local"]))
      end
    end))
  end
end

-- A lease's job, for whoever has to fetch what it makes when this process cannot any more.
local function note_job(self, running, outputs)
  if not running.folder and not running.id then return end
  local noted = { folder = running.folder, container = running.id, outputs = {} }
  for _, output in ipairs(outputs) do
    local path = output["local"]
    if path ~= "-" then
      if path:sub(1, 1) ~= "/" then path = lfs.currentdir() .. "/" .. path end
      table.insert(noted.outputs, { remote = output.remote, ["local"] = path })
    end
  end
  self.lease:note { job = noted }
end

-- What has ended needs no fetching; its output can still be read.
local function note_end(self, running)
  if running.folder then
    self.lease:note { job = { folder = running.folder } }
  elseif running.id then
    self.lease:note { job = false }
  end
end

local function raise_failure(self, spec, result, message, last)
  local name = spec.command[1]
  if message == "late" then
    if result == "timeout" then
      errors.stage("run", errors.TRY_AGAIN, ("%s took longer than %g s"):format(name, spec.timeout),
        "allow it more time")
    end
    errors.stage("run", errors.TRY_AGAIN, ("%s was stopped, before the machine's end at %s"):format(name,
      budget.moment(budget.ends(self.lease), self.lease:now())), "give a longer ttl, or a higher max_cost")
  end
  -- What rtlua says there, it would say here.
  local own = spec.is_render and result.code >= 64 and result.code < 128 and last:match "^rtlua: (.*)$"
  if own then errors.stage("run", result.code, own) end
  local how = result.signal and "was ended by SIG" .. result.signal or ("ended with %d"):format(result.code)
  local short = result.out_of_memory or result.signal == "KILL"
  errors.stage("run", errors.UNAVAILABLE, ("%s %s%s"):format(name, how, last ~= "" and ": " .. last or ""),
    short and "it may have run out of memory: take a larger size" or "see what it printed")
end

-- Runs a command to its end: its result. outputs, { remote, local }, are fetched where it fails, as far as they are
-- there.
local function execute(self, spec, outputs)
  if self.driver.billed then watcher.ensure(self.lease) end
  local last = ""
  local running <close> = start(self, spec)
  note_job(self, running, outputs)
  local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function(_, problem)
      if problem == nil or type(problem) == "table" and problem.gone then return end
      loop.shield(function()
        io.stderr:write("STOP ", tostring(select(2, pcall(running.stop, running, SALVAGE_GRACE))), "\n")
        salvage(self, outputs)
      end)
    end,
  })
  local deadline, limit = deadline_of(self, spec.timeout)
  local result, message, code = running:follow {
    deadline = deadline, alive = function() alive(self) end,
    on_log = function(line, stream)
      if stream == "stderr" and line:find "%S" then last = line end
      if spec.on_log then spec.on_log(line, stream) end
    end,
  }
  if not result and message == "late" then raise_failure(self, spec, limit, message) end
  if not result then
    alive(self)
    errors.stage("run", code, message, "see whether the machine runs")
  end
  if result.code ~= 0 and spec.check ~= false then raise_failure(self, spec, result, nil, last) end
  note_end(self, running)
  return result
end

local RUN_FIELDS = {
  image = "string", command = "table", upload = "table", on_log = "function", env = "table", check = "boolean",
  timeout = "number", cwd = "string",
}

--- Runs a command on the machine: { code, signal, seconds }. Fields: command, a list; image, in whose container it runs
--- ("rtlua" is built of this rtlua's sources where it is missing); upload, { ["path here"] = "path there" };
--- on_log(line, stream); env; cwd; timeout, seconds; check = false: a command that fails raises nothing. Raises stage
--- "run".
function methods:run(fields)
  if type(fields) ~= "table" or type(fields.command) ~= "table" or #fields.command == 0 then
    errors.stage("run", errors.USAGE, "a command is expected", 'write machine:run { command = { "uname", "-a" } }')
  end
  for key, value in pairs(fields) do
    if not RUN_FIELDS[key] or type(value) ~= RUN_FIELDS[key] then
      errors.stage("run", errors.USAGE, ("machine:run: field '%s' is %s"):format(tostring(key),
        RUN_FIELDS[key] and "expected to be a " .. RUN_FIELDS[key] or "unknown"), "see docs/machines.md")
    end
  end
  local paths = {}
  for path in pairs(fields.upload or {}) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do self:copy_to(path, fields.upload[path]) end
  return execute(self, fields, {})
end

-- ---- Renders

-- The picture's files, on the machine and here.
local function outputs_of(wanted, scene, where)
  local list = {}
  if type(wanted) == "string" then wanted = { wanted } end
  wanted = wanted or { (scene:match "[^/]*$":gsub("%.lua$", "")) .. ".png" }
  local run = require("rtlua.files").random_name(6)
  for i, path in ipairs(wanted) do
    local name = path == "-" and "stdout.png" or path:match "[^/]*$"
    list[i] = { name = ("%s-%d-%s"):format(run, i, name), ["local"] = path }
    list[i].remote = where.out .. "/" .. list[i].name
  end
  return list
end

-- Fetches a picture; "-" is standard output.
local function fetch_output(self, output)
  if output["local"] ~= "-" then return fetch(self, output.remote, output["local"]) end
  local files = require "rtlua.files"
  local dir <close> = assert(files.temporary())
  fetch(self, output.remote, dir.path .. "/picture")
  require("rtlua.output").write(assert(files.read(dir.path .. "/picture")))
end

local function upload_bundle(self, bundle, folder)
  if self.driver.transport == "local" then return bundle:write(folder) end
  local dir <close> = assert(require("rtlua.files").temporary())
  bundle:write(dir.path)
  transport_of(self):put(dir.path, folder)
end

--- Renders a scene on the machine, with the files that it depends on, and fetches the pictures. options: render options
--- by their names (spp, size, …); output, a path or a list of them (SCENE.png); params, asset_path and trust, as
--- bundle.make has them, or bundle, one that was made; on_event(event), what rtlua render --json prints; on_log(line,
--- stream), all else; image; timeout. Returns the result. Raises stages "upload", "run" and "download".
function methods:render(scene, options)
  options = options or {}
  local words = require "rtlua.machine.options"
  local given = words.read_render(options)
  local bundle = options.bundle or require("rtlua.machine.bundle").make(scene, options)
  words.check_crop(bundle, given)
  local where = places(self)
  local outputs = outputs_of(options.output, scene, where)
  local name = "render-" .. require("rtlua.files").random_name(6)
  stage(self, "upload", upload_bundle, self, bundle, where.work .. "/" .. name)

  local command = { "rtlua", "render", bundle.file, "--json" }
  for _, word in ipairs(bundle.words) do command[#command + 1] = word end
  for _, word in ipairs(words.words(given)) do command[#command + 1] = word end
  for _, output in ipairs(outputs) do command[#command + 1] = "-o/out/" .. output.name end
  local decode = require("cjson.safe").decode
  local result = stage(self, "run", execute, self, {
    command = command, image = options.image or self:has_engine() and "rtlua" or nil, cwd = "/work/" .. name,
    timeout = options.timeout, is_render = true,
    on_log = function(line, stream)
      local event = stream == "stdout" and decode(line)
      if type(event) == "table" then
        if options.on_event then options.on_event(event) end
      elseif options.on_log then
        options.on_log(line, stream)
      end
    end,
  }, outputs)
  stage(self, "download", function()
    for _, output in ipairs(outputs) do fetch_output(self, output) end
  end)
  return result
end

-- ---- For other processes

--- Follows what runs on the machine, or hands over what it printed: on_log(line, stream); follow = false does not wait.
--- Returns its result; nil, message, code where it still runs. Raises stage "run" where nothing does.
function methods:logs(on_log, follow)
  local jobs = require "rtlua.machine.job"
  local noted = self.lease.job
  local found = noted and jobs.attach(transport_of(self), noted, function() return self:engine() end)
  if not found then
    errors.stage("run", errors.UNAVAILABLE, ("nothing was started on %s whose output can be read"):format(
      self.lease.name), "see rtlua machine ls")
  end
  return found:follow { on_log = on_log, follow = follow, alive = function() alive(self) end }
end

--- Stops a lease's job, so that it writes what it has, and fetches that: a machine's last minute.
function methods:salvage(noted)
  local jobs = require "rtlua.machine.job"
  local found = noted and jobs.attach(transport_of(self), noted, function() return self:engine() end)
  if not found then return end
  pcall(found.stop, found, SALVAGE_GRACE)
  salvage(self, noted.outputs or {})
  if noted.container then pcall(function() self:engine():remove(noted.container) end) end
end

--- docker compose on the machine; see rtlua.machine.compose.
function methods:compose(options) return require("rtlua.machine.compose").run(self, options) end

-- ---- The end

local function disconnect(self)
  for _, name in ipairs { "its_engine", "forward", "transport" } do
    local held = self[name]
    self[name] = nil
    if held then held:close() end
  end
end

-- Leaves it to its watcher.
local function leave(self)
  self.over = true
  disconnect(self)
  watcher.leave(self.lease)
  self.lease:release()
end

-- answered: what is known to exist is all that there is.
local function finish(self, answered)
  local lease = self.lease
  disconnect(self)
  if not lease:refresh() then return end -- its watcher was faster
  if self.owned and not self.asked then return lease:forget() end
  if self.driver.billed or lease.kind == "time" then -- else who finishes it knows by its owner's end
    -- A full disk is no reason to go on paying.
    pcall(lease.note, lease, { state = (lease.id or answered) and "destroying" or "intent", job = false })
  end
  if lease.unanswered then require("rtlua.machine.finish").twins(lease, self.driver, "came twice") end
  self.driver:destroy(lease)
  self.ended = lease:now()
  if lease.price_hour then self.on_line("spent " .. budget.money(self:cost())) end
  lease:spent(self.ended, "script")
end

--- Destroys it: back when the provider has said that it is gone. Raises stage "destroy", 76, where something may be
--- left; its watcher goes on trying then.
function methods:destroy(answered)
  if self.over then return end
  local left <close> = setmetatable({}, { __close = function() leave(self) end }) -- luacheck: ignore
  loop.shield(stage, self, "destroy", finish, self, answered)
end

-- A failure of the end, beside the one that led to it.
local function attach(self, problem, failure)
  if problem == nil then error(failure, 0) end
  if errors.is(failure) and failure.code == errors.REMAINS then
    errors.leave(failure)
    if type(problem) == "table" then problem.code = errors.REMAINS end
  else
    self.on_line(tostring(failure))
  end
  if type(problem) == "table" then problem.cause = problem.cause or failure end
end

local function destroy_after(self, problem, answered)
  if type(problem) == "table" and (problem.code or 0) > 128 and self.doing then
    self.on_line(("interrupted in stage %s: %s is destroyed"):format(self.doing, self.lease.name))
  end
  local fine, failure = pcall(self.destroy, self, answered)
  if not fine then attach(self, problem, failure) end
end

--- Ends what was begun and went wrong, by a problem that is on its way. A provider that was asked, and did not answer
--- yet, may still create it; this computer's engine does not.
function methods:abandon(problem)
  local refused = type(problem) == "table" and problem.code and problem.code < 128 and not problem.unanswered
  destroy_after(self, problem, refused or not self.driver.billed)
end

--- Lets go of it.
methods.detach = leave

function Machine:__close(problem)
  if self.over then return end
  if self.kept or not self.owned then return leave(self) end
  destroy_after(self, problem)
end

--- Destroys machines side by side, after a problem or, where that is nil, without one.
function machine.close_all(list, problem)
  local tasks = {}
  for i, one in ipairs(list) do tasks[i] = function() Machine.__close(one) end end
  local results = loop.shield(loop.all, tasks)
  for i, result in ipairs(results) do
    if not result[1] then attach(list[i], problem, result[2]) end
  end
end

return machine
