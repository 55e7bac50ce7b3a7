/* exp, log, log2, log10 and pow in double. The header states what holds; elementary_trig.c and elementary_float.c are
 * the rest.
 *
 * Every constant is our own: nearest doubles of values computed to 1,400 bits, and minimax polynomials (Remez) found in
 * 220-bit arithmetic; the stated error of each was taken with its rounded coefficients. Every NaN that is returned is
 * NAN, so that no sign or payload depends on the processor.
 *
 * log: x = 2^k m, and 1/m is nearly one of 65 numbers of 9 bits, so that r = m c - 1 is exact in a pair and |r| <
 *      0.0086. Near 1, c is 1 and k is 0: no cancellation. The sum is kept as a pair, its relative error below 2^-67.
 * exp: x = k ln 2 + r, |r| < 0.347, and a polynomial whose first three terms are added without error.
 * pow: exp(y log x) in pairs; 745 times 2^-67 is the error of the product. */
#include "base/elementary.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/double_double.h"

/* ln 2 to a multiple of 2^-41, so that k LN2_HIGH is exact for every exponent k, and the rest. */
#define LN2_HIGH 0x1.62e42fefa4p-1
#define LN2_LOW -0x1.8432a1b0e2634p-43

/* c = j'th of 1 / (1 + j / 64) to 9 bits; -ln c (from LOG_WRAP on: -ln 2c), to a multiple of 2^-41 and the rest. */
#define LOG_WRAP 27
static const struct {
  double inverse, high, low;
} log_table[65] = {
    {0x1p+0, 0.0, 0.0},
    {0x1.f8p-1, 0x1.020565894p-6, -0x1.4f716c1b8bdf5p-43},
    {0x1.fp-1, 0x1.0415d89e7p-5, 0x1.1111c05cf1d75p-43},
    {0x1.e9p-1, 0x1.788595a35p-5, 0x1.dee9e5ef898b6p-43},
    {0x1.e2p-1, 0x1.eea31c007p-5, -0x1.1e113e4fc93b8p-43},
    {0x1.dbp-1, 0x1.333d7f818p-4, 0x1.fa5b5255f91dfp-43},
    {0x1.d4p-1, 0x1.700d30aebp-4, -0x1.f8f85c959884bp-43},
    {0x1.cep-1, 0x1.a4e7640b18p-4, 0x1.e1bd4946bbf83p-43},
    {0x1.c7p-1, 0x1.e3707ee308p-4, -0x1.bc25ec6626551p-43},
    {0x1.c1p-1, 0x1.0ce7ecdcccp-3, 0x1.4652dabff5447p-46},
    {0x1.bbp-1, 0x1.28753bc11cp-3, -0x1.45b58e5367e8dp-43},
    {0x1.b5p-1, 0x1.4462b9dc9cp-3, -0x1.84858a711b062p-44},
    {0x1.afp-1, 0x1.60b3100b08p-3, 0x1.475d49b3b83f6p-43},
    {0x1.aap-1, 0x1.7898d85444p-3, 0x1.8e67be3dbaf3fp-44},
    {0x1.a4p-1, 0x1.95a5adcf7p-3, 0x1.7f22858a0ff6fp-47},
    {0x1.9fp-1, 0x1.ae2ca6f674p-3, -0x1.42b9528d58558p-43},
    {0x1.9ap-1, 0x1.c6ffbc6fp-3, 0x1.ee138d3a69d43p-44},
    {0x1.95p-1, 0x1.e020cc6234p-3, 0x1.ab53fd491baf7p-43},
    {0x1.9p-1, 0x1.f991c6cb3cp-3, -0x1.90d04cd7cc834p-44},
    {0x1.8bp-1, 0x1.09aa572e6cp-2, 0x1.b50a1e1734342p-44},
    {0x1.86p-1, 0x1.16b5ccbadp-2, -0x1.23299042d74bfp-44},
    {0x1.82p-1, 0x1.214456d0ecp-2, -0x1.caf0428b728a3p-44},
    {0x1.7dp-1, 0x1.2e9e2bce12p-2, 0x1.4300c128d1dc2p-45},
    {0x1.79p-1, 0x1.396ce359bcp-2, -0x1.5839c5663663dp-47},
    {0x1.74p-1, 0x1.4718dc271cp-2, 0x1.06c18fb4c14c5p-44},
    {0x1.7p-1, 0x1.522ae0738ap-2, 0x1.ebe708164c759p-45},
    {0x1.6cp-1, 0x1.5d5bddf596p-2, -0x1.a0b2a08a465dcp-47},
    {0x1.68p-1, -0x1.5d1bdbf58p-2, -0x1.394a11b1c1ee4p-43},
    {0x1.64p-1, -0x1.51aad872ep-2, 0x1.f4bd8db0a7cc1p-44},
    {0x1.6p-1, -0x1.4618bc21c6p-2, 0x1.3d82f484c84ccp-46},
    {0x1.5dp-1, -0x1.3d54fa5c2p-2, 0x1.1e0f1932e350ep-43},
    {0x1.59p-1, -0x1.31871c9544p-2, -0x1.84fab94cecfd9p-46},
    {0x1.55p-1, -0x1.2596010df8p-2, 0x1.38c21eed8ae0fp-43},
    {0x1.52p-1, -0x1.1c898c169ap-2, 0x1.81410e5c62affp-44},
    {0x1.4ep-1, -0x1.1058bf9ae4p-2, -0x1.5aa313f415699p-43},
    {0x1.4bp-1, -0x1.071b85fcd6p-2, 0x1.bcb8ba3e01a11p-44},
    {0x1.48p-1, -0x1.fb9186d5e4p-3, 0x1.d572aab993c87p-47},
    {0x1.44p-1, -0x1.e27076e2bp-3, 0x1.a342c2af0003cp-44},
    {0x1.41p-1, -0x1.cf6354e09cp-3, -0x1.771239a07d55bp-45},
    {0x1.3ep-1, -0x1.bc286742d8p-3, -0x1.9ac53f39d121cp-44},
    {0x1.3bp-1, -0x1.a8becfc884p-3, 0x1.0e73d186f2318p-43},
    {0x1.38p-1, -0x1.9525a9cf44p-3, -0x1.6b47641307539p-43},
    {0x1.35p-1, -0x1.815c0a1434p-3, -0x1.7ead6836ff18cp-43},
    {0x1.32p-1, -0x1.6d60fe719cp-3, -0x1.21c8d54765c4dp-43},
    {0x1.2fp-1, -0x1.59338d9984p-3, 0x1.f7a2cba455516p-43},
    {0x1.2dp-1, -0x1.4ba36f39a4p-3, -0x1.5e55a2606f30ep-43},
    {0x1.2ap-1, -0x1.371fc201e8p-3, -0x1.ee8779b2d8abcp-44},
    {0x1.27p-1, -0x1.2266f190a4p-3, -0x1.acb7d51efc602p-43},
    {0x1.25p-1, -0x1.1478584674p-3, -0x1.563451027c75p-46},
    {0x1.22p-1, -0x1.fec9131dcp-4, 0x1.54555d1ae6607p-44},
    {0x1.1fp-1, -0x1.d4313d66c8p-4, -0x1.9aeaf21bb2a3bp-43},
    {0x1.1dp-1, -0x1.b78c82bb1p-4, 0x1.25ef7bc3987e7p-44},
    {0x1.1ap-1, -0x1.8c345d6318p-4, -0x1.b20f5acb42a66p-44},
    {0x1.18p-1, -0x1.6f0d28ae58p-4, 0x1.4b4641b664613p-44},
    {0x1.16p-1, -0x1.51b073f06p-4, -0x1.83f69278e686ap-44},
    {0x1.13p-1, -0x1.253f62f0ap-4, -0x1.416f8fb69a701p-44},
    {0x1.11p-1, -0x1.075983599p-4, 0x1.b8ecfe4b59987p-44},
    {0x1.0fp-1, -0x1.d276b8adbp-5, -0x1.6a423c78a64bp-46},
    {0x1.0dp-1, -0x1.95c830ec9p-5, 0x1.c148297c5feb8p-45},
    {0x1.0ap-1, -0x1.39e87b9ffp-5, 0x1.0a815bfa937f5p-43},
    {0x1.08p-1, -0x1.f829b0e78p-6, -0x1.980267c7e09e4p-45},
    {0x1.06p-1, -0x1.7b91b07d6p-6, 0x1.3b955b602ace4p-44},
    {0x1.04p-1, -0x1.fc0a8b0fcp-7, -0x1.f1e7cf6d3a69cp-50},
    {0x1.02p-1, -0x1.fe02a6b1p-8, -0x1.9e23f0dda40e4p-46},
    {0x1p-1, 0.0, 0.0},
};

