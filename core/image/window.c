#include "image/window.h"

#include "base/memory.h"

static size_t width_of(const rt_window *w) { return (size_t)w->image->width; }

static double *row_of(const rt_window *w, int y) {
  size_t slot = (size_t)y % (2 * (size_t)w->radius + 1);
  return w->ring + slot * (size_t)w->planes * width_of(w);
}

rt_status rt_window_open(rt_window *window, const rt_image *image, int radius, int planes,
                         void (*fill)(void *context, int y, double *planes), void *context, rt_error *err) {
  *window = (rt_window){.image = image, .radius = radius, .planes = planes, .fill = fill, .context = context};
  size_t rows = 2 * (size_t)radius + 1;
  window->ring = rt_alloc(rows * (size_t)planes, width_of(window) * sizeof(double), err);
  if (window->ring) window->line = rt_alloc(width_of(window) + rows, sizeof(double), err);
  if (window->line) return RT_OK;
  rt_free(window->ring);
  return RT_NO_MEMORY;
}

void rt_window_close(rt_window *window) {
  rt_free(window->ring);
  rt_free(window->line);
}

void rt_window_move(rt_window *window, int y) {
  int last = window->image->height - 1;
  if (y + window->radius < last) last = y + window->radius;
  for (; window->filled <= last; window->filled++)
    window->fill(window->context, window->filled, row_of(window, window->filled));
}

void rt_window_add(const rt_window *window, int y, int plane, const double *kernel, int r, double *to) {
  size_t width = width_of(window);
  for (int k = -r; k <= r; k++) {
    int row = y + k < 0 ? 0 : y + k < window->image->height ? y + k : window->image->height - 1;
    const double *from = row_of(window, row) + (size_t)plane * width;
    double weight = kernel[k + r];
    for (size_t x = 0; x < width; x++) to[x] += weight * from[x];
  }
}

void rt_window_pad(rt_window *window) {
  size_t r = (size_t)window->radius, width = width_of(window);
  for (size_t i = 0; i < r; i++) {
    window->line[i] = window->line[r];
    window->line[r + width + i] = window->line[r + width - 1];
  }
}

void rt_window_filter(const rt_window *window, const double *kernel, int r, double *to) {
  const double *from = window->line + window->radius - r;
  size_t width = width_of(window);
  for (size_t x = 0; x < width; x++) {
    double sum = 0.0;
    for (int k = 0; k <= 2 * r; k++) sum += kernel[k] * from[x + (size_t)k];
    to[x] = sum;
  }
}
