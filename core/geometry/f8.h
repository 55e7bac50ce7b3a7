/* Eight floats at once: one register with AVX2 and AVX-512, two of f4.h's else. Internal to this room. Each lane is an
 * IEEE operation of its own, so that nothing here depends on the instruction set. */
#ifndef RT_GEOMETRY_F8_H
#define RT_GEOMETRY_F8_H

#include "geometry/f4.h"

#ifdef __AVX2__

#include <immintrin.h>

typedef __m256 rt_f8;

static inline rt_f8 f8_all(float x) { return _mm256_set1_ps(x); }
static inline rt_f8 f8_load(const float *p) { return _mm256_load_ps(p); } /* p is aligned to 32 */
static inline void f8_store(float *p, rt_f8 v) { _mm256_store_ps(p, v); }
static inline rt_f8 f8_sub(rt_f8 a, rt_f8 b) { return _mm256_sub_ps(a, b); }
static inline rt_f8 f8_mul(rt_f8 a, rt_f8 b) { return _mm256_mul_ps(a, b); }
static inline rt_f8 f8_add(rt_f8 a, rt_f8 b) { return _mm256_add_ps(a, b); }
static inline rt_f8 f8_abs(rt_f8 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/* a where a < b (a > b), else b: a NaN in a gives b. */
static inline rt_f8 f8_min(rt_f8 a, rt_f8 b) { return _mm256_min_ps(a, b); }
static inline rt_f8 f8_max(rt_f8 a, rt_f8 b) { return _mm256_max_ps(a, b); }
/* Which lane each of eight takes: three bits each, the first lowest. */
typedef __m256i rt_lanes;
static inline rt_lanes f8_lanes(uint32_t of) {
  return _mm256_srlv_epi32(_mm256_set1_epi32((int)of), _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21));
}
static inline rt_f8 f8_pick(rt_f8 a, rt_lanes lanes) { return _mm256_permutevar8x32_ps(a, lanes); }
/* (x - o) rd, with what f_plane_origin makes of o: for boxes, by whichever arithmetic is fast. */
static inline float f_plane_origin(float o, float rd) { return o * rd; }
static inline rt_f8 f8_plane(rt_f8 x, rt_f8 o, rt_f8 rd) { return _mm256_fmsub_ps(x, rd, o); }
/* Bit i is set where lane i's comparison is true. */
static inline unsigned f8_le(rt_f8 a, rt_f8 b) {
#ifdef __AVX512VL__
  return _mm256_cmp_ps_mask(a, b, _CMP_LE_OQ);
#else
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ));
#endif
}
static inline unsigned f8_lt(rt_f8 a, rt_f8 b) {
#ifdef __AVX512VL__
  return _mm256_cmp_ps_mask(a, b, _CMP_LT_OQ);
#else
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
#endif
}

#else

typedef struct {
  rt_f4 low, high;
} rt_f8;

static inline rt_f8 f8_all(float x) { return (rt_f8){f4_all(x), f4_all(x)}; }
static inline rt_f8 f8_load(const float *p) { return (rt_f8){f4_load(p), f4_load(p + 4)}; }
static inline void f8_store(float *p, rt_f8 v) {
  *(rt_f4 *)p = v.low;
  *(rt_f4 *)(p + 4) = v.high;
}
static inline rt_f8 f8_sub(rt_f8 a, rt_f8 b) { return (rt_f8){a.low - b.low, a.high - b.high}; }
static inline rt_f8 f8_mul(rt_f8 a, rt_f8 b) { return (rt_f8){a.low * b.low, a.high * b.high}; }
static inline rt_f8 f8_add(rt_f8 a, rt_f8 b) { return (rt_f8){a.low + b.low, a.high + b.high}; }
static inline rt_f8 f8_abs(rt_f8 a) { return (rt_f8){f4_abs(a.low), f4_abs(a.high)}; }
static inline rt_f8 f8_min(rt_f8 a, rt_f8 b) { return (rt_f8){f4_min(a.low, b.low), f4_min(a.high, b.high)}; }
static inline rt_f8 f8_max(rt_f8 a, rt_f8 b) { return (rt_f8){f4_max(a.low, b.low), f4_max(a.high, b.high)}; }
typedef uint32_t rt_lanes;
static inline rt_lanes f8_lanes(uint32_t of) { return of; }
static inline rt_f8 f8_pick(rt_f8 a, rt_lanes lanes) {
  _Alignas(16) float of[8], picked[8];
  f8_store(of, a);
  for (int i = 0; i < 8; i++) picked[i] = of[lanes >> 3 * i & 7];
  return f8_load(picked);
}
static inline float f_plane_origin(float o, float rd) {
  (void)rd;
  return o;
}
static inline rt_f8 f8_plane(rt_f8 x, rt_f8 o, rt_f8 rd) { return f8_mul(f8_sub(x, o), rd); }
static inline unsigned f8_le(rt_f8 a, rt_f8 b) { return i4_mask(a.low <= b.low) | i4_mask(a.high <= b.high) << 4; }
static inline unsigned f8_lt(rt_f8 a, rt_f8 b) { return i4_mask(a.low < b.low) | i4_mask(a.high < b.high) << 4; }

#endif
#endif
