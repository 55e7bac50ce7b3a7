/* Writing images: the writer is found by the extension, the file appears whole or not at all (base/file.h). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "image/image.h"

typedef rt_status writer(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                         rt_error *err);

typedef struct {
  const char *extension;
  writer *write; /* NULL: rt_exr_write, which takes layers */
  const char *(*version)(void);
  const char *library, *package; /* of a version that may be NULL */
} format;

static const format formats[] = {
    {".png", rt_png_write, NULL, NULL, NULL},
    {".jpg", rt_jpeg_write, rt_libjpeg_version, "JPEG", "libjpeg-dev"},
    {".jpeg", rt_jpeg_write, rt_libjpeg_version, "JPEG", "libjpeg-dev"},
    {".exr", NULL, rt_openexr_version, "OpenEXR", "libopenexr-dev"},
    {".pfm", rt_pfm_write, NULL, NULL, NULL},
    {".hdr", rt_hdr_write, NULL, NULL, NULL},
};

#define EXTENSIONS ".png, .jpg, .exr, .pfm or .hdr"

/* NULL, with *status and *err, when there is none. */
static const format *find_format(const char *path, rt_status *status, rt_error *err) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof formats / sizeof *formats; i++) {
    const format *f = &formats[i];
    if (strcasecmp(dot, f->extension) != 0) continue;
    if (!f->version || f->version()) return f;
    *status = rt_fail_without(path, f->library, f->package, err);
    return NULL;
  }
  if (dot)
    *status = rt_fail(err, RT_BAD_USAGE, "%s: there is no writer for '%s': use " EXTENSIONS, path, dot);
  else
    *status = rt_fail(err, RT_BAD_USAGE, "%s: the name has no extension: end it in " EXTENSIONS, path);
  return NULL;
}

rt_status rt_write_failed(const char *path, int reason, rt_error *err) {
  return rt_fail(err, RT_CANT_WRITE, "%s: cannot be written: %s: free some space or name another output", path,
                 strerror(reason));
}

rt_status rt_image_can_save(const char *path, rt_error *err) {
  rt_file *file;
  rt_status status;
  if (!find_format(path, &status, err)) return status;
  status = rt_file_create(&file, path, err);
  if (status == RT_OK) rt_file_abandon(file);
  return status;
}

rt_status rt_image_save(const rt_image *image, const char *path, const rt_save_options *options, rt_error *err) {
  static const char *const letters[] = {"Y", "YA", "RGB", "RGBA"};
  const rt_layer picture = {"", letters[image->channels - 1], image};
  return rt_image_save_layers(&picture, 1, path, options, err);
}

static rt_status check_layers(const rt_layer *layers, int count, const format *f, const char *path, rt_error *err) {
  if (count < 1 || (count > 1 && f->write))
    return rt_fail(err, RT_BAD_USAGE, "%s: cannot hold %d layers: an .exr can, or give each a file", path, count);
  for (int i = 0; i < count; i++) {
    const rt_image *image = layers[i].image;
    if (image->width != layers[0].image->width || image->height != layers[0].image->height)
      return rt_fail(err, RT_BAD_USAGE, "%s: the layer '%s' has another size than the first", path, layers[i].name);
    if (strlen(layers[i].channels) != (size_t)image->channels)
      return rt_fail(err, RT_BAD_USAGE, "%s: the layer '%s' names channels '%s', its image has %d", path,
                     layers[i].name, layers[i].channels, image->channels);
  }
  return RT_OK;
}

rt_status rt_image_save_layers(const rt_layer *layers, int count, const char *path, const rt_save_options *options,
                               rt_error *err) {
  static const rt_save_options defaults = RT_SAVE_OPTIONS_INIT;
  rt_file *file;
  rt_status status;
  if (!options) options = &defaults;
  const format *f = find_format(path, &status, err);
  if (!f) return status;
  status = check_layers(layers, count, f, path, err);
  if (status == RT_OK) status = rt_file_create(&file, path, err);
  if (status != RT_OK) return status;
  FILE *stream = rt_file_stream(file);
  status = f->write ? f->write(layers[0].image, stream, path, options, err)
                    : rt_exr_write(layers, count, stream, path, options, err);
  if (status == RT_OK) return rt_file_commit(file, err);
  rt_file_abandon(file);
  return status;
}

rt_status rt_image_write_png(const rt_image *image, int fd, const rt_save_options *options, rt_error *err) {
  static const rt_save_options defaults = RT_SAVE_OPTIONS_INIT;
  const char *name = fd == STDOUT_FILENO ? "standard output" : "the PNG's file descriptor";
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* closing the stream must leave the caller's open */
  FILE *stream = copy < 0 ? NULL : fdopen(copy, "wb");
  if (!stream) {
    int reason = errno;
    if (copy >= 0) close(copy);
    return rt_write_failed(name, reason, err);
  }
  rt_status status = rt_png_write(image, stream, name, options ? options : &defaults, err);
  if (fclose(stream) != 0 && status == RT_OK) status = rt_write_failed(name, errno, err);
  return status;
}
