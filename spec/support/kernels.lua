-- The kernels that trace rays here: those of this build that the processor has.

local system = require "rtlua.system"

local kernels = {}

for _, name in ipairs { "sse2", "avx2", "avx512", "neon" } do
  local before = system.isa()
  if system.isa(name) then kernels[#kernels + 1] = name end
  system.isa(before)
end

return kernels
