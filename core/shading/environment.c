/* The background.
 *
 * Constant: sampled uniformly over the sphere.
 * Gradient: L is linear in t = (1 + y) / 2, and y is uniform over the sphere (Archimedes), so the luminance is a linear
 * density on [0, 1], whose cumulative is inverted exactly.
 * Image: bilinear, wrapped in u, clamped in v. Texel centres cut the sphere into patches, W columns by H + 1 rows (the
 * first and the last row, between the outer texel centres and the poles, are half as high). Within a patch the radiance
 * blends its own four texels alone. A patch is chosen (row, then column) by the mean luminance of these four times its
 * solid angle, then a direction uniformly by solid angle within it: azimuth and cosine are uniform. So the density is
 * constant in a patch, finite at the poles, and above 0 wherever a texel that contributes is not black. */
#include "shading/environment.h"

#include "base/elementary.h"
#include "base/error.h"
#include "base/memory.h"
#include "shading/distribution.h"

typedef struct {
  double cosine;  /* of the polar angle at the row's upper edge */
  double density; /* over solid angle, of one unit of a column in this row */
} patch_row;

struct rt_environment {
  rt_background_kind kind;
  rt_rgb top, bottom;
  double luminance[2]; /* gradient: of bottom and top, divided by their sum */
  double mean;         /* of the luminance over the sphere */

  rt_image *image;
  const float *texels;
  int width, height, channels;
  float scale, rotate;
  double turn;        /* `rotate` in turns, in [0, 1) */
  patch_row *rows;    /* height + 2: the last one closes row `height` */
  uint32_t *marginal; /* distribution over height + 1 rows */
  uint32_t *columns;  /* height + 1 distributions over `width` columns */
};

static double luminance(double r, double g, double b) { return 0.2126 * r + 0.7152 * g + 0.0722 * b; }
static double rgb_luminance_double(rt_rgb c) { return luminance(c.x, c.y, c.z); }

static rt_rgb texel_at(const rt_environment *e, int x, int y) {
  const float *t = e->texels + ((size_t)y * (size_t)e->width + (size_t)x) * (size_t)e->channels;
  return e->channels < 3 ? v3_all(t[0]) : v3(t[0], t[1], t[2]);
}

/* ---- Making ---- */

static bool colour_is_valid(rt_rgb c) { return v3_is_finite(c) && c.x >= 0.0f && c.y >= 0.0f && c.z >= 0.0f; }

static rt_status check_image(const rt_environment *e, rt_error *err) {
  float limit = e->scale > 1.0f ? FLT_MAX / e->scale : FLT_MAX;
  for (int y = 0; y < e->height; y++)
    for (int x = 0; x < e->width; x++) {
      rt_rgb c = texel_at(e, x, y);
      if (!colour_is_valid(c))
        return rt_fail(err, RT_BAD_DATA,
                       "background: pixel (%d, %d) of the image is negative or not finite: repair the image", x, y);
      if (v3_max(c) > limit)
        return rt_fail(err, RT_BAD_DATA, "background: scale %g times pixel (%d, %d) is too bright: lower scale",
                       (double)e->scale, x, y);
    }
  return RT_OK;
}

static void luminance_of_row(const rt_environment *e, int y, double *out) {
  for (int x = 0; x < e->width; x++) out[x] = rgb_luminance_double(texel_at(e, x, y));
}

/* Upper edge of a row of patches, as a part of pi. */
static double row_edge(const rt_environment *e, int row) {
  return row == 0 ? 0.0 : row > e->height ? 1.0 : (row - 0.5) / e->height;
}

/* `above` and `below` hold a row of luminances, `weights` a row of patches, `of_rows` the weight of each row. */
static void fill_patches(rt_environment *e, double *above, double *below, double *weights, double *of_rows) {
  int width = e->width, height = e->height;
  double sum = 0.0;
  luminance_of_row(e, 0, above);
  for (int j = 0; j <= height; j++) {
    luminance_of_row(e, j < height ? j : height - 1, below);
    double mean = 0.0;
    for (int i = 0; i < width; i++) {
      int right = i + 1 < width ? i + 1 : 0;
      weights[i] = 0.25 * (above[i] + above[right] + below[i] + below[right]);
      mean += weights[i];
    }
    uint32_t *columns = e->columns + (size_t)j * (size_t)width;
    uint32_t total = rt_distribution_build(columns, weights, (size_t)width);

    /* cos a - cos b = 2 sin((a + b) / 2) sin((b - a) / 2), without cancellation near the poles. */
    double a = row_edge(e, j) * RT_PI, b = row_edge(e, j + 1) * RT_PI;
    double height_of_zone = 2.0 * rt_sin(0.5 * (a + b)) * rt_sin(0.5 * (b - a));
    e->rows[j].cosine = rt_cos(a);
    e->rows[j].density = total ? width / (2.0 * RT_PI * height_of_zone * total) : 0.0;
    of_rows[j] = mean / width * height_of_zone;
    sum += of_rows[j];

    double *swap = above;
    above = below;
    below = swap;
  }
  e->rows[height + 1].cosine = -1.0;
  e->mean = 0.5 * sum * e->scale; /* the zones' heights sum to 2 */
  uint32_t total = rt_distribution_build(e->marginal, of_rows, (size_t)height + 1);
  for (int j = 0; j <= height; j++)
    if (total) e->rows[j].density *= (double)rt_distribution_units(e->marginal, (size_t)j) / total;
}

