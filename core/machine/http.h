/* HTTP requests, many at once over one libcurl multi handle that its caller drives.
 *
 * The caller starts transfers and polls. Between polls it looks at each transfer: takes what came of a streamed body,
 * asks for progress, and releases those that are done. Nothing runs between polls, and no caller's code runs inside
 * of one. One thread a client. */
#ifndef RT_MACHINE_HTTP_H
#define RT_MACHINE_HTTP_H

#include "rt.h"

typedef struct rt_http rt_http;
typedef struct rt_http_transfer rt_http_transfer;

typedef struct {
  const char *method, *url;   /* http or https; no user name in it */
  const char *const *headers; /* "Name: value", or "Name;" for an empty value */
  size_t n_headers;           /* names and values were checked by rt_http_header_ok */
  const char *body;           /* NULL: none; copied */
  size_t body_size;           /* bytes */
  const char *body_file;      /* sent as it is read; NULL: none */
  const char *unix_socket;    /* the path to connect to instead of the URL's host */
  const char *ca_file;        /* certificates to trust instead of the system's */
  double connect_timeout;     /* seconds of one attempt */
  double timeout;             /* seconds of one attempt, all in all; 0: none */
  const char *to_file;        /* a 2xx body goes there, whole or not at all */
  bool stream;                /* a 2xx body waits for rt_http_take */
  bool follow;                /* redirects, five at most; never from https to http */
  size_t max_body;            /* bytes of a body that is kept in memory */
  const char *access_key, *secret_key, *session_token, *region, *service; /* AWS SigV4 where access_key is set */
  int attempts;                                                           /* 1: no retry */
  double retry_base, retry_cap; /* seconds: the n-th wait is uniform in [0, min(cap, base 2^(n-1))] */
  double retry_max_wait;        /* seconds: a Retry-After beyond it is not waited for */
  bool retry_always;            /* also methods that are not idempotent */
} rt_http_request;
#define RT_HTTP_REQUEST_INIT                                                                                           \
  {                                                                                                                    \
    .method = "GET", .connect_timeout = 10.0, .timeout = 300.0, .max_body = (size_t)64 << 20, .attempts = 4,           \
    .retry_base = 0.5, .retry_cap = 20.0, .retry_max_wait = 120.0                                                      \
  }

typedef struct {
  long status;
  const char *headers; /* the lines of the last reply, status line first, each with its line end */
  size_t headers_size;
  const char *body;
  size_t body_size;
} rt_http_reply;

typedef struct {
  int64_t received, receiving, sent, sending; /* bytes; the totals are -1 where unknown */
} rt_http_progress;

rt_status rt_http_new(rt_http **out, rt_error *err);
void rt_http_free(rt_http *http); /* ends and releases all transfers */

/* A token for a name, and a value without line ends: nothing that would add a header of its own. Framing headers are
 * refused: the body decides them. */
bool rt_http_header_ok(const char *name, size_t name_size, const char *value, size_t value_size);

/* RT_BAD_USAGE for a request that is wrong in itself. No error ever holds a header, a key or the URL's query. */
rt_status rt_http_start(rt_http_transfer **out, rt_http *http, const rt_http_request *request, rt_error *err);
/* Works for at most `seconds`; earlier when a transfer ends, data waits, or `fd` (unless -1) becomes readable. */
void rt_http_poll(rt_http *http, double seconds, int fd);

rt_http_transfer *rt_http_first(rt_http *http); /* in the order of their start; NULL: none */
rt_http_transfer *rt_http_next(rt_http_transfer *transfer);
bool rt_http_done(const rt_http_transfer *transfer);
int rt_http_attempts(const rt_http_transfer *transfer);
void rt_http_get_progress(const rt_http_transfer *transfer, rt_http_progress *out);
/* What waits of a streamed body; valid until rt_http_taken, which makes room for more. */
size_t rt_http_take(const rt_http_transfer *transfer, const char **data);
void rt_http_taken(rt_http_transfer *transfer);
/* Of a transfer that is done. RT_UNAVAILABLE, RT_TRY_AGAIN, RT_BAD_DATA or RT_CANT_WRITE when no reply came. */
rt_status rt_http_result(const rt_http_transfer *transfer, rt_http_reply *out, rt_error *err);
/* Ends it. Its memory goes with the next poll, so that a list may be walked meanwhile; NULL is fine. */
void rt_http_release(rt_http_transfer *transfer);

#endif
