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
local signal = require "rtlua.signal"
local system = require "rtlua.system"
local watcher = require "rtlua.machine.watcher"

local machine = {}

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

--- Calls f(...), a stage that its user sees begin and end.
function methods:stage(name, f, ...)
  local begin = system.now()
  self.on_stage(name)
  local results = table.pack(f(...))
  self.on_stage(name, system.now() - begin)
  return table.unpack(results, 1, results.n)
end

--- Raises `stage`, 75: something was stopped, since the machine's end is near. What it had asked for may still come.
function methods:raise_late(stage, what)
  local e = errors.staged(stage, errors.TRY_AGAIN, ("%s was stopped, before the machine's end at %s"):format(what,
    budget.moment(budget.ends(self.lease), self.lease:now())), "give a longer ttl, or a higher max_cost")
  e.unanswered = true
  error(e, 0)
end

--- Calls f(...), which waits, and breaks it off at a moment of the lease's clock: raise_late(stage, what). Without a
--- stage it is the one that is going on.
function methods:in_time(moment, stage, what, f, ...)
  if self.driver.transport == "local" then return f(...) end
  local arguments = table.pack(...)
  local left = moment - self.lease:now()
  local result = loop.all({ function() return f(table.unpack(arguments, 1, arguments.n)) end }, math.max(left, 0))[1]
  if result[1] then return table.unpack(result, 2, result.n) end
  if self.lease:now() >= moment then self:raise_late(stage or self.doing, what) end
  return error(result[2], 0)
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
  local wait = require("rtlua.machine.readiness").wait
  local transport = self:in_time(budget.deadline(self.lease), nil, "waiting for it", wait, self.lease, self.driver, {
    until_stage = last, on_stage = self.on_stage,
  })
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

local PLACES = [[chmod 711 "$1" && mkdir -p "$1/work" "$1/out" && chmod 755 "$1/work" && chmod 777 "$1/out"]]

--- Where /work and /out are: { work, out }.
function methods:places()
  if self.where then return self.where end
  local kind = self.driver.transport
  local transport = transport_of(self)
  if kind == "docker" then
    self.where = { work = "/work", out = "/out" }
  else
    local root = kind == "local" and transport.root or self.lease.work
    if not root then
      root = transport:folder()
      transport:run { "sh", "-c", PLACES, "sh", root, check = true, timeout = math.max(30, loop.pace(60)) }
      self.lease:note { work = root }
    end
    self.where = { work = root .. "/work", out = root .. "/out" }
  end
  return self.where
end

--- A path, as scripts name it, on the machine itself.
function methods:path(path)
  local where = self:places()
  local which, rest = path:match "^/(%a+)(.*)$"
  if where[which] and (rest == "" or rest:sub(1, 1) == "/") then return where[which] .. rest end
  return path:sub(1, 1) == "/" and path or where.work .. "/" .. path
end

-- ---- Copies

--- Copies a file, or what is in a folder, to the machine. Raises stage "upload".
function methods:copy_to(from, to)
  if type(from) ~= "string" or type(to) ~= "string" then
    errors.stage("upload", errors.USAGE, "two paths are expected, here and on the machine",
      'write machine:copy_to("a.obj", "a.obj")')
  end
  self:send(from, self:path(to))
end

--- Copies a file, or what is in a folder, to its path on the machine itself.
function methods:send(from, to)
  local transport = transport_of(self)
  self:in_time(budget.deadline(self.lease), "upload", "copying " .. from, transport.put, transport, from, to)
end

--- Copies a file by its path on the machine itself. It is on the disk then, before the machine goes.
function methods:fetch(from, to)
  local transport = transport_of(self)
  self:in_time(budget.ends(self.lease), "download", "copying " .. to, transport.get, transport, from, to)
  require("rtlua.process").run { "sync", to }
end

--- Copies a file from the machine: whole, or not at all. Raises stage "download".
function methods:copy_from(from, to)
  if type(from) ~= "string" or type(to) ~= "string" then
    errors.stage("download", errors.USAGE, "two paths are expected, on the machine and here",
      'write machine:copy_from("/out/a.exr", "a.exr")')
  end
  self:fetch(self:path(from), to)
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
  local before = lease.expires
  self.driver:extend(lease, expires)
  lease:extend(expires)
  if self.driver.ends_itself then
    local path = require("rtlua.machine.user_data").EXPIRES
    local result, message = transport_of(self):run {
      "sh", "-c", 'echo "$2" >"$1"', "sh", path, tostring(expires), timeout = math.max(30, loop.pace(60)),
    }
    if not result or result.code ~= 0 then
      errors.stage("ssh", errors.TRY_AGAIN, ("%s ends itself at %s all the same: %s"):format(lease.name,
        budget.moment(before, lease:now()), message or "its timer cannot be written"), "extend it again")
    end
  end
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

--- Raises stage "run" where the machine is known to be gone or off; the error's `gone` is true then.
function methods:check_alive()
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
  if self.lease.engine then return self.lease.engine ~= "none" end
  if self.probed == nil then
    self.probed = require("rtlua.machine.readiness").engine_answers(transport_of(self)) == true
  end
  return self.probed
end

-- ---- Work; see work.lua

for _, name in ipairs { "run", "render", "logs", "salvage" } do
  methods[name] = function(self, ...) return require("rtlua.machine.work")[name](self, ...) end
end

--- docker compose on the machine; see compose.lua.
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

-- answered: what is known to exist is all that there is. Raises 76 where something was asked for that did not come yet:
-- its watcher goes on looking for it.
local function finish(self, answered)
  local lease = self.lease
  answered = answered or self.owned and not lease.sent
  disconnect(self)
  if not lease:refresh() then return end -- its watcher was faster
  if self.owned and not self.asked then return lease:forget() end
  if self.driver.billed or lease.kind == "time" then -- else who finishes it knows by its owner's end
    -- A full disk is no reason to go on paying.
    pcall(lease.note, lease, { state = (lease.id or answered) and "destroying" or "intent", job = false })
  end
  local found = lease.id and 1 or 0
  if lease.unanswered or found == 0 then
    found = found + require("rtlua.machine.finish").twins(lease, self.driver, "came twice")
  end
  self.driver:destroy(lease)
  self.ended = lease:now()
  if lease.price_hour then
    self.on_line("spent " .. budget.money(self:cost()))
    if self.on_spent then self.on_spent(self:cost()) end
  end
  if not lease:spent(self.ended, "script") and found == 0 and self.driver.billed then
    errors.stage("destroy", errors.REMAINS, ("%s was asked for and not seen, and may still come"):format(lease.name),
      "its watcher destroys what comes within half an hour; rtlua machine ls has it")
  end
end

--- Destroys it: back when the provider has said that it is gone. Raises stage "destroy", 76, where something may be
--- left; its watcher goes on trying then.
function methods:destroy(answered)
  if self.over then return end
  local left <close> = setmetatable({}, { __close = function() leave(self) end }) -- luacheck: ignore
  loop.shield(self.stage, self, "destroy", finish, self, answered)
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
  -- What the signal ended first may have failed in words of its own.
  local interrupted = signal.pending() or type(problem) == "table" and (problem.code or 0) > 128
  if interrupted and self.doing then
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
