/* SHA-256 by FIPS 180-4, section 6.2. The constants are the fractional parts of the square roots of the first 8 primes
 * and of the cube roots of the first 64. A processor with instructions for it takes a sixth of the time: a scene's
 * vertices are a gigabyte before they are many. */
#include "base/sha256.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

const uint32_t rt_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void compress_block(uint32_t state[8], const uint8_t block[64]) {
  uint32_t w[64];
  for (int t = 0; t < 16; t++, block += 4)
    w[t] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
  for (int t = 16; t < 64; t++) {
    uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < 64; t++) {
    uint32_t choice = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
    uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choice + rt_sha256_constants[t] + w[t];
    uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority;
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const uint32_t result[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++) state[i] += result[i];
}

void rt_sha256_compress_base(uint32_t state[8], const uint8_t *blocks, size_t n) {
  for (; n > 0; blocks += 64, n--) compress_block(state, blocks);
}

static rt_sha256_compress *find_best(void) {
#ifdef __x86_64__
  unsigned a, b, c, d, leaf7;
  bool known = __get_cpuid_count(7, 0, &a, &leaf7, &c, &d) && __get_cpuid(1, &a, &b, &c, &d);
  if (known && (leaf7 & bit_SHA) && (c & bit_SSE4_1)) return rt_sha256_compress_x86;
#endif
  return rt_sha256_compress_base;
}

static _Atomic(rt_sha256_compress *) best; /* NULL: not looked for yet */

void rt_sha256_init(rt_sha256 *s) {
  rt_sha256_compress *compress = atomic_load_explicit(&best, memory_order_relaxed);
  if (!compress) {
    compress = find_best();
    atomic_store_explicit(&best, compress, memory_order_relaxed);
  }
  *s = (rt_sha256){
      .compress = compress,
      .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void rt_sha256_add(rt_sha256 *s, const void *data, size_t n) {
  const uint8_t *bytes = data;
  size_t held = s->length % 64;
  s->length += n;
  if (held) {
    size_t taken = n < 64 - held ? n : 64 - held;
    if (taken) memcpy(s->block + held, bytes, taken);
    if (held + taken < 64) return;
    s->compress(s->state, s->block, 1);
    bytes += taken;
    n -= taken;
  }
  s->compress(s->state, bytes, n / 64);
  if (n % 64) memcpy(s->block, bytes + n / 64 * 64, n % 64);
}

void rt_sha256_end(rt_sha256 *s, uint8_t digest[32]) {
  uint64_t bit_length = s->length * 8;
  size_t held = s->length % 64;
  uint8_t padding[72] = {0x80};
  size_t n = (held < 56 ? 56 : 120) - held;
  for (int i = 0; i < 8; i++) padding[n + (size_t)i] = (uint8_t)(bit_length >> (56 - 8 * i));
  rt_sha256_add(s, padding, n + 8);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

void rt_sha256_hex(rt_sha256 *s, char hex[65]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t digest[32];
  rt_sha256_end(s, digest);
  for (int i = 0; i < 32; i++) {
    hex[2 * i] = digits[digest[i] >> 4];
    hex[2 * i + 1] = digits[digest[i] & 15];
  }
  hex[64] = '\0';
}

static void put_u32(uint8_t bytes[4], uint32_t v) {
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(v >> 8 * i);
}

#define BATCH 64 /* numbers that are made bytes of at a time */

void rt_sha256_u32s(rt_sha256 *s, const uint32_t *v, size_t n) {
  uint8_t bytes[4 * BATCH];
  for (size_t done = 0, count; done < n; done += count) {
    count = n - done < BATCH ? n - done : BATCH;
    for (size_t i = 0; i < count; i++) put_u32(bytes + 4 * i, v[done + i]);
    rt_sha256_add(s, bytes, 4 * count);
  }
}

void rt_sha256_u32(rt_sha256 *s, uint32_t v) { rt_sha256_u32s(s, &v, 1); }

void rt_sha256_floats(rt_sha256 *s, const float *v, size_t n) {
  uint32_t bits[BATCH];
  for (size_t done = 0, count; done < n; done += count) {
    count = n - done < BATCH ? n - done : BATCH;
    for (size_t i = 0; i < count; i++) {
      float x = v[done + i] == 0.0f ? 0.0f : v[done + i];
      memcpy(&bits[i], &x, sizeof x);
    }
    rt_sha256_u32s(s, bits, count);
  }
}

void rt_sha256_doubles(rt_sha256 *s, const double *v, size_t n) {
  uint32_t bits[BATCH];
  for (size_t done = 0, count; done < n; done += count) {
    count = n - done < BATCH / 2 ? n - done : BATCH / 2;
    for (size_t i = 0; i < count; i++) {
      double x = v[done + i] == 0.0 ? 0.0 : v[done + i];
      uint64_t both;
      memcpy(&both, &x, sizeof x);
      bits[2 * i] = (uint32_t)both;
      bits[2 * i + 1] = (uint32_t)(both >> 32);
    }
    rt_sha256_u32s(s, bits, 2 * count);
  }
}
