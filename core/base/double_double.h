/* Pairs of doubles, and the bits of one: what the elementary functions stand on.
 *
 * A dd is an unevaluated sum high + low with |low| <= ulp(high) / 2, about 106 bits. Without a fused multiply-add a
 * product's error comes from halves of its factors (Dekker 1971, "A Floating-Point Technique for Extending the
 * Available Precision"). All of it assumes rounding to nearest, without overflow or underflow: callers scale. */
#ifndef RT_BASE_DOUBLE_DOUBLE_H
#define RT_BASE_DOUBLE_DOUBLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/exact.h"

typedef struct {
  double high, low;
} dd;

static inline uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static inline double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
/* 2^k for k in [-1022, 1023]. */
static inline double exp2_int(int64_t k) { return from_bits((uint64_t)(k + 1023) << 52); }

/* x to the nearest whole number, ties to even, for |x| < 2^51: as a double by adding and subtracting ROUND_MAGIC, as an
 * integer from the low bits of the sum. No cast: a NaN gives some integer, not undefined behaviour. */
#define ROUND_MAGIC 0x1.8p52
static inline int64_t round_bits(double shifted) { return (int64_t)(bits_of(shifted) - UINT64_C(0x4338000000000000)); }

/* a + b exactly; quick_sum needs |a| >= |b| or a = 0. */
static inline dd quick_sum(double a, double b) {
  double s = a + b;
  return (dd){s, b - (s - a)};
}
static inline dd two_sum(double a, double b) {
  double s = a + b, t = s - a;
  return (dd){s, (a - (s - t)) + (b - t)};
}
/* The upper 26 bits of x; x minus it has 27. */
static inline double upper_half(double x) { return from_bits(bits_of(x) & ~UINT64_C(0x7ffffff)); }
/* a b, its error below 2^-105 of it. */
static inline dd two_product(double a, double b) {
  double p = a * b, ah = upper_half(a), al = a - ah, bh = upper_half(b), bl = b - bh;
  return (dd){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

#endif
