-- rtlua.machine.compose: docker compose on a machine, for those who have a compose.yaml.
--
--     machine:compose { file = "compose.yaml", env = { SCENE = "spheres.lua" }, on_log = print }
--
-- The folder of the file travels to the machine, without what its .dockerignore names; docker compose runs there.

local context = require "rtlua.machine.context"
local errors = require "rtlua.errors"
local files = require "rtlua.files"
local loop = require "rtlua.loop"

local compose = {}

local FIELDS = { file = true, args = true, env = true, on_log = true, timeout = true, check = true }

local function answers(transport, ...)
  local command = { ... }
  command.timeout = math.max(30, loop.pace(30))
  local result = transport:run(command)
  return result ~= nil and result.code == 0
end

-- The words of docker compose, which is a plugin, or a program of its own.
local function program(transport)
  if answers(transport, "docker", "compose", "version") then return { "docker", "compose" } end
  if answers(transport, "docker-compose", "version") then return { "docker-compose" } end
  return errors.stage("engine", errors.UNAVAILABLE, "there is no docker compose on the machine",
    "apt-get install docker-compose there, or use machine:run { image = … }, which needs none")
end

--- Fields: file ("compose.yaml"); args, the words behind it ({ "up", "--build" }); env, on_log, timeout and check as
--- machine:run has them. Returns its result, and the folder on the machine. Raises stages "engine", "upload" and "run".
function compose.run(machine, fields)
  fields = fields or {}
  for key in pairs(fields) do
    if not FIELDS[key] then
      errors.stage("run", errors.USAGE, ("machine:compose: unknown field '%s'"):format(tostring(key)),
        "see docs/machines.md")
    end
  end
  local file = fields.file or "compose.yaml"
  local folder, name = file:match "^(.*)/([^/]*)$"
  folder, name = folder or ".", name or file
  if not files.read(file) then
    errors.stage("upload", errors.NO_INPUT, file .. ": no such file", "check the name")
  end
  local transport = machine:connection()
  local words = program(transport)
  local there = machine:path "compose"
  do
    local dir <close> = assert(files.temporary())
    context.pack(folder, dir.path .. "/context.tar", name)
    transport:put(dir.path .. "/context.tar", there .. ".tar")
  end
  transport:run {
    "sh", "-c", 'mkdir -p "$1" && tar -x --no-same-owner -C "$1" -f "$1.tar" && rm "$1.tar"', "sh", there, check = true,
  }
  table.move({ "--file", name }, 1, 2, #words + 1, words)
  local args = fields.args or { "up", "--build" }
  table.move(args, 1, #args, #words + 1, words)
  local result = machine:run {
    command = words, cwd = there, env = fields.env, on_log = fields.on_log, timeout = fields.timeout,
    check = fields.check,
  }
  return result, there
end

return compose
