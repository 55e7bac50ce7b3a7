/* Data as a picture to look at: values to [0, 1], the same for each pixel alone, so that crops join. What is no colour is
 * meant as the encoded value of a display, so that a normal of 0 is the middle grey of a normal map. */
#include <math.h>
#include <string.h>

#include "base/elementary.h"
#include "base/hash.h"
#include "image/image.h"

typedef float encoding(float value);

static float shown_signed(float v) { return v * 0.5f + 0.5f; }
static float shown_distance(float v) { return v >= 0.0f ? 1.0f / (1.0f + v) : 1.0f; } /* near is white */
static float shown_fraction(float v) { return v - floorf(v); }
static float shown_root(float v) { return v > 0.0f ? sqrtf(v) : 0.0f; }
static float shown_doublings(float v) { return v > 1.0f ? (float)rt_log2(v) / 24.0f : 0.0f; }

static const struct {
  const char *name;
  encoding *encode; /* NULL: a number, that becomes a colour */
} WAYS[] = {{"signed", shown_signed}, {"distance", shown_distance},   {"fraction", shown_fraction},
            {"root", shown_root},     {"doublings", shown_doublings}, {"number", NULL}};

/* 0 is black; another number is a colour of its own, and not a dark one. */
static void show_number(float number, float *rgb) {
  uint32_t bits = hash_u32(number > 0.0f && number < 0x1p32f ? (uint32_t)number : 0);
  for (int c = 0; c < 3; c++) rgb[c] = number > 0.0f ? 0.25f + 0.75f * (float)(bits >> 10 * c & 1023u) / 1023.0f : 0.0f;
}

rt_status rt_image_show(rt_image **out, const rt_image *image, const char *way, rt_error *err) {
  encoding *encode = NULL;
  bool found = false;
  for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
    if (strcmp(WAYS[i].name, way) != 0) continue;
    encode = WAYS[i].encode;
    found = true;
  }
  if (!found) return rt_fail(err, RT_BAD_USAGE, "there is no way '%s' to show data", way);
  int channels = encode ? image->channels : 3;
  rt_status status = rt_image_new(out, image->width, image->height, channels, err);
  if (status != RT_OK) return status;
  rt_image_place(*out, image->placement);
  size_t n = (size_t)image->width * (size_t)image->height;
  for (size_t i = 0; i < n; i++) {
    const float *from = image->pixels + i * (size_t)image->channels;
    float *to = (*out)->pixels + i * (size_t)channels;
    if (!encode) show_number(from[0], to);
    for (int c = 0; c < channels; c++) to[c] = (float)rt_srgb_decode((double)(encode ? encode(from[c]) : to[c]));
  }
  return RT_OK;
}
