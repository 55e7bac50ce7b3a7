/* How much two images differ: mse, relmse, psnr (rt.h has the formulas).
 *
 * Sums are in double, in pixel order. Where a value is infinite or NaN in one image only, the difference is
 * infinite, so that no limit is met by accident; where both hold the same non-finite value they agree. */
#include <math.h>

#include "base/elementary.h"
#include "image/image.h"

/* (a - b)^2; see above for what is not finite. */
static double squared(double a, double b) {
  if (a == b || (isnan(a) && isnan(b))) return 0.0;
  double d = a - b;
  return isfinite(d) ? d * d : INFINITY;
}

static double displayed(float v, bool alpha) { return alpha ? rt_unit_clip(v) : rt_srgb_encode(v); }

rt_status rt_check_alike(const rt_image *a, const rt_image *b, rt_error *err) {
  if (a->width == b->width && a->height == b->height && a->channels == b->channels) return RT_OK;
  return rt_fail(
      err, RT_BAD_DATA,
      "images of %d x %d pixels with %d channels and %d x %d with %d: only images of one size and kind compare",
      a->width, a->height, a->channels, b->width, b->height, b->channels);
}

rt_status rt_image_compare(const rt_image *a, const rt_image *b, rt_difference *out, rt_error *err) {
  rt_status status = rt_check_alike(a, b, err);
  if (status != RT_OK) return status;
  double mse = 0.0, relmse = 0.0, shown = 0.0;
  size_t n = rt_image_row(a) * (size_t)a->height;
  int channel = 0, alpha = rt_image_has_alpha(a) ? a->channels - 1 : -1;
  for (size_t i = 0; i < n; i++) {
    float p = a->pixels[i], q = b->pixels[i];
    double d = squared(p, q);
    mse += d;
    if (d > 0.0) {
      relmse += isfinite(d) ? d / ((double)q * q + 0.01) : d;
      shown += squared(displayed(p, channel == alpha), displayed(q, channel == alpha));
    }
    if (++channel == a->channels) channel = 0;
  }
  out->mse = mse / (double)n;
  out->relmse = relmse / (double)n;
  shown /= (double)n;
  out->psnr = shown > 0.0 ? -10.0 * rt_log10(shown) : INFINITY;
  return RT_OK;
}
