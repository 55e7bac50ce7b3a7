/* sin, cos, tan, asin, acos and atan2 in double. Constants as in elementary.c: our own, errors with rounded
 * coefficients.
 *
 * Reduction: x = k pi/2 + r, r a pair in [-pi/4, pi/4] to a relative 2^-66, though r may be as small as 2^-62.
 *   Below 2^20: pi/2 in three parts of 33 bits, whose products by k are exact, and the rest (Cody & Waite 1980).
 *   Above: the product of the 53-bit mantissa with the 192 bits of 2/pi that matter, in integers (Payne & Hanek 1983).
 *   What is cut off on the left is a multiple of 4, what is cut off on the right is below 2^-137.
 * sin, cos: Taylor's first terms without error, minimax polynomials for the rest. tan is the quotient of the pairs.
 * atan2: the smaller coordinate over the larger, less the nearest sixteenth by the addition theorem, as a pair.
 * asin, acos: a polynomial up to 1/2, above it by 2 asin(sqrt((1 - x) / 2)) with the square root as a pair. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/double_double.h"
#include "base/elementary.h"

static const dd pi = {0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53};
static const dd half_pi = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};

/* ---- Reduction --------------------------------------------------------------------------------------------------- */

typedef struct {
  dd r;
  unsigned quadrant;
} reduced;

/* The binary digits of 2/pi behind one word of zeros. */
static const uint64_t two_over_pi[20] = {
    UINT64_C(0),
    UINT64_C(0xa2f9836e4e441529),
    UINT64_C(0xfc2757d1f534ddc0),
    UINT64_C(0xdb6295993c439041),
    UINT64_C(0xfe5163abdebbc561),
    UINT64_C(0xb7246e3a424dd2e0),
    UINT64_C(0x06492eea09d1921c),
    UINT64_C(0xfe1deb1cb129a73e),
    UINT64_C(0xe88235f52ebb4484),
    UINT64_C(0xe99c7026b45f7e41),
    UINT64_C(0x3991d639835339f4),
    UINT64_C(0x9c845f8bbdf9283b),
    UINT64_C(0x1ff897ffde05980f),
    UINT64_C(0xef2f118b5a0a6d1f),
    UINT64_C(0x6d367ecf27cb09b7),
    UINT64_C(0x4f463f669e5fea2d),
    UINT64_C(0x7527bac7ebe5f17b),
    UINT64_C(0x3d0739f78a5292ea),
    UINT64_C(0x6bfb5fb11f8d5d08),
    UINT64_C(0x56033046fc7b6bab),
};

static reduced reduce_large(double x) {
  uint64_t bits = bits_of(x);
  uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
  int exponent = (int)(bits >> 52 & 0x7ff) - 1075; /* |x| = mantissa 2^exponent */

  /* The window begins with the digit whose product by 2^exponent weighs 2: what is left of it gives multiples of 4. */
  unsigned first = (unsigned)(exponent + 62), word = first >> 6, shift = first & 63;
  uint64_t window[3];
  for (unsigned i = 0; i < 3; i++) {
    uint64_t next = shift ? two_over_pi[word + i + 1] >> (64 - shift) : 0;
    window[i] = two_over_pi[word + i] << shift | next;
  }

  /* mantissa * window modulo 2^192: two digits of quadrant, then 190 of its fraction. */
  __extension__ typedef unsigned __int128 u128;
  u128 low = (u128)mantissa * window[2];
  u128 middle = (u128)mantissa * window[1] + (uint64_t)(low >> 64);
  uint64_t top = mantissa * window[0] + (uint64_t)(middle >> 64);
  unsigned quadrant = (unsigned)(top >> 62);
  u128 fraction = ((u128)top << 66) | (u128)(uint64_t)middle << 2 | (uint64_t)low >> 62;
  bool negative = fraction >> 127; /* nearer to the next quadrant */
  if (negative) {
    fraction = -fraction;
    quadrant++;
  }

  /* The fraction, 2^-65 at least, as a pair. */
  uint64_t upper = (uint64_t)(fraction >> 64);
  int zeros = upper ? __builtin_clzll(upper) : 64 + __builtin_clzll((uint64_t)fraction | 1);
  fraction <<= zeros;
  double scale = exp2_int(-53 - zeros);
  dd f = {(double)(int64_t)(fraction >> 75) * scale,
          (double)(int64_t)((uint64_t)(fraction >> 12) & INT64_MAX) * scale * 0x1p-63};

  dd r = two_product(f.high, half_pi.high);
  r = quick_sum(r.high, r.low + (f.high * half_pi.low + f.low * half_pi.high));
  if (negative) r = (dd){-r.high, -r.low};
  if (signbit(x)) return (reduced){{-r.high, -r.low}, 0u - quadrant};
  return (reduced){r, quadrant};
}