/* ln x for x > 0, finite. */
static dd log_pair(double x) {
  uint64_t bits = bits_of(x);
  int k = -1023;
  if (bits < UINT64_C(1) << 52) { /* subnormal */
    bits = bits_of(x * 0x1p54);
    k -= 54;
  }
  k += (int)(bits >> 52);
  uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
  unsigned j = (unsigned)(((mantissa >> 45) + 1) >> 1);
  if (j >= LOG_WRAP) k++;
  double m = from_bits(mantissa | UINT64_C(0x3ff0000000000000)), c = log_table[j].inverse, mh = upper_half(m);
  dd r = two_sum(mh * c - 1.0, (m - mh) * c);

  double z = r.high * r.high;
  /* (ln(1 + r) - r + r^2 / 2) / r^3, degree 6 on |r| < 0.0101: 2^-68.4 of r. */
  double p = 0x1.c735dbbff961p-4;
  p = p * r.high - 0x1.000b167f32e2cp-3;
  p = p * r.high + 0x1.249248d7ed7c7p-3;
  p = p * r.high - 0x1.5555552591ba1p-3;
  p = p * r.high + 0x1.999999999a4ebp-3;
  p = p * r.high - 0x1.00000000001efp-2;
  p = p * r.high + 0x1.5555555555555p-2;

  /* k ln 2 - ln c + r - r^2 / 2, largest first; what each sum loses goes into `low`. */
  dd square = two_product(r.high, r.high);
  dd sum = quick_sum(k * LN2_HIGH + log_table[j].high, r.high);
  double low =
      sum.low + (r.low - r.low * r.high - 0.5 * square.low + z * r.high * p + (k * LN2_LOW + log_table[j].low));
  sum = quick_sum(sum.high, -0.5 * square.high);
  return quick_sum(sum.high, sum.low + low);
}

