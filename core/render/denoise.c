/* The denoiser: each pixel becomes the value, at its place, of a plane over x and y that is fitted to the noisy pixels
 * around it by weighted least squares.
 *
 * A neighbour's weight is that of non-local means (Buades, Coll & Morel 2005): the patches around the two pixels differ
 * by so much more than their noise explains, in the form of Rousselle, Knaus & Zwicker 2012, "Adaptive Rendering with Non-Local
 * Means Filtering"; and where albedo, normal or depth differ by more than their own noise and slope explain, that
 * difference counts if it is larger (Rousselle, Manzi & Zwicker 2013, "Robust Denoising using Feature and Color
 * Information"). Fitting instead of averaging keeps gradients (Bitterli et al. 2016, "Nonlinearly Weighted First-Order
 * Regression for Denoising Monte Carlo Renderings"; its regression on features, too, lost to x and y alone here, since features
 * behind a lens or in glass are noisy themselves). The noise is the film's estimate from two halves of a
 * pixel's samples (RT_AOV_ERROR), which sees how much better than independent ones these are.
 *
 * What always holds: + - * / in one order for each pixel, whichever tile or thread has it; nothing has a unit but the
 * features, so that a picture 2^n times as bright comes out 2^n times as bright, to the bit; a pixel around which there
 * is no noise stays as it is. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/exact.h"
#include "base/memory.h"
#include "base/pool.h"
#include "rt.h"

#define TILE 32
#define WINDOW 8 /* pixels that a neighbour is away at most, in x and y */
#define PATCH 3  /* the same for the patches that are compared */
#define MARGIN (WINDOW + PATCH)
#define AREA (TILE + 2 * PATCH) /* side of what a tile's patches cover */

/* Measured by spec/bench/denoise.lua. A larger strength takes away more noise and more of the picture. */
#define COLOUR_STRENGTH 0.6f
#define FEATURE_STRENGTH 2.0f
/* The noise is at most so many times what the samples' variance says. */
#define MOST_NOISE 2.0f
/* A firefly is so many times brighter than each of its neighbours, by no more errors of its mean. */
#define FIREFLY_RATIO 2.0f
#define FIREFLY_ERRORS 4.0f
/* What keeps the fitted plane level where there is little to fit it to, of the sum of weights. */
#define RIDGE 0.1f
/* Squares of the differences that count where a feature has neither noise nor slope. */
#define ALBEDO_TOLERANCE 1e-3f
#define NORMAL_TOLERANCE 1e-3f
#define DEPTH_TOLERANCE 1e-4f

enum { ALBEDO = 0, NORMAL = 3, DEPTH = 6, FEATURES = 7 };
/* Of a fit: sums of the weights times 1, x, y, x x, x y, y y, and times 1, x, y for each colour. */
enum { S1, SX, SY, SXX, SXY, SYY, SC, SUMS = SC + 9 };

typedef struct {
  float sums[SUMS][TILE * TILE];
  float excess[AREA * AREA], rows[AREA * TILE];
} scratch;

/* Planes of floats, width by height with a margin in which the border is repeated: a patch may lie outside, and so may
 * the last tiles. */
typedef struct {
  int width, height;
  size_t stride, size;
  float *colour[3], *noise[3]; /* and its variance */
  float *feature[FEATURES];
  float *tolerance[FEATURES]; /* the square of a difference that says nothing */
  float *memory;
  scratch *scratches; /* one a thread */
  int tiles_x, tiles_y;
  rt_image *out;
  bool (*stop)(void *context);
  void *context;
  atomic_bool stopped;
} filter;

static size_t at(const filter *f, int x, int y) { return ((size_t)(y + MARGIN)) * f->stride + (size_t)(x + MARGIN); }

/* ---- Planes ------------------------------------------------------------------------------------------------------ */

