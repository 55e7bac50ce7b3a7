/* LDR-FLIP: Andersson, Nilsson, Akenine-Moller, Oskarsson, Astrom & Fairchild 2020, "FLIP: A Difference Evaluator for
 * Alternating Images" (PACMCGIT 3(2)). The numbers are the paper's; where it leaves one open, those of its authors'
 * code.
 *
 * Colour: both images in a linear opponent space (YCxCz), blurred as the eye blurs (contrast sensitivity, a sum of
 * Gaussians for each channel), then compared in L*a*b* with Hunt's adjustment by HyAB's distance, raised to qc and
 * mapped to [0, 1]. Features: edges and points of the luminance, by the first and second derivative of a Gaussian. A
 * pixel's error is colour ^ (1 - features).
 *
 * Colours are clipped to [0, 1] linear, which a display shows; NaN is 0. All kernels are separable: rt_window. */
#include <math.h>

#include "base/elementary.h"
#include "base/memory.h"
#include "image/image.h"
#include "image/window.h"

#define MIN_PPD 1.0
#define MAX_PPD 1000.0
/* Exponents and thresholds of the colour part; the width of features in degrees and their exponent. */
#define QC 0.7
#define PC 0.4
#define PT 0.95
#define FEATURE_WIDTH 0.082
#define QF 0.5

/* What is filtered along x: the opponent channels (Cz by its two Gaussians), and the luminance by a Gaussian and its
 * two derivatives. */
enum { BLUR_Y, BLUR_CX, BLUR_CZ1, BLUR_CZ2, SMOOTH, FIRST, SECOND, PLANES };

/* Of the contrast sensitivity exp(-pi^2 d^2 / b), d in degrees; Cz has two with these amplitudes. */
static const double spread[] = {[BLUR_Y] = 0.0047, [BLUR_CX] = 0.0053, [BLUR_CZ1] = 0.04, [BLUR_CZ2] = 0.025};
static const double amplitude_cz1 = 34.1, amplitude_cz2 = 13.5;

typedef struct {
  int radius[PLANES];
  double *kernel[PLANES]; /* along x */
  double weight_cz1, weight_cz2;
  double *block;
  double to_rgb[3][3];
  double largest; /* colour error, of green against blue */
} filters;

typedef struct {
  const rt_image *image;
  const filters *f;
  rt_window window;
  double *lab;          /* of a row: 3 planes, Hunt's adjustment made */
  double *edge, *point; /* of a row: magnitudes */
  double *sums;         /* of a row: scratch, 4 planes */
  double *block;
} side;

/* ---- Colour ------------------------------------------------------------------------------------------------------ */

/* Linear sRGB to XYZ over the white's XYZ: Rec. 709's primaries, white (.31271, .32902). */
static const double to_xyz[3][3] = {
    {10135552.0 / 24577794.0, 8788810.0 / 24577794.0, 4435075.0 / 24577794.0},
    {2613072.0 / 12288897.0, 8788810.0 / 12288897.0, 887015.0 / 12288897.0},
    {1425312.0 / 73733382.0, 8788810.0 / 73733382.0, 70074185.0 / 73733382.0},
};

static void xyz_of(const double rgb[3], double xyz[3]) {
  for (int i = 0; i < 3; i++) {
    const double *m = to_xyz[i];
    xyz[i] = (m[0] * rgb[0] + m[1] * rgb[1] + m[2] * rgb[2]) / (m[0] + m[1] + m[2]);
  }
}

/* The inverse of xyz_of's matrix, by cofactors. */
static void invert_xyz(double inverse[3][3]) {
  double m[3][3], determinant = 0.0;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) m[i][j] = to_xyz[i][j] / (to_xyz[i][0] + to_xyz[i][1] + to_xyz[i][2]);
  for (int j = 0; j < 3; j++) {
    int k = (j + 1) % 3, l = (j + 2) % 3;
    for (int i = 0; i < 3; i++) {
      int p = (i + 1) % 3, q = (i + 2) % 3;
      inverse[j][i] = m[p][k] * m[q][l] - m[p][l] * m[q][k];
    }
  }
  for (int i = 0; i < 3; i++) determinant += inverse[0][i] * m[i][0];
  for (int i = 0; i < 9; i++) inverse[i / 3][i % 3] /= determinant;
}

