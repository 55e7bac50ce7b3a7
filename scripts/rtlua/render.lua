-- Rendering from Lua: settings out of a scene's render table and a call's options, jobs, and the loop that waits for
-- one.

local aovs = require "rtlua.aovs"
local caller = require "rtlua.core.caller"
local context = require "rtlua.context"
local denoise = require "rtlua.denoise"
local errors = require "rtlua.errors"
local image = require "rtlua.image"
local options = require "rtlua.render_options"
local schema = require "rtlua.schema"
local signal = require "rtlua.signal"
local system = require "rtlua.system"

local render = {}

render.TICK = 0.1 -- seconds between looks at a running job

schema.types.callback = {
  expected = function() return "a function" end,
  read = function(value)
    if type(value) ~= "function" then return nil, schema.show(value) end
    return value
  end,
  luals = function() return "fun(progress: rtlua.Progress)" end,
}

--- What scene:render and scene:start take: render options and on_progress.
render.call_record = { name = "render", fields = table.move(options.fields, 1, #options.fields, 1, {}) }
table.insert(render.call_record.fields, {
  "on_progress", type = "callback", doc = "Called with the progress ten times a second; scene:render.",
})

render.progress_fields = {
  { "done", "boolean", "All samples are taken, or the job was stopped." },
  { "fraction", "number", "samples / total." },
  { "samples", "integer", "Pixel samples in the picture." },
  { "total", "integer", "Pixel samples that it will have." },
  { "made", "integer", "Pixel samples taken since the start: less than samples where it was resumed." },
  { "rays", "integer", "Rays traced." },
  { "seconds", "number", "Since the start." },
  { "left", "number?", "Seconds left, estimated." },
  { "noise", "number?", "Estimated relative standard error of a pixel, root mean square." },
  { "not_finite", "integer", "Samples dropped because they were NaN or infinite." },
  { "overflow", "integer", "Samples too bright for the film." },
  { "film_bytes", "integer", "Memory for the film's pixels." },
}

--- Joins the two tables over the defaults and checks what concerns several fields.
function render.merge(settings, overrides, fail)
  local all = {}
  for _, f in ipairs(render.call_record.fields) do
    local name = f[1]
    local value = overrides[name]
    if value == nil then value = settings[name] end
    if value == nil and f.default ~= nil then value = f.default end
    all[name] = value
  end
  all.threads = all.threads or context.threads or system.threads()
  local width, height = all.size[1], all.size[2]
  local crop = all.crop
  if crop then
    if not (crop[1] < crop[3] and crop[3] <= width and crop[2] < crop[4] and crop[4] <= height) then
      fail(
        ("crop: expected x0 < x1 <= %d and y0 < y1 <= %d, got %d,%d,%d,%d"):format(width, height, table.unpack(crop))
      )
    end
  else
    all.crop = { 0, 0, width, height }
  end
  local samples = all.samples
  if samples and samples[1] >= samples[2] then
    fail(("samples: expected the first before the second, got %d:%d"):format(samples[1], samples[2]))
  end
  if all.noise and samples and samples[1] ~= 0 then
    fail "noise: samples from another than the first on cannot know when to stop: leave one of the two out"
  end
  all.samples = samples or { 0, all.spp }
  if all.resume and not all.checkpoint then fail "resume: there is no checkpoint named to go on from" end
  return all
end

--- The settings of a call: its options over the scene's.
function render.settings(settings, input, fail)
  local overrides, message = schema.read(render.call_record, input, true)
  if not overrides then fail(message) end
  return render.merge(settings, overrides, fail)
end

--- Starts the core's job of merged settings, going on from the film `before` if there is one. Returns it, or nil,
--- message, code.
function render.start_core(core, settings, before)
  return core:start {
    width = settings.size[1], height = settings.size[2], crop = settings.crop,
    sample_begin = settings.samples[1], sample_end = settings.samples[2], before = before,
    threads = settings.threads, seed = settings.seed, max_depth = settings.max_depth, filter = settings.filter,
    clamp_indirect = settings.clamp_indirect, transparent = settings.transparent,
    aov = denoise.kept(settings), noise = settings.noise,
  }
end

--- The core's progress with what follows from it.
function render.progress(job)
  local p = job:progress()
  p.fraction = p.total > 0 and p.samples / p.total or 1
  if p.made > 0 and not p.done then p.left = p.seconds * (p.total - p.samples) / p.made end
  return p
end

--- Waits for the core's job. tick(progress) is called now and then; at `deadline` (of system.now) and on a signal the
--- job is stopped. Returns nil when it is complete, else "time" or the signal's name.
function render.wait(job, deadline, tick)
  while true do
    local step = render.TICK
    if deadline then step = math.max(0, math.min(step, deadline - system.now())) end
    if job:wait(step) then return nil end
    local reason = signal.pending() or (deadline and system.now() >= deadline and "time") or nil
    if reason then
      job:stop()
      while not job:wait(render.TICK) do end
      return reason
    end
    if tick then tick(render.progress(job)) end
  end
end

-- ---- Jobs

local CORE, SETTINGS = {}, {} -- private keys: the core's job, and its settings
local methods = {}
local meta = { __name = "rtlua.job", __metatable = "rtlua.job" }

function meta.__index(_, key)
  local method = methods[key]
  return method and method.call
end

function meta.__newindex(_, key) error(("a job has no field '%s' to set"):format(tostring(key)), 2) end

function meta.__tostring() return "a render job" end

function meta.__close(self) rawget(self, CORE):close() end

local function method(name, record, run)
  record.call = caller.constructor(function(where, self, ...)
    local fail = errors.failing("job:" .. name, where)
    if type(self) ~= "table" or getmetatable(self) ~= "rtlua.job" then fail("expected a job before the colon") end
    return run(rawget(self, CORE), fail, rawget(self, SETTINGS), ...)
  end)
  methods[name] = record
end

method("wait", {
  params = { { "seconds?", "number" } }, returns = "boolean",
  doc = "Waits until the job is done, at most some seconds; true when it is done.",
}, function(job, fail, _, seconds)
  if seconds == nil then return job:wait() end
  local checked, message = schema.value({ type = "number", min = 0 }, seconds, "seconds")
  if not checked then fail(message) end
  return job:wait(checked)
end)

method("progress", { params = {}, returns = "rtlua.Progress", doc = "How far it is." }, render.progress)

method("stop", { params = {}, doc = "Asks the job to stop; what is in the film stays." }, function(job) job:stop() end)

--- The picture of a core job, denoised where the settings say so, with its layers.
local function picture_of(job, fail, settings)
  local picture, message, code = job:image()
  if not picture then fail(message, code) end
  local layers
  layers, message, code = aovs.layers(job, settings.aov)
  if not layers then fail(message, code) end
  if denoise.is_on(settings) then
    local clean, noisy, number = denoise.run(job, picture, settings, settings.threads)
    if not clean then fail(noisy, number) end
    picture, layers[#layers + 1] = clean, noisy
  end
  return image.wrap(picture, layers)
end

method("image", { params = {}, returns = "rtlua.Image", doc = "The picture so far." }, picture_of)

method("close", {
  params = {}, doc = "Stops the job and frees it; `local job <close> = scene:start()` does it at the end of a block.",
}, function(job) job:close() end)

render.methods = methods

function render.start(core, settings, fail)
  local job, message, code = render.start_core(core, settings)
  if not job then fail(message, code) end
  return setmetatable({ [CORE] = job, [SETTINGS] = settings }, meta)
end

--- Renders to the end (or the time limit) and returns the image.
function render.run(core, settings, fail)
  local deadline = settings.time_limit and system.now() + settings.time_limit
  local started, message, code = render.start_core(core, settings)
  if not started then fail(message, code) end
  local job <close> = started
  local reason = render.wait(job, deadline, settings.on_progress)
  if settings.on_progress then settings.on_progress(render.progress(job)) end
  if reason and reason ~= "time" then fail("stopped by SIG" .. reason, 128 + (signal.number() or 2)) end
  return picture_of(job, fail, settings)
end

return render
