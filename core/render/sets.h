/* The sampler's numbers for many samples, for the instruction set that the file which includes this is compiled for. It
 * defines RT_SETS, and gets a function of this name, rt_sampler_pairs in all but the name. Integers only, and each
 * lane by itself: nothing depends on the width. */
#include <string.h>

#include "base/hash.h"
#include "render/sampler.h"

#ifdef __AVX2__
#define WIDTH 8
#else
#define WIDTH 4
#endif
typedef uint32_t lanes __attribute__((vector_size(4 * WIDTH)));
typedef int32_t signed_lanes __attribute__((vector_size(4 * WIDTH)));
typedef float float_lanes __attribute__((vector_size(4 * WIDTH)));
#define LANES static inline __attribute__((always_inline)) lanes

/* Samples of the index that are put in another order: those beyond keep to their block. Each nibble that can differ
 * from zero is a look-up. */
#define SHUFFLED_BITS 16
#define SHUFFLED ((1u << SHUFFLED_BITS) - 1)

/* As hash.h has them. */
LANES hash_lanes(lanes x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ x >> 16;
}

LANES combine_lanes(lanes seed, uint32_t v) { return hash_lanes(seed ^ (v + 0x9e3779b9u + (seed << 6) + (seed >> 2))); }

LANES reverse_lanes(lanes x) {
  x = x << 16 | x >> 16;
  x = (x & 0x00ff00ffu) << 8 | (x >> 8 & 0x00ff00ffu);
  x = (x & 0x0f0f0f0fu) << 4 | (x >> 4 & 0x0f0f0f0fu);
  x = (x & 0x33333333u) << 2 | (x >> 2 & 0x33333333u);
  return (x & 0x55555555u) << 1 | (x >> 1 & 0x55555555u);
}

/* A hash in which each bit depends on itself and the lower ones alone: on bit-reversed numbers it is an Owen
 * scramble. Laine and Karras 2011, with the constants of Vegdahl 2021, "Building a Better LK Hash". */
LANES scramble_lanes(lanes x, lanes seed) {
  x ^= x * 0x3d20adeau;
  x += seed;
  x *= seed >> 16 | 1;
  x ^= x * 0x05526c56u;
  return x ^ x * 0x53a22864u;
}

/* For each of WIDTH samples the set's own seed, and its own order of indices. */
static inline void set_out(const uint32_t seed[WIDTH], const uint32_t index[WIDTH], uint32_t set,
                           uint32_t set_seed[WIDTH], uint32_t shuffled[WIDTH]) {
  lanes s, i;
  memcpy(&s, seed, sizeof s);
  memcpy(&i, index, sizeof i);
  s = combine_lanes(s, set);
  i = (reverse_lanes(scramble_lanes(reverse_lanes(i), s)) & SHUFFLED) | (i & ~SHUFFLED);
  memcpy(set_seed, &s, sizeof s);
  memcpy(shuffled, &i, sizeof i);
}

/* Four dimensions of the point, bits reversed. */
static inline void look_up(uint32_t index, uint32_t out[4]) {
  rt_sobol_point point = rt_sobol_reversed[0][index & 15];
  for (int n = 1; n < SHUFFLED_BITS / 4; n++) point ^= rt_sobol_reversed[n][index >> 4 * n & 15];
  for (int n = SHUFFLED_BITS / 4; n < 8 && index >> 4 * n; n++) point ^= rt_sobol_reversed[n][index >> 4 * n & 15];
  memcpy(out, &point, sizeof point);
}

/* Eight numbers: the points of two sets, each dimension scrambled by a seed of its own. */
static inline void finish(const uint32_t seed[2], const uint32_t points[8], float out[8]) {
  static const uint32_t of_dimension[8] = {0x1f83d9abu, 0x5be0cd19u, 0x9b05688cu, 0x510e527fu,
                                           0x1f83d9abu, 0x5be0cd19u, 0x9b05688cu, 0x510e527fu};
  const uint32_t seeds[8] = {seed[0], seed[0], seed[0], seed[0], seed[1], seed[1], seed[1], seed[1]};
  for (int i = 0; i < 8; i += WIDTH) {
    lanes x, s, d;
    memcpy(&x, points + i, sizeof x);
    memcpy(&s, seeds + i, sizeof s);
    memcpy(&d, of_dimension + i, sizeof d);
    x = reverse_lanes(scramble_lanes(x, hash_lanes(s ^ d)));
    float_lanes u = __builtin_convertvector((signed_lanes)(x >> 8), float_lanes) * 0x1p-24f;
    memcpy(out + i, &u, sizeof u);
  }
}

void RT_SETS(size_t n, const rt_sampler *const samplers[], uint32_t set, float *const out[]) {
  for (size_t begin = 0; begin < n; begin += WIDTH) {
    size_t count = n - begin < WIDTH ? n - begin : WIDTH;
    uint32_t seed[WIDTH] = {0}, index[WIDTH] = {0}, seeds[2][WIDTH], shuffled[2][WIDTH];
    for (size_t i = 0; i < count; i++) {
      seed[i] = samplers[begin + i]->seed;
      index[i] = samplers[begin + i]->index;
    }
    for (uint32_t k = 0; k < 2; k++) set_out(seed, index, set + k, seeds[k], shuffled[k]);
    for (size_t i = 0; i < count; i++) {
      uint32_t points[8];
      look_up(shuffled[0][i], points);
      look_up(shuffled[1][i], points + 4);
      finish((const uint32_t[2]){seeds[0][i], seeds[1][i]}, points, out[begin + i]);
    }
  }
}
