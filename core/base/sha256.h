/* SHA-256, FIPS 180-4. */
#ifndef RT_BASE_SHA256_H
#define RT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
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
void rt_sha256_floats(rt_sha256 *s, const float *v, size_t n); /* -0 counts as 0 */
void rt_sha256_doubles(rt_sha256 *s, const double *v, size_t n);

#endif
