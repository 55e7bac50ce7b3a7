/* Elementary functions of our own: the same bits on every machine, from + - * / sqrt and integer operations alone.
 * Double functions: error below 1 ulp in the stated range (spec/elementary_spec.lua measures it). Results for NaN,
 * infinities and zeros are those of C11 annex F. */
#ifndef RT_BASE_ELEMENTARY_H
#define RT_BASE_ELEMENTARY_H

#include <stdint.h>

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
/* sin and cos of 2 pi u for u in [0, 1): fast, absolute error below 2^-22. */
void rt_sincos_turn(float u, float *sine, float *cosine);

#endif
