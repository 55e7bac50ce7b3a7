#include "render/filter.h"

#include "base/elementary.h"

/* Half widths in pixels. Box: the pixel itself. Gaussian: three standard deviations of half a pixel. Blackman-Harris:
 * the same support. */
static double half_width(rt_filter filter) { return filter == RT_FILTER_BOX ? 0.5 : 1.5; }

static double density(rt_filter filter, double x) {
  switch (filter) {
  case RT_FILTER_BOX: return 1.0;
  case RT_FILTER_GAUSSIAN: return rt_exp(-2.0 * x * x);
  case RT_FILTER_BLACKMAN_HARRIS: {
    /* Harris 1978, the four-term window of minimum side lobes. */
    double t = RT_PI * (x / half_width(filter) + 1.0);
    return 0.35875 - 0.48829 * rt_cos(t) + 0.14128 * rt_cos(2.0 * t) - 0.01168 * rt_cos(3.0 * t);
  }
  }
  return 0.0;
}

void rt_filter_prepare(rt_filter_table *table, rt_filter filter) {
  double half = half_width(filter), sums[RT_FILTER_CELLS + 1] = {0.0};
  for (int k = 0; k < RT_FILTER_CELLS; k++) {
    sums[k + 1] = sums[k] + density(filter, ((k + 0.5) * 2.0 / RT_FILTER_CELLS - 1.0) * half);
  }
  table->half = (float)half;
  for (int k = 0; k <= RT_FILTER_CELLS; k++) table->cumulative[k] = (float)(sums[k] / sums[RT_FILTER_CELLS]);
  int cell = 0;
  for (int i = 0; i < RT_FILTER_CELLS; i++) {
    while (table->cumulative[cell + 1] <= (float)i / RT_FILTER_CELLS) cell++;
    table->first[i] = (uint16_t)cell;
  }
}

float rt_filter_sample(const rt_filter_table *table, float u) {
  int cell = table->first[(int)(u * RT_FILTER_CELLS)];
  while (table->cumulative[cell + 1] <= u) cell++;
  float low = table->cumulative[cell], part = (u - low) / (table->cumulative[cell + 1] - low);
  return ((float)cell + part) * (2.0f * table->half / RT_FILTER_CELLS) - table->half;
}

float rt_filter_pdf(const rt_filter_table *table, float x) {
  float at = (x + table->half) * (RT_FILTER_CELLS / (2.0f * table->half));
  if (!(at >= 0.0f && at < RT_FILTER_CELLS)) return 0.0f;
  int cell = (int)at;
  return (table->cumulative[cell + 1] - table->cumulative[cell]) * (RT_FILTER_CELLS / (2.0f * table->half));
}
