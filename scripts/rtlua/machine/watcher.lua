-- rtlua.machine.watcher: the detached process that outlives the script and ends its machine.
--
--     watcher.start(lease)       -- on its way: returns at once
--     watcher.ensure(lease)      -- stands; a dead one is started anew. Before each request that may cost something
--
-- A watcher holds the watcher's lock and the read end of a death pipe, of which only the script has the other: the
-- script's end, however it comes, is an end of file. Then it destroys the machine, unless that belongs to a time by now
-- and is ready; at its end (the expiry, or when max_cost is reached) it does so in any case. Before, it fetches what
-- the entry's `job` names, for a minute at most. It tries until all is gone, and a day at most; what remains then is
-- in the journal. It reads the entry again when that changes (extend, keep) and ends when it is gone. Meanwhile it
-- forwards the machine's engine to a socket of ours, where the entry's `forward` names one.
--
-- The end is by the provider's clock: ours plus the entry's offset, or, where our clock was set back, the time that
-- passed since the watcher began; before it acts, the provider is asked for the time. A signal ends a watcher, as its
-- death would: the script starts another, or the next command finishes what is left.

local again = require "rtlua.machine.again"
local budget = require "rtlua.machine.budget"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local finish = require "rtlua.machine.finish"
local journal = require "rtlua.journal"
local leases = require "rtlua.machine.lease"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local system = require "rtlua.system"

local watcher = {}

local LOOK = 1 -- seconds between looks at the entry's file, which is a system call
local CHECK = 30 -- seconds between looks at the entry, the clock, and what may still turn up
local LEAD = 60 -- seconds before the end in which it begins: fetching is within the machine's time, too
local FETCH, LEAST_FETCH = 60, 10 -- seconds that fetching may take, however short a spec's are
local FIRST_PAUSE, LONGEST_PAUSE = 5, 60 -- seconds between attempts to destroy
local GIVE_UP = 24 * 3600
local FORWARDS_WITHIN = 30
local STANDS_WITHIN = 60 -- seconds; it takes a tenth on an idle machine
local STANDING = "/watcher/standing" -- its file: the last one that stood

-- ---- The script's side

--- Starts a watcher, and does not wait for it. The entry is on the disk by then.
function watcher.start(lease)
  local pipe, message, code = process.death_pipe()
  if not pipe then errors.raise(code, message) end
  local token = files.random_name(10)
  local options, env = again.command(
    ('require("rtlua.machine.watcher").main(%q, %d, %q)'):format(lease.name, pipe.reader, token))
  options.env, options.detached, options.keep_fd = env, true, pipe.reader
  options.stdout, options.stderr = { file = lease:folder() .. "/watcher.log", append = true }, "stdout"
  local child, why, number = process.start(options)
  if not child then errors.stage("check", number, "the watcher cannot be started: " .. why) end
  pipe:close_reader()
  local before = lease.watching
  lease.watching = { pipe = pipe, child = child, token = token, stands = false }
  if before then before.pipe:close() end
end

local function last_line(path)
  return (files.read(path) or ""):match "([^\r\n]+)%s*$" or "it said nothing"
end

local function wait_for(lease)
  local watching = lease.watching
  local path = lease:path()
  local stands = loop.until_true(STANDS_WITHIN, 0.005, function()
    if files.read(path .. STANDING) == watching.token then return true end
    -- It has ended already where somebody else's watches.
    return process.hung_up(watching.pipe.writer, 0) == true and (lease:watched() and "other" or "dead")
  end)
  if stands == true then
    watching.stands = true
  elseif stands ~= "other" or lease.kind ~= "time" then
    local said = last_line(path .. "/watcher.log")
    errors.stage("check", errors.UNAVAILABLE, "the machine's watcher did not start: " .. said,
      "nothing is created without it")
  end
end

--- A watcher stands when it returns: one is started where there is none. Costs a system call when all is well.
function watcher.ensure(lease)
  local watching = lease.watching
  if watching and process.hung_up(watching.pipe.writer, 0) ~= true then
    if not watching.stands then wait_for(lease) end
    return
  end
  -- One that another process started does as well for a machine that belongs to a time.
  if lease.kind == "time" and lease:watched() then return end
  watcher.start(lease)
  wait_for(lease)
