-- rtlua.process: programs, run with a list of arguments and never through a shell.
--
--     local result = process.run { "ssh", "-V", timeout = 5 }        --> { code, signal, seconds, stdout, stderr }
--     local child <close> = process.start { "sh", "-c", "sleep 9" }  -- ends with its scope, or with the script
--
-- Fields of both: cwd; env = { NAME = "value" }, or false to take one out; limit, the bytes that are kept of each
-- output (16 MiB); stdin, stdout and stderr: true (a pipe), false (/dev/null), a number (a descriptor of ours),
-- { file = path, append = true }; stderr = "stdout" joins the two; keep_fd, a descriptor or a list of them, which the
-- program finds open under its number; foreground = true for a program that talks to the terminal. Nothing else is open
-- in it.
--
-- run: stdin is text; timeout in seconds; on_line(line, stream) is called as lines come; check = true raises where the
-- program cannot be started, is late or does not end with 0. Else such a start gives nil, message, code (66 and 69:
-- there is none), and being late nil, message, 75 and what there was. A program is over when its process is: what it
-- left in its process group is killed. A signal that comes meanwhile ends it and is raised, with code 128 + its number.
--
-- start: detached = true has a session of its own and survives the script; its streams are files or /dev/null. A child
-- has pid, wait(seconds), read(stream, seconds), write(text, seconds), close_input(), kill(signal), stop(grace) and
-- close(). read and wait keep all pipes moving. Where waiting is interrupted they give nil, message, 128 + the signal.

local core = require "rtlua.core.process"
local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local system = require "rtlua.system"

local process = {}

local LONGEST_LINE = 1 << 20 -- bytes; a longer one comes in pieces
local STREAMS = { "stdout", "stderr" }

local FIELDS = {
  cwd = true, env = true, stdin = true, stdout = true, stderr = true, limit = true, keep_fd = true, foreground = true,
}
local ONLY = {
  run = { timeout = true, on_line = true, check = true },
  start = { detached = true },
}

local function check_fields(options, name)
  if type(options) ~= "table" then
    errors.raise(errors.USAGE, ("process.%s: a table of the program and its arguments expected"):format(name))
  end
  for key in pairs(options) do
    if type(key) == "string" and not FIELDS[key] and not ONLY[name][key] then
      errors.raise(errors.USAGE, ("process.%s: unknown field '%s'"):format(name, key))
    end
  end
end

--- Starts a program; see above. Returns the child, or nil, message, code.
function process.start(options)
  check_fields(options, "start")
  return core.start(options)
end

-- Cuts what comes into lines for on_line. Returns a function (chunk): nil is the end.
local function line_cutter(stream, on_line)
  local rest = ""
  return function(chunk)
    if not chunk then
      if rest ~= "" then on_line(rest, stream) end
      rest = ""
      return
    end
    local text, from = rest .. chunk, 1
    local newline = text:find("\n", 1, true)
    while newline do
      on_line(text:sub(from, newline - 1), stream)
      from = newline + 1
      newline = text:find("\n", from, true)
    end
    rest = text:sub(from)
    while #rest > LONGEST_LINE do
      on_line(rest:sub(1, LONGEST_LINE), stream)
      rest = rest:sub(LONGEST_LINE + 1)
    end
  end
end

-- Keeps what comes, up to the limit. Returns take(chunk) and finish() -> text, was there more?
local function collector(limit)
  local parts, size, more = {}, 0, false
  local function take(chunk)
    local kept = chunk:sub(1, limit - size)
    parts[#parts + 1] = kept
    size = size + #kept
    more = more or #kept < #chunk
  end
  return take, function() return table.concat(parts), more end
end

-- Runs the child to its end or the deadline. Returns its result, or nil; fills `outputs`, by stream.
local function follow(child, options, outputs)
  local deadline = options.timeout and system.now() + options.timeout or math.huge
  local sinks = {}
  for _, stream in ipairs(STREAMS) do
    local take, finish = collector(options.limit or 16 << 20)
    outputs[stream] = finish
    sinks[stream] = { take = take, cut = options.on_line and line_cutter(stream, options.on_line) }
  end
  local function drain()
    for _, stream in ipairs(STREAMS) do
      local chunk = child:read(stream, 0)
      if chunk and chunk ~= "" then
        sinks[stream].take(chunk)
        if sinks[stream].cut then sinks[stream].cut(chunk) end
      end
    end
  end
  local result, stopped, code
  repeat
    result, stopped, code = child:wait(0)
    if not result then
      local inside = loop.inside()
      stopped, code = select(2, child:step(inside and 0 or math.min(0.05, deadline - system.now())))
      if inside then loop.yield() end
    end
    drain()
  until result or stopped or system.now() >= deadline
  if not result and not stopped then
    child:stop()
    drain()
  end
  for _, sink in pairs(sinks) do
    if sink.cut then sink.cut(nil) end
  end
  if stopped and not result then errors.raise(code, stopped) end
  return result
end

--- Runs a program to its end; see above.
function process.run(options)
  check_fields(options, "run")
  local function give_up(code, message, result)
    if options.check then errors.raise(code, message) end
    return nil, message, code, result
  end
  local given = { table.unpack(options) }
  for key in pairs(FIELDS) do given[key] = options[key] end
  given.limit = nil -- of what is kept here; lines are to be seen all
  local text = type(given.stdin) == "string" and given.stdin or nil
  if text then given.stdin = true end
  local started, message, code = core.start(given)
  if not started then return give_up(code, message) end
  local child <close> = started
  if text then child:write(text, 0) end
  if given.stdin == true then child:close_input() end

  local finish = {}
  local result = follow(child, options, finish)
  local name, late = tostring(options[1]), not result
  result = result or {}
  local more_out, more_err
  result.stdout, more_out = finish.stdout()
  result.stderr, more_err = finish.stderr()
  if more_out or more_err then result.truncated = true end
  if late then
    return give_up(errors.TRY_AGAIN, ("%s: took longer than %g s: allow it more time"):format(name, options.timeout),
      result)
  end
  if options.check and result.code ~= 0 then
    local how = result.signal and "was ended by SIG" .. result.signal or "ended with " .. result.code
    local last = result.stderr:match("([^\r\n]+)%s*$")
    errors.raise(errors.UNAVAILABLE, ("%s: %s%s"):format(name, how, last and ": " .. last or ""))
  end
  return result
end

--- A pipe by which a child learns of this process's death: pipe.reader hangs up. Give that to the one child by keep_fd,
--- then close_reader(). pipe.writer hangs up when the child is dead. To be closed.
process.death_pipe = core.death_pipe

--- hung_up(fd, seconds): true once the other end of a pipe is closed everywhere; false after that time (no time: waits
--- for it); nil, message, code when a signal came.
process.hung_up = core.hung_up

return process