static rt_status make_image(rt_environment *e, const rt_background_desc *desc, rt_error *err) {
  if (!desc->image) return rt_fail(err, RT_BAD_DATA, "background: there is no image: give one");
  if (!isfinite(desc->scale) || desc->scale < 0.0f)
    return rt_fail(err, RT_BAD_DATA, "background: scale must be finite and at least 0, not %g", (double)desc->scale);
  if (!isfinite(desc->rotate))
    return rt_fail(err, RT_BAD_DATA, "background: rotate must be finite, not %g", (double)desc->rotate);
  e->image = rt_image_ref(desc->image);
  e->texels = rt_image_view(e->image);
  e->width = rt_image_width(e->image);
  e->height = rt_image_height(e->image);
  e->channels = rt_image_channels(e->image);
  e->scale = desc->scale;
  e->rotate = desc->rotate;
  e->turn = (double)desc->rotate / 360.0;
  e->turn -= floor(e->turn);
  rt_status status = check_image(e, err);
  if (status != RT_OK) return status;

  size_t width = (size_t)e->width, rows = (size_t)e->height + 1;
  e->rows = rt_alloc(rows + 1, sizeof *e->rows, err);
  e->marginal = rt_alloc(rows, sizeof *e->marginal, err);
  e->columns = rt_alloc(rows * width, sizeof *e->columns, err);
  double *scratch = rt_alloc(3 * width + rows, sizeof *scratch, err);
  if (e->rows && e->marginal && e->columns && scratch)
    fill_patches(e, scratch, scratch + width, scratch + 2 * width, scratch + 3 * width);
  else
    status = RT_NO_MEMORY;
  rt_free(scratch);
  return status;
}

static rt_status make_gradient(rt_environment *e, const rt_background_desc *desc, rt_error *err) {
  bool constant = desc->kind == RT_BACKGROUND_CONSTANT;
  if (!colour_is_valid(desc->top))
    return rt_fail(err, RT_BAD_DATA, "background: %s must be finite and at least 0", constant ? "its colour" : "top");
  if (!constant && !colour_is_valid(desc->bottom))
    return rt_fail(err, RT_BAD_DATA, "background: bottom must be finite and at least 0");
  e->top = desc->top;
  e->bottom = constant ? desc->top : desc->bottom;
  double bottom = rgb_luminance_double(e->bottom), top = rgb_luminance_double(e->top), sum = bottom + top;
  e->mean = 0.5 * sum;
  if (sum > 0.0) {
    e->luminance[0] = bottom / sum;
    e->luminance[1] = top / sum;
  }
  return RT_OK;
}

rt_status rt_environment_new(rt_environment **out, const rt_background_desc *desc, rt_error *err) {
  rt_environment *e = rt_alloc(1, sizeof *e, err);
  if (!e) return RT_NO_MEMORY;
  e->kind = desc->kind;
  rt_status status = desc->kind == RT_BACKGROUND_IMAGE ? make_image(e, desc, err) : make_gradient(e, desc, err);
  if (status != RT_OK) {
    rt_environment_free(e);
    return status;
  }
  *out = e;
  return RT_OK;
}

void rt_environment_free(rt_environment *e) {
  if (!e) return;
  rt_image_free(e->image);
  rt_free(e->rows);
  rt_free(e->marginal);
  rt_free(e->columns);
  rt_free(e);
}

double rt_environment_mean(const rt_environment *e) { return e->mean; }

/* ---- Sampling ---- */

/* The direction with cosine y to +y at `turn` in [0, 1) about it, atan2(x, -z) / 2 pi = turn. */
static rt_vec3 direction(double y, float turn) {
  float sine, cosine;
  rt_sincos_turn(turn, &sine, &cosine);
  double across = 1.0 - y * y;
  float radius = across > 0.0 ? (float)sqrt(across) : 0.0f;
  return v3_normalize(v3(radius * sine, (float)y, -radius * cosine));
}

static rt_vec3 sample_image(const rt_environment *e, float u0, float u1) {
  double down, along;
  size_t row = rt_distribution_choose(e->marginal, (size_t)e->height + 1, u1, &down);
  size_t width = (size_t)e->width;
  size_t column = rt_distribution_choose(e->columns + row * width, width, u0, &along);
  double y = e->rows[row].cosine + down * (e->rows[row + 1].cosine - e->rows[row].cosine);
  double turn = ((double)column + 0.5 + along) / e->width - 0.5 - e->turn;
  float wrapped = (float)(turn - floor(turn));
  return direction(y, wrapped < 1.0f ? wrapped : 0.0f);
}

