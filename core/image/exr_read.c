/* Reading OpenEXR: the first part, flat, in scan lines or tiles (their finest level), of every compression that the C
 * core knows; channels of halves, floats or uints become floats.
 *
 * Of the channels: R, G, B and A, or Y and A, or the only one that there is; or a layer's. The image is the data
 * window, placed in the display window. Chromaticities are not looked at: values are taken as they are.
 *
 * A header cannot claim more memory than the file has pixels for: every chunk of a picture that is large for its file
 * is decoded once before memory is taken for it. */
#include "image/image.h"

#ifdef RT_HAVE_OPENEXR

#include <string.h>

#include "base/memory.h"
#include "image/exr.h"

/* No compression makes pixels smaller than deflate makes the 24 bits that PXR24 keeps of 32: 1032 * 4 / 3. */
#define COMPRESSION_LIMIT 1376
/* What takes more than this many bytes, and more than this many times its file, is decoded once before. */
#define TRUSTED_BYTES (UINT64_C(64) << 20)
#define TRUSTED_RATIO 128

/* ---- The header -------------------------------------------------------------------------------------------------- */

typedef struct {
  exr_context_t exr;
  exr_attr_box2i_t data;
  int width, height;
  bool tiled;
  int32_t chunk_width, chunk_height; /* a tile, or the picture's width and some lines */
  int channels;                      /* of the image */
  const char *names[4];              /* of the file's channels that they are; NULL: zeros */
  int all_channels;                  /* of the file */
  size_t pixel_bytes;                /* of them all */
} layout;

static const exr_attr_chlist_entry_t *find_channel(const exr_attr_chlist_t *list, const char *name) {
  for (int i = 0; i < list->num_channels; i++)
    if (strcmp(list->entries[i].name.str, name) == 0) return &list->entries[i];
  return NULL;
}

static rt_status pick_picture(layout *l, const exr_attr_chlist_t *list, const char *path, rt_error *err) {
  static const char *const colours[] = {"R", "G", "B"};
  if (find_channel(list, "R") && find_channel(list, "G") && find_channel(list, "B")) {
    for (int c = 0; c < 3; c++) l->names[l->channels++] = colours[c];
  } else if (find_channel(list, "RY") || find_channel(list, "BY")) {
    return rt_fail(err, RT_BAD_DATA, "%s: an EXR of luminance and chroma is not read: convert it to RGB", path);
  } else if (find_channel(list, "Y")) {
    l->names[l->channels++] = "Y";
  } else if (list->num_channels == 1) {
    l->names[l->channels++] = list->entries[0].name.str;
  } else {
    return rt_fail(err, RT_BAD_DATA,
                   "%s: the EXR has no channels R, G and B, no Y, but %d others, '%.60s' first: name a layer", path,
                   list->num_channels, list->num_channels > 0 ? list->entries[0].name.str : "");
  }
  if (list->num_channels > 1 && find_channel(list, "A")) l->names[l->channels++] = "A";
  return RT_OK;
}

/* How long the name of a channel's layer is: what is before its last dot; 0 when there is none. */
static size_t layer_length(const char *channel) {
  const char *dot = strrchr(channel, '.');
  return dot ? (size_t)(dot - channel) : 0;
}

static rt_status fail_layer(const exr_attr_chlist_t *list, const char *layer, const char *path, rt_error *err) {
  char names[300] = "";
  size_t n = 0;
  for (int i = 0; i < list->num_channels; i++) {
    const char *name = list->entries[i].name.str;
    size_t length = layer_length(name);
    bool seen = i > 0 && layer_length(list->entries[i - 1].name.str) == length &&
                strncmp(name, list->entries[i - 1].name.str, length) == 0;
    if (length == 0 || seen || n + length + 3 > sizeof names) continue;
    n += (size_t)snprintf(names + n, sizeof names - n, "%s%.*s", n > 0 ? ", " : "", (int)length, name);
  }
  return rt_fail(err, RT_BAD_DATA, "%s: the EXR has no layer '%s': it has %s", path, layer, n > 0 ? names : "none");
}

