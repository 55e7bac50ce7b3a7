#include "render/sampler.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/isa.h"

/* Joe and Kuo 2008, "Constructing Sobol sequences with better two-dimensional projections", new-joe-kuo-6: for each
 * dimension behind the first the degree of its primitive polynomial, the polynomial's inner coefficients and the
 * first m. */
static const struct {
  int degree;
  uint32_t coefficients, m[3];
} JOE_KUO[3] = {
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
};

rt_sobol_point rt_sobol_reversed[8][16];
static uint32_t directions[4][32]; /* directions[d][i]: the point of index 2^i */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t reverse_bits(uint32_t x) {
  x = __builtin_bswap32(x);
  x = (x & 0x0f0f0f0fu) << 4 | (x >> 4 & 0x0f0f0f0fu);
  x = (x & 0x33333333u) << 2 | (x >> 2 & 0x33333333u);
  return (x & 0x55555555u) << 1 | (x >> 1 & 0x55555555u);
}

static uint32_t sobol_point(uint32_t index, uint32_t dimension) {
  uint32_t point = 0;
  for (int i = 0; i < 32; i++) {
    if (index >> i & 1) point ^= directions[dimension][i];
  }
  return point;
}

static void prepare(void) {
  for (int i = 0; i < 32; i++) directions[0][i] = 1u << (31 - i);
  for (int d = 1; d < 4; d++) {
    int degree = JOE_KUO[d - 1].degree;
    uint32_t *v = directions[d];
    for (int i = 0; i < 32; i++) {
      if (i < degree) {
        v[i] = JOE_KUO[d - 1].m[i] << (31 - i);
        continue;
      }
      v[i] = v[i - degree] ^ v[i - degree] >> degree;
      for (int k = 1; k < degree; k++) {
        if (JOE_KUO[d - 1].coefficients >> (degree - 1 - k) & 1) v[i] ^= v[i - k];
      }
    }
  }
  for (int n = 0; n < 8; n++) {
    for (uint32_t value = 0; value < 16; value++) {
      for (int d = 0; d < 4; d++)
        rt_sobol_reversed[n][value][d] = reverse_bits(sobol_point(value << 4 * n, (uint32_t)d));
    }
  }
}

uint32_t rt_sobol(uint32_t index, uint32_t dimension) {
  pthread_once(&once, prepare);
  return sobol_point(index, dimension & 3);
}

rt_sampler rt_sampler_at(uint32_t x, uint32_t y, uint32_t sample, uint32_t seed) {
  pthread_once(&once, prepare);
  return (rt_sampler){hash_combine(hash_combine(hash_u32(seed), x), y), sample};
}

void rt_sampler_pairs(const rt_sampler_lanes *samplers, uint32_t set, float out[8][RT_LANES]) {
  RT_BY_ISA(rt_sampler_pairs)(samplers, set, out);
}
