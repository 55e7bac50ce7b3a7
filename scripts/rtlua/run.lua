-- rtlua SCRIPT and rtlua render: loads a script, and renders the scene that it returns into files.
--
-- Whatever ends a render early, the time limit or a signal, the picture so far is written. Outputs are tried before the
-- work begins. An output is a file, or "-" for standard output, which gets a PNG.

local aovs = require "rtlua.aovs"
local cli = require "rtlua.cli"
local core_film = require "rtlua.core.film"
local core_image = require "rtlua.core.image"
local denoise = require "rtlua.denoise"
local errors = require "rtlua.errors"
local loader = require "rtlua.loader"
local output = require "rtlua.output"
local progress = require "rtlua.progress"
local render = require "rtlua.render"
local render_options = require "rtlua.render_options"
local scene = require "rtlua.scene"
local signal = require "rtlua.signal"
local stats = require "rtlua.stats"
local system = require "rtlua.system"

local run = {}

--- Loads a script. `options`: params, asset_path, trust, traceback, threads, time_limit (from the command's start).
--- Raises what went wrong.
function run.load(path, options, started, sandbox, args)
  local left = options.time_limit and math.max(options.time_limit - (system.now() - started), 0.001)
  local result, problem = loader.load(path, {
    sandbox = sandbox, params = options.params, args = args, time_limit = left, asset_paths = options.asset_path or {},
    threads = options.threads, traceback = options.traceback,
  })
  if not result then
    local e = errors.new(problem.code or errors.DATA, problem.message)
    e.traceback = problem.traceback
    error(e, 0)
  end
  return result
end

--- Loads what must be a scene.
function run.load_scene(path, options, started)
  local result = run.load(path, options, started, not options.trust, {})
  if not result.scene then
    errors.raise(errors.DATA, ("%s: returned no scene: end it with return rt.scene { ... }"):format(path))
  end
  cli.check_params(options.params, result.params_read)
  return result
end

-- ---- Outputs

local function default_output(path)
  return (path:match("([^/]*)$"):gsub("%.lua$", "")) .. ".png"
end

function run.is_part(file) return file:lower():find "%.part$" ~= nil end

--- Raises why an output cannot be written, as far as it is known before. `parts`: may it be a part file?
function run.check_output(file, parts)
  if file == "-" then
    if system.isatty(1) then
      errors.raise(errors.USAGE, "-: standard output is a terminal: send it to a file or a pipe")
    end
    return
  end
  local ok, message, code
  if parts and run.is_part(file) then
    ok, message, code = core_film.can_save(file)
  else
    ok, message, code = core_image.can_save(file)
  end
  if not ok then errors.raise(code or errors.CANT_WRITE, message) end
end

--- Writes a core image, with layers (aovs.lua) if it has some, to an output. Returns true, or nil, message, code.
function run.write_output(file, picture, encode, layers)
  if file == "-" then return picture:write_png(1, encode) end
  return aovs.save_all(file, picture, layers or {}, encode)
end

--- The same for a list, in which none is twice.
function run.check_outputs(files)
  local met = {}
  for _, file in ipairs(files) do
    if met[file] then errors.raise(errors.USAGE, ("-o %s: is given twice: give another name"):format(file)) end
    met[file] = true
    run.check_output(file, true)
  end
end

--- Raises why a checkpoint cannot be written, as far as it is known before.
function run.check_checkpoint(file)
  local ok, message, code = core_film.can_save(file)
  if not ok then errors.raise(code, message) end
end

--- Raises why settings.denoise cannot be done here.
function run.check_denoiser(settings)
  local ok, message, code = denoise.check(settings)
  if not ok then errors.raise(code, message) end
end

function run.has_picture(files)
  for _, file in ipairs(files) do
    if not run.is_part(file) then return true end
  end
  return false
end

--- Writes every output, and raises the first failure after having tried them all. source: what has the film, by
--- source:save(path) and source:image(aov), and picture, its image, which may be nil where all are part files. names:
--- of AOVs. noisy: the layer of what was denoised, or nil.
function run.write_outputs(files, source, picture, names, settings, text, show, noisy)
  local encode = render_options.encode(settings, text)
  local layers, failure
  if picture then
    local message, code
    layers, message, code = aovs.layers(source, names)
    if not layers then errors.raise(code, message) end
    layers[#layers + 1] = noisy
  end
  for _, file in ipairs(files) do
    local ok, message, code
    if run.is_part(file) then
      ok, message, code = source:save(file)
    else
      ok, message, code = run.write_output(file, picture, encode, layers)
    end
    if ok and show then
      for _, written in ipairs(aovs.files(file, names)) do show:event("written", { file = written }) end
    elseif not ok then
      failure = failure or errors.new(code or errors.CANT_WRITE, message)
    end
  end
  if failure then error(failure, 0) end
end

--- What a PNG or an EXR says about itself: nothing of the machine or the hour.
function run.png_text(hash, spp, seed)
  return {
    { "Software", "rtlua " .. system.version() }, { "Scene hash", hash },
    { "spp", spp }, { "seed", tostring(seed) },
  }
end

--- How many samples a pixel has; with a noise to stop at, in the mean.
function run.whole_spp_text(spp, mean, noise)
  return noise and ("%.2f"):format(mean) or tostring(spp)
end

local function spp_text(settings, last, area)
  local wanted = settings.samples[2] - settings.samples[1]
  if settings.noise then return run.whole_spp_text(wanted, last.samples / area, true) end
  if last.samples == last.total then return tostring(wanted) end
  return ("%.2f of %d"):format(last.samples / area, wanted)
end

-- ---- Checkpoints

local FIRST_CHECKPOINT, MAX_INTERVAL = 1, 30 -- seconds: soon, then twice as long each time
local MAX_SHARE = 0.05 -- of the time that writing them may take

--- The film to go on from, to be closed, or nil where there is no checkpoint yet.
local function open_checkpoint(settings)
  if not settings.resume or not system.exists(settings.checkpoint) then return nil end
  local film, message, code = core_film.load(settings.checkpoint)
  if not film then errors.raise(code, message) end
  return film
end

--- A function () for every look at the job: writes the checkpoint when it is time. Where there is none yet, one without
--- samples is written at once, so that there is one whenever the render is killed.
local function checkpointer(job, settings, show)
  local interval = FIRST_CHECKPOINT
  if settings.checkpoint and not system.exists(settings.checkpoint) then job:save(settings.checkpoint) end
  local due = system.now() + interval
  return function()
    if not settings.checkpoint or system.now() < due then return end
    local begin = system.now()
    local ok, message = job:save(settings.checkpoint)
    if ok then
      show:event("checkpoint", { file = settings.checkpoint })
    else
      show:say(message) -- the disk may have room again before the end
    end
    interval = math.min(2 * interval, MAX_INTERVAL)
    due = system.now() + math.max(interval, (system.now() - begin) / MAX_SHARE)
  end
end

-- ---- Rendering

local function fail(message) errors.raise(errors.USAGE, "--" .. message) end

--- Renders a loaded scene by the command line's options. Returns the exit code.
function run.render(loaded, path, options, started)
  local core = scene.core(loaded)
  local own = scene.plain(loaded)
  local blame = (options.crop or options.size or options.samples or options.resume) and fail or function(message)
    errors.raise(errors.DATA, ("%s: render: %s"):format(path, message))
  end
  local settings = render.merge(own, options, blame)
  local files = settings.output or { default_output(path) }
  run.check_outputs(files)
  if settings.checkpoint then run.check_checkpoint(settings.checkpoint) end
  run.check_denoiser(settings)
  local before <close> = open_checkpoint(settings)
  local piped = false
  for _, file in ipairs(files) do piped = piped or file == "-" end

  local crop = settings.crop
  local area = (crop[3] - crop[1]) * (crop[4] - crop[2])
  local show = progress.new {
    quiet = settings.quiet, json = settings.json, events = piped and io.stderr or io.stdout,
    name = path:match("([^/]*)$"),
  }
  show:event("start", {
    scene = path, hash = core:hash(), width = settings.size[1], height = settings.size[2], crop = crop,
    spp = settings.spp, seed = settings.seed, threads = settings.threads,
  })

  local begun, message, code = render.start_core(core, settings, before)
  if not begun then
    errors.raise(code, (message:gsub("^the film to resume", settings.checkpoint or "%0")))
  end
  local job <close> = begun
  local keep = checkpointer(job, settings, show)
  local deadline = settings.time_limit and started + settings.time_limit
  local reason = render.wait(job, deadline, function(p)
    show:tick(p)
    keep()
  end)
  local last = render.progress(job)
  local picture, failure
  picture, message, code = job:image()
  if not picture then errors.raise(code, message) end
  show:clear()
  show:event("done", { complete = reason == nil, reason = reason, progress = last })

  if not reason and last.samples < last.total then
    errors.raise(errors.NO_MEMORY, "out of memory for the film: render a smaller crop")
  end
  if settings.checkpoint then
    local ok, problem, number = job:save(settings.checkpoint)
    if not ok then failure = errors.new(number, problem) end
  end
  -- A picture that cannot be denoised is written as it is; so is one whose user wants the command to end.
  local clean, noisy, number
  local denoises = denoise.is_on(settings) and run.has_picture(files)
  if denoises and (not reason or reason == "time") then
    clean, noisy, number = denoise.run(job, picture, settings, settings.threads)
    if not clean and number == denoise.STOPPED then
      reason = signal.pending()
    elseif not clean then
      failure = failure or errors.new(number, noisy)
    end
  end
  local text = run.png_text(core:hash(), spp_text(settings, last, area), settings.seed)
  run.write_outputs(files, job, clean or picture, settings.aov, settings, text, show, clean and noisy)
  if failure then error(failure, 0) end
  local interrupted = reason and reason ~= "time"
  local note = ""
  if clean then note = ", denoised" elseif denoises then note = ", not denoised" end
  if reason == "time" then note = note .. ", stopped by its time limit" end
  if interrupted then note = note .. ", stopped by SIG" .. reason end
  local names = table.concat(files, ", "):gsub("^%-$", "standard output")
  show:say(("%s: %dx%d, %.4g spp in %s%s"):format(
    names, crop[3] - crop[1], crop[4] - crop[2], last.samples / area, progress.duration(last.seconds), note))
  if settings.stats then stats.report(show, core, last, settings) end
  return interrupted and 128 + signal.number() or 0
end

-- ---- The commands

--- rtlua render SCENE.lua [OPTIONS]
function run.command(parsed, started)
  local path, options = parsed.arguments[1], parsed.options
  if options.output then run.check_outputs(options.output) end
  local result = run.load_scene(path, options, started)
  return run.render(result.scene, path, options, started)
end

--- rtlua SCRIPT.lua [ARGS]: ARGS are the script's; those of a script that returns a scene are render options.
function run.script(path, args, started)
  local peeked = cli.peek(args)
  local result = run.load(path, peeked, started, false, args)
  if not result.scene then return 0 end
  local parsed = cli.parse(cli.commands.render, args, false)
  if parsed.help then
    output.write(parsed.help)
    return 0
  end
  cli.check_params(parsed.options.params, result.params_read)
  return run.render(result.scene, path, parsed.options, started)
end

return run
