-- rtlua.drivers.clock: the times that providers write, as unix seconds.

local clock = {}

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11,
  Dec = 12 }

-- Days from 1970-01-01 to a day of the Gregorian calendar. os.time would take the local time zone.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- Unix seconds of "2026-11-26T12:00:00Z" (RFC 3339, UTC), or of a Date header; nil for anything else.
function clock.unix(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d:%d%d:%d%d)[%d.]*Z$"
  if not year then
    day, month, year, rest = text:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d:%d%d:%d%d) GMT$"
    month = MONTHS[month]
  end
  if not rest or not month then return nil end
  local hour, minute, second = rest:match "^(%d%d):(%d%d):(%d%d)$"
  return days(tonumber(year), tonumber(month), tonumber(day)) * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60
    + tonumber(second)
end

return clock