static void repeat_border(const filter *f, float *plane) {
  size_t right = f->stride - (size_t)f->width - MARGIN;
  for (int y = 0; y < f->height; y++) {
    float *row = plane + at(f, 0, y), *end = row + f->width;
    for (int x = 1; x <= MARGIN; x++) row[-x] = row[0];
    for (size_t x = 0; x < right; x++) end[x] = end[-1];
  }
  size_t rows = f->size / f->stride, first = MARGIN, last = (size_t)f->height + MARGIN - 1;
  for (size_t y = 0; y < rows; y++) {
    size_t from = y < first ? first : y > last ? last : y;
    if (from != y) memcpy(plane + y * f->stride, plane + from * f->stride, f->stride * sizeof *plane);
  }
}

/* Copies channel c of an image into a plane; with `square`, of its squares. */
static void read_channel(const filter *f, const rt_image *image, int c, bool square, float *plane) {
  int channels = rt_image_channels(image);
  const float *from = rt_image_view(image) + c;
  for (int y = 0; y < f->height; y++) {
    for (int x = 0; x < f->width; x++, from += channels) plane[at(f, x, y)] = square ? *from * *from : *from;
  }
}

/* Sums of a pixel and its eight neighbours. */
static float sum_around(const filter *f, const float *plane, size_t i) {
  float sum = 0.0f;
  for (int y = -1; y <= 1; y++) {
    const float *row = plane + i + (ptrdiff_t)y * (ptrdiff_t)f->stride;
    sum += (row[-1] + row[0]) + row[1];
  }
  return sum;
}

/* An estimate from two halves is as noisy as can be: the mean with the neighbours', 3 by 3. Leaves the margin. */
static void smooth(const filter *f, const float *plane, float *out) {
  for (int y = 0; y < f->height; y++)
    for (int x = 0; x < f->width; x++) out[at(f, x, y)] = sum_around(f, plane, at(f, x, y)) * (1.0f / 9.0f);
}

static float luminance(float *const planes[3], size_t i) {
  return 0.2126f * planes[0][i] + 0.7152f * planes[1][i] + 0.0722f * planes[2][i];
}

/* What is brighter than all around it by one or two paths that no other pixel found would become a spot as large as the
 * window: it is brought down to what its neighbours have. Highlights, which many samples see, stay. Scales go through
 * `scale`, a plane, so that no pixel sees what was done to another. */
static void dim_fireflies(const filter *f, float *scale) {
  for (int y = 0; y < f->height; y++) {
    for (int x = 0; x < f->width; x++) {
      size_t i = at(f, x, y);
      float own = luminance(f->colour, i), most = 0.0f;
      for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
          float other = luminance(f->colour, (size_t)((ptrdiff_t)i + (ptrdiff_t)dy * (ptrdiff_t)f->stride + dx));
          if ((dx != 0 || dy != 0) && other > most) most = other;
        }
      }
      most *= FIREFLY_RATIO;
      float error = FIREFLY_ERRORS * FIREFLY_ERRORS * luminance(f->noise, i);
      bool is_firefly = own > most && (own - most) * (own - most) < error;
      scale[i] = is_firefly ? most / own : 1.0f;
    }
  }
  for (int c = 0; c < 3; c++) {
    for (int y = 0; y < f->height; y++) {
      for (int x = 0; x < f->width; x++) {
        size_t i = at(f, x, y);
        f->colour[c][i] *= scale[i];
        f->noise[c][i] *= scale[i] * scale[i];
      }
    }
    repeat_border(f, f->colour[c]);
    repeat_border(f, f->noise[c]);
  }
}

/* Smoothed errors lend the noise of something very bright to what is beside it, which would then take all for its like:
 * the pixel's own samples say how much there can be. They say it of the luminance; a colour may be noisier by as much as
 * it is brighter. */
