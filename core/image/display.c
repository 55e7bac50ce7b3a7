/* From scene-linear values to the integers of a display: exposure, white balance, tone curve, sRGB, dithering,
 * rounding.
 *
 * Dithering adds a threshold in [0, 1) before rounding down, where rounding to nearest would add 1/2: the mean over
 * some pixels is then the value itself, and a slow gradient has no bands. The threshold is the R2 sequence (Roberts
 * 2018, "The Unreasonable Effectiveness of Quasirandom Sequences") at the pixel's place in the whole picture, so that
 * crops join, and the same for each colour, so that grey stays grey. It is never nearer to 0 or 1 than 1/128, so that
 * what is a whole number but for rounding errors stays that number: black, white, and a picture that was decoded from 8
 * bits. */
#include <math.h>
#include <pthread.h>

#include "base/elementary.h"
#include "image/image.h"

double rt_srgb_encode(double linear) {
  double x = rt_unit_clip(linear);
  return x <= 0.0031308 ? 12.92 * x : 1.055 * rt_pow(x, 1.0 / 2.4) - 0.055;
}

double rt_srgb_decode(double encoded) {
  return encoded <= 0.04045 ? encoded / 12.92 : rt_pow((encoded + 0.055) / 1.055, 2.4);
}

static float decode_table[65536];

static void fill_decode_table(void) {
  for (int i = 0; i < 65536; i++) decode_table[i] = (float)rt_srgb_decode(i / 65535.0);
}

const float *rt_srgb_table(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fill_decode_table);
  return decode_table;
}

/* NaN gives 0. No curve tells 2^64 from more; the limit keeps infinity out of their quotients. */
static double limited(double x) {
  const double limit = 0x1p64;
  return x > 0.0 ? x < limit ? x : limit : 0.0;
}

/* Grey stays grey: it has no colour to balance. */
static void encode(const rt_save_options *options, double scale, bool grey, const float linear[3], double encoded[3]) {
  double c[3];
  for (int i = 0; i < 3; i++) c[i] = limited(linear[i] * scale);
  if (options->white_balance && !grey) {
    const double *m = options->white_matrix;
    double r = c[0], g = c[1], b = c[2];
    for (int i = 0; i < 3; i++, m += 3) c[i] = limited(m[0] * r + m[1] * g + m[2] * b);
  }
  rt_tonemap_apply(options->tonemap, c);
  for (int i = 0; i < 3; i++) encoded[i] = rt_srgb_encode(c[i]);
}

/* In 1/64, between two of them. Multiplication by the two irrational steps is modulo 1 as of 2^32. */
static double threshold(uint32_t x, uint32_t y) {
  const uint32_t step_x = 3242174889u, step_y = 2447445414u; /* 1/p and 1/p^2 of 2^32, p^3 = p + 1 */
  return ((double)((x * step_x + y * step_y) >> 26) + 0.5) / 64.0;
}

static unsigned char *store(unsigned char *to, double v, int bits, double offset) {
  unsigned value = (unsigned)(v * ((1 << bits) - 1) + offset); /* v is in [0, 1] */
  if (bits == 16) *to++ = (unsigned char)(value >> 8);
  *to++ = (unsigned char)(value & 255);
  return to;
}

rt_status rt_display_check(const rt_save_options *options, const char *path, rt_error *err) {
  if (!isfinite(options->exposure)) return rt_fail(err, RT_BAD_USAGE, "%s: the exposure is not a finite number", path);
  for (int i = 0; options->white_balance && i < 9; i++)
    if (!isfinite(options->white_matrix[i]))
      return rt_fail(err, RT_BAD_USAGE, "%s: the white balance is not of finite numbers", path);
  return RT_OK;
}

void rt_display_row(const rt_image *image, int y, const rt_save_options *options, int bits, bool alpha,
                    unsigned char *row) {
  double scale = rt_pow(2.0, options->exposure);
  bool dither = options->dither && bits == 8;
  bool straight = alpha && rt_image_has_alpha(image);
  int colours = rt_image_colours(image);
  const float *pixel = image->pixels + (size_t)y * rt_image_row(image);
  for (int x = 0; x < image->width; x++, pixel += image->channels) {
    float linear[3], opacity = 1.0f;
    for (int c = 0; c < 3; c++) linear[c] = pixel[colours == 3 ? c : 0];
    if (straight) {
      opacity = (float)rt_unit_clip(pixel[colours]);
      for (int c = 0; c < 3; c++) linear[c] = opacity > 0.0f ? linear[c] / opacity : 0.0f;
    }
    double encoded[3], offset = 0.5;
    encode(options, scale, colours == 1, linear, encoded);
    if (dither)
      offset = threshold((uint32_t)(x + image->placement.origin[0]), (uint32_t)(y + image->placement.origin[1]));
    for (int c = 0; c < colours; c++) row = store(row, encoded[c], bits, offset);
    if (straight) row = store(row, opacity, bits, 0.5);
  }
}