/* For finite x. The quadrant counts modulo 4. */
static reduced reduce(double x) {
  if (fabs(x) <= 0x1.921fbp-1) return (reduced){{x, 0.0}, 0};
  if (fabs(x) >= 0x1p20) return reduce_large(x);
  double shifted = x * 0x1.45f306dc9c883p-1 + ROUND_MAGIC, k = shifted - ROUND_MAGIC;
  dd a = two_sum(x - k * 0x1.921fb544p+0, -k * 0x1.0b4611a6p-34);
  dd b = two_sum(a.high, -k * 0x1.3198a2ep-69);
  return (reduced){quick_sum(b.high, a.low + b.low - k * 0x1.b839a252049c1p-104), (unsigned)round_bits(shifted)};
}

/* ---- sin, cos, tan ----------------------------------------------------------------------------------------------- */

/* sin r, unevaluated. */
static dd sin_pair(dd r) {
  double x = r.high, z = x * x;
  /* (sin x - x) / x^3 in z = x^2, degree 6: 2^-62.4 of x. */
  double p = -0x1.9e380460c4493p-41;
  p = p * z + 0x1.61069e16a5883p-33;
  p = p * z - 0x1.ae64284f09713p-26;
  p = p * z + 0x1.71de3a3164bf3p-19;
  p = p * z - 0x1.a01a019ffd4bcp-13;
  p = p * z + 0x1.1111111111067p-7;
  p = p * z - 0x1.5555555555555p-3;
  return quick_sum(x, x * z * p + (r.low - 0.5 * z * r.low));
}

static dd cos_pair(dd r) {
  dd square = two_product(r.high, r.high);
  double z = square.high;
  /* (cos x - 1 + z / 2) / z^2, degree 6: 2^-66.6. */
  double p = 0x1.adddf62b719c2p-45;
  p = p * z - 0x1.939228322fa5bp-37;
  p = p * z + 0x1.1eed83791fddap-29;
  p = p * z - 0x1.27e4fb6576237p-22;
  p = p * z + 0x1.a01a01a0010a6p-16;
  p = p * z - 0x1.6c16c16c16b2bp-10;
  p = p * z + 0x1.5555555555555p-5;
  dd sum = quick_sum(1.0, -0.5 * z);
  return quick_sum(sum.high, sum.low + (z * z * p - 0.5 * square.low - r.high * r.low));
}

double rt_sin(double x) {
  if (!isfinite(x)) return NAN;
  if (fabs(x) < 0x1p-27) return x;
  reduced a = reduce(x);
  double y = a.quadrant & 1 ? cos_pair(a.r).high : sin_pair(a.r).high;
  return a.quadrant & 2 ? -y : y;
}

double rt_cos(double x) {
  if (!isfinite(x)) return NAN;
  reduced a = reduce(x);
  double y = a.quadrant & 1 ? sin_pair(a.r).high : cos_pair(a.r).high;
  return (a.quadrant + 1) & 2 ? -y : y;
}

/* a / b to about 2^-100. */
static dd quotient(dd a, dd b) {
  double q = a.high / b.high;
  dd p = two_product(q, b.high);
  return (dd){q, ((a.high - p.high) - p.low + a.low - q * b.low) / b.high};
}

double rt_tan(double x) {
  if (!isfinite(x)) return NAN;
  if (fabs(x) < 0x1p-27) return x;
  reduced a = reduce(x);
  dd s = sin_pair(a.r), c = cos_pair(a.r);
  dd t = a.quadrant & 1 ? quotient((dd){-c.high, -c.low}, s) : quotient(s, c);
  return t.high + t.low;
}

/* ---- asin, acos -------------------------------------------------------------------------------------------------- */

/* (asin x - x) / x^3 in z = x^2 <= 1/4, degree 12: 2^-59 of x. */
static double asin_rest(double z) {
  double p = 0x1.0bb00b73193fbp-5;
  p = p * z - 0x1.59536d0c3fc5ep-6;
  p = p * z + 0x1.6491ee57e28fep-6;
  p = p * z + 0x1.e2c0f719a466cp-9;
  p = p * z + 0x1.6173cc4a7074bp-7;
  p = p * z + 0x1.757b80c790e8fp-7;
  p = p * z + 0x1.ca20cd4818b8fp-7;
  p = p * z + 0x1.1c49e2c32002ap-6;
  p = p * z + 0x1.6e8bdfa60d029p-6;
  p = p * z + 0x1.f1c71a8dc61a7p-6;
  p = p * z + 0x1.6db6db722606ap-5;
  p = p * z + 0x1.333333332df7ep-4;
  return p * z + 0x1.5555555555578p-3;
}

/* acos a for a in (1/2, 1], unevaluated. */
static dd acos_pair(double a) {
  double z = 0.5 * (1.0 - a), s = sqrt(z); /* 1 - a is exact */
  if (z == 0.0) return (dd){0.0, 0.0};
  dd square = two_product(s, s);
  double s_low = 0.5 * ((z - square.high) - square.low) / s;
  return (dd){2.0 * s, 2.0 * (s_low + s * z * asin_rest(z))};
}

/* a - b for |a| >= |b|, rounded once. */
static double difference(dd a, dd b) {
  dd sum = quick_sum(a.high, -b.high);
  return sum.high + (sum.low + (a.low - b.low));
}

