/* The pixel filter by importance: a sample is placed with the filter's density and belongs to one pixel alone, with
 * weight 1. Ernst, Stamminger, Greiner 2006, "Filter Importance Sampling". */
#ifndef RT_RENDER_FILTER_H
#define RT_RENDER_FILTER_H

#include "rt.h"

#define RT_FILTER_CELLS 512

/* One axis: the density is constant in each of RT_FILTER_CELLS cells of [-half, half], cumulative[k] is the
 * probability below cell k, and first[i] is the cell where a search for u in [i, i + 1) / RT_FILTER_CELLS begins
 * (Chen and Asau 1974, the cutpoint method). */
typedef struct {
  float half; /* width, pixels */
  float cumulative[RT_FILTER_CELLS + 1];
  uint16_t first[RT_FILTER_CELLS];
} rt_filter_table;

void rt_filter_prepare(rt_filter_table *table, rt_filter filter);
/* Offset from the pixel's centre along one axis, pixels, from u in [0, 1). */
float rt_filter_sample(const rt_filter_table *table, float u);
float rt_filter_pdf(const rt_filter_table *table, float x);

#endif
