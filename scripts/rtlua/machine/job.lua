-- rtlua.machine.job: one command on a machine, followed to its end.
--
--     local job <close> = job.start(transport, { "rtlua", "render", …, env = …, cwd = … }, { detached = true })
--     local result = job:follow { on_log = print, deadline = …, alive = … }    --> { code, signal, seconds }
--     job:stop()
--
-- Attached, it is a plain child of ours and ends with us: on this computer. Detached, it has a session of its own on
-- the machine, and its output lies in files of a folder there: a connection that was lost is made anew, and following
-- goes on behind the byte that it had. A container is detached by its nature; its engine keeps its output.
--
-- What a lease notes as `job` names it for other processes: { folder } or { container }, and outputs, a list of
-- { remote, local } that are fetched where its script cannot any more (the watcher does).

local errors = require "rtlua.errors"
local lines = require "rtlua.machine.lines"
local loop = require "rtlua.loop"
local system = require "rtlua.system"

local job = {}

local SLICE = 0.02 -- seconds between two looks at a child
local GRACE = 10 -- seconds in which what is stopped may write what it has
local LOST = 180 -- seconds without a connection until it is given up
local PAUSE = 2 -- seconds between two attempts to connect
local LOOK = 10 -- seconds between two looks at a machine that does not answer

local SIGNALS = {
  [1] = "HUP", [2] = "INT", [3] = "QUIT", [4] = "ILL", [6] = "ABRT", [7] = "BUS", [8] = "FPE", [9] = "KILL",
  [11] = "SEGV", [13] = "PIPE", [14] = "ALRM", [15] = "TERM", [24] = "XCPU", [25] = "XFSZ",
}

local function outcome(code, begin)
  return { code = code, signal = code > 128 and SIGNALS[code - 128] or nil, seconds = system.now() - begin }
end

-- Two functions (chunk) that cut lines for on_log, by stream, and the bytes that each was given.
local function cutters(on_log)
  local cut = {}
  for _, stream in ipairs { "stdout", "stderr" } do
    cut[stream] = lines.cut(stream, on_log or function() end)
  end
  return cut
end

local function never() return math.huge end

-- Hands over what a child writes until it ends or deadline(). Returns its result, or nil, message, code; "late".
local function pump(child, cut, count, deadline)
  while true do
    local left = deadline() - system.now()
    local result, message, code = loop.wait(child, math.max(0, math.min(SLICE, left)))
    if not result and code > 128 then errors.raise(code, message) end
    for stream, take in pairs(cut) do
      local chunk = child:read(stream, 0)
      while chunk and chunk ~= "" do
        count[stream] = count[stream] + #chunk
        take(chunk)
        chunk = child:read(stream, 0)
      end
    end
    if result or code ~= errors.TRY_AGAIN or message ~= "still running" then return result, message, code end
    if left <= 0 then return nil, "late", errors.TRY_AGAIN end
  end
end

-- ---- A child of ours

local Attached = { __name = "rtlua.machine.job.attached" }
Attached.__index = Attached

--- See Detached.follow.
function Attached:follow(options)
  local cut = cutters(options.on_log)
  local result, message, code = pump(self.child, cut, { stdout = 0, stderr = 0 }, options.deadline or never)
  if result then
    for _, take in pairs(cut) do take(nil) end
  end
  return result, message, code
end

function Attached:stop(grace) self.child:stop(grace or GRACE) end

function Attached:close() self.child:close() end

Attached.__close = Attached.close

-- ---- A session on the machine

-- $1: the job's folder, $2: the command's text. Asked twice, since an answer was lost, it starts once. The outer shell
-- outlives being asked to end, to note the code.
local START = [[cd "$1" || exit 1
if mkdir started 2>/dev/null; then
  setsid sh -c 'trap : HUP INT TERM; echo $$ >pid.new; mv pid.new pid
    (eval "$1") & child=$!
    while :; do wait $child; code=$?; kill -0 $child 2>/dev/null || break; done
    echo $code >code.new; mv code.new code' sh "$2" </dev/null >stdout 2>stderr &
fi
for i in 1 2 3 4 5 6 7 8 9 10; do [ -s pid ] && exit 0; sleep 0.2; done; exit 1]]