static double lab_curve(double t) {
  const double delta = 6.0 / 29.0;
  return t > delta * delta * delta ? rt_pow(t, 1.0 / 3.0) : t / (3.0 * delta * delta) + 4.0 / 29.0;
}

/* L*a*b* of linear sRGB in [0, 1], a* and b* less colourful where it is dark (Hunt's effect). */
static void hunt_lab_of(const double rgb[3], double lab[3]) {
  double xyz[3], f[3];
  xyz_of(rgb, xyz);
  for (int i = 0; i < 3; i++) f[i] = lab_curve(xyz[i]);
  lab[0] = 116.0 * f[1] - 16.0;
  lab[1] = 0.01 * lab[0] * 500.0 * (f[0] - f[1]);
  lab[2] = 0.01 * lab[0] * 200.0 * (f[1] - f[2]);
}

/* HyAB's distance to the power of qc. */
static double colour_distance(const double p[3], const double q[3]) {
  double a = p[1] - q[1], b = p[2] - q[2];
  return rt_pow(fabs(p[0] - q[0]) + sqrt(a * a + b * b), QC);
}

/* To [0, 1]: what is below pc of the largest error takes pt of the range. */
static double compress(double e, double largest) {
  double knee = PC * largest;
  double v = e < knee ? PT / knee * e : PT + (e - knee) / (largest - knee) * (1.0 - PT);
  return v < 1.0 ? v : 1.0;
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

static double sum_of(const double *kernel, int r) {
  double sum = 0.0;
  for (int i = 0; i <= 2 * r; i++) sum += kernel[i];
  return sum;
}

static void scale(double *kernel, int r, double factor) {
  for (int i = 0; i <= 2 * r; i++) kernel[i] *= factor;
}

/* Positive weights sum to 1, negative ones to -1. */
static void balance(double *kernel, int r) {
  double above = 0.0, below = 0.0;
  for (int i = 0; i <= 2 * r; i++) {
    if (kernel[i] > 0.0) above += kernel[i];
    if (kernel[i] < 0.0) below -= kernel[i];
  }
  for (int i = 0; i <= 2 * r; i++) kernel[i] /= kernel[i] < 0.0 ? below : above;
}

static rt_status make_filters(filters *f, double ppd, rt_error *err) {
  /* Three standard deviations of the widest Gaussian of each kind, in pixels. */
  double deviation = 0.5 * FEATURE_WIDTH * ppd;
  int blur = (int)ceil(3.0 * sqrt(spread[BLUR_CZ1] / (2.0 * RT_PI * RT_PI)) * ppd),
      feature = (int)ceil(3.0 * deviation);
  int widest = blur > feature ? blur : feature;
  f->block = rt_alloc(PLANES, (2 * (size_t)widest + 1) * sizeof(double), err);
  if (!f->block) return RT_NO_MEMORY;
  for (int plane = 0; plane < PLANES; plane++) {
    int r = f->radius[plane] = plane < SMOOTH ? blur : feature;
    double *kernel = f->kernel[plane] = f->block + (size_t)plane * (2 * (size_t)widest + 1);
    for (int i = 0; i <= 2 * r; i++) {
      double x = i - r;
      if (plane < SMOOTH) {
        double degrees = x / ppd;
        kernel[i] = rt_exp(-RT_PI * RT_PI * degrees * degrees / spread[plane]);
      } else {
        double t = x / deviation, g = rt_exp(-0.5 * t * t);
        kernel[i] = plane == SMOOTH ? g : plane == FIRST ? -x * g : (t * t - 1.0) * g;
      }
    }
  }
  /* The two-dimensional sum of both, with their amplitudes a sqrt(pi / b), is 1; so is each other blur's. */
  double s1 = sum_of(f->kernel[BLUR_CZ1], blur), s2 = sum_of(f->kernel[BLUR_CZ2], blur);
  f->weight_cz1 = amplitude_cz1 * sqrt(RT_PI / spread[BLUR_CZ1]) * s1 * s1;
  f->weight_cz2 = amplitude_cz2 * sqrt(RT_PI / spread[BLUR_CZ2]) * s2 * s2;
  double both = f->weight_cz1 + f->weight_cz2;
  f->weight_cz1 /= both;
  f->weight_cz2 /= both;
  for (int plane = 0; plane <= SMOOTH; plane++)
    scale(f->kernel[plane], f->radius[plane], 1.0 / sum_of(f->kernel[plane], f->radius[plane]));
  balance(f->kernel[FIRST], feature);
  balance(f->kernel[SECOND], feature);
  invert_xyz(f->to_rgb);
  const double green[3] = {0.0, 1.0, 0.0}, blue[3] = {0.0, 0.0, 1.0};
  double lab_green[3], lab_blue[3];
  hunt_lab_of(green, lab_green);
  hunt_lab_of(blue, lab_blue);
  f->largest = colour_distance(lab_green, lab_blue);
  return RT_OK;
}

/* ---- One image --------------------------------------------------------------------------------------------------- */

/* The linear channel of plane `plane` before filtering: Y, X - Y or Y - Z over the white's. */
static double opponent(const double xyz[3], int plane) {
  if (plane == BLUR_CX) return xyz[0] - xyz[1];
  if (plane == BLUR_CZ1 || plane == BLUR_CZ2) return xyz[1] - xyz[2];
  return xyz[1];
}

static void fill(void *context, int y, double *planes) {
  side *s = context;
  size_t width = (size_t)s->image->width;
  const float *pixel = s->image->pixels + (size_t)y * rt_image_row(s->image);
  int colours = rt_image_colours(s->image);
  for (size_t x = 0; x < width; x++, pixel += s->image->channels) {
    double rgb[3], xyz[3];
    for (int c = 0; c < 3; c++) rgb[c] = rt_unit_clip(pixel[colours == 3 ? c : 0]);
    xyz_of(rgb, xyz);
    for (int c = 0; c < 3; c++) s->sums[(size_t)c * width + x] = xyz[c];
  }
  double *line = s->window.line + s->window.radius;
  for (int plane = 0; plane < PLANES; plane++) {
    for (size_t x = 0; x < width; x++) {
      const double xyz[3] = {s->sums[x], s->sums[width + x], s->sums[2 * width + x]};
      line[x] = opponent(xyz, plane);
    }
    rt_window_pad(&s->window);
    rt_window_filter(&s->window, s->f->kernel[plane], s->f->radius[plane], planes + (size_t)plane * width);
  }
}

/* The plane filtered by another plane's kernel along y, times `weight`, is added to to[]. */
static void add_column(const side *s, int y, int plane, int kernel, double weight, double *to, double *scratch) {
  size_t width = (size_t)s->image->width;
  for (size_t x = 0; x < width; x++) scratch[x] = 0.0;
  rt_window_add(&s->window, y, plane, s->f->kernel[kernel], s->f->radius[kernel], scratch);
  for (size_t x = 0; x < width; x++) to[x] += weight * scratch[x];
}

static void colours_of_row(side *s, int y) {
  size_t width = (size_t)s->image->width;
  double *sum = s->sums, *scratch = s->sums + 3 * width;
  for (size_t i = 0; i < 3 * width; i++) sum[i] = 0.0;
  add_column(s, y, BLUR_Y, BLUR_Y, 1.0, sum, scratch);
  add_column(s, y, BLUR_CX, BLUR_CX, 1.0, sum + width, scratch);
  add_column(s, y, BLUR_CZ1, BLUR_CZ1, s->f->weight_cz1, sum + 2 * width, scratch);
  add_column(s, y, BLUR_CZ2, BLUR_CZ2, s->f->weight_cz2, sum + 2 * width, scratch);
  for (size_t x = 0; x < width; x++) {
    double luminance = sum[x], rgb[3], lab[3];
    const double xyz[3] = {luminance + sum[width + x], luminance, luminance - sum[2 * width + x]};
    for (int c = 0; c < 3; c++) {
      const double *m = s->f->to_rgb[c];
      rgb[c] = rt_unit_clip(m[0] * xyz[0] + m[1] * xyz[1] + m[2] * xyz[2]);
    }
    hunt_lab_of(rgb, lab);
    for (int c = 0; c < 3; c++) s->lab[(size_t)c * width + x] = lab[c];
  }
}

/* The magnitude of a derivative along x and y: `plane` is it along x. */
static void magnitudes_of_row(side *s, int y, int plane, double *to) {
  size_t width = (size_t)s->image->width;
  double *along_x = s->sums, *along_y = s->sums + width, *scratch = s->sums + 2 * width;
  for (size_t i = 0; i < 2 * width; i++) s->sums[i] = 0.0;
  add_column(s, y, plane, SMOOTH, 1.0, along_x, scratch);
  add_column(s, y, SMOOTH, plane, 1.0, along_y, scratch);
  for (size_t x = 0; x < width; x++) to[x] = sqrt(along_x[x] * along_x[x] + along_y[x] * along_y[x]);
}

static void make_row(side *s, int y) {
  rt_window_move(&s->window, y);
  colours_of_row(s, y);
  magnitudes_of_row(s, y, FIRST, s->edge);
  magnitudes_of_row(s, y, SECOND, s->point);
}

static rt_status open_side(side *s, const rt_image *image, const filters *f, rt_error *err) {
  size_t width = (size_t)image->width;
  *s = (side){.image = image, .f = f};
  s->block = rt_alloc(9, width * sizeof(double), err);
  if (!s->block) return RT_NO_MEMORY;
  s->lab = s->block;
  s->edge = s->block + 3 * width;
  s->point = s->block + 4 * width;
  s->sums = s->block + 5 * width;
  int radius = f->radius[BLUR_Y] > f->radius[SMOOTH] ? f->radius[BLUR_Y] : f->radius[SMOOTH];
  rt_status status = rt_window_open(&s->window, image, radius, PLANES, fill, s, err);
  if (status != RT_OK) rt_free(s->block);
  return status;
}

static void close_side(side *s) {
  rt_window_close(&s->window);
  rt_free(s->block);
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

static double error_at(const side *a, const side *b, size_t x) {
  size_t width = (size_t)a->image->width;
  const double p[3] = {a->lab[x], a->lab[width + x], a->lab[2 * width + x]};
  const double q[3] = {b->lab[x], b->lab[width + x], b->lab[2 * width + x]};
  double colour = compress(colour_distance(p, q), a->f->largest);
  double edges = fabs(a->edge[x] - b->edge[x]), points = fabs(a->point[x] - b->point[x]);
  double features = rt_pow((edges > points ? edges : points) / sqrt(2.0), QF);
  return rt_pow(colour, 1.0 - features);
}

static double mean_of(side *a, side *b, rt_image *map) {
  double sum = 0.0;
  for (int y = 0; y < a->image->height; y++) {
    make_row(a, y);
    make_row(b, y);
    for (size_t x = 0; x < (size_t)a->image->width; x++) {
      double e = error_at(a, b, x);
      sum += e;
      if (map) map->pixels[(size_t)y * (size_t)a->image->width + x] = (float)e;
    }
  }
  return sum / ((double)a->image->width * (double)a->image->height);
}

rt_status rt_image_flip(const rt_image *a, const rt_image *b, double pixels_per_degree, double *mean, rt_image **map,
                        rt_error *err) {
  rt_status status = rt_check_alike(a, b, err);
  if (status != RT_OK) return status;
  if (!(pixels_per_degree >= MIN_PPD && pixels_per_degree <= MAX_PPD))
    return rt_fail(err, RT_BAD_USAGE, "FLIP with %g pixels per degree: %g to %g are possible", pixels_per_degree,
                   MIN_PPD, MAX_PPD);
  filters f = {0};
  side one, other;
  rt_image *errors = NULL;
  status = make_filters(&f, pixels_per_degree, err);
  if (status == RT_OK && map) status = rt_image_new(&errors, a->width, a->height, 1, err);
  if (status == RT_OK) status = open_side(&one, a, &f, err);
  if (status == RT_OK) {
    status = open_side(&other, b, &f, err);
    if (status == RT_OK) {
      *mean = mean_of(&one, &other, errors);
      close_side(&other);
    }
    close_side(&one);
  }
  rt_free(f.block);
  if (status == RT_OK && map) {
    errors->placement = a->placement;
    *map = errors;
  } else {
    rt_image_free(errors);
  }
  return status;
}
