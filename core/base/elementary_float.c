/* The float functions, for rendering: polynomials in double on the same reductions as elementary.c, rounded once at the
 * end. The double's error is below 2^-33 of the result, so that nearly all results are the nearest float and none is
 * further than 0.51 ulp. Rare arguments go to the double function. Constants as in elementary.c. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/double_double.h"
#include "base/elementary.h"

/* ---- sin, cos ---------------------------------------------------------------------------------------------------- */

/* sin and cos of r in [-pi/4, pi/4]: degree 9 to 2^-37.5 of r, degree 10 to 2^-42. */
static double sin_poly(double r) {
  double z = r * r;
  double p =
      (-0x1.5555554ca94fep-3 + z * 0x1.11110889f49b6p-7) + z * z * (-0x1.a00f93912ff38p-13 + z * 0x1.6cd5e9e70d9bcp-19);
  return r + r * z * p;
}
static double cos_poly(double r) {
  double z = r * r;
  double p =
      (0x1.5555554f4346ep-5 - z * 0x1.6c16b88cb7880p-10) + z * z * (0x1.a01118026ae79p-16 - z * 0x1.24291e5d3baedp-22);
  return 1.0 - 0.5 * z + z * z * p;
}

/* sin(x + quarters pi/2) for |x| < 2^20: k times the first part of pi/2, 33 bits, is exact. */
static float sin_shifted(float x, int64_t quarters) {
  double shifted = x * 0x1.45f306dc9c883p-1 + ROUND_MAGIC, k = shifted - ROUND_MAGIC;
  double r = (x - k * 0x1.921fb544p+0) - k * 0x1.0b4611a626331p-34;
  uint64_t quadrant = (uint64_t)(round_bits(shifted) + quarters);
  double y = quadrant & 1 ? cos_poly(r) : sin_poly(r);
  return (float)(quadrant & 2 ? -y : y);
}

float rt_sinf(float x) {
  if (fabsf(x) < 0x1p-12f) return x; /* sin x is nearer to x than to any other float; keeps -0 */
  return fabsf(x) < 0x1p20f ? sin_shifted(x, 0) : (float)rt_sin(x);
}
float rt_cosf(float x) { return fabsf(x) < 0x1p20f ? sin_shifted(x, 1) : (float)rt_cos(x); }

/* ---- acos, atan2 ------------------------------------------------------------------------------------------------- */

float rt_acosf(float x) {
  double a = fabs((double)x);
  if (!(a <= 1.0)) return NAN;
  double z = a <= 0.5 ? a * a : 0.5 * (1.0 - a), s = a <= 0.5 ? (double)x : sqrt(z);
  /* (asin s - s) / s^3, degree 6: 2^-35.8 of s. */
  double p = 0x1.1c35c3e9c9834p-5;
  p = p * z + 0x1.e9752aacc183ep-8;
  p = p * z + 0x1.9359cfd5a02b0p-6;
  p = p * z + 0x1.ed53634c3c500p-6;
  p = p * z + 0x1.6ddb28ab353d9p-5;
  p = p * z + 0x1.3332a7fe2e3e0p-4;
  p = p * z + 0x1.55555609276ffp-3;
  double arc = s + s * z * p;
  return (float)(a <= 0.5 ? 0.5 * RT_PI - arc : x > 0.0f ? 2.0 * arc : RT_PI - 2.0 * arc);
}

float rt_atan2f(float y, float x) {
  double ax = fabs((double)x), ay = fabs((double)y), larger = ax > ay ? ax : ay, smaller = ax > ay ? ay : ax;
  if (!(ax <= FLT_MAX && ay <= FLT_MAX && larger > 0.0)) return (float)rt_atan2(y, x);
  /* Above tan(pi/8): atan t = pi/4 + atan((t - 1) / (t + 1)). */
  int upper = smaller > 0x1.a8279ap-2 * larger;
  double u = upper ? (smaller - larger) / (smaller + larger) : smaller / larger, z = u * u;
  /* (atan u - u) / u^3, degree 6: 2^-40 of u. */
  double p = -0x1.36cc160b4a185p-5;
  p = p * z + 0x1.1e664f11331fep-4;
  p = p * z - 0x1.70853f4f0b840p-4;
  p = p * z + 0x1.c6d23b8de2b8ep-4;
  p = p * z - 0x1.2490c5808280fp-3;
  p = p * z + 0x1.9999920e271fbp-3;
  p = p * z - 0x1.5555554ef506bp-2;
  double angle = u + u * z * p;
  if (upper) angle += 0.25 * RT_PI;
  if (ay > ax) angle = 0.5 * RT_PI - angle;
  if (x < 0.0f) angle = RT_PI - angle;
  return (float)copysign(angle, (double)y);
}

