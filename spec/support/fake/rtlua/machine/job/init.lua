-- In the place of rtlua.machine.job on a fake stage: fetching is an event; with the file `fetch-hangs` it never ends.

local lfs = require "lfs"
local system = require "rtlua.system"

local job = {}

function job.fetch(lease)
  local folder = os.getenv "FAKE_CLOUD"
  local file <close> = assert(io.open(folder .. "/events", "a"))
  file:write("fetch ", lease.id, "\n")
  file:flush()
  while lfs.attributes(folder .. "/fetch-hangs") do system.sleep(1) end
end

return job