-- $1: the job's folder; $2, $3: the bytes of stdout and stderr that are known.
local FOLLOW = [[cd "$1" || exit 66
pid=$(cat pid); out=$2; err=$3
while :; do
  alive=1; if [ -f code ] || ! kill -0 "$pid" 2>/dev/null; then alive=; fi
  n=$(wc -c <stdout)
  if [ "$n" -gt "$out" ]; then tail -c "+$((out + 1))" stdout | head -c "$((n - out))"; out=$n; fi
  n=$(wc -c <stderr)
  if [ "$n" -gt "$err" ]; then tail -c "+$((err + 1))" stderr | head -c "$((n - err))" >&2; err=$n; fi
  [ -n "$alive" ] || exit 0
  [ "$4" = follow ] || exit 0
  sleep 0.2
done]]

-- $1: the job's folder, $2: seconds from being asked to being made to.
local STOP = [[cd "$1" && pid=$(cat pid) || exit 0
kill -TERM "-$pid" 2>/dev/null
i=0; while [ ! -f code ] && kill -0 "$pid" 2>/dev/null && [ $i -lt $(($2 * 5)) ]; do sleep 0.2; i=$((i + 1)); done
[ -f code ] || kill -KILL "-$pid" 2>/dev/null
exit 0]]

local Detached = { __name = "rtlua.machine.job.detached" }
Detached.__index = Detached

-- Runs a small script of ours on the machine: its output. Raises `stage` where that fails for good.
local function script(transport, stage, text, ...)
  local command = { "sh", "-c", text, "sh", ... }
  command.timeout = math.max(30, loop.pace(60))
  local deadline = system.now() + loop.pace(LOST)
  local result, message, code = transport:run(command)
  while code == errors.TRY_AGAIN and system.now() < deadline do
    loop.sleep(loop.pace(PAUSE))
    result, message, code = transport:run(command)
  end
  if result and result.code == 0 then return result.stdout end
  return errors.stage(stage, code or errors.UNAVAILABLE,
    message or result.stderr:match "([^\r\n]+)%s*$" or "a script on the machine failed",
    "see whether the machine runs, and whether its disk is full")
end

-- The connection may be lost at any time. options.alive() raises where the machine is known to be gone.
local function follow_lost(self, options)
  local cut, count = cutters(options.on_log), { stdout = 0, stderr = 0 }
  local deadline, lost_since, looked = options.deadline or never, nil, -math.huge
  local mode = options.follow == false and "" or "follow"
  while true do
    local before = count.stdout + count.stderr
    local child, message, code = self.transport:start {
      "sh", "-c", FOLLOW, "sh", self.folder, tostring(count.stdout), tostring(count.stderr), mode,
    }
    if child then
      local held <close> = child -- luacheck: ignore
      local result
      result, message, code = pump(child, cut, count, deadline)
      if message == "late" then return nil, message, code end
      if result and result.code == 0 then
        for _, take in pairs(cut) do take(nil) end
        return true
      end
      if result then message, code = ("%s: the job's folder is gone"):format(self.folder), errors.UNAVAILABLE end
    end
    if code > 128 then errors.raise(code, message) end
    if count.stdout + count.stderr > before then lost_since = nil end
    lost_since = lost_since or system.now()
    if code ~= errors.TRY_AGAIN or system.now() - lost_since > loop.pace(LOST) then return nil, message, code end
    if options.alive and system.now() - looked >= loop.pace(LOOK) then
      looked = system.now()
      options.alive()
    end
    loop.sleep(loop.pace(PAUSE))
  end
end

