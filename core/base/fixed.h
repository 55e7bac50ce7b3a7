/* Sums that do not depend on order: 128-bit fixed point, 64 bits before and 64 behind the point. Sums of radiance have
 * no sign; those that do are in two's complement.
 *
 * A radiance x in [0, 2^40) is rounded to a multiple of 2^-64 once; integer addition is associative, so that any
 * order and any grouping of the same samples gives the same sum. Error: at most 2^-65 a sample, that is 2^-25
 * relative for x >= 2^-40 (1e-12); 2^24 samples below 2^40 (1e12) cannot overflow. */
#ifndef RT_BASE_FIXED_H
#define RT_BASE_FIXED_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uint64_t low, high;
} rt_fixed; /* high.low: value = high + low 2^-64 */

/* x must be finite and at least 0; clamps to 2^40 and returns false when it is above. */
bool rt_fixed_from(rt_fixed *out, float x);
static inline void rt_fixed_add(rt_fixed *sum, rt_fixed v) {
  uint64_t low = sum->low + v.low;
  sum->high += v.high + (low < v.low);
  sum->low = low;
}
/* sum / n, rounded to the nearest float (ties to even); 0 for n = 0. */
float rt_fixed_mean(rt_fixed sum, uint64_t n);

/* The same for values with a sign: clamped to 2^38 either way, NaN to 0. */
rt_fixed rt_fixed_from_signed(float x);
float rt_fixed_mean_signed(rt_fixed sum, uint64_t n);

#endif
