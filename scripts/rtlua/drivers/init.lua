-- rtlua.drivers: the drivers by their names. A driver is a table with the same dozen methods, whoever the provider is:
-- check, sizes, regions, images, validate, create, find, get, list, extend, start, stop, restart, kill, destroy, sweep.
-- docs/machines.md has what each promises.

local errors = require "rtlua.errors"
local suggest = require "rtlua.suggest"

local drivers = {}

--- In the order in which they are shown.
drivers.names = { "local", "docker", "ssh", "digitalocean", "ec2" }

--- The one that is taken where none is named: it needs nothing.
drivers.DEFAULT = "local"

local known = {}
for _, name in ipairs(drivers.names) do known[name] = true end

--- Of a driver that has one size and one region, both of this name: raises stage "check", 64, where another is wanted.
function drivers.only(want, name, remedy)
  for what, given in pairs { size = want.size or name, region = want.region or name } do
    if given ~= name then
      local message = ("unknown %s '%s'%s"):format(what, given, suggest.hint(given, { name }))
      errors.stage("check", errors.USAGE, message, remedy)
    end
  end
end

--- Opens a driver. config: region, endpoint, host, on_log, as the driver has a use for them. Raises stage "check", 64
--- for a name that there is not, and whatever the driver needs and does not find (a token).
function drivers.open(name, config)
  name = name or drivers.DEFAULT
  if not known[name] then
    errors.stage("check", errors.USAGE, ("unknown driver '%s'%s"):format(tostring(name),
      suggest.hint(tostring(name), drivers.names)), "use one of " .. table.concat(drivers.names, ", "))
  end
  return require("rtlua.drivers." .. name).open(config or {})
end

return drivers
