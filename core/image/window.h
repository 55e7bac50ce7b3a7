/* Separable filters over an image, row by row: a few filtered rows are in memory, never the image again. Beyond an edge
 * the edge's pixels repeat. */
#ifndef RT_IMAGE_WINDOW_H
#define RT_IMAGE_WINDOW_H

#include "image/image.h"

typedef struct {
  const rt_image *image;
  int radius, planes;
  double *line; /* for `fill`: a row with `radius` values more at both ends */
  double *ring; /* 2 radius + 1 rows, each of `planes` times the width */
  int filled;   /* rows of the image that were made, from the top */
  /* Makes row y of every plane, filtered along x: planes one behind the other. */
  void (*fill)(void *context, int y, double *planes);
  void *context;
} rt_window;

/* RT_NO_MEMORY leaves nothing to close. */
rt_status rt_window_open(rt_window *window, const rt_image *image, int radius, int planes,
                         void (*fill)(void *context, int y, double *planes), void *context, rt_error *err);
void rt_window_close(rt_window *window);
/* Brings the rows from y - radius to y + radius. y does not go back. */
void rt_window_move(rt_window *window, int y);
/* to[x] += the plane's column x around row y, weighted by kernel[0, 2 r + 1), r at most the window's radius. */
void rt_window_add(const rt_window *window, int y, int plane, const double *kernel, int r, double *to);

/* For `fill`: to[x] = line[radius + x] and its neighbours, weighted; the caller filled line[radius, radius + width). */
void rt_window_pad(rt_window *window);
void rt_window_filter(const rt_window *window, const double *kernel, int r, double *to);

#endif
