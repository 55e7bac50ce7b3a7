-- rtlua machine reap and bake: against what is forgotten, and for a quicker start.

local budget = require "rtlua.machine.budget"
local cloud = require "rtlua.cloud"
local drivers = require "rtlua.drivers"
local errors = require "rtlua.errors"
local life = require "rtlua.machine.verbs.life"
local settle = require "rtlua.machine.settle"
local show = require "rtlua.machine.verbs.show"

local keep = {}

-- Those with credentials; a driver that is named has to have them. And the first one's failure whose credentials do not
-- work.
local function reapable(named)
  local list, failure = {}, nil
  for _, name in ipairs(named and { named } or { "local", "docker", "digitalocean", "ec2" }) do
    local fine, driver = pcall(function()
      local opened = drivers.open(name)
      opened:check()
      return opened
    end)
    if fine then
      list[#list + 1] = driver
    elseif named then
      error(driver, 0)
    elseif type(driver) == "table" and (driver.code or 0) > 128 then
      error(driver, 0)
    elseif not (type(driver) == "table" and driver.code == errors.USAGE) and name ~= "docker" then
      if failure then show.note("rtlua: " .. tostring(failure)) end
      failure = driver
    end
  end
  return list, failure
end

local function would_reap(driver)
  local now, report = driver:check().now, { lines = {}, finished = {}, remains = false }
  for _, record in ipairs(driver:list()) do
    if record.state ~= "gone" and record.expires and record.expires <= now then
      report.lines[#report.lines + 1] = ("%s (%s) would be destroyed: its time was over at %s"):format(record.name,
        record.id, budget.moment(record.expires, now))
    elseif record.state ~= "gone" and not record.expires then
      report.lines[#report.lines + 1] = ("%s (%s) bears no expiry: look at it by hand"):format(record.name, record.id)
    end
  end
  return report
end

local function reap(parsed)
  local o = parsed.options
  if o.install then
    for _, line in ipairs(settle.install()) do show.line(line) end
    return 0
  end
  local all = { lines = {}, finished = {}, remains = false }
  local list, failure = reapable(o.driver)
  for _, driver in ipairs(list) do
    local fine, report = pcall(o.dry_run and would_reap or settle.reap, driver)
    if fine then
      table.move(report.lines, 1, #report.lines, #all.lines + 1, all.lines)
      table.move(report.finished, 1, #report.finished, #all.finished + 1, all.finished)
      all.remains = all.remains or report.remains
    elseif type(report) == "table" and (report.code or 0) > 128 then
      error(report, 0)
    else -- the others are reaped all the same
      if failure then show.note("rtlua: " .. tostring(failure)) end
      failure = report
    end
  end
  if o.json then
    show.json(all)
  else
    for _, line in ipairs(all.lines) do show.line(line) end
  end
  if failure and all.remains then
    show.note("rtlua: " .. tostring(failure))
  elseif failure then
    error(failure, 0)
  end
  return all.remains and errors.REMAINS or 0
end

local function bake(parsed)
  local o = parsed.options
  local machine <close> = cloud.attach(parsed.arguments[1], cloud.show { name = parsed.arguments[1] })
  local driver = machine.driver
  if not driver.snapshot then
    errors.stage("check", errors.USAGE, ("the driver %s makes no snapshots"):format(driver.name),
      "use --driver digitalocean")
  end
  show.note "the image rtlua is built on its engine, where it is missing"
  require("rtlua.machine.image").provide(machine:engine(), show.note)
  local image = driver:snapshot(machine.lease, o.name or "rtlua-docker-" .. os.date "!%Y%m%d")
  if o.json then
    show.json(image)
    return 0
  end
  show.line(("%s (%s): %s a month; create with --image %s --engine image"):format(image.name, image.id,
    budget.money(image.price_month), image.id))
  return 0
end

keep.verbs = {
  {
    "reap", arguments = {}, run = reap,
    options = {
      {
        "driver", type = "enum", values = drivers.names, doc = "At this one alone; all with credentials when absent.",
        cli = { flag = "--driver", metavar = "NAME" },
      },
      { "install", type = "boolean", doc = "Has it run every ten minutes from now on.", cli = { flag = "--install" } },
      { "dry_run", type = "boolean", doc = "Says what it would do.", cli = { flag = "--dry-run" } },
      life.JSON,
    },
    summary = "Destroys all of ours that is past its end, in all regions, whoever made it: it needs no journal.",
  },
  {
    "bake", arguments = { "NAME" }, run = bake,
    options = {
      {
        "name", type = "string", doc = "The snapshot's name.",
        cli = { flag = "--name", metavar = "NAME" },
      },
      life.JSON,
    },
    summary = "Makes a snapshot with Docker and the image rtlua in it: the next machine starts sooner.",
  },
}

return keep