static void limit_noise(const filter *f, const float *variance) {
  for (int y = 0; y < f->height; y++) {
    for (int x = 0; x < f->width; x++) {
      size_t i = at(f, x, y);
      float own = luminance(f->colour, i);
      for (int c = 0; c < 3; c++) {
        float excess = own > 0.0f ? f->colour[c][i] / own : 1.0f;
        excess = excess > 1.0f ? excess * excess : 1.0f;
        float most = MOST_NOISE * excess * *variance, *noise = &f->noise[c][i];
        *noise = *noise < most ? *noise : most;
      }
      variance++;
    }
  }
}

/* The larger of a feature's noise, in `plane`, and how much it differs around the pixel. */
static void find_tolerance(const filter *f, const float *feature, float *plane, float least) {
  for (int y = 0; y < f->height; y++) {
    for (int x = 0; x < f->width; x++) {
      size_t i = at(f, x, y);
      float mean = sum_around(f, feature, i) * (1.0f / 9.0f), spread = 0.0f;
      for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
          float d = feature[(ptrdiff_t)i + (ptrdiff_t)dy * (ptrdiff_t)f->stride + dx] - mean;
          spread += d * d;
        }
      }
      spread *= 1.0f / 9.0f;
      float tolerance = plane[i] > spread ? plane[i] : spread;
      plane[i] = tolerance > least ? tolerance : least;
    }
  }
  repeat_border(f, plane);
}

/* Depths as d / (|d| + mean), whatever the scene's unit is; 1 at infinity. The mean is harmonic, so that what is far
 * away does not matter. */
static void read_depth(const filter *f, const rt_image *depth, const rt_image *error, float *plane, float *noise) {
  const float *d = rt_image_view(depth), *e = rt_image_view(error);
  size_t n = (size_t)f->width * (size_t)f->height, count = 0;
  double inverse = 0.0;
  for (size_t i = 0; i < n; i++) {
    double z = fabs((double)d[i]);
    if (!(z > 0.0 && z < (double)INFINITY)) continue;
    inverse += 1.0 / z;
    count++;
  }
  float mean = count > 0 ? (float)((double)count / inverse) : 1.0f;
  for (int y = 0; y < f->height; y++) {
    for (int x = 0; x < f->width; x++, d++, e++) {
      float size = fabsf(*d) + mean, slope = mean / size / size;
      bool finite = size < INFINITY;
      plane[at(f, x, y)] = finite ? *d / size : 1.0f;
      noise[at(f, x, y)] = finite ? *e * slope * (*e * slope) : 0.0f;
    }
  }
}

static void read_planes(filter *f, const rt_denoise_input *in, float *raw) {
  for (int c = 0; c < 3; c++) {
    read_channel(f, in->colour, c, false, f->colour[c]);
    read_channel(f, in->error, c, true, raw);
    repeat_border(f, f->colour[c]);
    repeat_border(f, raw);
    smooth(f, raw, f->noise[c]);
    repeat_border(f, f->noise[c]);
    smooth(f, f->noise[c], raw);
    memcpy(f->noise[c], raw, f->size * sizeof *raw);
  }
  limit_noise(f, rt_image_view(in->variance));
  dim_fireflies(f, raw);
  for (int i = 0; i < FEATURES; i++) {
    if (i == DEPTH) {
      read_depth(f, in->depth, in->depth_error, f->feature[i], raw);
    } else {
      int c = i < NORMAL ? i - ALBEDO : i - NORMAL;
      read_channel(f, i < NORMAL ? in->albedo : in->normal, c, false, f->feature[i]);
      read_channel(f, i < NORMAL ? in->albedo_error : in->normal_error, c, true, raw);
    }
    repeat_border(f, f->feature[i]);
    repeat_border(f, raw);
    smooth(f, raw, f->tolerance[i]);
    find_tolerance(f, f->feature[i], f->tolerance[i],
                   i < NORMAL  ? ALBEDO_TOLERANCE
                   : i < DEPTH ? NORMAL_TOLERANCE
                               : DEPTH_TOLERANCE);
  }
}

/* ---- Filtering --------------------------------------------------------------------------------------------------- */