end

--- A socket of ours that is the machine's engine (its path), which the watcher keeps up for as long as the machine
--- lives. Raises stage "engine" where it does not come up.
function watcher.forward(lease)
  watcher.ensure(lease)
  local path = ("%s/%s.sock"):format(require("rtlua.machine.transports.ssh").socket_folder(), lease.run)
  if lease.forward ~= path then lease:note { forward = path } end
  local there = loop.until_true(math.max(FORWARDS_WITHIN, loop.pace(FORWARDS_WITHIN)), 0.05, function()
    return system.exists(path)
  end)
  if not there then
    errors.stage("engine", errors.UNAVAILABLE, lease.name .. ": its engine could not be reached: "
      .. last_line(lease:path() .. "/watcher.log"), "see rtlua machine status " .. lease:label())
  end
  return path
end

--- Leaves the machine to its watcher alone, as this process's end would.
function watcher.leave(lease)
  if lease.watching then lease.watching.pipe:close() end
  lease.watching = nil
end

-- ---- The watcher's side

local function say(format, ...)
  io.stdout:write(os.date "!%Y-%m-%dT%H:%M:%SZ ", format:format(...), "\n")
  io.stdout:flush()
end

local function open_driver(lease)
  local config = { region = lease.region, endpoint = lease.endpoint, host = lease.host }
  return require("rtlua.drivers").open(lease.driver, config)
end

local Watch = {}
Watch.__index = Watch

-- f(driver), protected. A driver that failed is opened anew the next time: a token may have changed.
function Watch:ask(f)
  local fine, result = pcall(function()
    self.driver = self.driver or open_driver(self.lease)
    return f(self.driver)
  end)
  if not fine then self.driver = nil end
  return fine, result
end

-- The provider's clock, which our wall clock cannot hold back.
function Watch:now() return math.max(self.lease:now(), self.began + (system.now() - self.steady)) end

function Watch:set_clock(now) self.began, self.steady = now, system.now() end

-- What is on the disk, read again where the file is another one, or after a while. False when it is gone.
function Watch:refresh(always)
  local about = lfs.attributes(self.path)
  local mark = about and ("%d %d %d"):format(about.ino, about.modification, about.size)
  if not always and mark == self.mark then return true end
  self.mark = mark
  return self.lease:refresh()
end

-- When it begins to end the machine.
function Watch:due()
  local lease = self.lease
  local ends = budget.ends(lease)
  return ends - math.min(LEAD, (ends - lease.created) / 10)
end

-- Is it the end by the provider's own clock, too? Where that does not answer, ours counts.
function Watch:is_due()
  if self:now() < self:due() then return false end
  local asked, checked = self:ask(function(driver) return driver:check() end)
  if not asked or not self.lease:belongs(checked) then return true end
  self.lease:note { offset = checked.now - system.time() }
  self:set_clock(checked.now)
  return self:now() >= self:due()
end

-- The script's create may turn up twice while it goes on.
function Watch:look_for_twins()
  local lease = self.lease
  local open = lease.unanswered and lease:open_until()
  if not open or not lease.id or self:now() >= open then return end
  local fine, count = self:ask(function(driver) return finish.twins(lease, driver, "came twice") end)
  if not fine then say("looking for machines that came twice: %s", count) end
  if fine and count > 0 then say("destroyed %d that came twice", count) end
end

function Watch:stop_forwarding()
  if self.transport then self.transport:close() end
  self.transport, self.forwarded = nil, nil
end

-- Keeps up what the entry wants forwarded; `check`: looks whether it still is.
function Watch:keep_forwarding(check)
  local lease = self.lease
  local wanted = lease.state == "ready" and lease.forward or nil
  if wanted == self.wanted and not (wanted and check) then return end
  self.wanted = wanted
  local path = self.forwarded and self.forwarded.socket
  local fine, done, message = pcall(function()
    if wanted == path then return self.forwarded:ensure() end
    self:stop_forwarding()
    if not wanted then return true end
    self.transport = require("rtlua.machine.transports.ssh").new(lease)
    local why
    self.forwarded, why = self.transport:forward(wanted, require("rtlua.machine.readiness").ENGINE_SOCKET)
    return self.forwarded, why
  end)
  if not fine or not done then say("forwarding: %s", fine and message or done) end