--- Follows it to its end. Options: on_log(line, stream), deadline(), of system.now, alive, a function that is called
--- where the machine does not answer, and raises when it knows that the machine is gone; follow = false hands over what
--- there is. Returns { code, signal, seconds }; nil, "late", 75 at the deadline; nil, message, code where the machine
--- does not answer any more.
function Detached:follow(options)
  local ended, message, code = follow_lost(self, options)
  if not ended then return nil, message, code end
  local text = script(self.transport, "run", 'cat "$1/code" 2>/dev/null || true', self.folder)
  local number = math.tointeger(tonumber(text))
  if number then return outcome(number, self.begin) end
  if options.follow == false then return nil, "still running", errors.TRY_AGAIN end
  return outcome(128 + 9, self.begin) -- with its shell, which nothing but KILL ends
end

--- Asks it to end, and makes it after `grace` seconds.
function Detached:stop(grace)
  script(self.transport, "run", STOP, self.folder, tostring(math.ceil(grace or GRACE)))
end

--- Lets go of it; it goes on.
function Detached.close() end

Detached.__close = Detached.close

-- ---- A container

local Container = { __name = "rtlua.machine.job.container" }
Container.__index = Container

--- See Detached.follow.
function Container:follow(options)
  local ended, late = false, false
  local results = loop.all {
    function()
      local done <close> = setmetatable({}, { __close = function() ended = true end }) -- luacheck: ignore
      self.engine:logs(self.id, options.on_log or function() end, { follow = options.follow })
    end,
    function()
      loop.until_true(math.huge, 0.1, function()
        if ended then return true end
        late = system.now() >= (options.deadline or never)()
        if late then self:stop() end
        return late
      end)
    end,
  }
  for _, result in ipairs(results) do
    if not result[1] then
      if options.alive then options.alive() end
      error(result[2], 0)
    end
  end
  if late then return nil, "late", errors.TRY_AGAIN end
  local state = self.engine:inspect(self.id)
  if not state then return nil, "the container is gone", errors.UNAVAILABLE end
  if options.follow == false and state.State.Running then return nil, "still running", errors.TRY_AGAIN end
  local code = self.engine:wait(self.id)
  local result = outcome(code, self.begin)
  result.out_of_memory = state.State.OOMKilled or nil
  return result
end

function Container:stop(grace) self.engine:stop(self.id, grace or GRACE) end

--- Lets go of it; one of ours goes with its command.
function Container:close()
  if self.own then pcall(self.engine.remove, self.engine, self.id) end
end

function Container:__close(problem)
  local gone = type(problem) == "table" and problem.gone -- with its machine
  if not gone then self:close() end
end

-- ---- Making them

--- Starts a command over a transport. options: detached. Raises stage "run".
function job.start(transport, command, options)
  if not (options and options.detached) then
    local child, message, code = transport:start(command)
    if not child then errors.stage("run", code, message) end
    return setmetatable({ child = child }, Attached)
  end
  local self = setmetatable({ transport = transport, folder = transport:folder(), begin = system.now() }, Detached)
  script(transport, "run", START, self.folder, require("rtlua.machine.ssh").words(command))
  return self
end

--- A container that was started.
function job.container(its_engine, id)
  return setmetatable({ engine = its_engine, id = id, begin = system.now() }, Container)
end

--- What another process started: `noted` is the lease's job. its_engine() gives the machine's engine.
function job.attach(transport, noted, its_engine)
  if noted.container then return job.container(its_engine(), noted.container) end
  if noted.folder then
    return setmetatable({ transport = transport, folder = noted.folder, begin = system.now() }, Detached)
  end
  return nil
end

--- Stops what a lease's job is, so that it writes what it has, and fetches its outputs: a machine's last minute. Raises
--- what goes wrong, after having tried all.
function job.fetch(lease, driver)
  local machine <close> = require("rtlua.machine.machine").open(lease, driver)
  machine:salvage(lease.job)
end

return job