/* By how much the pixels that are `offset` apart differ more than their noise lets expect, in units of it: of all of a
 * tile's patches. The smaller variance is taken twice: a bright outlier does not excuse everything around it. */
static void compare_pixels(const filter *f, size_t first, ptrdiff_t offset, float *excess) {
  for (int y = 0; y < AREA; y++) {
    size_t row = first + (size_t)y * f->stride;
    float *out = excess + (ptrdiff_t)y * AREA;
    for (int x = 0; x < AREA; x++) out[x] = 0.0f;
    for (int c = 0; c < 3; c++) {
      const float *colour = f->colour[c] + row, *noise = f->noise[c] + row;
      for (int x = 0; x < AREA; x++) {
        float d = colour[x] - colour[x + offset], v = noise[x], w = noise[x + offset];
        out[x] += (d * d - (v + (v < w ? v : w))) / (v + w + 1e-30f);
      }
    }
  }
}

/* Sums of the columns' sums over a patch: of row y of the tile. */
static void sum_rows(const float *excess, float *rows) {
  for (int y = 0; y < AREA; y++) {
    const float *from = excess + (ptrdiff_t)y * AREA;
    for (int x = 0; x < TILE; x++) {
      float sum = from[x];
      for (int i = 1; i <= 2 * PATCH; i++) sum += from[x + i];
      rows[y * TILE + x] = sum;
    }
  }
}

/* Weights of a row of the tile. (1 - d / 8)^8 is near to exp(-d), and 0 from 8 on. */
static void find_weights(const filter *f, const float *rows, size_t row, ptrdiff_t offset, float *weights) {
  const float mean = 1.0f / (3 * (2 * PATCH + 1) * (2 * PATCH + 1));
  const float colour = mean / (COLOUR_STRENGTH * COLOUR_STRENGTH);
  const float feature = 1.0f / (FEATURE_STRENGTH * FEATURE_STRENGTH);
  float farthest[TILE];
  for (int x = 0; x < TILE; x++) farthest[x] = 0.0f;
  for (int i = 0; i < FEATURES; i++) {
    const float *plane = f->feature[i] + row, *tolerance = f->tolerance[i] + row;
    for (int x = 0; x < TILE; x++) {
      float d = plane[x] - plane[x + offset], far = d * d / tolerance[x];
      farthest[x] = far > farthest[x] ? far : farthest[x];
    }
  }
  for (int x = 0; x < TILE; x++) {
    float patch = rows[x];
    for (int i = 1; i <= 2 * PATCH; i++) patch += rows[i * TILE + x];
    float d = patch * colour, far = farthest[x] * feature;
    d = d > far ? d : far;
    float w = 1.0f - 0.125f * d;
    w = w > 0.0f ? w : 0.0f;
    w *= w;
    w *= w;
    weights[x] = w * w;
  }
}

/* Adds the neighbours that are (dx, dy) away, of row y of the tile from x = begin to before `end`. */
static void add_row(const filter *f, scratch *s, int y, int begin, int end, size_t row, ptrdiff_t offset, int dx,
                    int dy, const float *weights) {
  const float u = (float)dx / WINDOW, v = (float)dy / WINDOW;
  int first = y * TILE;
  for (int x = begin; x < end; x++) {
    float w = weights[x];
    s->sums[S1][first + x] += w;
    s->sums[SX][first + x] += w * u;
    s->sums[SY][first + x] += w * v;
    s->sums[SXX][first + x] += w * (u * u);
    s->sums[SXY][first + x] += w * (u * v);
    s->sums[SYY][first + x] += w * (v * v);
  }
  for (int c = 0; c < 3; c++) {
    const float *colour = f->colour[c] + row + offset;
    float *sums = s->sums[SC + 3 * c] + first, *sums_x = sums + TILE * TILE, *sums_y = sums_x + TILE * TILE;
    for (int x = begin; x < end; x++) {
      float value = weights[x] * colour[x];
      sums[x] += value;
      sums_x[x] += value * u;
      sums_y[x] += value * v;
    }
  }
}

