-- rtlua repl: a Lua prompt with rtlua loaded as rt, and a history that outlives it.
--
-- A line is an expression, whose values are printed, or a statement; what is incomplete goes on at the next prompt. !!
-- and !N run a line of the history again, history() lists it. The history is a file, one entry a line, in RTLUA_STATE,
-- XDG_STATE_HOME/rtlua or ~/.local/state/rtlua. Entries run under the guard: Ctrl-C interrupts what
-- runs, SIGTERM and SIGHUP end the prompt, too, and so does the end of the input.

local environment = require "rtlua.environment"
local guard = require "rtlua.core.guard"
local lfs = require "lfs"
local output = require "rtlua.output"
local signal = require "rtlua.signal"
local system = require "rtlua.system"

local repl = {}

local KEEP = 1000 -- lines of history that are read back

--- The folder of rtlua's state; nil where there is none.
function repl.state_folder()
  local own, state, home = os.getenv "RTLUA_STATE", os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if own and own ~= "" then return own end
  if state and state ~= "" then return state .. "/rtlua" end
  return home and home ~= "" and home .. "/.local/state/rtlua" or nil
end

local function make_folders(path)
  local at = path:sub(1, 1) == "/" and "" or "."
  for part in path:gmatch("[^/]+") do
    at = at .. "/" .. part
    lfs.mkdir(at) -- it may be there already; what counts is whether the file can be opened
  end
end

local History = {}
History.__index = History

local function open_history()
  local history = setmetatable({ lines = {} }, History)
  local folder = repl.state_folder()
  if not folder then return history end
  make_folders(folder)
  local path = folder .. "/history"
  local file = io.open(path, "r")
  if file then
    for line in file:lines() do history.lines[#history.lines + 1] = line end
    file:close()
    local extra = #history.lines - KEEP
    if extra > 0 then history.lines = table.move(history.lines, extra + 1, #history.lines, 1, {}) end
  end
  history.file = io.open(path, "a")
  return history
end

function History:add(text)
  local line = text:gsub("\n", " ")
  if line:match("^%s*$") or line == self.lines[#self.lines] then return end
  self.lines[#self.lines + 1] = line
  if self.file then
    self.file:write(line, "\n")
    self.file:flush()
  end
end

--- The line that !! or !N stands for; nil when it is no such thing; false when there is no such line.
function History:recall(text)
  if text == "!!" then return self.lines[#self.lines] or false end
  local n = math.tointeger(tonumber(text:match("^!(%d+)$")))
  return n and (self.lines[n] or false)
end

-- ---- Running

--- The chunk of an entry, or nil and the message, and whether more lines may complete it.
local function compile(text, env)
  local chunk = load("return " .. text, "=repl", "t", env)
  if chunk then return chunk end
  local message
  chunk, message = load(text, "=repl", "t", env)
  return chunk, message, message ~= nil and message:find("<eof>", 1, true) ~= nil
end

local function report(ok, ...)
  if not ok then
    output.say((...))
  elseif select("#", ...) > 0 then
    print(...)
  end
end

local function execute(chunk)
  -- Printing is in it, too: __tostring may be anything.
  local ended, problem = guard.call({ name = "repl" }, function()
    report(xpcall(chunk, function(e) return tostring(e) end))
  end)
  if signal.pending() == "INT" then
    signal.clear()
    output.say "interrupted"
  elseif not ended and not signal.pending() then
    output.say(tostring(problem))
  end
end

local function prompt(text)
  io.stdout:write(text)
  io.stdout:flush()
end

function repl.command()
  local interactive = system.isatty(0)
  local history = open_history()
  guard.install() -- before the environment copies pcall
  local env = environment.trusted({ arg = {} }, function() return nil end)
  env.rt = require "rtlua"
  function env.history()
    for i, line in ipairs(history.lines) do print(("%5d  %s"):format(i, line)) end
  end
  if interactive then
    print(("rtlua %s: rt is loaded; history() lists what was typed, !! and !N repeat it"):format(system.version()))
  end
  local pending
  while true do
    if interactive then prompt(pending and ">> " or "> ") end
    local line = io.read("l")
    local why = signal.pending()
    if why == "INT" then
      signal.clear()
      pending = nil
      print()
    elseif why then
      return 128 + signal.number()
    elseif not line then
      if interactive then print() end
      return 0
    else
      local recalled = not pending and history:recall(line)
      if recalled then
        line = recalled
        print(line)
      end
      local text = pending and pending .. "\n" .. line or line
      local chunk, message, incomplete = compile(text, env)
      if incomplete then
        pending = text
      else
        pending = nil
        history:add(text)
        if recalled == false then message = "no such line in the history" end
        if chunk then execute(chunk) else output.say(message) end
        if signal.pending() then return 128 + signal.number() end
      end
    end
  end
end

return repl
