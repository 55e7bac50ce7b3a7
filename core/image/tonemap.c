/* Tone curves: from scene-linear radiance to the linear light of an sRGB display.
 *
 * none    clips.
 * agx     Troy Sobotka's AgX (base look, no grading): an inset of the primaries towards white, log2 from 10 stops below
 *         middle grey to 6.5 above, a sigmoid, the inverse inset, and the 2.2 power of the display it was made for.
 * aces    Stephen Hill's fit of the ACES 1.0 reference and sRGB output transforms (RRT + ODT), "ACES fitted" (2016).
 * filmic  John Hable's curve, "Uncharted 2: HDR Lighting" (GDC 2010), with his constants, each colour for itself.
 *
 * All keep neutral colours neutral, rise with exposure, and send 0 to 0. */
#include <math.h>

#include "base/elementary.h"
#include "image/image.h"

/* AgX's inset scales colours by .8 and adds their weighted sum: with rows that sum to 1 it keeps white, and the
 * weighted sum is its eigenvector, so that the inverse needs no other numbers. */
#define AGX_INSET 0.8
static const double agx_weight[3] = {0.0424010709504686, 0.0784365015618028, 0.0791624274877287};
/* Middle grey .18 is 10 stops above the lower end of 16.5. */
#define AGX_MIN_EV (-12.473931188332413)
#define AGX_STOPS 16.5

/* y = 1/2 + s d / (1 + a |d|^p)^(1/p), d = x - pivot, through (0, 0), (pivot, 1/2) with slope s, and (1, 1):
 * a = (2s)^p - 1/|d_end|^p. s = 2; p = 3 below (toe), 3.25 above (shoulder). */
static double agx_sigmoid(double x) {
  const double pivot = 10.0 / AGX_STOPS, slope = 2.0;
  double d = x - pivot, m = d < 0.0 ? -d : d;
  if (d < 0.0) {
    const double a = 64.0 - 1.0 / (pivot * pivot * pivot);
    return 0.5 + slope * d * rt_pow(1.0 + a * (m * m * m), -1.0 / 3.0);
  }
  const double a = 69.862789135455391; /* 4^3.25 - (13/33)^-3.25 */
  return 0.5 + slope * d * rt_pow(1.0 + a * (m * m * m * sqrt(sqrt(m))), -1.0 / 3.25);
}

static void agx(double c[3]) {
  double sum = agx_weight[0] * c[0] + agx_weight[1] * c[1] + agx_weight[2] * c[2], mean = 0.0;
  for (int i = 0; i < 3; i++) {
    double x = AGX_INSET * c[i] + sum;
    c[i] = agx_sigmoid(x > 0.0 ? rt_unit_clip((rt_log2(x) - AGX_MIN_EV) / AGX_STOPS) : 0.0);
    mean += agx_weight[i] * c[i];
  }
  for (int i = 0; i < 3; i++) c[i] = rt_pow(rt_unit_clip((c[i] - mean) / AGX_INSET), 2.2);
}

/* Rows of sRGB -> AP1 with the RRT's desaturation, and back with the ODT's. */
static const double aces_in[3][3] = {
    {0.59719, 0.35458, 0.04823},
    {0.07600, 0.90834, 0.01566},
    {0.02840, 0.13383, 0.83777},
};
static const double aces_out[3][3] = {
    {1.60475, -0.53108, -0.07367},
    {-0.10208, 1.10813, -0.00605},
    {-0.00327, -0.07276, 1.07602},
};
/* ACES puts middle grey at .1, for a cinema's dark room. 1/.6 puts it at .213, beside AgX's .218. */
#define ACES_EXPOSURE (1.0 / 0.6)

static void aces(double c[3]) {
  double v[3];
  for (int i = 0; i < 3; i++) {
    double x = (aces_in[i][0] * c[0] + aces_in[i][1] * c[1] + aces_in[i][2] * c[2]) * ACES_EXPOSURE;
    v[i] = (x * (x + 0.0245786) - 0.000090537) / (x * (0.983729 * x + 0.4329510) + 0.238081);
  }
  for (int i = 0; i < 3; i++) c[i] = aces_out[i][0] * v[0] + aces_out[i][1] * v[1] + aces_out[i][2] * v[2];
}

/* Shoulder strength A, linear strength B and angle C, toe strength D, numerator E and denominator F. */
static double hable(double x) {
  const double A = 0.15, B = 0.50, C = 0.10, D = 0.20, E = 0.02, F = 0.30;
  return (x * (A * x + C * B) + D * E) / (x * (A * x + B) + D * F) - E / F;
}

static void filmic(double c[3]) {
  const double exposure_bias = 2.0, white = 11.2; /* the least value that is shown as white */
  for (int i = 0; i < 3; i++) c[i] = hable(exposure_bias * c[i]) / hable(white);
}

void rt_tonemap_apply(rt_tonemap tonemap, double colour[3]) {
  switch (tonemap) {
  case RT_TONEMAP_NONE: break;
  case RT_TONEMAP_AGX: agx(colour); break;
  case RT_TONEMAP_ACES: aces(colour); break;
  case RT_TONEMAP_FILMIC: filmic(colour); break;
  }
}