bool rt_environment_varies(const rt_environment *e) { return e->kind != RT_BACKGROUND_CONSTANT; }

rt_vec3 rt_environment_sample(const rt_environment *e, float u0, float u1) {
  if (e->kind == RT_BACKGROUND_IMAGE) return sample_image(e, u0, u1);
  /* t with a t + (b - a) t^2 / 2 = u / 2, where a + b = 1: the root in the form that does not cancel. */
  double a = e->luminance[0], b = e->luminance[1], u = u1;
  double below = a + sqrt(a * a + u * (b * b - a * a));
  return direction(below > 0.0 ? 2.0 * u / below - 1.0 : -1.0, u0);
}

/* ---- Looking up ---- */

/* Of NaN: low, so that an index made of it is one of the table's. */
static double clamp(double x, double low, double high) { return x >= low ? x <= high ? x : high : low; }

static rt_rgb image_at(const rt_environment *e, rt_vec3 w, float *pdf) {
  /* By arc tangent, not arc cosine, which is blind near the poles. */
  double u = 0.5 + rt_atan2f(w.x, -w.z) * (0.5 / RT_PI) + e->turn;
  double v = rt_atan2f(sqrtf(w.x * w.x + w.z * w.z), w.y) * (1.0 / RT_PI);
  u -= u >= 1.0 ? 1.0 : 0.0;
  double s = u * e->width - 0.5, t = v * e->height + 0.5; /* patches begin at texel centres */
  s = clamp(s, -0.5, e->width - 0.5);
  t = clamp(t, 0.5, e->height + 0.5);
  double left = floor(s), upper = floor(t);
  int i = (int)left, j = (int)upper;
  float fs = (float)(s - left), ft = (float)(t - upper);
  i = i < 0 ? e->width - 1 : i;

  *pdf = (float)(e->rows[j].density * rt_distribution_units(e->columns + (size_t)j * (size_t)e->width, (size_t)i));
  int right = i + 1 < e->width ? i + 1 : 0, above = j > 0 ? j - 1 : 0, below = j < e->height ? j : e->height - 1;
  rt_rgb a = v3_mad(v3_scale(texel_at(e, i, above), 1.0f - fs), texel_at(e, right, above), fs);
  rt_rgb b = v3_mad(v3_scale(texel_at(e, i, below), 1.0f - fs), texel_at(e, right, below), fs);
  return v3_scale(v3_mad(v3_scale(a, 1.0f - ft), b, ft), e->scale);
}

rt_rgb rt_environment_at(const rt_environment *e, rt_vec3 w, float *pdf) {
  switch (e->kind) {
  case RT_BACKGROUND_IMAGE: return image_at(e, w, pdf);
  case RT_BACKGROUND_GRADIENT: {
    float t = f_clamp(0.5f + 0.5f * w.y, 0.0f, 1.0f);
    *pdf = (float)((e->luminance[0] * (1.0f - t) + e->luminance[1] * t) * (0.5 / RT_PI));
    return v3_mad(v3_scale(e->bottom, 1.0f - t), e->top, t);
  }
  case RT_BACKGROUND_CONSTANT: break;
  }
  *pdf = 0.0f;
  return e->top;
}

/* ---- Describing ---- */

static size_t texel_bytes(const rt_environment *e) {
  return (size_t)e->width * (size_t)e->height * (size_t)e->channels * sizeof *e->texels;
}

size_t rt_environment_bytes(const rt_environment *e) {
  size_t bytes = sizeof *e;
  if (e->kind != RT_BACKGROUND_IMAGE) return bytes;
  size_t rows = (size_t)e->height + 1;
  return bytes + texel_bytes(e) + (rows + 1) * sizeof *e->rows +
         rows * ((size_t)e->width + 1) * sizeof *e->columns; /* the marginal is one column more */
}

void rt_environment_hash(const rt_environment *e, rt_sha256 *sha) {
  rt_sha256_u32(sha, (uint32_t)e->kind);
  if (e->kind != RT_BACKGROUND_IMAGE) {
    rt_sha256_floats(sha, (const float[]){e->top.x, e->top.y, e->top.z, e->bottom.x, e->bottom.y, e->bottom.z}, 6);
    return;
  }
  rt_sha256_floats(sha, (const float[]){e->scale, e->rotate}, 2);
  rt_sha256_u32(sha, (uint32_t)e->width);
  rt_sha256_u32(sha, (uint32_t)e->height);
  rt_sha256_u32(sha, (uint32_t)e->channels);
  rt_sha256_floats(sha, e->texels, texel_bytes(e) / sizeof *e->texels);
}
