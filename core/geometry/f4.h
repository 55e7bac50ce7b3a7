/* Four floats at once, by the compilers' vector extension: SSE2's instructions on x86, NEON's elsewhere. Internal to
 * this room. Each lane is an IEEE operation of its own, so that nothing here depends on the instruction set. */
#ifndef RT_GEOMETRY_F4_H
#define RT_GEOMETRY_F4_H

#include <float.h>
#include <stdint.h>

#include "base/exact.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef float rt_f4 __attribute__((vector_size(16)));
typedef int32_t rt_i4 __attribute__((vector_size(16)));

static inline rt_f4 f4_all(float x) { return (rt_f4){x, x, x, x}; }
static inline rt_f4 f4_load(const float *p) { return *(const rt_f4 *)p; } /* p is aligned to 16 */

static inline rt_f4 f4_abs(rt_f4 a) { return (rt_f4)((rt_i4)a & (rt_i4){INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}); }
static inline rt_f4 f4_copysign(rt_f4 size, rt_f4 sign) { /* size is not negative */
  return (rt_f4)((rt_i4)size | ((rt_i4)sign & (rt_i4){INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN}));
}
static inline rt_i4 f4_is_finite(rt_f4 a) { return f4_abs(a) <= f4_all(FLT_MAX); } /* by lane: -1 or 0 */
/* a where a < b (a > b), else b: a NaN in a gives b. */
static inline rt_f4 f4_min(rt_f4 a, rt_f4 b) {
#ifdef __SSE2__
  return (rt_f4)_mm_min_ps((__m128)a, (__m128)b);
#else
  rt_i4 m = a < b;
  return (rt_f4)((m & (rt_i4)a) | (~m & (rt_i4)b));
#endif
}
static inline rt_f4 f4_max(rt_f4 a, rt_f4 b) {
#ifdef __SSE2__
  return (rt_f4)_mm_max_ps((__m128)a, (__m128)b);
#else
  rt_i4 m = a > b;
  return (rt_f4)((m & (rt_i4)a) | (~m & (rt_i4)b));
#endif
}
/* Bit i is set where lane i of a comparison is true. */
static inline unsigned i4_mask(rt_i4 m) {
#ifdef __SSE2__
  return (unsigned)_mm_movemask_ps((__m128)m);
#else
  return (m[0] & 1u) | (m[1] & 2u) | (m[2] & 4u) | (m[3] & 8u);
#endif
}

#endif