/* The channels "LAYER.R" and so on, in the order of the letters. Two that are no grey with its alpha, such as U and V,
 * become three with zeros. */
static rt_status pick_layer(layout *l, const exr_attr_chlist_t *list, const char *layer, const char *path,
                            rt_error *err) {
  size_t n = strlen(layer);
  for (const char *letter = "RGBXYZUVIA"; *letter && l->channels < 4; letter++) {
    for (int i = 0; i < list->num_channels; i++) {
      const char *name = list->entries[i].name.str;
      bool fits = layer_length(name) == n && n > 0 && strncmp(name, layer, n) == 0 && strlen(name) == n + 2;
      if (fits && name[n + 1] == *letter) l->names[l->channels++] = name;
    }
  }
  if (l->channels == 0 && strcmp(layer, "depth") == 0 && find_channel(list, "Z")) l->names[l->channels++] = "Z";
  if (l->channels == 0) return fail_layer(list, layer, path, err);
  if (l->channels == 2 && l->names[1][n + 1] != 'A') l->channels = 3;
  return RT_OK;
}

static rt_status pick_channels(layout *l, const exr_attr_chlist_t *list, const char *layer, const char *path,
                               rt_error *err) {
  rt_status status = layer ? pick_layer(l, list, layer, path, err) : pick_picture(l, list, path, err);
  if (status != RT_OK) return status;
  for (int c = 0; c < l->channels && l->names[c]; c++) {
    const exr_attr_chlist_entry_t *entry = find_channel(list, l->names[c]);
    if (entry->x_sampling != 1 || entry->y_sampling != 1)
      return rt_fail(err, RT_BAD_DATA, "%s: the EXR's channel '%s' is subsampled, which is not read: convert it", path,
                     l->names[c]);
  }
  l->all_channels = list->num_channels;
  for (int i = 0; i < list->num_channels; i++) l->pixel_bytes += list->entries[i].pixel_type == EXR_PIXEL_HALF ? 2 : 4;
  return RT_OK;
}

static rt_status read_layout(layout *l, const rt_exr_stream *s, const char *layer, rt_error *err) {
  const char *path = s->file.path;
  exr_storage_t storage = EXR_STORAGE_LAST_TYPE;
  const exr_attr_chlist_t *list = NULL;
  exr_result_t r = exr_get_storage(l->exr, 0, &storage);
  if (r == EXR_ERR_SUCCESS) r = exr_get_data_window(l->exr, 0, &l->data);
  if (r == EXR_ERR_SUCCESS) r = exr_get_channels(l->exr, 0, &list);
  if (r != EXR_ERR_SUCCESS) return rt_exr_fail(s, r, path, err);
  if (storage != EXR_STORAGE_SCANLINE && storage != EXR_STORAGE_TILED)
    return rt_fail(err, RT_BAD_DATA, "%s: a deep EXR is not read: flatten it", path);
  int64_t width = (int64_t)l->data.max.x - l->data.min.x + 1, height = (int64_t)l->data.max.y - l->data.min.y + 1;
  rt_status status = rt_check_sides(width > 0 ? (uint64_t)width : 0, height > 0 ? (uint64_t)height : 0, path, err);
  if (status == RT_OK) status = pick_channels(l, list, layer, path, err);
  if (status != RT_OK) return status;
  l->width = (int)width;
  l->height = (int)height;
  l->tiled = storage == EXR_STORAGE_TILED;
  l->chunk_width = l->width;
  r = l->tiled ? exr_get_tile_sizes(l->exr, 0, 0, 0, &l->chunk_width, &l->chunk_height)
               : exr_get_scanlines_per_chunk(l->exr, 0, &l->chunk_height);
  if (r != EXR_ERR_SUCCESS) return rt_exr_fail(s, r, path, err);
  if (l->chunk_width < 1 || l->chunk_height < 1)
    return rt_fail(err, RT_BAD_DATA, "%s: the EXR's tiles have no size: use another copy", path);
  if (l->chunk_width > l->width) l->chunk_width = l->width;
  if (l->chunk_height > l->height) l->chunk_height = l->height;
  if ((uint64_t)width * (uint64_t)height * l->pixel_bytes / COMPRESSION_LIMIT > s->file.size)
    return rt_fail(err, RT_BAD_DATA,
                   "%s: the EXR is cut short: %d x %d pixels cannot be in %zu bytes: use another copy", path, l->width,
                   l->height, s->file.size);
  return RT_OK;
}

