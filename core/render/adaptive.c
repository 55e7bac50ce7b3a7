/* A pixel's samples are taken as independent: its error is the square root of its luminance's variance over n. The test
 * reads the pixel's own exact sums alone, and at powers of two, so that it is the same for any number of threads, crop
 * or resumption. Whether to stop depends on the samples, which makes the picture consistent, not unbiased. */
#include "render/adaptive.h"

#include <math.h>

bool rt_adaptive_is_clean(const rt_film_cells *cells, size_t i, float noise) {
  const rt_film_pixel *pixel = &cells->pixels[i];
  rt_fixed squares = cells->sums[i * (size_t)cells->n_sums + (size_t)rt_aov_first_sum(cells->aovs, RT_AOV_VARIANCE)];
  double mean = rt_film_luminance(pixel);
  return sqrt(rt_aov_variance(mean, squares, pixel->samples)) <= (double)noise * mean;
}
