/* OpenEXR's C core, as its reader and its writer use it: bytes come from memory and go to a stream, errors become a
 * message. */
#include "image/image.h"

#ifdef RT_HAVE_OPENEXR

#include <errno.h>
#include <string.h>

#include "image/exr.h"

const char *rt_openexr_version(void) { return OPENEXR_VERSION_STRING; }

static rt_exr_stream *stream_of(exr_const_context_t exr) {
  void *data = NULL;
  return exr_get_user_data(exr, &data) == EXR_ERR_SUCCESS ? data : NULL;
}

/* "PATH: " is left out: our own errors name it. */
static void on_error(exr_const_context_t exr, exr_result_t code, const char *message) {
  rt_exr_stream *s = stream_of(exr);
  (void)code;
  if (!s) return;
  const char *name = NULL;
  size_t n = exr_get_file_name(exr, &name) == EXR_ERR_SUCCESS && name ? strlen(name) : 0;
  if (n > 0 && strncmp(message, name, n) == 0 && strncmp(message + n, ": ", 2) == 0) message += n + 2;
  snprintf(s->message, sizeof s->message, "%s", message);
}

/* As pread does, less than n at the end: the library reads headers in blocks. */
static int64_t read_bytes(exr_const_context_t exr, void *data, void *to, uint64_t n, uint64_t offset,
                          exr_stream_error_func_ptr_t fail) {
  (void)exr;
  (void)fail;
  const rt_exr_stream *s = data;
  uint64_t rest = offset < s->file.size ? s->file.size - offset : 0;
  if (n > rest) n = rest;
  if (n > 0) memcpy(to, s->file.data + offset, n);
  return (int64_t)n;
}

static int64_t size_of_file(exr_const_context_t exr, void *data) {
  (void)exr;
  return (int64_t)((const rt_exr_stream *)data)->file.size;
}

static int64_t write_bytes(exr_const_context_t exr, void *data, const void *from, uint64_t n, uint64_t offset,
                           exr_stream_error_func_ptr_t fail) {
  rt_exr_stream *s = data;
  if (fseeko(s->stream, (off_t)offset, SEEK_SET) == 0 && fwrite(from, 1, n, s->stream) == n) return (int64_t)n;
  s->write_errno = errno;
  fail(exr, EXR_ERR_WRITE_IO, "write");
  return -1;
}

exr_context_initializer_t rt_exr_initializer(rt_exr_stream *stream) {
  exr_context_initializer_t initializer = EXR_DEFAULT_CONTEXT_INITIALIZER;
  initializer.error_handler_fn = on_error;
  initializer.user_data = stream;
  initializer.read_fn = read_bytes;
  initializer.size_fn = size_of_file;
  initializer.write_fn = write_bytes;
  initializer.flags = EXR_CONTEXT_FLAG_DISABLE_CHUNK_RECONSTRUCTION; /* what is cut short is an error */
  return initializer;
}

rt_status rt_exr_fail(const rt_exr_stream *stream, exr_result_t result, const char *path, rt_error *err) {
  if (result == EXR_ERR_OUT_OF_MEMORY) return rt_fail_memory(err, "an EXR");
  if (stream->write_errno) return rt_write_failed(path, stream->write_errno, err);
  const char *reason = stream->message[0] ? stream->message : exr_get_default_error_message(result);
  if (stream->stream) return rt_fail(err, RT_CANT_WRITE, "%s: OpenEXR cannot write it: %s", path, reason);
  if (result == EXR_ERR_FEATURE_NOT_IMPLEMENTED)
    return rt_fail(err, RT_BAD_DATA,
                   "%s: OpenEXR %s does not read it (%s): convert it by `oiiotool IN --compression zip "
                   "-o OUT`",
                   path, OPENEXR_VERSION_STRING, reason);
  return rt_fail(err, RT_BAD_DATA, "%s: the EXR is damaged or cut short (%s): use another copy", path, reason);
}

#else

const char *rt_openexr_version(void) { return NULL; }

#endif
