/* 128-bit fixed point: into it and out of it, each with one rounding to nearest, ties to even. */
#include "base/fixed.h"

#include <math.h>
#include <string.h>

#include "base/exact.h"

__extension__ typedef unsigned __int128 u128;

/* v 2^-shift to the nearest whole number, ties to even, for shift <= 127. `rest`: v was cut down to a whole number
 * itself. */
static u128 shift_right(u128 v, int shift, bool rest) {
  if (shift <= 0) return v << -shift;
  u128 whole = v >> shift, half = (u128)1 << (shift - 1), cut = v & (((u128)1 << shift) - 1);
  if (cut > half || (cut == half && (rest || (whole & 1)))) whole++;
  return whole;
}

static int leading_zeros(u128 v) { /* v > 0 */
  uint64_t high = (uint64_t)(v >> 64);
  return high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)v);
}

bool rt_fixed_from(rt_fixed *out, float x) {
  bool fits = x <= 0x1p40f;
  if (!(x > 0.0f)) {
    *out = (rt_fixed){0, 0};
    return x == 0.0f;
  }
  if (!fits) x = 0x1p40f;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t exponent = bits >> 23, mantissa = bits & 0x7fffff;
  if (exponent)
    mantissa |= 0x800000;
  else
    exponent = 1;
  /* x = mantissa 2^(exponent - 150); the multiple of 2^-64 is mantissa 2^(exponent - 86). */
  u128 v = shift_right(mantissa, 86 - (int)exponent, false);
  *out = (rt_fixed){(uint64_t)v, (uint64_t)(v >> 64)};
  return fits;
}

float rt_fixed_mean(rt_fixed sum, uint64_t n) {
  u128 v = (u128)sum.high << 64 | sum.low;
  if (v == 0 || n == 0) return 0.0f;
  /* With the sum's top bit moved to the left end the quotient has at least 64 bits. */
  int zeros = leading_zeros(v), exponent = -64 - zeros;
  v <<= zeros;
  u128 quotient = v / n;
  bool rest = v % n != 0;

  int drop = 128 - leading_zeros(quotient) - 24;      /* a float has 24 bits */
  if (exponent + drop < -149) drop = -149 - exponent; /* fewer below 2^-126 */
  u128 mantissa = shift_right(quotient, drop, rest);
  return ldexpf((float)(uint32_t)mantissa, exponent + drop);
}

static rt_fixed negate(rt_fixed v) {
  uint64_t low = ~v.low + 1;
  return (rt_fixed){low, ~v.high + (low == 0)};
}

rt_fixed rt_fixed_from_signed(float x) {
  const float most = 0x1p38f;
  rt_fixed v;
  float magnitude = fabsf(x);
  rt_fixed_from(&v, magnitude < most ? magnitude : x != x ? 0.0f : most);
  return x < 0.0f ? negate(v) : v;
}

float rt_fixed_mean_signed(rt_fixed sum, uint64_t n) {
  return sum.high >> 63 ? -rt_fixed_mean(negate(sum), n) : rt_fixed_mean(sum, n);
}
