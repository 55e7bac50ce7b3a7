/* Images inside the room: the struct, a reader and a writer for each format, and the way to display values.
 *
 * What always holds: rows go from top to bottom, values are linear floats, alpha (channel 2 of 2, 4 of 4) is
 * premultiplied. Stands on base alone. */
#ifndef RT_IMAGE_H
#define RT_IMAGE_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/error.h"
#include "rt.h"

struct rt_image {
  atomic_int references;
  int width, height, channels;
  float *pixels; /* width * height * channels */
};

static inline size_t rt_image_row(const rt_image *image) { return (size_t)image->width * (size_t)image->channels; }
static inline bool rt_image_has_alpha(const rt_image *image) { return image->channels % 2 == 0; }
/* Channels that are colour: 1 or 3. */
static inline int rt_image_colours(const rt_image *image) { return image->channels > 2 ? 3 : 1; }

/* A file's bytes (one zero byte behind them), or the part of them that is not read yet. `path` is for errors. */
typedef struct {
  const unsigned char *data;
  size_t size;
  const char *path;
} rt_bytes;

/* Checks the sides that a file claims: RT_BAD_DATA unless both are 1 to RT_MAX_SIDE. */
rt_status rt_check_sides(uint64_t width, uint64_t height, const char *path, rt_error *err);

rt_status rt_png_read(rt_image **out, rt_bytes file, bool raw, rt_error *err);
rt_status rt_hdr_read(rt_image **out, rt_bytes file, rt_error *err);
rt_status rt_pfm_read(rt_image **out, rt_bytes file, rt_error *err);

/* Writers leave flushing to whoever owns the stream; `path` is for errors. Options may not be NULL. */
rt_status rt_png_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err);
rt_status rt_hdr_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err);
rt_status rt_pfm_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err);

/* RT_CANT_WRITE for a stream that failed with this errno. */
rt_status rt_write_failed(const char *path, int reason, rt_error *err);

/* sRGB, IEC 61966-2-1, piecewise. rt_srgb_encode clips to [0, 1]; NaN gives 0. */
double rt_srgb_encode(double linear);
double rt_srgb_decode(double encoded);

/* From scene to display: linear Rec. 709 times `scale`, through the tone curve, to sRGB in [0, 1]. Anything goes in. */
void rt_display_encode(rt_tonemap tonemap, double scale, const float linear[3], double encoded[3]);

#endif