/* The planes' values in the middle. By Cramer's rule: the first row of the adjugate of [1 x y; x xx xy; y xy yy]. */
static void solve(const filter *f, const scratch *s, int i, size_t from, float *out) {
  double one = s->sums[S1][i], x = s->sums[SX][i], y = s->sums[SY][i], xy = s->sums[SXY][i];
  double xx = (double)s->sums[SXX][i] + (double)RIDGE * one, yy = (double)s->sums[SYY][i] + (double)RIDGE * one;
  double a = xx * yy - xy * xy, b = xy * y - x * yy, c = x * xy - xx * y;
  double determinant = a * one + b * x + c * y;
  bool noisy = f->noise[0][from] > 0.0f || f->noise[1][from] > 0.0f || f->noise[2][from] > 0.0f;
  for (int k = 0; k < 3; k++) {
    const float(*sums)[TILE * TILE] = &s->sums[SC + 3 * k];
    double value = (a * (double)sums[0][i] + b * (double)sums[1][i] + c * (double)sums[2][i]) / determinant;
    out[k] = !noisy ? f->colour[k][from] : value > 0.0 ? (float)value : 0.0f;
  }
}

static int min_int(int a, int b) { return a < b ? a : b; }
static int max_int(int a, int b) { return a > b ? a : b; }

static void filter_tile(void *context, size_t tile, int worker) {
  filter *f = context;
  scratch *s = &f->scratches[worker];
  if (f->stop && f->stop(f->context)) atomic_store(&f->stopped, true);
  if (atomic_load(&f->stopped)) return;
  int x0 = (int)(tile % (size_t)f->tiles_x) * TILE, y0 = (int)(tile / (size_t)f->tiles_x) * TILE;
  int width = min_int(TILE, f->width - x0), height = min_int(TILE, f->height - y0);
  memset(s->sums, 0, sizeof s->sums);
  for (int dy = -WINDOW; dy <= WINDOW; dy++) {
    for (int dx = -WINDOW; dx <= WINDOW; dx++) {
      /* Neighbours lie in the picture. */
      int x_begin = max_int(0, -dx - x0), x_end = min_int(width, f->width - dx - x0);
      int y_begin = max_int(0, -dy - y0), y_end = min_int(height, f->height - dy - y0);
      if (x_begin >= x_end || y_begin >= y_end) continue;
      ptrdiff_t offset = (ptrdiff_t)dy * (ptrdiff_t)f->stride + dx;
      compare_pixels(f, at(f, x0 - PATCH, y0 - PATCH), offset, s->excess);
      sum_rows(s->excess, s->rows);
      for (int y = y_begin; y < y_end; y++) {
        float weights[TILE];
        size_t row = at(f, x0, y0 + y);
        find_weights(f, s->rows + (ptrdiff_t)y * TILE, row, offset, weights);
        add_row(f, s, y, x_begin, x_end, row, offset, dx, dy, weights);
      }
    }
  }
  int channels = rt_image_channels(f->out);
  for (int y = 0; y < height; y++) {
    float *out = rt_image_pixels(f->out) + ((size_t)(y0 + y) * (size_t)f->width + (size_t)x0) * (size_t)channels;
    for (int x = 0; x < width; x++) solve(f, s, y * TILE + x, at(f, x0 + x, y0 + y), out + (ptrdiff_t)x * channels);
  }
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static rt_status check(const rt_denoise_input *in, rt_error *err) {
  const struct {
    const char *name;
    const rt_image *image;
    int channels;
  } images[] = {{"colour", in->colour, 3},
                {"error", in->error, 3},
                {"variance", in->variance, 1},
                {"albedo", in->albedo, 3},
                {"albedo_error", in->albedo_error, 3},
                {"normal", in->normal, 3},
                {"normal_error", in->normal_error, 3},
                {"depth", in->depth, 1},
                {"depth_error", in->depth_error, 1}};
  int width = rt_image_width(in->colour), height = rt_image_height(in->colour);
  for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
    const rt_image *image = images[i].image;
    int channels = rt_image_channels(image);
    if (channels != images[i].channels && !(image == in->colour && channels == 4))
      return rt_fail(err, RT_BAD_USAGE, "denoising: %s has %d channels: it must have %d", images[i].name, channels,
                     images[i].channels);
    if (rt_image_width(image) != width || rt_image_height(image) != height)
      return rt_fail(err, RT_BAD_USAGE, "denoising: %s is %dx%d: it must be %dx%d, as the picture is", images[i].name,
                     rt_image_width(image), rt_image_height(image), width, height);
    size_t n = (size_t)width * (size_t)height * (size_t)channels;
    const float *values = rt_image_view(image);
    for (size_t k = 0; k < n; k++) {
      if (values[k] >= -0x1p40f && values[k] <= 0x1p40f) continue;
      if (image == in->depth && values[k] == INFINITY) continue;
      return rt_fail(err, RT_BAD_DATA, "denoising: %s has %g in it: values are at most 2^40, as a film's are",
                     images[i].name, (double)values[k]);
    }
  }
  return RT_OK;
}

