-- No machine is lost: the script, its watcher, both, or all that belongs to them is killed at every call to the
-- provider, before it acts, after it has, and after its reply.
--
-- All cases take long: here runs a sample, whose seed is printed. RTLUA_FAULTS=all (make faults) runs each of them, and
-- RTLUA_FAULTS_SEED=N a sample again.

local matrix = require "spec.support.fault_matrix"

local SIDE_BY_SIDE = 8
local SAMPLE = 32

local all = os.getenv "RTLUA_FAULTS" == "all"

-- So many of the cases, drawn without putting back.
local function sample(cases, seed)
  math.randomseed(seed)
  local picked = {}
  for _ = 1, math.min(SAMPLE, #cases) do picked[#picked + 1] = table.remove(cases, math.random(#cases)) end
  return picked
end

for _, driver in ipairs { "digitalocean", "ec2" } do
  describe("a machine of " .. driver .. " #life", function()
    it("is destroyed, whoever is killed at whichever call", function()
      local cases = matrix.cases(driver, matrix.record(driver))
      local seed = tonumber(os.getenv "RTLUA_FAULTS_SEED") or os.time()
      if not all then
        print(("%s: %d of %d cases, RTLUA_FAULTS_SEED=%d"):format(driver, math.min(SAMPLE, #cases), #cases, seed))
        cases = sample(cases, seed)
      end
      local failures = matrix.run(cases, SIDE_BY_SIDE)
      assert.equal("", table.concat(failures, "\n"))
    end)
  end)
end
