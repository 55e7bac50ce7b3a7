/* Numbers out of text.
 *
 * A decimal is m 10^e with an integer m. For |e| <= 22 the double m * 10^e or m / 10^e has two roundings (of m and
 * of the product) and is within 2 ulp of the truth, 3 when digits beyond the nineteenth were cut off. Rounding it to
 * float is right unless it lies that near to the middle between two floats: then, and for all other exponents,
 * strtof decides (as Clinger 1990 does, "How to Read Floating Point Numbers Accurately", with his fast path widened
 * by the check). strtof gets digits and an exponent without a decimal point, so that no locale matters. */
#include "base/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact.h"

/* A float's midpoint has at most 113 significant digits: what comes behind 120 matters only by not being all zero. */
#define MAX_DIGITS 120
/* Beyond it every float is 0 or infinite, however many digits stand before or behind the point. */
#define MAX_EXPONENT 1000000000

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

const char *rt_text_uint(const char *p, uint64_t *out) {
  if (!is_digit(*p)) return NULL;
  uint64_t v = 0;
  for (; is_digit(*p); p++) {
    unsigned digit = (unsigned)(*p - '0');
    v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
  }
  *out = v;
  return p;
}

static const char *match_word(const char *p, const char *word) {
  for (; *word; p++, word++)
    if ((*p | 0x20) != *word) return NULL;
  return p;
}

/* nan, nan(...), inf, infinity. */
static const char *special(const char *p, float *out) {
  const char *end = match_word(p, "nan");
  if (end) {
    *out = NAN;
    if (*end != '(') return end;
    const char *close = end + 1;
    while (is_digit(*close) || ((*close | 0x20) >= 'a' && (*close | 0x20) <= 'z') || *close == '_') close++;
    return *close == ')' ? close + 1 : end;
  }
  end = match_word(p, "inf");
  if (!end) return NULL;
  *out = INFINITY;
  const char *whole = match_word(end, "inity");
  return whole ? whole : end;
}

/* The exact way, for the decimal whose digits are text[0, n) (a point among them is skipped), times 10^exponent. */
static float by_strtof(const char *text, size_t n, int64_t exponent) {
  char buffer[MAX_DIGITS + 32];
  size_t used = 0;
  bool sticky = false;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '.' || (used == 0 && text[i] == '0')) continue;
    if (used < MAX_DIGITS) {
      buffer[used++] = text[i];
    } else {
      sticky = sticky || text[i] != '0';
      exponent++;
    }
  }
  if (used == 0) return 0.0f;
  if (sticky) {
    buffer[used++] = '1';
    exponent--;
  }
  snprintf(buffer + used, sizeof buffer - used, "e%lld", (long long)exponent);
  return strtof(buffer, NULL);
}

const char *rt_text_float(const char *p, float *out) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  bool negative = *p == '-';
  if (*p == '-' || *p == '+') p++;
  if (!is_digit(*p) && *p != '.') {
    const char *end = special(p, out);
    if (end && negative) *out = -*out;
    return end;
  }
  const char *text = p;
  uint64_t m = 0;
  int64_t exponent = 0;
  int significant = 0, digits = 0;
  for (; is_digit(*p); p++, digits = 1) {
    if (significant < 19) {
      m = m * 10 + (unsigned)(*p - '0');
      significant += m != 0;
    } else {
      exponent++;
    }
  }
  const char *point = NULL;
  if (*p == '.') {
    point = p++;
    for (; is_digit(*p); p++, digits = 1) {
      if (significant < 19) {
        m = m * 10 + (unsigned)(*p - '0');
        significant += m != 0;
        exponent--;
      }
    }
  }
  if (!digits) return NULL;
  const char *text_end = p;
  int64_t written = 0;
  if (*p == 'e' || *p == 'E') {
    const char *q = p + 1;
    bool minus = *q == '-';
    if (*q == '-' || *q == '+') q++;
    uint64_t magnitude;
    q = rt_text_uint(q, &magnitude);
    if (q) {
      p = q;
      written = magnitude < MAX_EXPONENT ? (int64_t)magnitude : MAX_EXPONENT;
      if (minus) written = -written;
    }
  } else if (*p == '#' && point) { /* 1.#QNAN, 1.#INF, 1.#IND */
    bool infinite = match_word(p + 1, "inf") != NULL;
    if (infinite || match_word(p + 1, "qnan") || match_word(p + 1, "snan") || match_word(p + 1, "ind")) {
      for (p++; (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z';) p++;
      while (is_digit(*p)) p++;
      *out = infinite ? (negative ? -INFINITY : INFINITY) : NAN;
      return p;
    }
  }
  exponent += written;

  float value = 0.0f;
  if (m != 0) {
    bool fast = exponent >= -22 && exponent <= 22;
    double d = 0.0;
    if (fast) {
      d = exponent < 0 ? (double)m / power[-exponent] : (double)m * power[exponent];
      uint64_t bits;
      memcpy(&bits, &d, sizeof bits);
      /* The 29 bits that a float has not; subnormal floats lack more, and go the exact way. */
      int64_t rest = (int64_t)(bits & 0x1fffffff) - 0x10000000;
      fast = (rest > 4 || rest < -4) && d >= 0x1p-126;
    }
    if (fast)
      value = (float)d;
    else
      value = by_strtof(text, (size_t)(text_end - text), written - (point ? (int64_t)(text_end - point - 1) : 0));
  }
  *out = negative ? -value : value;
  return p;
}
