/* Adaptive sampling: when a pixel is clean enough. */
#ifndef RT_RENDER_ADAPTIVE_H
#define RT_RENDER_ADAPTIVE_H

#include "render/cells.h"

/* A pixel is looked at when it has this many samples, and whenever it has twice as many as the last time. */
#define RT_ADAPTIVE_START 16

/* Is the relative error of cell i's luminance estimated to be below `noise`? It keeps the variance. */
bool rt_adaptive_is_clean(const rt_film_cells *cells, size_t i, float noise);

#endif
