/* Discrete choices: see the header for the invariant. */
#include "shading/distribution.h"

uint32_t rt_distribution_build(uint32_t *cumulative, const double *weights, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += weights[i];

  uint32_t total = 0;
  for (size_t i = 0; i < n; i++) {
    /* The quotient is at most 1; rounded sums make the units exceed 2^31 by a few at most. */
    if (weights[i] > 0.0) total += 1u + (uint32_t)(weights[i] / sum * 0x1p31);
    cumulative[i] = total;
  }
  return total;
}

size_t rt_distribution_choose(const uint32_t *cumulative, size_t n, double u, double *rest) {
  double x = u * cumulative[n - 1];
  size_t low = 0, high = n - 1; /* the first i with x < cumulative[i]: never one without units */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (x < cumulative[middle])
      high = middle;
    else
      low = middle + 1;
  }
  uint32_t units = rt_distribution_units(cumulative, low);
  *rest = (x - (cumulative[low] - units)) / units;
  return low;
}
