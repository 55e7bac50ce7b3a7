-- Shows how a render goes, on standard error: one line that is drawn over and over on a terminal, a line every few
-- seconds elsewhere, nothing with --quiet, or JSON events with --json. NO_COLOR and a dumb terminal get no escape
-- sequences.

local json = require "rtlua.json"
local system = require "rtlua.system"

local progress = {}

local LINE_EVERY, EVENT_EVERY = 5, 1 -- seconds between lines that stay, and between JSON events

local Progress = {}
Progress.__index = Progress

--- options: quiet, json, events (the file that JSON goes to), name (of the scene).
function progress.new(options)
  local terminal = not options.quiet and not options.json and system.isatty(2)
  local no_color = os.getenv("NO_COLOR")
  local plain = (no_color ~= nil and no_color ~= "") or os.getenv("TERM") == "dumb"
  return setmetatable({
    quiet = options.quiet or options.json, json = options.json, events = options.events, name = options.name,
    terminal = terminal, escapes = terminal and not plain, shown = 0, last = system.now(),
  }, Progress)
end

function progress.duration(seconds)
  if seconds < 10 then return ("%.1f s"):format(seconds) end
  if seconds < 60 then return ("%.0f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 3600 then return ("%d:%02d"):format(whole // 60, whole % 60) end
  return ("%d:%02d:%02d"):format(whole // 3600, whole // 60 % 60, whole % 60)
end

local function per_second(count, seconds) return seconds > 0 and count / seconds / 1e6 or 0 end

function progress.line(p)
  local parts = {
    ("%5.1f %%"):format(100 * p.fraction),
    ("%.2f Msamples/s"):format(per_second(p.made, p.seconds)),
    ("%.2f Mrays/s"):format(per_second(p.rays, p.seconds)),
  }
  if p.left then parts[#parts + 1] = progress.duration(p.left) .. " left" end
  if p.noise then parts[#parts + 1] = ("noise %.2g %%"):format(100 * p.noise) end
  return table.concat(parts, "  ")
end

--- One JSON event.
function Progress:event(kind, fields)
  if not self.json then return end
  local event = { schema = 1, event = kind }
  for key, value in pairs(fields) do event[key] = value end
  self.events:write(json.encode(event), "\n")
  self.events:flush()
end

function Progress:clear()
  if not self.terminal or self.shown == 0 then return end
  io.stderr:write(self.escapes and "\r\27[K" or "\r" .. (" "):rep(self.shown) .. "\r")
  self.shown = 0
end

local function draw(self, text)
  local room = (system.columns(2) or 80) - 1
  text = text:sub(1, room)
  local line = text
  if self.escapes then
    line = "\r\27[K" .. text:gsub("^(.-%S)(%s%s)", "\27[1m%1\27[0m%2", 1)
  else
    line = "\r" .. line .. (" "):rep(self.shown - #text)
  end
  io.stderr:write(line)
  io.stderr:flush()
  self.shown = #text
end

--- Called now and then with the job's progress.
function Progress:tick(p)
  local now = system.now()
  if self.json then
    if now - self.last >= EVENT_EVERY then
      self.last = now
      self:event("progress", p)
    end
  elseif self.quiet then
    return
  elseif self.terminal then
    draw(self, self.name .. " " .. progress.line(p))
  elseif now - self.last >= LINE_EVERY then
    self.last = now
    io.stderr:write(self.name, " ", progress.line(p), "\n")
  end
end

--- A line that stays.
function Progress:say(text)
  self:clear()
  if not self.quiet then io.stderr:write(text, "\n") end
end

return progress
