-- rtlua machine ssh, scp, logs: into a machine.

local cloud = require "rtlua.cloud"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local life = require "rtlua.machine.verbs.life"
local output = require "rtlua.output"
local process = require "rtlua.process"
local show = require "rtlua.machine.verbs.show"
local system = require "rtlua.system"

local reach = {}

-- A prompt on it. The program has our terminal.
local function interactive(machine)
  local words
  local transport = machine.driver.transport
  if transport == "ssh" then
    words = machine:connection().ssh:interactive()
  elseif transport == "local" then
    words = { os.getenv "SHELL" or "sh", cwd = machine:path "/work" }
  else
    errors.raise(errors.USAGE, "machine ssh: a container is given a command: rtlua machine ssh NAME COMMAND")
  end
  words.foreground, words.stdin, words.stdout, words.stderr = true, 0, 1, 2
  local result, message, code = process.run(words)
  if not result then errors.stage("ssh", code, message) end
  return result.code
end

local function ssh(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  local first = parsed.arguments[2] == "--" and 3 or 2
  local command = table.move(parsed.arguments, first, #parsed.arguments, 1, {})
  local json = parsed.options.json
  if #command == 0 and json then errors.raise(errors.USAGE, "machine ssh: --json is for a command: give it one") end
  if #command == 0 then return interactive(machine) end
  if #command == 1 then command = { "sh", "-c", command[1] } end -- a line for a shell, as ssh takes it
  if not json then
    command.on_line = function(line, stream)
      if stream == "stdout" then output.write(line .. "\n") else output.say(line) end
    end
  end
  local container = machine.driver.transport == "docker"
  if not system.isatty(0) then command.stdin = container and io.read "a" or 0 end
  if not container and not json then command.stdout = 1 end -- byte by byte as it comes
  local result, message, code = machine:connection():run(command)
  if not result then errors.stage("ssh", code, message, "see rtlua machine status " .. machine.lease:label()) end
  if json then
    show.json {
      machine = machine.name, code = result.code, signal = result.signal, seconds = result.seconds,
      stdout = result.stdout, stderr = result.stderr,
    }
  end
  return result.code
end

-- ---- scp

-- NAME:PATH as name and path; a path of ours as nil and path.
local function place(text)
  local name, path = text:match "^([%w][%w.-]*):(.*)$"
  if name then return name, path ~= "" and path or "/work" end
  return nil, text
end

-- A folder comes as a tar, which is packed there, perhaps in a folder of what is packed.
local function fetch_folder(machine, from, to)
  local transport, here <close> = machine:connection(), assert(files.temporary())
  local there = transport:folder()
  local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function() transport:run { "rm", "-rf", there, timeout = 60 } end,
  })
  local packed = transport:run {
    "tar", "-c", "-f", there .. "/folder.tar", "--exclude=./" .. there:match "[^/]*$", "-C", from, ".", timeout = 3600,
  }
  if not packed or packed.code ~= 0 then
    errors.stage("download", errors.UNAVAILABLE, ("%s: cannot be packed"):format(from), "check the path")
  end
  transport:get(there .. "/folder.tar", here.path .. "/folder.tar")
  local done, message, code = files.mkdir(to)
  if not done then errors.stage("download", code, message) end
  process.run { "tar", "-x", "-f", here.path .. "/folder.tar", "-C", to, "--no-same-owner", check = true }
end

local function scp(parsed)
  local from_name, from = place(parsed.arguments[1])
  local to_name, to = place(parsed.arguments[2])
  if (from_name ~= nil) == (to_name ~= nil) then
    errors.raise(errors.USAGE, "machine scp: one of the two is NAME:PATH, the other a path here")
  end
  local machine <close> = cloud.attach(from_name or to_name)
  if to_name then
    if not system.exists(from) then
      errors.stage("upload", errors.NO_INPUT, from .. ": no such file or folder", "check the path")
    elseif system.exists(from) == "folder" and not parsed.options.recursive then
      errors.stage("upload", errors.USAGE, from .. " is a folder", "add -r")
    end
    if to:sub(-1) == "/" then to = to .. from:match "[^/]*$" end
    machine:copy_to(from, to)
  elseif parsed.options.recursive then
    fetch_folder(machine, machine:path(from), to)
  else
    if system.exists(to) == "folder" then to = to .. "/" .. from:match "[^/]*$" end
    machine:copy_from(from, to)
  end
  if parsed.options.json then show.json { machine = machine.name, from = from, to = to } end
  return 0
end

local function logs(parsed)
  local machine <close> = cloud.attach(parsed.arguments[1])
  machine:logs(function(line, stream)
    if parsed.options.json then return show.json { line = line, stream = stream } end
    if stream == "stderr" then output.say(line) else output.write(line .. "\n") end
  end, parsed.options.follow or false)
  return 0
end

reach.verbs = {
  {
    "ssh", arguments = { "NAME", "COMMAND..." }, raw = true, options = { life.JSON }, run = ssh,
    summary = "Runs a command on it, with that one's exit code; a prompt where none is given.",
  },
  {
    "scp", arguments = { "FROM", "TO" }, run = scp, summary = "Copies to NAME:PATH, or from it, checked by SHA-256.",
    options = { { "recursive", type = "boolean", doc = "Folders, too.", cli = { flag = "-r" } }, life.JSON },
  },
  {
    "logs", arguments = { "NAME" }, run = logs, summary = "What runs there has printed.",
    options = { { "follow", type = "boolean", doc = "Goes on until it ends.", cli = { flag = "-f" } }, life.JSON },
  },
}

return reach