/* e^(x.high + x.low) for |x.high| < 800. */
static double exp_pair(dd x) {
  double shifted = x.high * 0x1.71547652b82fep+0 + ROUND_MAGIC, n = shifted - ROUND_MAGIC;
  int64_t k = round_bits(shifted);
  dd r = quick_sum(x.high - n * LN2_HIGH, x.low - n * LN2_LOW);

  /* (e^r - 1 - r - r^2 / 2) / r^3, degree 9 on |r| < 0.347: 2^-60.5. */
  double t = r.high, z = t * t, z2 = z * z;
  double p = (0x1.555555555555cp-3 + t * 0x1.555555555555ap-5) + z * (0x1.111111110ebb2p-7 + t * 0x1.6c16c16c14107p-10);
  double q =
      (0x1.a01a01b3c0e8ep-13 + t * 0x1.a01a01b215991p-16) + z * (0x1.71ddef7b9d1e1p-19 + t * 0x1.27e4c28fd2473p-22);
  p += z2 * (q + z2 * (0x1.af6d0380587fp-26 + t * 0x1.1f9a0882d38d5p-29));

  dd square = two_product(t, t), sum = quick_sum(1.0, t);
  double low = sum.low + (t * z * p + (0.5 * square.low + r.low + r.low * t));
  sum = quick_sum(sum.high, 0.5 * square.high);
  double y = sum.high + (sum.low + low);
  /* By two factors: 2^1024 is no double, and a subnormal result is rounded by the last product alone. */
  int64_t half = k >> 1;
  return y * exp2_int(half) * exp2_int(k - half);
}

double rt_exp(double x) {
  if (isnan(x)) return NAN;
  if (x > 710.0) return INFINITY;
  if (x < -746.0) return 0.0;
  return exp_pair((dd){x, 0.0});
}

/* Settles what log's arguments outside (0, inf) give; false for the others. */
static bool log_special(double x, double *result) {
  if (x > 0.0 && x < INFINITY) return false;
  *result = x == 0.0 ? -INFINITY : x > 0.0 ? INFINITY : NAN;
  return true;
}

double rt_log(double x) {
  double special;
  if (log_special(x, &special)) return special;
  return log_pair(x).high;
}

/* ln x times a pair; exact where the true value is a double, as its error is far below half an ulp. */
static double log_scaled(double x, dd factor) {
  double special;
  if (log_special(x, &special)) return special;
  dd l = log_pair(x), p = two_product(l.high, factor.high);
  return p.high + (p.low + (l.high * factor.low + l.low * factor.high));
}

double rt_log2(double x) { return log_scaled(x, (dd){0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56}); }
double rt_log10(double x) { return log_scaled(x, (dd){0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57}); }

/* For finite y: 0 when y is not whole, 1 when it is odd, 2 when it is even. */
static int parity(double y) {
  double a = fabs(y);
  if (a >= 0x1p53) return 2;
  if (a != floor(a)) return 0;
  double half = 0.5 * a;
  return half == floor(half) ? 2 : 1;
}

double rt_pow(double x, double y) {
  if (y == 0.0 || x == 1.0) return 1.0;
  if (isnan(x) || isnan(y)) return NAN;
  double a = fabs(x);
  if (isinf(y)) return a == 1.0 ? 1.0 : (a > 1.0) == (y > 0.0) ? INFINITY : 0.0;
  double sign = signbit(x) && parity(y) == 1 ? -1.0 : 1.0;
  if (a == 0.0 || isinf(a)) return (a == 0.0) == (y > 0.0) ? sign * 0.0 : sign * INFINITY;
  if (x < 0.0 && parity(y) == 0) return NAN;
  if (a == 1.0) return sign;

  dd l = log_pair(a);
  double product = y * l.high;
  if (product > 710.0) return sign * INFINITY;
  if (product < -746.0) return sign * 0.0;
  if (fabs(product) < 0x1p-60) return sign;
  dd exponent = two_product(y, l.high);
  exponent.low += y * l.low;
  return sign * exp_pair(exponent);
}
