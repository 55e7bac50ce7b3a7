/* The sampler: Owen-scrambled Sobol points, a pure function of (pixel, sample, dimension, seed). Burley 2020,
 * "Practical Hash-based Owen Scrambling": the first four Sobol dimensions, padded: each set of four dimensions has an
 * index order of its own by a nested uniform shuffle. */
#ifndef RT_RENDER_SAMPLER_H
#define RT_RENDER_SAMPLER_H

#include <stdint.h>

typedef struct {
  uint32_t seed, index;
} rt_sampler;

/* x and y count from the whole picture's top left, so that crops see the same numbers. */
rt_sampler rt_sampler_at(uint32_t x, uint32_t y, uint32_t sample, uint32_t seed);
/* Four uniform numbers in [0, 1) for dimensions 4 set .. 4 set + 3. */
void rt_sampler_set(const rt_sampler *sampler, uint32_t set, float out[4]);
/* Sobol's sequence itself, unscrambled, by Joe and Kuo's direction numbers: dimension 0 to 3, binary order. */
uint32_t rt_sobol(uint32_t index, uint32_t dimension);

#endif