/* ---- exp, log, pow ----------------------------------------------------------------------------------------------- */

float rt_expf(float x) {
  if (isnan(x)) return NAN;
  /* Beyond these the float is infinite or 0 anyway, and 2^k stays a normal double. */
  double t = x < -105.0f ? -105.0 : x > 90.0f ? 90.0 : (double)x;
  double shifted = t * 0x1.71547652b82fep+0 + ROUND_MAGIC;
  double r = t - (shifted - ROUND_MAGIC) * 0x1.62e42fefa39efp-1, z = r * r;
  /* (e^r - 1 - r) / r^2, degree 5: 2^-34.3. */
  double p = (0x1.00000043425c2p-1 + r * 0x1.55555598bb329p-3) + z * (0x1.55547f9b81d58p-5 + r * 0x1.11107bd8aebb3p-7) +
             z * z * (0x1.6d972f2f6798fp-10 + r * 0x1.a1b9855f465a8p-13);
  return (float)((1.0 + (r + z * p)) * exp2_int(round_bits(shifted)));
}

/* ln of a positive, normal double as k and the rest, in [-ln 2 / 2, ln 2 / 2]: 2 atanh((m - 1) / (m + 1)). */
static double log_reduced(double x, double *k) {
  uint64_t bits = bits_of(x), shift = bits + UINT64_C(0x00095f619980c433); /* 2 - sqrt 2 carries into the exponent */
  int64_t exponent = (int64_t)(shift >> 52) - 1023;
  double m = from_bits(bits - ((uint64_t)exponent << 52));
  double s = (m - 1.0) / (m + 1.0), z = s * s;
  *k = (double)exponent;
  /* (atanh s - s) / s^3, degree 4: 2^-44.8 of s. */
  double p = (0x1.5555555628973p-2 + z * 0x1.9999968a5fb31p-3) +
             z * z * (0x1.2494200236ec2p-3 + z * 0x1.c6261b64b3a54p-4 + z * z * 0x1.916223772ab79p-4);
  return 2.0 * (s + s * z * p);
}

float rt_logf(float x) {
  if (!(x > 0.0f && x < INFINITY)) return x == 0.0f ? -INFINITY : x > 0.0f ? INFINITY : NAN;
  double k, l = log_reduced(x, &k);
  return (float)(k * 0x1.62e42fefa39efp-1 + l);
}

float rt_powf(float x, float y) {
  if (!(x > 0.0f && x < INFINITY && fabsf(y) <= FLT_MAX)) return (float)rt_pow(x, y);
  double k, l = log_reduced(x, &k);
  double t = y * (k + l * 0x1.71547652b82fep+0);
  t = t < -151.0 ? -151.0 : t > 129.0 ? 129.0 : t;
  double shifted = t + ROUND_MAGIC, r = t - (shifted - ROUND_MAGIC), z = r * r;
  /* (2^r - 1 - r ln 2) / r^2, degree 5: 2^-34.3. */
  double p = (0x1.ebfbe07a354cdp-3 + r * 0x1.c6b08dca9c2b8p-5) +
             z * (0x1.3b29f0da181ddp-7 + r * 0x1.5d873eb35f167p-10) +
             z * z * (0x1.445ed68eba627p-13 + r * 0x1.00e60ac829aa3p-16);
  return (float)((1.0 + (r * 0x1.62e42fefa39efp-1 + z * p)) * exp2_int(round_bits(shifted)));
}
