-- rtlua.machine.work: what a machine does: commands and renders, followed to their ends (machine.lua has the machine).
--
-- A render takes a bundle there and brings pictures back. Its checkpoint comes back as it goes: where its user names
-- none, one beside the first picture, which goes with success. Whatever ends a command early, what it was to make is
-- fetched as far as it is there; and so does the watcher, for which the lease has the job.
--
-- Always holds: what has come back is whole, checked by its SHA-256, and on the disk, before the machine may go. Work
-- stops two minutes before the machine's end, or as long before as fetching what there is takes.

local aovs = require "rtlua.aovs"
local budget = require "rtlua.machine.budget"
local cjson = require "cjson.safe"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local jobs = require "rtlua.machine.job"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local system = require "rtlua.system"
local watcher = require "rtlua.machine.watcher"

local work = {}

local GRACE = 10 -- seconds in which what is stopped may write its picture
local SHARE = 0.1 -- of the time that fetching checkpoints may take
local REFRESH = 30 -- seconds between looks whether the machine's end was moved on
local TRANSFERS = 3 -- of a checkpoint, which fetching and destroying are reckoned to take at the end

-- ---- Starting

-- A word of a command that runs outside of a container: /out/a.png, -o/out/a.png, --output=/out/a.png.
local function local_word(where, word)
  for name, folder in pairs(where) do
    local before, rest = word:match("^(%-?%-?[%w-]*=?)/" .. name .. "(.*)$")
    local is_path = rest and (rest == "" or rest:sub(1, 1) == "/")
    if is_path and (before == "" or before:match "^%-%w$" or before:match "^%-%-.*=$") then
      return before .. folder .. rest
    end
  end
  return word
end

-- A command's job: in a container where `image` is given and the machine is none itself, else on the machine.
local function start(machine, spec)
  local kind = machine.driver.transport
  local where = machine:places()
  if spec.image and kind == "ssh" then
    return require("rtlua.machine.container").start(machine, where, spec)
  elseif spec.image and spec.image ~= "rtlua" and spec.image ~= machine.lease.image then
    errors.stage("run", errors.USAGE, ("the driver %s runs no other image than its own, not '%s'"):format(kind,
      spec.image), kind == "docker" and "name it at cloud.provision { image = … }" or "use --driver docker")
  end
  local command = { env = spec.env, cwd = spec.cwd and machine:path(spec.cwd) or where.work }
  for i, word in ipairs(spec.command) do command[i] = local_word(where, tostring(word)) end
  return jobs.start(machine:connection(), command, { detached = kind ~= "local" })
end

-- ---- What is left when it does not end well

-- Fetches what a job was to make, as far as that is there.
local function salvage(machine, outputs)
  for _, output in ipairs(outputs) do
    pcall(function()
      if output["local"] ~= "-" and machine:connection():sha256(output.remote) then
        machine:fetch(output.remote, output["local"])
        machine.on_line(("%s: what had been rendered was kept"):format(output["local"]))
        if output.own then machine.on_line(("--checkpoint %s --resume goes on"):format(output["local"])) end
      end
    end)
  end
end

-- A lease's job, for whoever has to fetch what it makes when this process cannot any more.
local function note_job(machine, running, outputs)
  if not running.folder and not running.id then return end
  local noted = { folder = running.folder, container = running.id, outputs = {} }
  for _, output in ipairs(outputs) do
    local path = output["local"]
    if path ~= "-" then
      if path:sub(1, 1) ~= "/" then path = lfs.currentdir() .. "/" .. path end
      table.insert(noted.outputs, { remote = output.remote, ["local"] = path })
    end
  end
  machine.lease:note { job = noted }
end

-- What has ended needs no fetching; its output can still be read.
local function note_end(machine, running)
  if running.folder then
    machine.lease:note { job = { folder = running.folder } }
  elseif running.id then
    machine.lease:note { job = false }
  end
end

local function raise_late(machine, spec, limit)
  local name = spec.command[1]
  if limit == "timeout" then
    errors.stage("run", errors.TRY_AGAIN, ("%s took longer than %g s"):format(name, spec.timeout),
      "allow it more time")
  end
  machine:raise_late("run", name)
end

local function raise_failure(spec, result, last)
  -- What rtlua says there, it would say here.
  local own = spec.is_render and result.code >= 64 and result.code < 128 and last:match "^rtlua: (.*)$"
  if own then errors.stage("run", result.code, own) end
  if spec.is_render and result.code == 127 then
    errors.stage("run", errors.UNAVAILABLE, "there is no rtlua on the machine",
      "install it there, or a Docker Engine that may be used")
  end
  local how = result.signal and "was ended by SIG" .. result.signal or ("ended with %d"):format(result.code)
  local short = result.out_of_memory or result.signal == "KILL"
  errors.stage("run", errors.UNAVAILABLE, ("%s %s%s"):format(spec.command[1], how, last ~= "" and ": " .. last or ""),
    short and "it may have run out of memory: take a larger size" or "see what it printed")
end

-- ---- Following

