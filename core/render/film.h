/* The film: exact sums of samples per pixel, for a rectangle of the picture.
 * Invariant: a pixel depends on the set of its samples alone, not on their order, grouping or thread (base/fixed.h). */
#ifndef RT_RENDER_FILM_H
#define RT_RENDER_FILM_H

#include "base/fixed.h"
#include "rt.h"

typedef struct {
  rt_fixed sum[3];  /* red, green, blue: radiance */
  uint32_t samples; /* in the sums */
  uint32_t covered; /* of them, how many saw something else than the background */
} rt_film_pixel;

typedef enum { RT_SAMPLE_KEPT, RT_SAMPLE_NOT_FINITE, RT_SAMPLE_OVERFLOW } rt_sample_fate;

/* Adds one sample. NaN, infinity and negative radiance are dropped: the pixel does not count them. What is too bright
 * for the sums is clamped. */
rt_sample_fate rt_film_add(rt_film_pixel *pixel, rt_rgb radiance, bool covered);
void rt_film_merge(rt_film_pixel *into, const rt_film_pixel *from);
/* Mean radiance, and coverage into channel 4 when channels is 4; zeros for a pixel without samples. */
void rt_film_read(const rt_film_pixel *pixel, int channels, float *out);

#endif
