#include "render/film.h"

#include <math.h>

#include "base/vec.h"

rt_sample_fate rt_film_add(rt_film_pixel *pixel, rt_rgb radiance, bool covered) {
  if (!v3_is_finite(radiance) || !(radiance.x >= 0.0f && radiance.y >= 0.0f && radiance.z >= 0.0f))
    return RT_SAMPLE_NOT_FINITE;
  const float channel[3] = {radiance.x, radiance.y, radiance.z};
  rt_sample_fate fate = RT_SAMPLE_KEPT;
  for (int c = 0; c < 3; c++) {
    rt_fixed value;
    if (!rt_fixed_from(&value, channel[c])) fate = RT_SAMPLE_OVERFLOW;
    rt_fixed_add(&pixel->sum[c], value);
  }
  pixel->samples++;
  pixel->covered += covered;
  return fate;
}

void rt_film_merge(rt_film_pixel *into, const rt_film_pixel *from) {
  for (int c = 0; c < 3; c++) rt_fixed_add(&into->sum[c], from->sum[c]);
  into->samples += from->samples;
  into->covered += from->covered;
}

void rt_film_read(const rt_film_pixel *pixel, int channels, float *out) {
  for (int c = 0; c < 3; c++) out[c] = rt_fixed_mean(pixel->sum[c], pixel->samples);
  if (channels == 4) out[3] = pixel->samples == 0 ? 0.0f : (float)pixel->covered / (float)pixel->samples;
}
