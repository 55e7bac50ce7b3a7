-- Runs the command as its user does: a process of its own with an argument list, whose output and exit code come back.
--
-- options: cwd (else the project's root), env = { NAME = "value" }, stdin (text), signal and after: a signal's name,
-- "INT", that it is sent once and to it alone, so many seconds after it catches signals (rtlua.signal) and has printed
-- what grep finds for `ready` ("." is anything): on a busy machine no fixed time from the start would do. A process
-- that has not ended after five minutes is killed.

local assert = require "luassert"
local folder = require "spec.support.folder"
local lfs = require "lfs"

local run = {}

local ROOT = lfs.currentdir()
local LIMIT = 300 -- seconds

-- Runs "$@" as a job, which unlike a shell's & in the background takes SIGINT as it comes, and signals it.
local SIGNALLED = [[
  set -m
  "$@" <"$DIR/stdin" >"$DIR/stdout" 2>"$DIR/stderr" & pid=$!
  { sleep "$LIMIT"; kill -KILL $pid; } </dev/null >/dev/null 2>&1 & limit=$!
  catches_term() {
    caught=$(sed -n 's/^SigCgt:\t//p' /proc/$pid/status) && [ -n "$caught" ] && ((0x$caught >> 14 & 1))
  }
  until catches_term && { [ -z "$READY" ] || grep -q "$READY" "$DIR/stdout"; }; do
    kill -0 $pid || break
    sleep 0.02
  done
  sleep "$AFTER"; kill -$SIGNAL $pid
  wait $pid; code=$?
  kill -KILL -$limit
  exit $code]]

local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

--- Runs a program. Returns { code, stdout, stderr }.
function run.program(program, arguments, options)
  options = options or {}
  local dir <close> = folder.new()
  dir:write("stdin", options.stdin or "")
  local words = { "cd", quote(options.cwd or ROOT), "&&" }
  local function word(text) words[#words + 1] = text end
  if options.signal then
    for name, value in pairs {
      DIR = dir.path, LIMIT = LIMIT, READY = options.ready or "", AFTER = options.after or 0,
      SIGNAL = options.signal,
    } do word(name .. "=" .. quote(value)) end
    word("bash -c " .. quote(SIGNALLED) .. " signalled")
  end
  word "env"
  for name, value in pairs(options.env or {}) do word(quote(name .. "=" .. value)) end
  if not options.signal then word(("timeout --foreground --preserve-status -s KILL %d"):format(LIMIT)) end
  word(quote(program))
  for _, argument in ipairs(arguments) do word(quote(argument)) end
  if options.signal then
    word "2>/dev/null" -- the shell's own reports of its jobs
  else
    for _, stream in ipairs { { "<", "stdin" }, { ">", "stdout" }, { "2>", "stderr" } } do
      word(stream[1] .. quote(dir.path .. "/" .. stream[2]))
    end
  end
  local _, how, number = os.execute(table.concat(words, " "))
  return {
    code = how == "exit" and number or 128 + number,
    stdout = dir:read "stdout",
    stderr = dir:read "stderr",
  }
end

--- Runs ./rtlua with a list of arguments.
function run.rtlua(arguments, options) return run.program(ROOT .. "/rtlua", arguments, options) end

--- What the command says to what is wrong: this code, one line that has the pattern, and nothing on standard output.
function run.assert_line(result, code, pattern)
  assert.equal(code, result.code, result.stderr)
  assert.equal("", result.stdout)
  assert.truthy(result.stderr:find "^rtlua: [^\n]+\n$", result.stderr)
  assert.truthy(result.stderr:find(pattern), result.stderr)
end

return run