end

-- Waits until the machine has to end: why, or nil when its entry is gone.
function Watch:wait()
  local lease, next_check = self.lease, 0
  while true do
    local check = system.now() >= next_check
    if not self:refresh(check) then return nil end
    self:keep_forwarding(check)
    if not self.fd and lease:condemned(false) and not lease:expired() then return "its script ended" end
    if check then
      next_check = system.now() + loop.pace(CHECK)
      if self:is_due() then return "its time was over" end
      self:look_for_twins()
    end
    local pause = math.max(0.01, math.min(loop.pace(LOOK), self:due() - self:now()))
    if self:due() <= self:now() + pause then next_check = 0 end
    if self.fd then
      if process.hung_up(self.fd, pause) then
        self.fd = nil
        self:refresh(true)
      end
    else
      loop.sleep(pause)
    end
  end
end

-- In a process of its own: whatever it waits for, it is over in time.
local function fetch(lease)
  local options, env = again.command(('require("rtlua.machine.watcher").fetch(%q)'):format(lease.name))
  options.env, options.timeout, options.stderr = env, math.max(LEAST_FETCH, loop.pace(FETCH)), "stdout"
  options.on_line = function(line) say("fetching: %s", line) end
  local result, message = process.run(options)
  if not result then say("fetching: %s", message) end
end

-- Ends the machine. True when its entry is gone; false when it lives on after all (it was extended).
function Watch:finish(why)
  local lease, pause, deadline = self.lease, FIRST_PAUSE, system.now() + loop.pace(GIVE_UP)
  local expiry = why == "its time was over"
  say("%s: it is destroyed, for %s", lease.name, why)
  self:stop_forwarding()
  if lease.job then fetch(lease) end
  while system.now() < deadline do
    local fine, done = self:ask(function(driver)
      if not lease:refresh() then return "gone" end
      if expiry and self:now() < self:due() then return "extended" end
      return finish.attempt(lease, driver, "watcher: " .. why) and "gone"
    end)
    if fine and done then
      say("%s", done)
      return done == "gone"
    end
    say("%s", fine and "a create may still turn up" or done)
    if not fine then pcall(lease.note, lease, { trouble = tostring(done) }) end -- for who looks at the journal
    loop.sleep(loop.pace(pause * (0.5 + math.random() / 2)))
    pause = math.min(2 * pause, LONGEST_PAUSE)
  end
  say("given up after a day: use rtlua machine rm %s", lease.name)
  return true
end

--- The watcher's process: `name` is the entry's, `fd` the death pipe's end, `token` what it says when it stands.
function watcher.main(name, fd, token)
  local found, lease = pcall(leases.find, name)
  if not found then
    say("%s", lease)
    return
  end
  local held, message = lease:watch(10) -- the one before may just be dying
  if not held then
    say("there is a watcher already: %s", message)
    return
  end
  local self = setmetatable({ lease = lease, fd = fd, path = ("%s/%s.json"):format(journal.folder(), name) }, Watch)
  self:set_clock(lease:now())
  if not self:refresh(true) then
    lease:forget() -- the folder, which the lock has made again
    return
  end
  -- Where it cannot be written, the folder went right now, or its script hears nothing and creates nothing.
  if not files.write(lease:path() .. STANDING, token) then return end
  while true do
    -- A journal that cannot be read or written for a while ends no watcher.
    local fine, why = pcall(self.wait, self)
    if fine and (not why or self:finish(why)) then return self:stop_forwarding() end
    if not fine then
      say("%s", why)
      loop.sleep(loop.pace(CHECK))
    end
  end
end

--- Fetches what the entry's job names, for a watcher that will destroy the machine then.
function watcher.fetch(name)
  local lease = leases.find(name)
  require("rtlua.machine.job").fetch(lease, open_driver(lease))
end

return watcher
