-- RTLUA_ISA: which kernel traces rays, sse2, avx2 or avx512; the best that the processor has where it is not set. The
-- picture does not depend on it.

local errors = require "rtlua.errors"
local system = require "rtlua.system"

local isa = {}

--- Takes the kernel that the environment names. Raises 64 for one that is not here.
function isa.choose()
  local name = os.getenv "RTLUA_ISA"
  if not name or name == "" then return end
  local chosen, message, code = system.isa(name)
  if not chosen then errors.raise(code, "RTLUA_ISA=" .. message) end
end

return isa
