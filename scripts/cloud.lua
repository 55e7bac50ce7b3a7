-- Renders a scene on a machine that is there for this alone:
--
--     rtlua scripts/cloud.lua scenes/cornell.lua --spp 256 -o cornell.png
--     rtlua scripts/cloud.lua scenes/cornell.lua --driver digitalocean --size c-32 --max-cost 2 -o cornell.png
--
-- It is the whole of the pipeline: copy it, and change it to what you need. `--help` has the options.

local bundle = require "rtlua.machine.bundle"
local cloud = require "rtlua.cloud"

local options = cloud.parse("scripts/cloud.lua", "Renders a scene on a machine, which is destroyed then.", { ... })
if options.help then
  io.write(options.help)
  return
end
local scene, want, render = options.scene, options.machine, options.render
local show = cloud.show { name = scene:match "[^/]*$", quiet = render.quiet, json = render.json }
want.on_stage, want.on_line, want.on_log = show.on_stage, show.on_line, show.on_log
render.on_event, render.on_log = show.on_event, show.on_print

-- What is wrong is found before anything is created: a scene that does not load, a picture that cannot be written, a
-- size that there is not, a price that is too high.
cloud.check_outputs(render.output, render.checkpoint)
render.bundle = bundle.make(scene, render)
local plan = cloud.plan(want)
for _, line in ipairs(plan.lines) do show.on_line(line) end
if options.dry_run then return end

-- The machine is destroyed when the function returns or fails. Where it dies meanwhile, another goes on from the
-- checkpoint that has come back.
cloud.with(plan, function(machine, attempt)
  render.resume = render.resume or attempt > 1
  machine:render(scene, render)
  if options.keep then
    machine:keep()
    show.on_line(("%s stays until its time is over: rtlua machine rm %s ends it"):format(machine.name, machine.name))
  end
end)
