-- A local DigitalOcean and EC2, for specs: a process of its own, which is gone when its scope or this process ends.
--
--     local double <close> = cloud.start { pace = 0.01, faults = { { at = 3, what = "500" } } }
--     run.rtlua({ "machine", "ls" }, { env = double.env })
--     double:calls(), double:alive(), double:most_alive()
--
-- options: pace (RTLUA_PACE, else 0.01; 1 with real machines), which scales all its times; faults (faults.lua);
-- latency, the seconds of each reply; latencies = { reply, boot, destroy, power, snapshot }; limits = { requests, keys,
-- droplets, instances }; skew, seconds; real = true: machines that boot (machines.lua), whose
-- engines have images = "base", "packages" or "rtlua".
--
-- double.url, its address with a slash at the end; token and read_token; env, the environment of a script that is to
-- use it, with an empty RTLUA_STATE; folder, which holds that. What it saw is read from its ledger, which env does not
-- name.

local cjson = require "cjson"
local folder = require "spec.support.folder"
local json = require "spec.support.cloud.json"
local ledger = require "spec.support.cloud.ledger"
local lfs = require "lfs"
local process = require "rtlua.process"
local socket = require "socket"

local cloud = {}

-- With real machines the first start makes their image.
local SECONDS_TO_START, SECONDS_TO_START_REAL, SECONDS_TO_ANSWER = 20, 600, 120

local Double = {}
Double.__index = Double

local function environment(double, pace)
  return {
    DIGITALOCEAN_ACCESS_TOKEN = double.token, DIGITALOCEAN_API_URL = double.base, AWS_ACCESS_KEY_ID = double.access_key,
    AWS_SECRET_ACCESS_KEY = double.secret_key, AWS_REGION = "us-east-1", AWS_ENDPOINT_URL = double.base .. "/ec2",
    AWS_EC2_METADATA_DISABLED = "true", RTLUA_PACE = ("%.17g"):format(pace), RTLUA_STATE = double.folder .. "/state",
  }
end

--- Starts one; see above.
function cloud.start(options)
  options = options or {}
  local dir = folder.new()
  local double = setmetatable({
    dir = dir, folder = dir.path, ledger_path = dir.path .. "/ledger", access_key = "AKIADOUBLE0000000000",
  }, Double)
  local random <close> = assert(io.open("/dev/urandom", "rb"))
  local function token()
    return "dop_v1_" .. random:read(32):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  end
  double.token, double.read_token, double.secret_key = token(), token(), token():sub(-40)
  local pace = options.pace or tonumber(os.getenv "RTLUA_PACE") or (options.real and 1 or 0.01)
  local given = { ledger = double.ledger_path, token = double.token, read_token = double.read_token, pace = pace,
    access_key = double.access_key, secret_key = double.secret_key }
  for key, value in pairs(options) do given[key] = given[key] or value end

  local child, message = process.start {
    "lua5.4", "spec/support/cloud/main.lua", "--for-specs", stdin = true, stderr = { file = dir.path .. "/stderr" },
    env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
  }
  if not child then
    dir:remove()
    error(message)
  end
  double.child = child
  child:write(json.encode(json.object(given)) .. "\n")
  local text, deadline = "", socket.gettime() + (options.real and SECONDS_TO_START_REAL or SECONDS_TO_START)
  while not text:find "\n" do
    local more = child:read("stdout", 1)
    text = text .. (more or "")
    if not more or socket.gettime() > deadline then
      local why = dir:read "stderr"
      double:close()
      error("the double did not start: " .. why)
    end
  end
  double.port, double.control_port = text:match "(%d+) (%d+)"
  double.base = "http://127.0.0.1:" .. double.port
  double.url = double.base .. "/"
  double.env = environment(double, pace)
  lfs.mkdir(double.env.RTLUA_STATE)
  return double
end

--- Asks the double's other port: a name of CONTROL in server.lua and its value.
function Double:ask(name, value)
  if not self.control then
    self.control = assert(socket.connect("127.0.0.1", self.control_port))
    self.control:settimeout(SECONDS_TO_ANSWER)
  end
  assert(self.control:send(json.encode { name = name, value = value or json.object {} } .. "\n"))
  local answer = cjson.decode((assert(self.control:receive "*l")))
  if answer.error then error(answer.error, 2) end
  return answer[1]
end

--- All events so far: see ledger.lua.
function Double:ledger() return ledger.read(self.ledger_path) end

--- The API's calls so far, in order: { call, method, path, query, kind, status }.
function Double:calls() return ledger.calls(self:ledger()) end

--- What exists now: lists of { id, name, state, address, tags } as droplets, instances, keys, groups, tags, images.
function Double:alive() return self:ask "alive" end

--- The most machines that were alive at one time.
function Double:most_alive() return ledger.most_alive(self:ledger()) end

--- Adds a fault to the script: see faults.lua.
function Double:fault(fault) return self:ask("fault", fault) end

--- Forgets the faults.
function Double:clear_faults() return self:ask "clear" end

--- Changes { latencies, limits, skew }.
function Double:set(values) return self:ask("set", values) end

--- Puts a machine into the account that nobody asked for: { kind = "droplet", name, tags, size, region }. Its id.
function Double:put(machine)
  local id = self:ask("put", machine)
  return math.tointeger(id) or id
end

--- Ends a machine behind its owner's back: state = "off" or "gone".
function Double:fail(id, state) return self:ask("fail", { id = id, state = state }) end

--- What the double itself complained of; empty when it worked.
function Double:complaints() return self.dir:read "stderr" end

--- Ends it, with its machines and its folder.
function Double:close()
  if self.control then self.control:close() end
  if self.child then
    self.child:close_input()
    self.child:wait(SECONDS_TO_ANSWER)
    self.child:close()
  end
  self.dir:remove()
end

Double.__close = Double.close

return cloud
