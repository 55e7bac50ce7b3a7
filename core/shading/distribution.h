/* Discrete choices with stated probabilities, by binary search in cumulative weights.
 *
 * Weights become whole units, so that sampling and density come from the same integers and agree exactly: a choice has
 * probability units / total. Binary search, not an alias table: it maps [0, 1) to the choices monotonically, which
 * keeps the stratification of the sampler's numbers.
 *
 * Invariant: cumulative[i] is the number of units of choices 0 to i; a choice has units if and only if its weight is
 * above 0; total = cumulative[n - 1] < 2^32. */
#ifndef RT_SHADING_DISTRIBUTION_H
#define RT_SHADING_DISTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

#define RT_DISTRIBUTION_MAX (1u << 30) /* choices: a unit each still leaves room for 2^31 that follow the weights */

/* Fills `cumulative` from n >= 1 weights, finite and at least 0. Returns the total, 0 when every weight is 0. */
uint32_t rt_distribution_build(uint32_t *cumulative, const double *weights, size_t n);

/* The choice that u in [0, 1) falls on, and in *rest where in [0, 1) within it. The total must be above 0. */
size_t rt_distribution_choose(const uint32_t *cumulative, size_t n, double u, double *rest);

static inline uint32_t rt_distribution_units(const uint32_t *cumulative, size_t i) {
  return i ? cumulative[i] - cumulative[i - 1] : cumulative[0];
}

#endif