/* What does not lie in a display window within reason is a whole picture. */
static void place(rt_image *image, const layout *l) {
  exr_attr_box2i_t display;
  if (exr_get_display_window(l->exr, 0, &display) != EXR_ERR_SUCCESS) return;
  int64_t x = (int64_t)l->data.min.x - display.min.x, y = (int64_t)l->data.min.y - display.min.y;
  int64_t width = (int64_t)display.max.x - display.min.x + 1, height = (int64_t)display.max.y - display.min.y + 1;
  if (width < 1 || height < 1 || width > RT_MAX_SIDE || height > RT_MAX_SIDE) return;
  if (x < -RT_MAX_SIDE || y < -RT_MAX_SIDE || x > RT_MAX_SIDE || y > RT_MAX_SIDE) return;
  image->placement = (rt_placement){{(int)x, (int)y}, {(int)width, (int)height}};
}

static void read_camera(rt_image *image, const layout *l) {
  exr_attr_m44f_t camera, ndc;
  const exr_attribute_t *found;
  /* Looked for first: a getter of what is not there reports an error. */
  if (exr_get_attribute_by_name(l->exr, 0, "worldToCamera", &found) != EXR_ERR_SUCCESS) return;
  if (exr_attr_get_m44f(l->exr, 0, "worldToCamera", &camera) != EXR_ERR_SUCCESS) return;
  if (exr_attr_get_m44f(l->exr, 0, "worldToNDC", &ndc) != EXR_ERR_SUCCESS) return;
  image->has_camera = true;
  memcpy(image->camera.world_to_camera, camera.m, sizeof camera.m);
  memcpy(image->camera.world_to_ndc, ndc.m, sizeof ndc.m);
}

/* ---- Pixels ------------------------------------------------------------------------------------------------------ */

/* Points the pipeline's channels at planes of floats, one behind the other in `buffer`. Those that are not wanted, too:
 * OpenEXR 3.1 writes through the pointer of a channel that it should skip. Tells where the wanted ones are. */
static void point_channels(exr_decode_pipeline_t *pipe, const layout *l, float *buffer, size_t plane,
                           const float *planes[4]) {
  for (int i = 0; i < pipe->channel_count; i++) {
    exr_coding_channel_info_t *channel = &pipe->channels[i];
    float *to = buffer + (size_t)i * plane;
    for (int c = 0; c < l->channels; c++)
      if (l->names[c] && strcmp(channel->channel_name, l->names[c]) == 0) planes[c] = to;
    channel->decode_to_ptr = (uint8_t *)to;
    channel->user_data_type = EXR_PIXEL_FLOAT;
    channel->user_bytes_per_element = sizeof(float);
    channel->user_pixel_stride = sizeof(float);
    channel->user_line_stride = (int32_t)sizeof(float) * channel->width;
  }
}

/* Image may be NULL: then the chunk is decoded alone. */
static exr_result_t read_chunk(exr_decode_pipeline_t *pipe, const layout *l, const exr_chunk_info_t *chunk, int x,
                               int y, float *buffer, rt_image *image) {
  bool first = pipe->channels == NULL;
  int width = l->width - x < l->chunk_width ? l->width - x : l->chunk_width;
  int height = l->height - y < l->chunk_height ? l->height - y : l->chunk_height;
  if (chunk->width != width || chunk->height != height) return EXR_ERR_INCORRECT_CHUNK;
  exr_result_t r =
      first ? exr_decoding_initialize(l->exr, 0, chunk, pipe) : exr_decoding_update(l->exr, 0, chunk, pipe);
  if (r != EXR_ERR_SUCCESS) return r;
  if (pipe->channel_count != l->all_channels) return EXR_ERR_INCORRECT_CHUNK;
  const float *zeros = buffer + (size_t)l->all_channels * (size_t)l->chunk_width * (size_t)l->chunk_height;
  const float *planes[4] = {zeros, zeros, zeros, zeros};
  point_channels(pipe, l, buffer, (size_t)width * (size_t)height, planes);
  if (first) r = exr_decoding_choose_default_routines(l->exr, 0, pipe);
  if (r == EXR_ERR_SUCCESS) r = exr_decoding_run(l->exr, 0, pipe);
  if (r != EXR_ERR_SUCCESS || !image) return r;
  for (int line = 0; line < height; line++) {
    float *to = image->pixels + (size_t)(y + line) * rt_image_row(image) + (size_t)x * (size_t)l->channels;
    for (size_t i = (size_t)line * (size_t)width, end = i + (size_t)width; i < end; i++)
      for (int c = 0; c < l->channels; c++) *to++ = planes[c][i];
  }
  return r;
}

