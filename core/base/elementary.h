/* Elementary functions of our own: the same bits on every machine, from + - * / sqrt and integer operations alone.
 * Double functions: error below 1 ulp in the stated range (spec/elementary_spec.lua measures it). Results for NaN,
 * infinities and zeros are those of C11 annex F. */
#ifndef RT_BASE_ELEMENTARY_H
#define RT_BASE_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

#include "base/exact.h"

#define RT_PI 3.14159265358979323846
#define RT_PI_F 3.14159265358979323846f

double rt_sin(double x);
double rt_cos(double x);
double rt_tan(double x);
double rt_asin(double x);
double rt_acos(double x);
double rt_atan2(double y, double x);
double rt_exp(double x);
double rt_log(double x);
double rt_log2(double x);
double rt_log10(double x);
double rt_pow(double x, double y);

/* Float versions for rendering: the double's result, or a polynomial in double, rounded once. Error at most 1 ulp. */
float rt_sinf(float x);
float rt_cosf(float x);
float rt_acosf(float x);
float rt_atan2f(float y, float x);
float rt_expf(float x);
float rt_logf(float x);
float rt_powf(float x, float y);

/* sin and cos of 2 pi u for u in [0, 1): fast, absolute error below 2^-22, and without branches, for loops over lanes.
 * u = quadrant / 4 + f / 4 exactly, f in [-1/2, 1/2], by adding and subtracting 1.5 2^23. Polynomials in float: sin(pi
 * f / 2) of degree 7 to 2^-25, cos of degree 8 to 2^-27. */
static inline void rt_sincos_turn(float u, float *sine, float *cosine) {
  float shifted = 4.0f * u + 0x1.8p23f, f = 4.0f * u - (shifted - 0x1.8p23f), z = f * f;
  uint32_t quadrant;
  memcpy(&quadrant, &shifted, sizeof quadrant);
  float s = f * ((0x1.921fb4p+0f - z * 0x1.4abba8p-1f) + z * z * (0x1.465a3ep-4f - z * 0x1.2cf5d4p-8f));
  float c = 1.0f + z * ((-0x1.3bd3ccp+0f + z * 0x1.03c1dep-2f) + z * z * (-0x1.55c664p-6f + z * 0x1.d9f7b8p-11f));

  uint32_t s_bits, c_bits, swap = 0u - (quadrant & 1);
  memcpy(&s_bits, &s, sizeof s_bits);
  memcpy(&c_bits, &c, sizeof c_bits);
  uint32_t exchange = (s_bits ^ c_bits) & swap;
  s_bits ^= exchange ^ (quadrant & 2) << 30;
  c_bits ^= exchange ^ ((quadrant + 1) & 2) << 30;
  memcpy(sine, &s_bits, sizeof *sine);
  memcpy(cosine, &c_bits, sizeof *cosine);
}

#endif
