/* Integer hashes, for seeds and sampling. Not for security: that is sha256.h. */
#ifndef RT_BASE_HASH_H
#define RT_BASE_HASH_H

#include <stdint.h>

/* Of a uint32_t or of a vector of them, in place. A bijection of 32 bits with low bias: Wellons 2018, "Prospecting for
 * Hash Functions" (lowbias32). */
#define HASH_IN_PLACE(x)                                                                                               \
  do {                                                                                                                 \
    (x) ^= (x) >> 16;                                                                                                  \
    (x) *= 0x7feb352du;                                                                                                \
    (x) ^= (x) >> 15;                                                                                                  \
    (x) *= 0x846ca68bu;                                                                                                \
    (x) ^= (x) >> 16;                                                                                                  \
  } while (0)
#define HASH_MIXED(seed, v) ((seed) ^ ((v) + 0x9e3779b9u + ((seed) << 6) + ((seed) >> 2)))

static inline uint32_t hash_u32(uint32_t x) {
  HASH_IN_PLACE(x);
  return x;
}
static inline uint32_t hash_combine(uint32_t seed, uint32_t v) { return hash_u32(HASH_MIXED(seed, v)); }

#endif
