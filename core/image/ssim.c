/* Structural similarity: Wang, Bovik, Sheikh & Simoncelli 2004, "Image Quality Assessment: From Error Visibility to
 * Structural Similarity" (IEEE TIP 13(4)), with the paper's constants: a Gaussian window of 11 by 11 with sigma 1.5, K1
 * = .01, K2 = .03, L = 1.
 *
 * It compares the luma (Rec. 709's weights) of the sRGB-encoded, clipped colours, and is the mean over the pixels whose
 * window lies in the picture; where the picture is smaller than the window, over all pixels, its edges repeated. */
#include "base/elementary.h"
#include "base/memory.h"
#include "image/image.h"
#include "image/window.h"

#define RADIUS 5
#define SIGMA 1.5
#define C1 (0.01 * 0.01)
#define C2 (0.03 * 0.03)

enum { MEAN_A, MEAN_B, SQUARE_A, SQUARE_B, PRODUCT, PLANES };

typedef struct {
  const rt_image *a, *b;
  double kernel[2 * RADIUS + 1];
  double *luma_a, *luma_b; /* a row */
  rt_window window;
} comparison;

static void luma_row(const rt_image *image, int y, double *to) {
  const float *pixel = image->pixels + (size_t)y * rt_image_row(image);
  for (int x = 0; x < image->width; x++, pixel += image->channels) {
    if (rt_image_colours(image) == 1)
      to[x] = rt_srgb_encode(pixel[0]);
    else
      to[x] = 0.2126 * rt_srgb_encode(pixel[0]) + 0.7152 * rt_srgb_encode(pixel[1]) + 0.0722 * rt_srgb_encode(pixel[2]);
  }
}

static void fill(void *context, int y, double *planes) {
  comparison *c = context;
  size_t width = (size_t)c->a->width;
  luma_row(c->a, y, c->luma_a);
  luma_row(c->b, y, c->luma_b);
  for (int plane = 0; plane < PLANES; plane++) {
    const double *p = plane == MEAN_B || plane == SQUARE_B ? c->luma_b : c->luma_a;
    const double *q = plane == SQUARE_A ? c->luma_a : c->luma_b;
    double *line = c->window.line + RADIUS;
    for (size_t x = 0; x < width; x++) line[x] = plane == MEAN_A || plane == MEAN_B ? p[x] : p[x] * q[x];
    rt_window_pad(&c->window);
    rt_window_filter(&c->window, c->kernel, RADIUS, planes + (size_t)plane * width);
  }
}

static double similarity(double ma, double mb, double saa, double sbb, double sab) {
  double va = saa - ma * ma, vb = sbb - mb * mb, cov = sab - ma * mb;
  return ((2.0 * ma * mb + C1) * (2.0 * cov + C2)) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
}

static double mean_of(comparison *c, double *sums) {
  int width = c->a->width, height = c->a->height;
  int x0 = width > 2 * RADIUS ? RADIUS : 0, y0 = height > 2 * RADIUS ? RADIUS : 0;
  double sum = 0.0;
  for (int y = y0; y < height - y0; y++) {
    rt_window_move(&c->window, y);
    for (size_t i = 0; i < PLANES * (size_t)width; i++) sums[i] = 0.0;
    for (int plane = 0; plane < PLANES; plane++)
      rt_window_add(&c->window, y, plane, c->kernel, RADIUS, sums + (size_t)plane * (size_t)width);
    for (int x = x0; x < width - x0; x++) {
      const double *s = sums + x;
      sum += similarity(s[MEAN_A * width], s[MEAN_B * width], s[SQUARE_A * width], s[SQUARE_B * width],
                        s[PRODUCT * width]);
    }
  }
  return sum / ((double)(width - 2 * x0) * (double)(height - 2 * y0));
}

rt_status rt_image_ssim(const rt_image *a, const rt_image *b, double *out, rt_error *err) {
  rt_status status = rt_check_alike(a, b, err);
  if (status != RT_OK) return status;
  comparison c = {.a = a, .b = b};
  double total = 0.0;
  for (int i = 0; i <= 2 * RADIUS; i++) {
    int d = i - RADIUS;
    total += c.kernel[i] = rt_exp(-(double)(d * d) / (2.0 * SIGMA * SIGMA));
  }
  for (int i = 0; i <= 2 * RADIUS; i++) c.kernel[i] /= total;
  double *rows = rt_alloc(PLANES + 2, (size_t)a->width * sizeof *rows, err);
  if (!rows) return RT_NO_MEMORY;
  c.luma_a = rows + PLANES * (size_t)a->width;
  c.luma_b = c.luma_a + a->width;
  status = rt_window_open(&c.window, a, RADIUS, PLANES, fill, &c, err);
  if (status == RT_OK) {
    *out = mean_of(&c, rows);
    rt_window_close(&c.window);
  }
  rt_free(rows);
  return status;
}
