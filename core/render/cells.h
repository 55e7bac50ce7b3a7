/* What a film keeps of its pixels: exact sums of their samples.
 * Invariant: a cell depends on the set of its samples alone, not on their order, grouping or thread (base/fixed.h). */
#ifndef RT_RENDER_CELLS_H
#define RT_RENDER_CELLS_H

#include "base/fixed.h"
#include "render/aov.h"

typedef struct {
  rt_fixed sum[3];  /* red, green, blue: radiance */
  uint32_t samples; /* in the sums */
  uint32_t covered; /* of them, how many saw something else than the background */
  uint32_t taken;   /* the set of sample indices that were taken (ranges.h), dropped ones too */
} rt_film_pixel;

/* What the kept sample of the least index met. */
typedef struct {
  uint32_t sample, shape, material; /* numbers from 1 on; 0: nothing, or there is no sample */
} rt_film_ids;

typedef struct {
  uint32_t aovs; /* bits: what is kept besides radiance */
  int n_sums;    /* of them, a pixel */
  size_t count;
  rt_film_pixel *pixels;
  rt_fixed *sums;   /* n_sums a pixel */
  rt_film_ids *ids; /* NULL unless they are kept */
} rt_film_cells;

rt_status rt_film_cells_init(rt_film_cells *cells, uint32_t aovs, size_t count, rt_error *err);
void rt_film_cells_free(rt_film_cells *cells); /* what it owns; an empty one is fine */
void rt_film_cells_clear(rt_film_cells *cells);
size_t rt_film_cells_bytes(const rt_film_cells *cells);

typedef enum { RT_SAMPLE_KEPT, RT_SAMPLE_NOT_FINITE, RT_SAMPLE_OVERFLOW } rt_sample_fate;

/* Adds one sample. NaN, infinity and negative radiance are dropped: the pixel does not count them. What is too bright
 * for the sums is clamped. */
rt_sample_fate rt_film_cells_add(rt_film_cells *cells, size_t i, const rt_film_sample *sample);
/* Adds the sums of samples that cell i does not have; which ones it has then is the caller's to note. Both keep the
 * same. */
void rt_film_cells_join(rt_film_cells *cells, size_t i, const rt_film_cells *from, size_t j);
void rt_film_cells_copy(rt_film_cells *cells, size_t i, const rt_film_cells *from, size_t j);

float rt_film_coverage(const rt_film_pixel *pixel);
double rt_film_luminance(const rt_film_pixel *pixel); /* of the mean */

/* How many channels an AOV's picture has, and a pixel of it. The cells keep it. */
int rt_aov_image_channels(rt_aov aov);
void rt_aov_read(const rt_film_cells *cells, size_t i, rt_aov aov, float *out);

#endif
