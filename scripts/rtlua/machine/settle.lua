-- rtlua.machine.settle: finishing what earlier processes left, by the journal, and without one.
--
--     local report = settle.all()          -- at the start of each command; quick where nothing is left
--     local report = settle.reap(driver)   -- all of ours that is past its end, whoever made it
--     if report.remains then code = errors.REMAINS end
--
-- A report: lines (what was done and what is left, to be shown), finished (names), remains (something that is billed
-- may be left, which nobody could end).
--
-- all: an entry without a watcher is finished when nobody has a use for its machine (lease:condemned). What cannot be
-- finished now, and what a lost reply may still bring, gets a watcher of its own, and so does a machine that belongs to
-- a time and lost its. Only the same account's credentials settle anything: all else is left, and said.
--
-- reap: what the provider lists, past its expiry, read again, and destroyed by its id; then keys, groups and tags.

local again = require "rtlua.machine.again"
local budget = require "rtlua.machine.budget"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local finish = require "rtlua.machine.finish"
local leases = require "rtlua.machine.lease"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local watcher = require "rtlua.machine.watcher"

local settle = {}

local LATE = 600 -- seconds past the end after which a watcher is not trusted to come any more
local REAP_MINUTES = 10

local Report = {}
Report.__index = Report

local function new_report() return setmetatable({ lines = {}, finished = {}, remains = false }, Report) end