static rt_status make_planes(filter *f, int threads, rt_error *err) {
  f->tiles_x = (f->width + TILE - 1) / TILE;
  f->tiles_y = (f->height + TILE - 1) / TILE;
  f->stride = (size_t)f->tiles_x * TILE + 2 * MARGIN;
  size_t rows = (size_t)f->tiles_y * TILE + 2 * MARGIN; /* at most 65,558 by as many: fits */
  f->size = f->stride * rows;
  enum { PLANES = 6 + 2 * FEATURES + 1 };
  f->memory = rt_alloc(f->size, PLANES * sizeof(float), err);
  f->scratches = f->memory ? rt_alloc((size_t)threads, sizeof *f->scratches, err) : NULL;
  if (!f->scratches) return RT_NO_MEMORY;
  float *next = f->memory;
  for (int c = 0; c < 3; c++, next += 2 * f->size) {
    f->colour[c] = next;
    f->noise[c] = next + f->size;
  }
  for (int i = 0; i < FEATURES; i++, next += 2 * f->size) {
    f->feature[i] = next;
    f->tolerance[i] = next + f->size;
  }
  return RT_OK;
}

static rt_status run(filter *f, const rt_denoise_input *in, int threads, rt_error *err) {
  rt_pool *pool = NULL;
  rt_status status = make_planes(f, threads, err);
  if (status == RT_OK) status = rt_pool_new(&pool, threads, err);
  if (status == RT_OK) status = rt_image_copy(&f->out, in->colour, err);
  if (status == RT_OK) {
    rt_float_mode saved;
    rt_float_mode_set(&saved);
    read_planes(f, in, f->tolerance[FEATURES - 1] + f->size);
    rt_float_mode_restore(&saved);
    rt_pool_for(pool, (size_t)f->tiles_x * (size_t)f->tiles_y, filter_tile, f);
    if (atomic_load(&f->stopped)) status = rt_fail(err, RT_TRY_AGAIN, "denoising was stopped");
  }
  rt_pool_free(pool);
  return status;
}

rt_status rt_denoise(rt_image **out, const rt_denoise_input *in, int threads, bool (*stop)(void *context),
                     void *context, rt_error *err) {
  rt_status status = check(in, err);
  if (status != RT_OK) return status;
  filter f = {
      .width = rt_image_width(in->colour), .height = rt_image_height(in->colour), .stop = stop, .context = context};
  status = run(&f, in, threads, err);
  rt_free(f.memory);
  rt_free(f.scratches);
  if (status == RT_OK)
    *out = f.out;
  else
    rt_image_free(f.out);
  return status;
}
