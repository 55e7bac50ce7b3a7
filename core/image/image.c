/* Images: making, sharing, releasing, and loading by content.
 *
 * An image is reference counted (atomically: scenes on different threads share textures). Its sides are 1 to
 * RT_MAX_SIDE. */
#include "image/image.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"

/* Larger than any picture that a machine could hold: a guard against endless special files. */
#define FILE_LIMIT ((size_t)(SIZE_MAX >> 1 < UINT64_C(1) << 34 ? SIZE_MAX >> 1 : UINT64_C(1) << 34))

#define EXR_MAGIC "\x76\x2f\x31\x01"

rt_status rt_image_new(rt_image **out, int width, int height, int channels, rt_error *err) {
  if (width < 1 || height < 1 || width > RT_MAX_SIDE || height > RT_MAX_SIDE)
    return rt_fail(err, RT_BAD_USAGE, "an image of %d x %d pixels: sides are 1 to %d", width, height, RT_MAX_SIDE);
  if (channels < 1 || channels > 4)
    return rt_fail(err, RT_BAD_USAGE, "an image of %d channels: 1 to 4 are possible", channels);
  rt_image *image = rt_alloc(1, sizeof *image, err);
  if (!image) return RT_NO_MEMORY;
  atomic_init(&image->references, 1);
  image->width = width;
  image->height = height;
  image->channels = channels;
  image->placement = (rt_placement){{0, 0}, {width, height}};
  /* 2^16 * 2^16 * 4 elements overflow a 32-bit size_t: rt_alloc checks the product with the row as its element. */
  image->pixels = rt_alloc((size_t)height, rt_image_row(image) * sizeof(float), err);
  if (!image->pixels) {
    rt_free(image);
    return RT_NO_MEMORY;
  }
  *out = image;
  return RT_OK;
}

rt_status rt_image_copy(rt_image **out, const rt_image *image, rt_error *err) {
  rt_status status = rt_image_new(out, image->width, image->height, image->channels, err);
  if (status != RT_OK) return status;
  (*out)->placement = image->placement;
  (*out)->has_camera = image->has_camera;
  (*out)->camera = image->camera;
  memcpy((*out)->pixels, image->pixels, (size_t)image->height * rt_image_row(image) * sizeof(float));
  return RT_OK;
}

rt_image *rt_image_ref(rt_image *image) {
  atomic_fetch_add_explicit(&image->references, 1, memory_order_relaxed);
  return image;
}

void rt_image_free(rt_image *image) {
  if (!image || atomic_fetch_sub_explicit(&image->references, 1, memory_order_acq_rel) > 1) return;
  rt_free(image->pixels);
  rt_free(image);
}

int rt_image_width(const rt_image *image) { return image->width; }
int rt_image_height(const rt_image *image) { return image->height; }
int rt_image_channels(const rt_image *image) { return image->channels; }
float *rt_image_pixels(rt_image *image) { return image->pixels; }
const float *rt_image_view(const rt_image *image) { return image->pixels; }

void rt_image_place(rt_image *image, rt_placement placement) { image->placement = placement; }
rt_placement rt_image_placement(const rt_image *image) { return image->placement; }

void rt_image_set_camera(rt_image *image, const rt_camera_matrices *matrices) {
  image->has_camera = true;
  image->camera = *matrices;
}

rt_status rt_check_sides(uint64_t width, uint64_t height, const char *path, rt_error *err) {
  if (width >= 1 && height >= 1 && width <= RT_MAX_SIDE && height <= RT_MAX_SIDE) return RT_OK;
  return rt_fail(err, RT_BAD_DATA, "%s: claims to be %llu x %llu pixels: sides are 1 to %d", path,
                 (unsigned long long)width, (unsigned long long)height, RT_MAX_SIDE);
}

rt_status rt_fail_without(const char *path, const char *format, const char *package, rt_error *err) {
  return rt_fail(err, RT_UNAVAILABLE,
                 "%s: this rtlua was built without %s: install %s and build it again, or use another "
                 "format",
                 path, format, package);
}

static bool starts_with(rt_bytes file, const char *magic, size_t n) {
  return file.size >= n && memcmp(file.data, magic, n) == 0;
}

static rt_status read_layer(rt_image **out, rt_bytes file, const char *layer, rt_error *err) {
  if (starts_with(file, EXR_MAGIC, 4)) return rt_exr_read(out, file, layer, err);
  return rt_fail(err, RT_BAD_DATA, "%s: has no layer '%s': an EXR has layers", file.path, layer);
}

static rt_status read_picture(rt_image **out, rt_bytes file, bool raw, rt_error *err) {
  if (starts_with(file, "\x89PNG\r\n\x1a\n", 8)) return rt_png_read(out, file, raw, err);
  if (starts_with(file, "\xff\xd8\xff", 3)) return rt_jpeg_read(out, file, raw, err);
  if (starts_with(file, EXR_MAGIC, 4)) return rt_exr_read(out, file, NULL, err);
  if (starts_with(file, "#?", 2)) return rt_hdr_read(out, file, err);
  if (starts_with(file, "PF", 2) || starts_with(file, "Pf", 2)) return rt_pfm_read(out, file, err);
  if (file.size == 0)
    return rt_fail(err, RT_BAD_DATA, "%s: the file is empty: give a PNG, JPEG, EXR, HDR or PFM", file.path);
  return rt_fail(err, RT_BAD_DATA, "%s: not an image that rtlua reads: give a PNG, JPEG, EXR, HDR or PFM", file.path);
}

static rt_status load(rt_image **out, const char *path, const char *layer, bool raw, rt_error *err) {
  char *data;
  rt_bytes file = {NULL, 0, path};
  rt_status status = rt_file_read(&data, &file.size, path, FILE_LIMIT, err);
  if (status != RT_OK) return status;
  file.data = (const unsigned char *)data;
  status = layer ? read_layer(out, file, layer, err) : read_picture(out, file, raw, err);
  rt_free(data);
  return status;
}

rt_status rt_image_load(rt_image **out, const char *path, bool raw, rt_error *err) {
  return load(out, path, NULL, raw, err);
}

rt_status rt_image_load_layer(rt_image **out, const char *path, const char *layer, rt_error *err) {
  return load(out, path, layer, true, err);
}
