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
  rt_placement placement;
  bool has_camera; /* `camera` is known */
  rt_camera_matrices camera;
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

/* RT_BAD_DATA unless two images have the same size and channels. */
rt_status rt_check_alike(const rt_image *a, const rt_image *b, rt_error *err);

rt_status rt_png_read(rt_image **out, rt_bytes file, bool raw, rt_error *err);
rt_status rt_hdr_read(rt_image **out, rt_bytes file, rt_error *err);
rt_status rt_pfm_read(rt_image **out, rt_bytes file, rt_error *err);
rt_status rt_jpeg_read(rt_image **out, rt_bytes file, bool raw, rt_error *err);
/* A layer, or with NULL the picture. */
rt_status rt_exr_read(rt_image **out, rt_bytes file, const char *layer, rt_error *err);

/* Writers leave flushing to whoever owns the stream; `path` is for errors. Options may not be NULL. */
rt_status rt_png_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err);
rt_status rt_hdr_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err);
rt_status rt_pfm_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err);

rt_status rt_jpeg_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                        rt_error *err);
/* The images have one size. */
rt_status rt_exr_write(const rt_layer *layers, int count, FILE *stream, const char *path,
                       const rt_save_options *options, rt_error *err);

/* RT_UNAVAILABLE: this build is without the library for a format, which is in a Debian package. */
rt_status rt_fail_without(const char *path, const char *format, const char *package, rt_error *err);
/* RT_CANT_WRITE for a stream that failed with this errno. */
rt_status rt_write_failed(const char *path, int reason, rt_error *err);

/* To [0, 1]; NaN gives 0. */
static inline double rt_unit_clip(double x) { return x > 0.0 ? x < 1.0 ? x : 1.0 : 0.0; }

/* sRGB, IEC 61966-2-1, piecewise. rt_srgb_encode clips to [0, 1]; NaN gives 0. */
double rt_srgb_encode(double linear);
double rt_srgb_decode(double encoded);

/* What each 16-bit sRGB value is as linear: 65,536 of them; an 8-bit value v is 257 v. */
const float *rt_srgb_table(void);

/* The tone curve: linear in [0, 2^64], to linear for the display. */
void rt_tonemap_apply(rt_tonemap tonemap, double colour[3]);

/* RT_BAD_USAGE, naming `path`, unless what display formats read of the options is in its range. */
rt_status rt_display_check(const rt_save_options *options, const char *path, rt_error *err);
/* Row y of the image as a display has it: exposure, white balance, tone curve, sRGB, dithering, then 8 or 16 bits (the
 * high byte first) for each of its colours and, when `alpha`, for its straight alpha; else alpha is left out, which
 * shows the picture before black. Any values go in. */
void rt_display_row(const rt_image *image, int y, const rt_save_options *options, int bits, bool alpha,
                    unsigned char *row);

#endif