-- When work has to have stopped, by this computer's steady clock, and why. The machine's end may be moved on meanwhile.
local function deadline_of(machine, spec, begin)
  local lease = machine.lease
  if system.now() >= (spec.refresh or 0) then
    spec.refresh = system.now() + loop.pace(REFRESH)
    lease:refresh()
  end
  local shortest = budget.deadline(lease) -- which is a quarter of its time at most
  if spec.transfer then shortest = math.min(shortest, budget.deadline(lease, spec.transfer * TRANSFERS)) end
  local limit = system.now() + shortest - lease:now()
  if spec.timeout and begin + spec.timeout < limit then return begin + spec.timeout, "timeout" end
  return limit, "end"
end

-- Runs a command to its end: its result. outputs, { remote, local }, are fetched where it fails, as far as they are
-- there.
local function execute(machine, fields, outputs)
  local spec = setmetatable({}, { __index = fields })
  if machine.driver.billed then watcher.ensure(machine.lease) end
  local last, begin = "", system.now()
  local running <close> = start(machine, spec)
  note_job(machine, running, outputs)
  local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function(_, problem)
      if problem == nil or type(problem) == "table" and problem.gone then return end
      loop.shield(function()
        pcall(running.stop, running, GRACE)
        salvage(machine, outputs)
      end)
    end,
  })
  local limit
  local result, message, code = running:follow {
    deadline = function()
      local moment
      moment, limit = deadline_of(machine, spec, begin)
      return moment
    end,
    alive = function() machine:check_alive() end,
    on_log = function(line, stream)
      if stream == "stderr" and line:find "%S" then last = line end
      if spec.on_log then spec.on_log(line, stream) end
    end,
  }
  if not result and message == "late" then raise_late(machine, spec, limit) end
  if not result then
    machine:check_alive()
    errors.stage("run", code, message, "see whether the machine runs")
  end
  if result.code ~= 0 and spec.check ~= false then raise_failure(spec, result, last) end
  note_end(machine, running)
  return result
end

-- ---- Commands

local RUN_FIELDS = {
  image = "string", command = "table", upload = "table", on_log = "function", env = "table", check = "boolean",
  timeout = "number", cwd = "string",
}

