/* Writing OpenEXR: scan lines, half, float or uint, deflated in blocks of 16 lines or of one.
 *
 * The data window is where the image lies in the whole picture, which is the display window. Attributes: Rec. 709's
 * chromaticities, the camera's matrices where the image has them, the options' text as strings; no time and no host.
 *
 * Floats become halves and uints here, so that values do not depend on the library: to the nearest, ties to even; what
 * is finite stays finite, at most 65504. The library reports into a message and writes through a function of ours. */
#include "image/image.h"

#ifdef RT_HAVE_OPENEXR

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "image/exr.h"

/* What the file format allows; above SHORT_NAME the file says that it has long names. */
#define MAX_NAME 255
#define SHORT_NAME 31
/* OpenEXR's own default, above which files hardly get smaller. */
#define ZIP_LEVEL 4

typedef struct {
  char name[MAX_NAME + 1];
  const rt_image *image;
  int channel;
  exr_pixel_type_t type;
} plane;

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static uint16_t half_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  uint32_t size = bits & 0x7fffffff;
  if (size >= 0x7f800000) return (uint16_t)(sign | (size > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (size >= 0x477fe000) return (uint16_t)(sign | 0x7bff);
  uint32_t mantissa, shift;
  if (size >= 0x38800000) { /* normal: the exponent's bias goes from 127 to 15 */
    mantissa = size - 0x38000000;
    shift = 13;
  } else { /* subnormal: in units of 2^-24 */
    if (size < 0x33000000) return sign;
    mantissa = (size & 0x7fffff) | 0x800000;
    shift = 126 - (size >> 23);
  }
  uint32_t rest = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1), rounded = mantissa >> shift;
  return (uint16_t)(sign | (rounded + (rest > middle || (rest == middle && (rounded & 1)))));
}

/* NaN and what is negative give 0. */
static uint32_t uint_of(float value) {
  if (!(value > 0.0f)) return 0;
  return value < 0x1p32f ? (uint32_t)value : UINT32_MAX;
}

/* The part of the plane's row y, packed; returns its end. */
static unsigned char *pack_row(const plane *p, int y, unsigned char *to) {
  const float *from = p->image->pixels + (size_t)y * rt_image_row(p->image) + p->channel;
  for (int x = 0; x < p->image->width; x++, from += p->image->channels) {
    if (p->type == EXR_PIXEL_HALF) {
      uint16_t half = half_of(*from);
      memcpy(to, &half, sizeof half);
      to += sizeof half;
    } else if (p->type == EXR_PIXEL_UINT) {
      uint32_t whole = uint_of(*from);
      memcpy(to, &whole, sizeof whole);
      to += sizeof whole;
    } else {
      memcpy(to, from, sizeof *from);
      to += sizeof *from;
    }
  }
  return to;
}

/* ---- The header -------------------------------------------------------------------------------------------------- */

static rt_status name_plane(plane *p, const rt_layer *layer, const rt_save_options *options, const char *path,
                            rt_error *err) {
  const char letter = layer->channels[p->channel];
  bool plain = layer->name[0] == '\0' || (strcmp(layer->name, "depth") == 0 && strcmp(layer->channels, "Z") == 0);
  int n = snprintf(p->name, sizeof p->name, "%s%s%c", plain ? "" : layer->name, plain ? "" : ".", letter);
  if (n > MAX_NAME)
    return rt_fail(err, RT_BAD_USAGE, "%s: the layer's name is longer than %d bytes: '%.40s...'", path, MAX_NAME - 2,
                   layer->name);
  bool colour = strspn(layer->channels, "RGBAY") == strlen(layer->channels);
  p->type = letter == 'I'                                ? EXR_PIXEL_UINT
            : colour && options->exr_type == RT_EXR_HALF ? EXR_PIXEL_HALF
                                                         : EXR_PIXEL_FLOAT;
  return RT_OK;
}