static exr_result_t find_chunk(const layout *l, int x, int y, exr_chunk_info_t *chunk) {
  if (l->tiled) return exr_read_tile_chunk_info(l->exr, 0, x / l->chunk_width, y / l->chunk_height, 0, 0, chunk);
  return exr_read_scanline_chunk_info(l->exr, 0, l->data.min.y + y, chunk);
}

static exr_result_t read_chunks(const layout *l, float *buffer, rt_image *image) {
  exr_decode_pipeline_t pipe = EXR_DECODE_PIPELINE_INITIALIZER;
  exr_result_t r = EXR_ERR_SUCCESS;
  for (int y = 0; r == EXR_ERR_SUCCESS && y < l->height; y += l->chunk_height)
    for (int x = 0; r == EXR_ERR_SUCCESS && x < l->width; x += l->chunk_width) {
      exr_chunk_info_t chunk;
      r = find_chunk(l, x, y, &chunk);
      if (r == EXR_ERR_SUCCESS) r = read_chunk(&pipe, l, &chunk, x, y, buffer, image);
    }
  exr_decoding_destroy(l->exr, &pipe);
  return r;
}

static rt_status read_image(rt_image **image, const layout *l, const rt_exr_stream *s, rt_error *err) {
  uint64_t need = (uint64_t)l->width * (uint64_t)l->height * (uint64_t)l->channels * sizeof(float);
  float *buffer =
      rt_alloc((size_t)l->all_channels + 1, (size_t)l->chunk_width * (size_t)l->chunk_height * sizeof(float), err);
  if (!buffer) return RT_NO_MEMORY;
  rt_status status = RT_OK;
  exr_result_t r = EXR_ERR_SUCCESS;
  if (need > TRUSTED_BYTES && need / TRUSTED_RATIO > s->file.size) r = read_chunks(l, buffer, NULL);
  if (r == EXR_ERR_SUCCESS) status = rt_image_new(image, l->width, l->height, l->channels, err);
  if (r == EXR_ERR_SUCCESS && status == RT_OK) {
    place(*image, l);
    read_camera(*image, l);
    r = read_chunks(l, buffer, *image);
  }
  rt_free(buffer);
  return r == EXR_ERR_SUCCESS ? status : rt_exr_fail(s, r, s->file.path, err);
}

rt_status rt_exr_read(rt_image **out, rt_bytes file, const char *layer, rt_error *err) {
  rt_exr_stream s = {.file = file};
  exr_context_initializer_t initializer = rt_exr_initializer(&s);
  layout l = {0};
  rt_image *image = NULL;
  exr_result_t r = exr_start_read(&l.exr, file.path, &initializer);
  rt_status status = r == EXR_ERR_SUCCESS ? read_layout(&l, &s, layer, err) : rt_exr_fail(&s, r, file.path, err);
  if (status == RT_OK) status = read_image(&image, &l, &s, err);
  if (status == RT_OK)
    *out = image;
  else
    rt_image_free(image);
  if (l.exr) exr_finish(&l.exr);
  return status;
}

#else

rt_status rt_exr_read(rt_image **out, rt_bytes file, const char *layer, rt_error *err) {
  (void)out;
  (void)layer;
  return rt_fail_without(file.path, "OpenEXR", "libopenexr-dev", err);
}

#endif