double rt_asin(double x) {
  double a = fabs(x);
  if (!(a <= 1.0)) return NAN;
  if (a <= 0.5) return x + x * (x * x) * asin_rest(x * x);
  return copysign(difference(half_pi, acos_pair(a)), x);
}

double rt_acos(double x) {
  double a = fabs(x);
  if (!(a <= 1.0)) return NAN;
  if (a <= 0.5) return difference(half_pi, (dd){x, x * (x * x) * asin_rest(x * x)});
  dd c = acos_pair(a);
  return x > 0.0 ? c.high + c.low : difference(pi, c);
}

/* ---- atan2 ------------------------------------------------------------------------------------------------------- */

/* atan(j / 16). */
static const dd atan_table[17] = {
    {0.0, 0.0},
    {0x1.ff55bb72cfdeap-5, -0x1.c934d86d23f1dp-60},
    {0x1.fd5ba9aac2f6ep-4, -0x1.cd37686760c17p-59},
    {0x1.7b97b4bce5b02p-3, 0x1.347b0b4f881cap-58},
    {0x1.f5b75f92c80ddp-3, 0x1.8ab6e3cf7afbdp-57},
    {0x1.362773707ebccp-2, -0x1.963a544b672d8p-57},
    {0x1.6f61941e4def1p-2, -0x1.c63aae6f6e918p-56},
    {0x1.a64eec3cc23fdp-2, -0x1.24dec1b50b7ffp-56},
    {0x1.dac670561bb4fp-2, 0x1.a2b7f222f65e2p-56},
    {0x1.0657e94db30dp-1, -0x1.d5b495f6349e6p-56},
    {0x1.1e00babdefeb4p-1, -0x1.928df287a668fp-58},
    {0x1.345f01cce37bbp-1, 0x1.1021137c71102p-55},
    {0x1.4978fa3269ee1p-1, 0x1.2419a87f2a458p-56},
    {0x1.5d58987169b18p-1, 0x1.0028e4bc5e7cap-57},
    {0x1.700a7c5784634p-1, -0x1.8c34d25aadef6p-56},
    {0x1.819d0b7158a4dp-1, -0x1.bf76229d3b917p-56},
    {0x1.921fb54442d18p-1, 0x1.1a62633145c07p-55},
};

/* atan(a / b) for 0 < a <= b, both far from overflow and underflow. */
static dd atan_pair(double a, double b) {
  int j = (int)(16.0 * (a / b) + 0.5);
  double c = 0.0625 * j; /* 5 bits: its products by halves are exact */
  double a_upper = upper_half(a), b_upper = upper_half(b);
  /* atan(a / b) - atan(c) = atan((a - c b) / (b + c a)) */
  dd n = two_sum(a, -c * b_upper);
  dd n_low = two_sum(n.high, -c * (b - b_upper));
  n = quick_sum(n_low.high, n.low + n_low.low);
  dd d = quick_sum(b, c * a_upper);
  d = quick_sum(d.high, d.low + c * (a - a_upper));
  dd u = quotient(n, d);

  /* (atan u - u) / u^3 in z = u^2, |u| < 0.0316, degree 4: 2^-65.7 of u. */
  double z = u.high * u.high;
  double p = -0x1.7370994eab96cp-4;
  p = p * z + 0x1.c71c2fac35063p-4;
  p = p * z - 0x1.24924920605d3p-3;
  p = p * z + 0x1.99999999995e2p-3;
  p = p * z - 0x1.5555555555555p-2;
  dd sum = quick_sum(atan_table[j].high, u.high);
  return (dd){sum.high, sum.low + (atan_table[j].low + (u.low + u.high * z * p))};
}

static int exponent_of(double x) { return (int)(bits_of(x) >> 52 & 0x7ff); }

double rt_atan2(double y, double x) {
  if (isnan(x) || isnan(y)) return NAN;
  double ax = fabs(x), ay = fabs(y);
  bool left = signbit(x);
  int steep = exponent_of(y) - exponent_of(x);
  if (isinf(ax) && isinf(ay)) return copysign(left ? 0x1.2d97c7f3321d2p+1 : 0x1.921fb54442d18p-1, y);
  /* One so much smaller that it does not show in the sum, or that atan t is t. */
  if (ay == 0.0 || isinf(ax) || steep < -70) {
    if (left) return copysign(pi.high, y);
    return ay == 0.0 || isinf(ax) ? copysign(0.0, y) : y / x;
  }
  if (ax == 0.0 || isinf(ay) || steep > 70) return copysign(half_pi.high, y);

  double larger = ax > ay ? ax : ay, scale = larger > 0x1p900 ? 0x1p-900 : larger < 0x1p-800 ? 0x1p900 : 1.0;
  ax *= scale;
  ay *= scale;
  if (ay <= ax) {
    dd t = atan_pair(ay, ax);
    return copysign(left ? difference(pi, t) : t.high + t.low, y);
  }
  dd t = atan_pair(ax, ay);
  if (left) t = (dd){-t.high, -t.low};
  return copysign(difference(half_pi, t), y);
}
