/* The sampler: Owen-scrambled Sobol points, a pure function of (pixel, sample, dimension, seed). Burley 2020,
 * "Practical Hash-based Owen Scrambling": the first four Sobol dimensions, padded: each set of four dimensions has an
 * index order of its own by a nested uniform shuffle. */
#ifndef RT_RENDER_SAMPLER_H
#define RT_RENDER_SAMPLER_H

#include "base/lanes.h"

typedef struct {
  uint32_t seed, index;
} rt_sampler;

/* x and y count from the whole picture's top left, so that crops see the same numbers. */
rt_sampler rt_sampler_at(uint32_t x, uint32_t y, uint32_t sample, uint32_t seed);
/* Eight of them. */
typedef struct {
  _Alignas(32) uint32_t seed[RT_LANES], index[RT_LANES];
} rt_sampler_lanes;
/* For each eight uniform numbers in [0, 1): the four of `set`, then those of the next set. */
void rt_sampler_pairs(const rt_sampler_lanes *samplers, uint32_t set, float out[8][RT_LANES]);
/* Sobol's sequence itself, unscrambled, by Joe and Kuo's direction numbers: dimension 0 to 3, binary order. */
uint32_t rt_sobol(uint32_t index, uint32_t dimension);

/* ---- Between sampler.c and sets.h ---- */

/* Four dimensions. */
typedef uint32_t rt_sobol_point __attribute__((vector_size(16)));
/* [n][v]: the bit-reversed point whose index has nibble n equal to v and zeros elsewhere; points add by exclusive or.
 * Filled in by the first rt_sampler_at. */
extern rt_sobol_point rt_sobol_reversed[8][16];
/* rt_sampler_pairs for an instruction set each. */
void rt_sampler_pairs_base(const rt_sampler_lanes *samplers, uint32_t set, float out[8][RT_LANES]);
void rt_sampler_pairs_avx2(const rt_sampler_lanes *samplers, uint32_t set, float out[8][RT_LANES]);

#endif
