-- The double by hand: `lua5.4 spec/support/cloud/main.lua [--real] [--port N]` prints the environment that a shell is
-- to have, and serves until Ctrl-C. --for-specs is init.lua's: options come as a line of JSON, the ports go out, and
-- the end of its input ends it.

local HERE = ("./" .. arg[0]):match "^(.*)spec/support/cloud/main%.lua$"
if arg[0]:sub(1, 1) == "/" then HERE = HERE:sub(3) end
package.path = ("%sscripts/?.lua;%sscripts/?/init.lua;%s?.lua;%s?/init.lua;"):gsub("%%s", HERE) .. package.path
package.cpath = HERE .. "?.so;" .. package.cpath

local json = require "spec.support.cloud.json"
local server = require "spec.support.cloud.server"

local SECRET_KEY = "rtluadoublesecretkeyrtluadoublesecretkey"

local function for_specs()
  io.stdin:setvbuf "no"
  server.run(json.decode((assert(io.read "l"))), function(port, control_port)
    io.write(port, " ", control_port, "\n")
    io.flush()
  end)
end

local function usage(message)
  io.stderr:write("double: ", message, ": usage: main.lua [--real] [--port N]\n")
  os.exit(64)
end

local function by_hand()
  local options = { pace = tonumber(os.getenv "RTLUA_PACE") or 1, token = "dop_v1_double", read_token = "dop_v1_read",
    access_key = "AKIADOUBLE0000000000", secret_key = SECRET_KEY, ledger = os.tmpname() }
  local i = 1
  while arg[i] do
    if arg[i] == "--real" then
      options.real = true
    elseif arg[i] == "--port" then
      i = i + 1
      options.port = math.tointeger(tonumber(arg[i])) or usage "--port: a number expected"
    else
      usage(arg[i] .. ": unknown option")
    end
    i = i + 1
  end
  options.until_signal = true
  server.run(options, function(port)
    print("export DIGITALOCEAN_ACCESS_TOKEN=" .. options.token)
    print("export DIGITALOCEAN_API_URL=http://127.0.0.1:" .. port)
    print("export AWS_ACCESS_KEY_ID=" .. options.access_key .. " AWS_SECRET_ACCESS_KEY=" .. options.secret_key)
    print("export AWS_REGION=us-east-1 AWS_ENDPOINT_URL=http://127.0.0.1:" .. port .. "/ec2")
    print("export RTLUA_PACE=" .. options.pace)
    print("# ledger: " .. options.ledger .. "; Ctrl-C ends it")
    io.flush()
  end)
  os.remove(options.ledger)
end

if arg[1] == "--for-specs" then
  for_specs()
else
  by_hand()
end
