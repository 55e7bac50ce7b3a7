-- rtlua.machine.show: how a machine's life is shown on standard error: stages with their times, and a render's progress
-- as the command shows it.
--
--     local show = shows.new { name = "cornell.lua", quiet = …, json = … }
--     cloud.provision { …, on_stage = show.on_stage, on_line = show.on_line, on_log = show.on_log }
--     machine:render(scene, { on_event = show.on_event, on_log = show.on_print })

local json = require "rtlua.json"
local output = require "rtlua.output"
local progress = require "rtlua.progress"
local system = require "rtlua.system"

local shows = {}

--- options: name, of what is rendered; quiet; json: events go to standard output as JSON lines.
function shows.new(options)
  local bar = progress.new { quiet = options.quiet, json = options.json, events = io.stdout, name = options.name }
  local show, begun = {}, nil
  local function say(text) bar:say(output.harmless(text)) end

  function show.on_line(line) say(line) end

  -- What goes with the next that is shown; on a terminal alone.
  local function draw(text)
    if not bar.terminal then return end
    bar:clear()
    text = output.harmless(text):sub(1, (system.columns(2) or 80) - 1)
    io.stderr:write(text)
    io.stderr:flush()
    bar.shown = #text
  end

  --- A stage begins, or is over.
  function show.on_stage(stage, seconds)
    if options.json then
      bar:event(seconds and "stage_done" or "stage", { stage = stage, seconds = seconds })
    elseif seconds then
      say(("%-10s %s"):format(stage, progress.duration(seconds)))
    else
      draw(stage .. " ...")
    end
  end

  --- A line of an image's build.
  show.on_log = draw

  --- An event of a render.
  function show.on_event(event)
    if options.json then return output.write(json.encode(event) .. "\n") end
    if event.event == "start" then
      begun = event
    elseif event.event == "progress" then
      bar.last = -math.huge -- they come once a second: on a terminal each is shown
      if bar.terminal or not show.shown or system.now() - show.shown >= 5 then
        show.shown = system.now()
        bar:tick(event)
      end
    elseif event.event == "done" and begun then
      local p, crop = event.progress, begun.crop
      local area = (crop[3] - crop[1]) * (crop[4] - crop[2])
      local note = event.reason == "time" and ", stopped by its time limit" or ""
      say(("%dx%d, %.4g spp in %s%s"):format(crop[3] - crop[1], crop[4] - crop[2], p.samples / area,
        progress.duration(p.seconds), note))
    end
  end

  --- What a render prints besides.
  function show.on_print(line) say(line) end

  return show
end

return shows
