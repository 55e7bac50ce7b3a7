/* What EXR's reader and writer share: a context of OpenEXR's C core that reports its errors into a message. */
#ifndef RT_IMAGE_EXR_H
#define RT_IMAGE_EXR_H

#include <openexr.h>
#include <stdio.h>

#include "image/image.h"

/* The user data of a context. */
typedef struct {
  rt_bytes file; /* reading */
  FILE *stream;  /* writing; else NULL */
  int write_errno;
  char message[256]; /* the last error */
} rt_exr_stream;

exr_context_initializer_t rt_exr_initializer(rt_exr_stream *stream);
/* RT_BAD_DATA of a file that is read, RT_CANT_WRITE of one that is written, or RT_NO_MEMORY. */
rt_status rt_exr_fail(const rt_exr_stream *stream, exr_result_t result, const char *path, rt_error *err);

#endif