--- Runs a command on the machine: { code, signal, seconds }. Fields: command, a list; image, in whose container it runs
--- ("rtlua" is built of this rtlua's sources where it is missing); upload, { ["path here"] = "path there" };
--- on_log(line, stream); env; cwd; timeout, seconds; check = false: a command that fails raises nothing. Raises stage
--- "run".
function work.run(machine, fields)
  if type(fields) ~= "table" or type(fields.command) ~= "table" or #fields.command == 0 then
    errors.stage("run", errors.USAGE, "a command is expected", 'write machine:run { command = { "uname", "-a" } }')
  end
  for key, value in pairs(fields) do
    if not RUN_FIELDS[key] or type(value) ~= RUN_FIELDS[key] then
      errors.stage("run", errors.USAGE, ("machine:run: field '%s' is %s"):format(tostring(key),
        RUN_FIELDS[key] and "expected to be a " .. RUN_FIELDS[key] or "unknown"), "see docs/machines.md")
    end
  end
  local paths = {}
  for path in pairs(fields.upload or {}) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do machine:copy_to(path, fields.upload[path]) end
  return execute(machine, fields, {})
end

-- ---- Renders

-- The picture's files, on the machine and here; those with a name are asked for, AOVs come with them.
local function outputs_of(wanted, scene, where, names)
  local list = {}
  if type(wanted) == "string" then wanted = { wanted } end
  wanted = wanted or { (scene:match "[^/]*$":gsub("%.lua$", "")) .. ".png" }
  local run = files.random_name(6)
  for i, path in ipairs(wanted) do
    local name = path == "-" and "stdout.png" or path:match "[^/]*$"
    list[i] = { name = ("%s-%d-%s"):format(run, i, name), ["local"] = path }
    list[i].remote = where.out .. "/" .. list[i].name
  end
  for i = 1, #list do
    local remote, here = aovs.files(list[i].remote, names), aovs.files(list[i]["local"], names)
    for j = 2, #here do list[#list + 1] = { remote = remote[j], ["local"] = here[j] } end
  end
  return list
end

-- The checkpoint, here and there, or nil: on this computer it is its user's wish alone.
local function checkpoint_of(machine, options, outputs, where)
  local path, own = options.checkpoint, false
  if not path and machine.driver.transport ~= "local" and outputs[1]["local"] ~= "-" then
    path, own = outputs[1]["local"] .. ".part", true
  end
  if not path then return nil end
  local name = files.random_name(6) .. "-checkpoint.part"
  return { name = name, remote = where.out .. "/" .. name, ["local"] = path, own = own }
end

-- A function for the event that a checkpoint was written: fetches it, so that it takes little of the time.
local function checkpoint_fetcher(machine, spec, checkpoint)
  local next_time = 0
  return function()
    if system.now() < next_time then return end
    local begin = system.now()
    local fetched = pcall(machine.fetch, machine, checkpoint.remote, checkpoint["local"])
    local seconds = system.now() - begin
    -- Where it could not be fetched, following the render tells why.
    if fetched then
      spec.transfer = math.max(spec.transfer or 0, seconds)
      checkpoint.came = true
    end
    next_time = system.now() + seconds / SHARE
  end
end

local function fetch_output(machine, output)
  if output["local"] ~= "-" then return machine:fetch(output.remote, output["local"]) end
  local dir <close> = assert(files.temporary())
  machine:fetch(output.remote, dir.path .. "/picture")
  require("rtlua.output").write(assert(files.read(dir.path .. "/picture")))
end

local function upload(machine, bundle, folder, checkpoint, options)
  if machine.driver.transport == "local" then
    bundle:write(folder)
  else
    local dir <close> = assert(files.temporary())
    bundle:write(dir.path)
    machine:send(dir.path, folder)
  end
  if checkpoint and options.resume and system.exists(checkpoint["local"]) then
    machine:send(checkpoint["local"], checkpoint.remote)
    machine:connection():run { "chmod", "a+rw", "--", checkpoint.remote, check = true } -- a container's user goes on
    return true
  end
end

-- Lines of rtlua render --json are events; all else is printed.
local function reader(options, on_checkpoint)
  return function(line, stream)
    local event = stream == "stdout" and cjson.decode(line)
    if type(event) ~= "table" then
      if options.on_log then options.on_log(line, stream) end
      return
    end
    if event.event == "checkpoint" and on_checkpoint then on_checkpoint() end
    if options.on_event then options.on_event(event) end
  end
end

--- Renders a scene on the machine, with the files that it depends on, and fetches the pictures. options: render options
--- by their names (spp, size, …); output, a path or a list of them (SCENE.png); checkpoint, a path, which the render's
--- checkpoint comes back to as it goes, and resume, to go on from it; params, asset_path and trust, as bundle.make has
--- them, or bundle, one that was made; on_event(event), what rtlua render --json prints; on_log(line, stream), all
--- else; image; timeout. Returns the result. Raises stages "upload", "run" and "download".
function work.render(machine, scene, options)
  options = options or {}
  local words = require "rtlua.machine.options"
  local given = words.read_render(options)
  local bundle = options.bundle or require("rtlua.machine.bundle").make(scene, options)
  words.check_crop(bundle, given)
  local where = machine:places()
  local outputs = outputs_of(options.output, scene, where, given.aov or bundle.aov)
  local checkpoint = checkpoint_of(machine, options, outputs, where)
  local folder = "render-" .. files.random_name(6)
  local resumes = machine:stage("upload", upload, machine, bundle, where.work .. "/" .. folder, checkpoint, options)

  local command = { "rtlua", "render", bundle.file, "--json" }
  for _, word in ipairs(bundle.words) do command[#command + 1] = word end
  for _, word in ipairs(words.words(given)) do command[#command + 1] = word end
  for _, output in ipairs(outputs) do
    if output.name then command[#command + 1] = "-o/out/" .. output.name end
  end
  if checkpoint then command[#command + 1] = "--checkpoint=/out/" .. checkpoint.name end
  if resumes then command[#command + 1] = "--resume" end
  local spec = {
    command = command, image = options.image or machine:has_engine() and "rtlua" or nil, cwd = "/work/" .. folder,
    timeout = options.timeout, is_render = true,
  }
  spec.on_log = reader(options, checkpoint and checkpoint_fetcher(machine, spec, checkpoint))
  local all = table.move(outputs, 1, #outputs, checkpoint and 2 or 1, { checkpoint })
  local result = machine:stage("run", execute, machine, spec, all)
  machine:stage("download", function()
    for _, output in ipairs(outputs) do fetch_output(machine, output) end
    if checkpoint and not checkpoint.own then machine:fetch(checkpoint.remote, checkpoint["local"]) end
  end)
  if checkpoint and checkpoint.own and checkpoint.came then os.remove(checkpoint["local"]) end
  return result
end

-- ---- For other processes

local function attach(machine, noted)
  return noted and jobs.attach(machine:connection(), noted, function() return machine:engine() end)
end

--- Follows what runs on the machine, or hands over what it printed: on_log(line, stream); follow = false does not wait.
--- Returns its result; nil, message, code where it still runs. Raises stage "run" where nothing does.
function work.logs(machine, on_log, follow)
  local found = attach(machine, machine.lease.job)
  if not found then
    errors.stage("run", errors.UNAVAILABLE, ("nothing was started on %s whose output can be read"):format(
      machine.lease.name), "see rtlua machine ls")
  end
  return found:follow { on_log = on_log, follow = follow, alive = function() machine:check_alive() end }
end

--- Stops a lease's job, so that it writes what it has, and fetches that: a machine's last minute.
function work.salvage(machine, noted)
  local found = attach(machine, noted)
  if not found then return end
  pcall(found.stop, found, GRACE)
  salvage(machine, noted.outputs or {})
  if noted.container then pcall(function() machine:engine():remove(noted.container) end) end
end

return work