static exr_result_t set_windows(exr_context_t exr, const rt_image *image, const rt_save_options *options) {
  static const exr_compression_t compressions[] = {
      [RT_EXR_ZIP] = EXR_COMPRESSION_ZIP, [RT_EXR_ZIPS] = EXR_COMPRESSION_ZIPS, [RT_EXR_NONE] = EXR_COMPRESSION_NONE};
  const rt_placement *place = &image->placement;
  exr_attr_box2i_t display = {.max = {.arr = {place->full[0] - 1, place->full[1] - 1}}};
  exr_attr_box2i_t data = {.min = {.arr = {place->origin[0], place->origin[1]}},
                           .max = {.arr = {place->origin[0] + image->width - 1, place->origin[1] + image->height - 1}}};
  exr_attr_v2f_t center = {.arr = {0.0f, 0.0f}};
  exr_result_t r = exr_initialize_required_attr(exr, 0, &display, &data, 1.0f, &center, 1.0f,
                                                EXR_LINEORDER_INCREASING_Y, compressions[options->exr_compression]);
  return r == EXR_ERR_SUCCESS ? exr_set_zip_compression_level(exr, 0, ZIP_LEVEL) : r;
}

static exr_result_t set_matrix(exr_context_t exr, const char *name, const float m[4][4]) {
  exr_attr_m44f_t matrix;
  memcpy(matrix.m, m, sizeof matrix.m);
  return exr_attr_set_m44f(exr, 0, name, &matrix);
}

static exr_result_t set_attributes(exr_context_t exr, const rt_image *image, const rt_save_options *options) {
  static const exr_attr_chromaticities_t rec709 = {0.64f, 0.33f, 0.30f, 0.60f, 0.15f, 0.06f, 0.3127f, 0.3290f};
  exr_result_t r = exr_attr_set_chromaticities(exr, 0, "chromaticities", &rec709);
  if (r == EXR_ERR_SUCCESS && image->has_camera) {
    r = set_matrix(exr, "worldToCamera", image->camera.world_to_camera);
    if (r == EXR_ERR_SUCCESS) r = set_matrix(exr, "worldToNDC", image->camera.world_to_ndc);
  }
  for (size_t i = 0; r == EXR_ERR_SUCCESS && i < options->n_text; i++)
    r = exr_attr_set_string(exr, 0, options->text[i].key, options->text[i].value);
  return r;
}

static exr_result_t write_header(exr_context_t exr, const plane *planes, int n, const rt_image *image,
                                 const rt_save_options *options) {
  int part;
  bool long_names = false;
  for (int i = 0; i < n; i++) long_names = long_names || strlen(planes[i].name) > SHORT_NAME;
  exr_result_t r = exr_set_longname_support(exr, long_names);
  if (r == EXR_ERR_SUCCESS) r = exr_add_part(exr, NULL, EXR_STORAGE_SCANLINE, &part);
  if (r == EXR_ERR_SUCCESS) r = set_windows(exr, image, options);
  for (int i = 0; r == EXR_ERR_SUCCESS && i < n; i++)
    r = exr_add_channel(exr, 0, planes[i].name, planes[i].type, EXR_PERCEPTUALLY_LOGARITHMIC, 1, 1);
  if (r == EXR_ERR_SUCCESS) r = set_attributes(exr, image, options);
  return r == EXR_ERR_SUCCESS ? exr_write_header(exr) : r;
}

/* ---- Pixels ------------------------------------------------------------------------------------------------------ */

static const plane *find_plane(const plane *planes, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(planes[i].name, name) == 0) return &planes[i];
  return NULL;
}

/* Packs the lines of a chunk, which begins at row y of the image, and points the pipeline at them. */
static void pack_chunk(exr_encode_pipeline_t *pipe, const plane *planes, int n, int y, unsigned char *to) {
  for (int c = 0; c < pipe->channel_count; c++) {
    exr_coding_channel_info_t *channel = &pipe->channels[c];
    const plane *p = find_plane(planes, n, channel->channel_name);
    channel->encode_from_ptr = to;
    channel->user_pixel_stride = p->type == EXR_PIXEL_HALF ? 2 : 4;
    channel->user_line_stride = channel->user_pixel_stride * channel->width;
    for (int line = 0; line < channel->height; line++) to = pack_row(p, y + line, to);
  }
}

