#include "render/cells.h"

#include <string.h>

#include "base/memory.h"
#include "base/vec.h"

rt_status rt_film_cells_init(rt_film_cells *cells, uint32_t aovs, size_t count, rt_error *err) {
  *cells = (rt_film_cells){.aovs = aovs, .n_sums = rt_aov_sums(aovs), .count = count};
  cells->pixels = rt_alloc(count, sizeof *cells->pixels, err);
  bool good = cells->pixels != NULL;
  if (good && cells->n_sums > 0) {
    cells->sums = rt_alloc(count, (size_t)cells->n_sums * sizeof *cells->sums, err);
    good = cells->sums != NULL;
  }
  if (good && rt_aov_has_ids(aovs)) {
    cells->ids = rt_alloc(count, sizeof *cells->ids, err);
    good = cells->ids != NULL;
  }
  if (!good) rt_film_cells_free(cells);
  return good ? RT_OK : RT_NO_MEMORY;
}

void rt_film_cells_free(rt_film_cells *cells) {
  rt_free(cells->pixels);
  rt_free(cells->sums);
  rt_free(cells->ids);
  *cells = (rt_film_cells){0};
}

void rt_film_cells_clear(rt_film_cells *cells) {
  memset(cells->pixels, 0, cells->count * sizeof *cells->pixels);
  if (cells->sums) memset(cells->sums, 0, cells->count * (size_t)cells->n_sums * sizeof *cells->sums);
  if (cells->ids) memset(cells->ids, 0, cells->count * sizeof *cells->ids);
}

size_t rt_film_cells_bytes(const rt_film_cells *cells) {
  return cells->count *
         (sizeof *cells->pixels + (size_t)cells->n_sums * sizeof *cells->sums + (cells->ids ? sizeof *cells->ids : 0));
}

static rt_fixed *sums_at(const rt_film_cells *cells, size_t i) { return cells->sums + i * (size_t)cells->n_sums; }

/* The ids of the sample that is first, whenever it comes. samples: how many the cell has already. */
static void keep_first(rt_film_ids *ids, uint32_t samples, rt_film_ids other) {
  if (samples == 0 || other.sample < ids->sample) *ids = other;
}

rt_sample_fate rt_film_cells_add(rt_film_cells *cells, size_t i, const rt_film_sample *sample) {
  rt_rgb radiance = sample->radiance;
  if (!v3_is_finite(radiance) || !(radiance.x >= 0.0f && radiance.y >= 0.0f && radiance.z >= 0.0f))
    return RT_SAMPLE_NOT_FINITE;
  rt_film_pixel *pixel = &cells->pixels[i];
  const float channel[3] = {radiance.x, radiance.y, radiance.z};
  rt_sample_fate fate = RT_SAMPLE_KEPT;
  for (int c = 0; c < 3; c++) {
    rt_fixed value;
    if (!rt_fixed_from(&value, channel[c])) fate = RT_SAMPLE_OVERFLOW;
    rt_fixed_add(&pixel->sum[c], value);
  }
  if (cells->n_sums > 0) rt_aov_add(cells->aovs, sums_at(cells, i), sample);
  if (cells->ids)
    keep_first(&cells->ids[i], pixel->samples,
               (rt_film_ids){sample->index, sample->features->shape, sample->features->material});
  pixel->samples++;
  pixel->covered += sample->covered;
  return fate;
}

void rt_film_cells_join(rt_film_cells *cells, size_t i, const rt_film_cells *from, size_t j) {
  rt_film_pixel *into = &cells->pixels[i];
  const rt_film_pixel *other = &from->pixels[j];
  if (other->samples == 0) return;
  for (int c = 0; c < 3; c++) rt_fixed_add(&into->sum[c], other->sum[c]);
  for (int s = 0; s < cells->n_sums; s++) rt_fixed_add(&sums_at(cells, i)[s], sums_at(from, j)[s]);
  if (cells->ids) keep_first(&cells->ids[i], into->samples, from->ids[j]);
  into->samples += other->samples;
  into->covered += other->covered;
}

void rt_film_cells_copy(rt_film_cells *cells, size_t i, const rt_film_cells *from, size_t j) {
  cells->pixels[i] = from->pixels[j];
  if (cells->sums) memcpy(sums_at(cells, i), sums_at(from, j), (size_t)cells->n_sums * sizeof *cells->sums);
  if (cells->ids) cells->ids[i] = from->ids[j];
}

float rt_film_coverage(const rt_film_pixel *pixel) {
  return pixel->samples == 0 ? 0.0f : (float)pixel->covered / (float)pixel->samples;
}

double rt_film_luminance(const rt_film_pixel *pixel) {
  float mean[3];
  for (int c = 0; c < 3; c++) mean[c] = rt_fixed_mean(pixel->sum[c], pixel->samples);
  return 0.2126 * mean[0] + 0.7152 * mean[1] + 0.0722 * mean[2];
}
