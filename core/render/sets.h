/* The sampler's numbers for many samples, for the instruction set that the file which includes this is compiled for. It
 * defines RT_SETS, and gets a function of this name, rt_sampler_pairs in all but the name. Integers only, and each
 * lane by itself: nothing depends on the width. */
#include <string.h>

#include "base/hash.h"
#include "render/sampler.h"

#ifdef __AVX2__
#include <immintrin.h>
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

LANES hash_lanes(lanes x) {
  HASH_IN_PLACE(x);
  return x;
}

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
  s = hash_lanes(HASH_MIXED(s, set));
  i = (reverse_lanes(scramble_lanes(reverse_lanes(i), s)) & SHUFFLED) | (i & ~SHUFFLED);
  memcpy(set_seed, &s, sizeof s);
  memcpy(shuffled, &i, sizeof i);
}

/* Four dimensions of the point, bits reversed. */
static inline rt_sobol_point look_up(uint32_t index) {
  rt_sobol_point point = rt_sobol_reversed[0][index & 15];
  for (int n = 1; n < SHUFFLED_BITS / 4; n++) point ^= rt_sobol_reversed[n][index >> 4 * n & 15];
  for (int n = SHUFFLED_BITS / 4; n < 8 && index >> 4 * n; n++) point ^= rt_sobol_reversed[n][index >> 4 * n & 15];
  return point;
}

/* Numbers of points whose dimensions are scrambled, each by a seed of its own. */
static inline __attribute__((always_inline)) void finish(lanes point, lanes seed, float *out) {
  const uint32_t a = 0x1f83d9abu, b = 0x5be0cd19u, c = 0x9b05688cu, d = 0x510e527fu;
#if WIDTH == 8
  const lanes of_dimension = {a, b, c, d, a, b, c, d};
#else
  const lanes of_dimension = {a, b, c, d};
#endif
  point = reverse_lanes(scramble_lanes(point, hash_lanes(seed ^ of_dimension)));
  float_lanes u = __builtin_convertvector((signed_lanes)(point >> 8), float_lanes) * 0x1p-24f;
  memcpy(out, &u, sizeof u);
}

/* Eight numbers: the points of two sets. In registers: what is put together in memory from parts that have just been
 * stored waits for the stores. */
static inline void finish_pair(const uint32_t seed[2], const uint32_t shuffled[2], float out[8]) {
  rt_sobol_point p = look_up(shuffled[0]), q = look_up(shuffled[1]);
#if WIDTH == 8
  lanes seeds = (lanes)_mm256_set_m128i(_mm_set1_epi32((int)seed[1]), _mm_set1_epi32((int)seed[0]));
  finish((lanes)_mm256_set_m128i((__m128i)q, (__m128i)p), seeds, out);
#else
  finish(p, (lanes){seed[0], seed[0], seed[0], seed[0]}, out);
  finish(q, (lanes){seed[1], seed[1], seed[1], seed[1]}, out + 4);
#endif
}

void RT_SETS(const rt_sampler_lanes *samplers, uint32_t set, float out[8][RT_LANES]) {
  _Alignas(32) float numbers[RT_LANES][8];
  for (int begin = 0; begin < RT_LANES; begin += WIDTH) {
    uint32_t seeds[2][WIDTH], shuffled[2][WIDTH];
    for (uint32_t k = 0; k < 2; k++)
      set_out(samplers->seed + begin, samplers->index + begin, set + k, seeds[k], shuffled[k]);
    for (int i = 0; i < WIDTH; i++)
      finish_pair((const uint32_t[2]){seeds[0][i], seeds[1][i]}, (const uint32_t[2]){shuffled[0][i], shuffled[1][i]},
                  numbers[begin + i]);
  }
  for (int k = 0; k < 8; k++) RT_EACH_LANE(i) out[k][i] = numbers[i][k];
}
