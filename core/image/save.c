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

static const struct {
  const char *extension;
  writer *write;
} formats[] = {
    {".png", rt_png_write},
    {".pfm", rt_pfm_write},
    {".hdr", rt_hdr_write},
};

/* NULL and RT_BAD_USAGE in *err when there is none. */
static writer *find_writer(const char *path, rt_error *err) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof formats / sizeof *formats; i++)
    if (strcasecmp(dot, formats[i].extension) == 0) return formats[i].write;
  if (dot)
    rt_fail(err, RT_BAD_USAGE, "%s: there is no writer for '%s': use .png, .pfm or .hdr", path, dot);
  else
    rt_fail(err, RT_BAD_USAGE, "%s: the name has no extension: end it in .png, .pfm or .hdr", path);
  return NULL;
}

rt_status rt_write_failed(const char *path, int reason, rt_error *err) {
  return rt_fail(err, RT_CANT_WRITE, "%s: cannot be written: %s: free some space or name another output", path,
                 strerror(reason));
}

rt_status rt_image_can_save(const char *path, rt_error *err) {
  writer *write = find_writer(path, err);
  if (!write) return RT_BAD_USAGE;
  rt_file *file;
  rt_status status = rt_file_create(&file, path, err);
  if (status == RT_OK) rt_file_abandon(file);
  return status;
}

rt_status rt_image_save(const rt_image *image, const char *path, const rt_save_options *options, rt_error *err) {
  static const rt_save_options defaults = RT_SAVE_OPTIONS_INIT;
  writer *write = find_writer(path, err);
  if (!write) return RT_BAD_USAGE;
  rt_file *file;
  rt_status status = rt_file_create(&file, path, err);
  if (status != RT_OK) return status;
  status = write(image, rt_file_stream(file), path, options ? options : &defaults, err);
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
