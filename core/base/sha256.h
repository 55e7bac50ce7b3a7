/* SHA-256, FIPS 180-4. */
#ifndef RT_BASE_SHA256_H
#define RT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* What blocks of 64 bytes do to the state: the definition, and where the processor has instructions for it. */
typedef void rt_sha256_compress(uint32_t state[8], const uint8_t *blocks, size_t n);
rt_sha256_compress rt_sha256_compress_base, rt_sha256_compress_x86;
extern const uint32_t rt_sha256_constants[64];

typedef struct {
  rt_sha256_compress *compress;
  uint32_t state[8];
  uint64_t length;
  uint8_t block[64];
} rt_sha256;
void rt_sha256_init(rt_sha256 *s);
void rt_sha256_add(rt_sha256 *s, const void *data, size_t n);
void rt_sha256_end(rt_sha256 *s, uint8_t digest[32]);
void rt_sha256_hex(rt_sha256 *s, char hex[65]); /* ends it too */

/* For hashes that are the same on every machine: little-endian. */
void rt_sha256_u32(rt_sha256 *s, uint32_t v);
void rt_sha256_u32s(rt_sha256 *s, const uint32_t *v, size_t n);
void rt_sha256_floats(rt_sha256 *s, const float *v, size_t n); /* -0 counts as 0 */
void rt_sha256_doubles(rt_sha256 *s, const double *v, size_t n);

#endif