static exr_result_t write_chunks(exr_context_t exr, const plane *planes, int n, int lines, unsigned char *buffer) {
  exr_encode_pipeline_t pipe = EXR_ENCODE_PIPELINE_INITIALIZER;
  const rt_image *image = planes[0].image;
  exr_result_t r = EXR_ERR_SUCCESS;
  for (int y = 0; r == EXR_ERR_SUCCESS && y < image->height; y += lines) {
    exr_chunk_info_t chunk;
    r = exr_write_scanline_chunk_info(exr, 0, image->placement.origin[1] + y, &chunk);
    if (r == EXR_ERR_SUCCESS)
      r = y == 0 ? exr_encoding_initialize(exr, 0, &chunk, &pipe) : exr_encoding_update(exr, 0, &chunk, &pipe);
    if (r == EXR_ERR_SUCCESS) pack_chunk(&pipe, planes, n, y, buffer);
    if (r == EXR_ERR_SUCCESS && y == 0) r = exr_encoding_choose_default_routines(exr, 0, &pipe);
    if (r == EXR_ERR_SUCCESS) r = exr_encoding_run(exr, 0, &pipe);
  }
  exr_encoding_destroy(exr, &pipe);
  return r;
}

static rt_status write_planes(const plane *planes, int n, FILE *stream, const char *path,
                              const rt_save_options *options, rt_error *err) {
  rt_exr_stream s = {.stream = stream};
  exr_context_initializer_t initializer = rt_exr_initializer(&s);
  exr_context_t exr = NULL;
  int32_t lines = 1;
  exr_result_t r = exr_start_write(&exr, path, EXR_WRITE_FILE_DIRECTLY, &initializer);
  if (r == EXR_ERR_SUCCESS) r = write_header(exr, planes, n, planes[0].image, options);
  if (r == EXR_ERR_SUCCESS) r = exr_get_scanlines_per_chunk(exr, 0, &lines);
  if (r == EXR_ERR_SUCCESS) {
    unsigned char *buffer = rt_alloc((size_t)n, (size_t)lines * (size_t)planes[0].image->width * sizeof(float), err);
    if (!buffer) {
      exr_finish(&exr);
      return RT_NO_MEMORY;
    }
    r = write_chunks(exr, planes, n, lines, buffer);
    rt_free(buffer);
  }
  exr_result_t finished = exr ? exr_finish(&exr) : EXR_ERR_SUCCESS;
  if (r == EXR_ERR_SUCCESS) r = finished;
  return r == EXR_ERR_SUCCESS ? RT_OK : rt_exr_fail(&s, r, path, err);
}

rt_status rt_exr_write(const rt_layer *layers, int count, FILE *stream, const char *path,
                       const rt_save_options *options, rt_error *err) {
  plane *planes = rt_alloc((size_t)count * 4, sizeof *planes, err);
  if (!planes) return RT_NO_MEMORY;
  int n = 0;
  rt_status status = RT_OK;
  for (int i = 0; i < count; i++) {
    for (int c = 0; status == RT_OK && c < layers[i].image->channels; c++, n++) {
      planes[n].image = layers[i].image;
      planes[n].channel = c;
      status = name_plane(&planes[n], &layers[i], options, path, err);
      if (status == RT_OK && find_plane(planes, n, planes[n].name))
        status = rt_fail(err, RT_BAD_USAGE, "%s: two layers have the channel '%s'", path, planes[n].name);
    }
  }
  if (status == RT_OK) status = write_planes(planes, n, stream, path, options, err);
  rt_free(planes);
  return status;
}

#else

rt_status rt_exr_write(const rt_layer *layers, int count, FILE *stream, const char *path,
                       const rt_save_options *options, rt_error *err) {
  (void)layers;
  (void)count;
  (void)stream;
  (void)options;
  return rt_fail_without(path, "OpenEXR", "libopenexr-dev", err);
}

#endif
