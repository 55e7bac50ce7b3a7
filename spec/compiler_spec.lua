-- What exactness asks of the compiler, tried on the compiler itself with the flags that the core is built with.

local folder = require "spec.support.folder"

-- gcc 12.2's vectorizer of straight-line code drops the rounding to float of a pair double -> float -> double.
local ROUNDING = [[
#include <stdio.h>
__attribute__((noinline)) void squares(const double *in, double *out) {
  float x = (float)(in[0] * .3), y = (float)(in[1] * .3);
  out[0] = (double)x * x;
  out[1] = (double)y * y;
}
int main(void) {
  double in[2] = {1, 2}, out[2];
  volatile float x = (float)(1 * .3), y = (float)(2 * .3);
  squares(in, out);
  return !(out[0] == (double)x * x && out[1] == (double)y * y);
}
]]

local CONTRACTION = [[
__attribute__((noinline)) float product_sum(float a, float b, float c) { return a * b + c; }
int main(void) {
  volatile float a = 1.0f + 0x1p-12f, product = a * a;
  return product_sum(a, a, -product) != 0.0f;
}
]]

local function build_and_run(name, source)
  local flags = io.popen("make -s print-exact"):read "a":gsub("%s+$", "")
  assert.truthy(flags:find "%-ffp%-contract=off")
  local dir <close> = folder.new()
  dir:write("a.c", source)
  for _, level in ipairs { "-O2", "-O3" } do
    local command = ("%s -std=gnu11 %s -march=native %s -o '%s/a' '%s/a.c' && '%s/a'"):format(
      os.getenv "CC" or "cc",
      level,
      flags,
      dir.path,
      dir.path,
      dir.path
    )
    assert.is_true(os.execute(command), name .. " with " .. command)
  end
end

describe("the compiler, with the core's flags", function()
  it("rounds what is cast to float", function() build_and_run("rounding", ROUNDING) end)
  it("contracts no product and sum", function() build_and_run("contraction", CONTRACTION) end)
end)