function Report:say(format, ...) self.lines[#self.lines + 1] = format:format(...) end

function Report:finish(name) self.finished[#self.finished + 1] = name end

-- A signal is no failure of a machine, and ends what goes on.
local function try(f, ...)
  local result = table.pack(pcall(f, ...))
  if not result[1] and type(result[2]) == "table" and (result[2].code or 0) > 128 then error(result[2], 0) end
  return table.unpack(result, 1, result.n)
end

-- ---- The journal

local function leave(report, lease, why)
  report.remains = report.remains or lease:is_billed()
  report:say("%s is left: %s", lease.name, tostring(why))
end

-- A watcher goes on with it, when this process has ended.
local function hand_over(report, lease)
  lease:release()
  local stands, problem = try(watcher.ensure, lease)
  if not stands then leave(report, lease, problem) end
  watcher.leave(lease)
end

local function finish_one(report, lease, open)
  local why = lease:expired() and "its time was over" or "its script had ended"
  local config = { region = lease.region, endpoint = lease.endpoint, host = lease.host }
  local opened, driver = try(open, lease.driver, config)
  if not opened then return leave(report, lease, driver) end
  local had = lease.id
  local fine, done = try(finish.attempt, lease, driver, "settled: " .. why)
  if fine and done then
    if had then report:say("%s was destroyed: %s", lease.name, why) end
    return report:finish(lease.name)
  elseif fine then
    report:say("%s: its create was not answered: what turns up until %s is destroyed", lease.name,
      budget.moment(lease:open_until(), lease:now()))
    return hand_over(report, lease)
  end
  leave(report, lease, done)
  -- Without credentials, and with another account's, a watcher could do no more than this.
  if not (type(done) == "table" and (done.foreign or done.code == errors.USAGE)) then hand_over(report, lease) end
end

local function settle_one(report, lease, open)
  local condemned = lease:condemned(lease:owned())
  if not condemned then
    if lease.kind == "time" and not lease:owned() then hand_over(report, lease) end
    return
  end
  if not lease:watch(0) then
    if lease.trouble then
      leave(report, lease, lease.trouble .. " (its watcher goes on trying)")
    elseif lease:expired(lease:now() - loop.pace(LATE)) then
      leave(report, lease, ("its watcher is late: rtlua machine rm %s"):format(lease.name))
    end
    return
  end
  -- Whoever had the lock may have finished it, or changed it.
  if not lease:refresh() then return lease:forget() end
  if lease:condemned(lease:owned()) then finish_one(report, lease, open) end
end

--- Settles the journal. options.open: in the place of rtlua.drivers' open.
function settle.all(options)
  local open = options and options.open or require("rtlua.drivers").open
  local report = new_report()
  local list, problems = leases.all()
  for _, one in ipairs(list) do
    local lease <close> = one
    local fine, problem = try(settle_one, report, lease, open)
    if not fine then leave(report, lease, problem) end
  end
  for _, problem in ipairs(problems) do
    -- It may be what is left of a machine's entry.
    report.remains = true
    report:say("%s", problem.message)
  end
  leases.tidy()
  return report
end

-- ---- Without the journal

-- The journal's entries of what was reaped, so that ls and cost know. The lock does not matter: it is gone.
local function settle_reaped(driver, checked, record)
  for _, lease in ipairs((leases.all())) do
    local its = lease.driver == driver.name and lease.run == record.run and lease:belongs(checked)
    if its and (not lease.id or tostring(lease.id) == tostring(record.id)) then
      lease:note { id = record.id, launched = lease.launched or record.created }
      lease:spent(checked.now, "reaped")
    end
  end
end

local function reap_one(report, driver, checked, record, now)
  local fresh = driver:get(record)
  if not fresh then return end
  if not fresh.expires then
    report:say("%s (%s) bears no expiry: look at it by hand", record.name, record.id)
    return
  elseif fresh.expires > now then -- it was extended since
    return
  end
  driver:destroy(fresh)
  report:say("%s (%s) was destroyed: its time was over at %s", fresh.name, fresh.id, budget.moment(fresh.expires, now))
  report:finish(fresh.name)
  settle_reaped(driver, checked, fresh)
end

--- Destroys all of ours that is past its end at `now` (the provider's time). Raises what check and list raise: then
--- nothing is known.
function settle.reap(driver, now)
  local report, checked = new_report(), driver:check()
  now = now or checked.now
  for _, record in ipairs(driver:list()) do
    if record.state ~= "gone" and (not record.expires or record.expires <= now) then
      local fine, problem = try(reap_one, report, driver, checked, record, now)
      if not fine then
        report.remains = true
        report:say("%s (%s) is left: %s", record.name, record.id, tostring(problem))
      end
    end
  end
  local fine, swept = try(driver.sweep, driver, now)
  if fine then
    for _, what in ipairs(swept) do report:say("%s was removed", tostring(what)) end
  else
    report:say("not swept: %s", tostring(swept))
    report.remains = true
  end
  return report
end

-- ---- Reaping by the clock

local SERVICE = [[
[Unit]
Description=rtlua: destroys rented machines that are past their end

[Service]
Type=oneshot
EnvironmentFile=-%s
%s
ExecStart=%s
]]

local TIMER = [[
[Unit]
Description=rtlua: looks for rented machines that are past their end

[Timer]
OnBootSec=1min
OnUnitActiveSec=%dmin

[Install]
WantedBy=timers.target
]]

local function configuration()
  local base = os.getenv "XDG_CONFIG_HOME"
  if not base or base:sub(1, 1) ~= "/" then base = (os.getenv "HOME" or ".") .. "/.config" end
  return base
end

-- As a unit's file quotes; and as a shell does.
local function quote(text) return '"' .. text:gsub('[\\"]', "\\%0"):gsub("%%", "%%%%") .. '"' end
local function shell(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function answers(...)
  local result = process.run { "systemctl", "--user", timeout = 10, ... }
  return result and result.code == 0
end

--- Has the reaper run every ten minutes: a systemd user timer where the user's systemd answers, else a line for crontab
--- that is to be added by hand. Returns lines that say what was done.
function settle.install()
  local home = configuration()
  local secrets = home .. "/rtlua/reap.env"
  local command, env = again.command 'os.exit(require("rtlua.main").main { "machine", "reap" }, true)'
  local set, words = {}, {}
  for _, name in ipairs { "LUA_PATH_5_4", "LUA_CPATH_5_4" } do
    set[#set + 1] = "Environment=" .. quote(name .. "=" .. env[name])
    words[#words + 1] = name .. "=" .. shell(env[name])
  end
  local lines
  if answers "show-environment" then
    local folder, quoted = home .. "/systemd/user", {}
    for i, word in ipairs(command) do quoted[i] = quote(word):gsub("%$", "$$") end
    local made, message, code = files.mkdir(folder)
    if not made then errors.raise(code, message) end
    for name, text in pairs {
      ["rtlua-reap.service"] = SERVICE:format(secrets, table.concat(set, "\n"), table.concat(quoted, " ")),
      ["rtlua-reap.timer"] = TIMER:format(REAP_MINUTES),
    } do
      made, message, code = files.write(folder .. "/" .. name, text)
      if not made then errors.raise(code, message) end
    end
    if not (answers "daemon-reload" and answers("enable", "--now", "rtlua-reap.timer")) then
      errors.raise(errors.UNAVAILABLE, "systemctl --user cannot enable rtlua-reap.timer: see systemctl --user status")
    end
    lines = {
      ("rtlua-reap.timer is enabled: every %d minutes while you are logged in"):format(REAP_MINUTES),
      "for the time after, too: loginctl enable-linger",
    }
  else
    for _, word in ipairs(command) do words[#words + 1] = shell(word) end
    local line = table.concat(words, " "):gsub("%%", "\\%%")
    local source = ("set -a; test -r %s && . %s; "):format(shell(secrets), shell(secrets)):gsub("%%", "\\%%")
    lines = {
      "the user's systemd does not answer: add this line to crontab -e",
      ("*/%d * * * * %s%s"):format(REAP_MINUTES, source, line),
    }
  end
  lines[#lines + 1] = ("the token is read from doctl's or aws's own configuration, or from %s (NAME=value, mode 0600)")
    :format(secrets)
  return lines
end

return settle
