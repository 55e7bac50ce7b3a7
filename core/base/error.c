/* Errors: one line, whatever the parts of the message hold. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The end of `text`, n bytes long, without a UTF-8 sequence that the buffer cut off. */
static size_t whole_characters(const char *text, size_t n) {
  size_t start = n;
  while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) start--;
  if (start == 0) return n;
  unsigned char lead = (unsigned char)text[start - 1];
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return n - start + 1 < length ? start - 1 : n;
}

rt_status rt_fail(rt_error *err, rt_status code, const char *format, ...) {
  if (!err) return code;
  /* Into a buffer of its own: err->message may be among the arguments. */
  char text[sizeof err->message];
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  size_t n = written > 0 ? strlen(text) : 0;
  if (written >= (int)sizeof text) n = whole_characters(text, n);

  /* Names of files come from outside: no newline, no terminal escape. */
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) text[i] = ' ';
  memcpy(err->message, text, n);
  err->message[n] = '\0';
  err->code = code;
  return code;
}

rt_status rt_fail_memory(rt_error *err, const char *what) {
  return rt_fail(err, RT_NO_MEMORY, "out of memory for %s: close other programs or make the scene smaller", what);
}
