/* SHA-256 by x86-64's instructions for it (Gulley et al. 2013, "Intel SHA Extensions"): each makes two rounds, or four
 * words of the schedule. */
#ifdef __x86_64__
#include <immintrin.h>

#include "base/sha256.h"

void rt_sha256_compress_x86(uint32_t state[8], const uint8_t *blocks, size_t n) {
  const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  /* The instructions want the state as a b e f and c d g h, from the highest word down. */
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1),
          high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);
  for (; n > 0; blocks += 64, n--) {
    __m128i before[2] = {abef, cdgh}, w[4];
    for (int i = 0; i < 4; i++)
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)), big_endian);
    for (int i = 0; i < 16; i++) {
      __m128i *now = &w[i % 4], last = w[(i + 3) % 4];
      __m128i k = _mm_loadu_si128((const __m128i *)(rt_sha256_constants + 4 * i)), sum = _mm_add_epi32(*now, k);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
      __m128i seventh = _mm_alignr_epi8(last, w[(i + 2) % 4], 4); /* w[t - 7] for the four that come 16 later */
      *now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(i + 1) % 4]), seventh), last);
    }
    abef = _mm_add_epi32(abef, before[0]);
    cdgh = _mm_add_epi32(cdgh, before[1]);
  }
  low = _mm_shuffle_epi32(abef, 0x1b);
  high = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#else
typedef int nothing_here; /* an empty file is no C */
#endif
