/* Which failures of HTTP pass, and how long a server asks to wait. Dates are read against the reply's own Date, for
 * clocks differ. */
#include "machine/http_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Copies the header's value out; false: there is none. */
static bool find_header(const char *head, size_t head_size, const char *name, char *out, size_t size) {
  size_t n = strlen(name);
  const char *line = head, *end = line ? line + head_size : NULL;
  while (line && line < end) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    if ((size_t)(stop - line) > n && strncasecmp(line, name, n) == 0 && line[n] == ':') {
      const char *value = line + n + 1;
      while (value < stop && (*value == ' ' || *value == '\t')) value++;
      snprintf(out, size, "%.*s", (int)(stop - value), value);
      out[strcspn(out, "\r\n")] = '\0';
      return true;
    }
    line = stop < end ? stop + 1 : end;
  }
  return false;
}

double rt_http_retry_after(const char *head, size_t size) {
  char text[128], date[128], *rest;
  if (!find_header(head, size, "retry-after", text, sizeof text)) return 0.0;
  errno = 0;
  unsigned long long seconds = strtoull(text, &rest, 10);
  if (rest != text && *rest == '\0' && text[0] != '-') return (double)seconds;
  time_t until = curl_getdate(text, NULL), here = -1;
  if (until == -1) return 0.0;
  if (find_header(head, size, "date", date, sizeof date)) here = curl_getdate(date, NULL);
  if (here == -1) here = time(NULL);
  return until > here ? (double)(until - here) : 0.0;
}

bool rt_http_is_passing_status(long status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

bool rt_http_is_passing_failure(CURLcode code) {
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_CONNECT:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_PARTIAL_FILE:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM: return true;
  default: return false;
  }
}
