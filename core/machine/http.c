/* HTTP by libcurl's multi interface.
 *
 * A transfer is a sequence of attempts with one easy handle: running (in the multi handle), waiting (for the time of
 * its next attempt), done. The callbacks only collect into the transfer's buffers. A body goes to its file or stream
 * when the status is 2xx; any other is kept in memory, so that an error's text is there and a retry has nothing to
 * take back. Backoff is exponential with full jitter (Brooker 2015, "Exponential Backoff And Jitter"); Retry-After is
 * a lower bound (http_policy.c).
 *
 * Always: a transfer is in the list until it is released; released ones are swept by the next poll. What was handed
 * out of a streamed body is never sent again: such a transfer is not retried. */
#include "machine/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "machine/http_policy.h"

#define MAX_HEADERS ((size_t)512 << 10) /* bytes of all header lines of a reply */
#define STREAM_FULL ((size_t)1 << 20)   /* bytes that wait to be taken before the sender has to pause */
#define MAX_REDIRECTS 5L

typedef struct {
  char *data;
  size_t size, capacity;
} buffer;

typedef enum { RUNNING, WAITING, DONE } phase;

struct rt_http_transfer {
  rt_http *http;
  rt_http_transfer *next;
  CURL *easy;
  struct curl_slist *headers;
  FILE *upload;
  rt_file *file;
  char *to_file, *label; /* label: "METHOD scheme://host/path", for errors */
  buffer head, body;
  size_t max_body;
  phase phase;
  bool released, stream, delivered, paused, may_retry;
  int attempt, attempts;
  double base, cap, max_wait, due; /* due: the time of the next attempt */
  long status;
  rt_error error; /* RT_OK: none */
  char detail[CURL_ERROR_SIZE];
};

struct rt_http {
  CURLM *multi;
  rt_http_transfer *first;
  uint64_t random;
  bool news; /* a transfer has ended in this poll */
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Uniform in [0, 1): xorshift64*. The waits of many clients should differ, no more. */
static double uniform(rt_http *http) {
  uint64_t x = http->random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  http->random = x;
  return (double)((x * 0x2545f4914f6cdd1dull) >> 11) * 0x1p-53;
}

/* ---- What libcurl calls ---- */

static bool append(buffer *b, const char *data, size_t size, rt_error *err) {
  if (!rt_grow((void **)&b->data, &b->capacity, b->size + size + 1, 1, err)) return false;
  memcpy(b->data + b->size, data, size);
  b->size += size;
  b->data[b->size] = '\0';
  return true;
}

static bool is_success(long status) { return status >= 200 && status < 300; }

static size_t on_header(char *data, size_t unit, size_t n, void *context) {
  rt_http_transfer *t = context;
  n *= unit;
  if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) t->head.size = 0; /* after a 1xx or a redirect */
  if (n > MAX_HEADERS - t->head.size) {
    rt_fail(&t->error, RT_BAD_DATA, "%s: the reply's headers are too large: look at the server", t->label);
    return 0;
  }
  return append(&t->head, data, n, &t->error) ? n : 0;
}

static bool to_file(rt_http_transfer *t, const char *data, size_t n) {
  if (!t->file && rt_file_create(&t->file, t->to_file, &t->error) != RT_OK) return false;
  if (fwrite(data, 1, n, rt_file_stream(t->file)) == n) return true;
  rt_fail(&t->error, RT_CANT_WRITE, "%s: cannot be written: %s: free some space or name another file", t->to_file,
          strerror(errno));
  return false;
}

static size_t on_body(char *data, size_t unit, size_t n, void *context) {
  rt_http_transfer *t = context;
  n *= unit;
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
  bool success = is_success(t->status);
  if (success && t->to_file) return to_file(t, data, n) ? n : 0;
  if (success && t->stream) {
    if (t->body.size >= STREAM_FULL) {
      t->paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
  } else if (n > t->max_body - t->body.size) {
    rt_fail(&t->error, RT_BAD_DATA, "%s: the reply is larger than %zu bytes: raise max_body or use to_file", t->label,
            t->max_body);
    return 0;
  }
  return append(&t->body, data, n, &t->error) ? n : 0;
}

static size_t on_read(char *data, size_t unit, size_t n, void *context) {
  rt_http_transfer *t = context;
  size_t got = fread(data, unit, n, t->upload);
  return got == 0 && ferror(t->upload) ? CURL_READFUNC_ABORT : got * unit;
}

static int on_seek(void *context, curl_off_t offset, int origin) {
  rt_http_transfer *t = context;
  return fseeko(t->upload, (off_t)offset, origin) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

/* What rtlua starts meanwhile must not hold a connection to the provider. */
static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose) {
  (void)context;
  (void)purpose;
  return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

/* ---- Making ---- */

static CURLcode global_status;
static void init_global(void) { global_status = curl_global_init(CURL_GLOBAL_DEFAULT); }

rt_status rt_http_new(rt_http **out, rt_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init_global);
  if (global_status != CURLE_OK) return rt_fail(err, RT_NO_MEMORY, "libcurl does not start: reinstall it");
  rt_http *http = rt_alloc(1, sizeof *http, err);
  if (!http) return RT_NO_MEMORY;
  http->multi = curl_multi_init();
  if (!http->multi) {
    rt_free(http);
    return rt_fail_memory(err, "an HTTP client");
  }
  if (getrandom(&http->random, sizeof http->random, 0) < 0) http->random = (uint64_t)getpid();
  http->random |= 1u; /* never 0, at which xorshift stays */
  *out = http;
  return RT_OK;
}

static void free_transfer(rt_http_transfer *t) {
  if (!t) return;
  if (t->easy) {
    curl_multi_remove_handle(t->http->multi, t->easy);
    curl_easy_cleanup(t->easy);
  }
  curl_slist_free_all(t->headers);
  if (t->upload) fclose(t->upload);
  rt_file_abandon(t->file);
  rt_free(t->to_file);
  rt_free(t->label);
  rt_free(t->head.data);
  rt_free(t->body.data);
  rt_free(t);
}

void rt_http_free(rt_http *http) {
  if (!http) return;
  for (rt_http_transfer *t = http->first, *next; t; t = next) {
    next = t->next;
    free_transfer(t);
  }
  curl_multi_cleanup(http->multi);
  rt_free(http);
}

bool rt_http_header_ok(const char *name, size_t name_size, const char *value, size_t value_size) {
  static const char *const framing[] = {"content-length", "transfer-encoding"};
  if (name_size == 0 || strlen(name) != name_size) return false;
  if (strspn(name, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != name_size)
    return false;
  for (size_t i = 0; i < sizeof framing / sizeof *framing; i++)
    if (strcasecmp(name, framing[i]) == 0) return false;
  for (size_t i = 0; i < value_size; i++)
    if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f) return false;
  return true;
}

/* Checks the URL and makes the label of errors: without its query, where tokens may be. */
static rt_status read_url(rt_http_transfer *t, const rt_http_request *r, bool *https, rt_error *err) {
  char *scheme = NULL, *host = NULL, *path = NULL, *user = NULL, *port = NULL;
  rt_status status = RT_OK;
  CURLU *url = curl_url();
  if (!url) return rt_fail_memory(err, "a URL");
  if (curl_url_set(url, CURLUPART_URL, r->url, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK ||
      (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
    status = rt_fail(err, RT_BAD_USAGE, "url: an http:// or https:// address expected");
  else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
    status = rt_fail(err, RT_BAD_USAGE, "url: no user name or password may be in it: use a header");
  else {
    bool has_port = curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK;
    size_t size = strlen(r->method) + strlen(scheme) + strlen(host) + strlen(path) + 16;
    t->label = rt_alloc(size, 1, err);
    if (t->label)
      snprintf(t->label, size, "%s %s://%s%s%s%s", r->method, scheme, host, has_port ? ":" : "", has_port ? port : "",
               path);
    else
      status = RT_NO_MEMORY;
    *https = strcmp(scheme, "https") == 0;
  }
  curl_free(scheme);
  curl_free(host);
  curl_free(path);
  curl_free(user);
  curl_free(port);
  curl_url_cleanup(url);
  return status;
}

static bool add_header(rt_http_transfer *t, const char *line) {
  struct curl_slist *list = curl_slist_append(t->headers, line);
  if (list) t->headers = list;
  return list != NULL;
}

static bool add_headers(rt_http_transfer *t, const rt_http_request *r) {
  /* Waiting for a 100 costs a second where none comes. libcurl would sign the header that is not sent. */
  bool ok = r->access_key || add_header(t, "Expect:"), typed = false;
  for (size_t i = 0; ok && i < r->n_headers; i++) {
    ok = add_header(t, r->headers[i]);
    typed = typed || strncasecmp(r->headers[i], "content-type", 12) == 0;
  }
  if (ok && !typed && (r->body || r->body_file)) ok = add_header(t, "Content-Type: application/octet-stream");
  if (ok && r->session_token) {
    size_t size = strlen(r->session_token) + 32;
    char *line = rt_alloc(size, 1, NULL);
    if (!line) return false;
    snprintf(line, size, "X-Amz-Security-Token: %s", r->session_token);
    ok = add_header(t, line);
    rt_free(line);
  }
  return ok;
}

static bool is_idempotent(const char *method) {
  static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(method, names[i]) == 0) return true;
  return false;
}

#define SET(option, value)                                                                                             \
  do {                                                                                                                 \
    if (ok == CURLE_OK) ok = curl_easy_setopt(t->easy, option, value);                                                 \
  } while (0)

static CURLcode set_protocols(rt_http_transfer *t, bool https) {
  CURLcode ok = CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_REDIR_PROTOCOLS_STR, https ? "https" : "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  SET(CURLOPT_REDIR_PROTOCOLS, (long)(https ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  return ok;
}

static CURLcode set_signature(rt_http_transfer *t, const rt_http_request *r) {
  CURLcode ok = CURLE_OK;
  char scope[256];
  if (!r->access_key) return ok;
  snprintf(scope, sizeof scope, "aws:amz:%s:%s", r->region, r->service);
  SET(CURLOPT_AWS_SIGV4, scope);
  SET(CURLOPT_USERNAME, r->access_key);
  SET(CURLOPT_PASSWORD, r->secret_key);
  return ok;
}

static CURLcode set_body(rt_http_transfer *t, const rt_http_request *r, curl_off_t upload_size) {
  CURLcode ok = CURLE_OK;
  if (strcmp(r->method, "HEAD") == 0) {
    SET(CURLOPT_NOBODY, 1L);
  } else if (t->upload) {
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, upload_size);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, t);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_SEEKDATA, t);
  } else if (r->body) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size);
    SET(CURLOPT_COPYPOSTFIELDS, r->body);
  }
  SET(CURLOPT_CUSTOMREQUEST, r->method);
  /* libcurl sends a request again by itself when a connection that was used before is closed without a reply: what may
   * have been done must not be done twice. */
  SET(CURLOPT_FRESH_CONNECT, r->retry_always || is_idempotent(r->method) ? 0L : 1L);
  return ok;
}

static CURLcode set_options(rt_http_transfer *t, const rt_http_request *r, bool https, curl_off_t upload_size) {
  /* CURLOPT_NOSIGNAL stays off: with it OpenSSL's writes to a closed connection would raise SIGPIPE. */
  CURLcode ok = set_protocols(t, https);
  SET(CURLOPT_URL, r->url);
  SET(CURLOPT_USERAGENT, "rtlua/" RT_VERSION);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  if (r->ca_file) {
    SET(CURLOPT_CAINFO, r->ca_file);
    SET(CURLOPT_CAPATH, NULL);
  }
  if (r->unix_socket) {
    SET(CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
    SET(CURLOPT_NOPROXY, "*");
  }
  SET(CURLOPT_FOLLOWLOCATION, r->follow ? 1L : 0L);
  SET(CURLOPT_MAXREDIRS, MAX_REDIRECTS);
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(r->connect_timeout * 1e3) + 1);
  SET(CURLOPT_TIMEOUT_MS, r->timeout > 0.0 ? (long)(r->timeout * 1e3) + 1 : 0L);
  SET(CURLOPT_HTTPHEADER, t->headers);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, t);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, t);
  SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
  SET(CURLOPT_ERRORBUFFER, t->detail);
  SET(CURLOPT_PRIVATE, t);
  if (ok == CURLE_OK) ok = set_signature(t, r);
  return ok == CURLE_OK ? set_body(t, r, upload_size) : ok;
}

/* Opens what is sent; its size is what it is now. */
static rt_status open_upload(rt_http_transfer *t, const char *path, curl_off_t *size, rt_error *err) {
  struct stat about = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) t->upload = fdopen(fd, "rb");
  if (t->upload) {
    *size = (curl_off_t)about.st_size;
    return RT_OK;
  }
  int reason = fd >= 0 ? EINVAL : errno;
  if (fd >= 0) close(fd);
  return rt_fail(err, RT_NO_INPUT, "%s: cannot be read: %s: name a file that you may read", path, strerror(reason));
}

/* ---- Attempts ---- */

static void begin_attempt(rt_http_transfer *t) {
  t->attempt++;
  t->status = 0;
  t->head.size = t->body.size = 0;
  t->detail[0] = '\0';
  t->paused = false;
  rt_file_abandon(t->file);
  t->file = NULL;
  if (t->upload) rewind(t->upload);
  t->phase = RUNNING;
  if (curl_multi_add_handle(t->http->multi, t->easy) == CURLM_OK) return;
  rt_fail_memory(&t->error, "an HTTP request");
  t->phase = DONE;
  t->http->news = true;
}

static rt_status prepare(rt_http_transfer *t, const rt_http_request *r, rt_error *err) {
  bool https = false;
  curl_off_t upload_size = 0;
  rt_status status = read_url(t, r, &https, err);
  if (status == RT_OK && r->body_file) status = open_upload(t, r->body_file, &upload_size, err);
  if (status != RT_OK) return status;
  if (r->to_file && !(t->to_file = rt_strdup(r->to_file, err))) return RT_NO_MEMORY;
  t->easy = curl_easy_init();
  if (!t->easy || !add_headers(t, r)) return rt_fail_memory(err, "an HTTP request");
  CURLcode ok = set_options(t, r, https, upload_size);
  if (ok == CURLE_OK) return RT_OK;
  return rt_fail(err, RT_BAD_USAGE, "%s: libcurl refuses an option: %s", t->label, curl_easy_strerror(ok));
}

rt_status rt_http_start(rt_http_transfer **out, rt_http *http, const rt_http_request *r, rt_error *err) {
  rt_http_transfer *t = rt_alloc(1, sizeof *t, err);
  if (!t) return RT_NO_MEMORY;
  t->http = http;
  t->stream = r->stream;
  t->max_body = r->max_body;
  t->attempts = r->attempts;
  t->base = r->retry_base;
  t->cap = r->retry_cap;
  t->max_wait = r->retry_max_wait;
  t->may_retry = r->retry_always || is_idempotent(r->method);
  rt_status status = prepare(t, r, err);
  if (status != RT_OK) {
    free_transfer(t);
    return status;
  }
  rt_http_transfer **last = &http->first;
  while (*last) last = &(*last)->next;
  *last = t;
  begin_attempt(t);
  *out = t;
  return RT_OK;
}

static bool schedule_retry(rt_http_transfer *t) {
  if (!t->may_retry || t->delivered || t->attempt >= t->attempts) return false;
  double limit = t->base, asked = rt_http_retry_after(t->head.data, t->head.size);
  for (int i = 1; i < t->attempt && limit < t->cap; i++) limit *= 2.0;
  double wait = uniform(t->http) * (limit < t->cap ? limit : t->cap);
  if (asked > t->max_wait) return false;
  t->due = now() + (asked > wait ? asked : wait);
  t->phase = WAITING;
  return true;
}

/* Only libcurl's constant texts, and what the certificate's check said: nothing that was sent. */
static void describe(rt_http_transfer *t, CURLcode code) {
  const char *reason = curl_easy_strerror(code), *remedy = "try again";
  rt_status status = RT_UNAVAILABLE;
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST: remedy = "check the host's name and the network"; break;
  case CURLE_COULDNT_CONNECT: remedy = "check that the server runs and can be reached"; break;
  case CURLE_PEER_FAILED_VERIFICATION:
    if (t->detail[0]) reason = t->detail;
    remedy = "check the address, or name its certificate authority in ca_file";
    break;
  case CURLE_SSL_CACERT_BADFILE: remedy = "name a file of PEM certificates in ca_file"; break;
  case CURLE_TOO_MANY_REDIRECTS: remedy = "check the address"; break;
  case CURLE_OPERATION_TIMEDOUT: remedy = "try again, or raise connect_timeout or timeout"; break;
  default: remedy = rt_http_is_passing_failure(code) ? "try again" : "look at the server"; break;
  }
  if (rt_http_is_passing_failure(code) && code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_COULDNT_CONNECT)
    status = RT_TRY_AGAIN;
  rt_fail(&t->error, status, "%s: %s (%d %s): %s", t->label, reason, t->attempt,
          t->attempt == 1 ? "attempt" : "attempts", remedy);
}

static void end_attempt(rt_http_transfer *t, CURLcode code) {
  curl_multi_remove_handle(t->http->multi, t->easy);
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
  t->phase = DONE;
  if (t->error.code == RT_OK) {
    bool passing = code == CURLE_OK ? rt_http_is_passing_status(t->status) : rt_http_is_passing_failure(code);
    /* A streamed success that broke is not begun again, unless nothing of it had come. */
    if (code != CURLE_OK && t->stream && is_success(t->status) && t->body.size > 0) passing = false;
    if (passing && schedule_retry(t)) return;
    if (code != CURLE_OK)
      describe(t, code);
    else if (t->to_file && is_success(t->status) && to_file(t, "", 0)) {
      rt_file *file = t->file;
      t->file = NULL;
      rt_file_commit(file, &t->error);
    }
  }
  rt_file_abandon(t->file);
  t->file = NULL;
  t->http->news = true;
}

/* ---- Driving ---- */

static void sweep(rt_http *http) {
  for (rt_http_transfer **link = &http->first; *link;) {
    rt_http_transfer *t = *link;
    if (t->released) {
      *link = t->next;
      free_transfer(t);
    } else
      link = &t->next;
  }
}

static void work(rt_http *http) {
  int running, left;
  curl_multi_perform(http->multi, &running);
  for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left));) {
    char *owner = NULL;
    CURLcode code = message->data.result;
    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    end_attempt((rt_http_transfer *)(void *)owner, code);
  }
}

void rt_http_poll(rt_http *http, double seconds, int fd) {
  sweep(http);
  double begin = now(), end = begin + seconds;
  http->news = false;
  for (rt_http_transfer *t = http->first; t; t = t->next)
    if (t->phase == WAITING && t->due <= begin) begin_attempt(t);
  work(http);
  for (rt_http_transfer *t = http->first; t; t = t->next) {
    const char *data;
    if (http->news || rt_http_take(t, &data) > 0) return;
    if (t->phase == WAITING && t->due < end) end = t->due;
  }
  double left = end - now();
  struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
  if (left > 0.0) curl_multi_poll(http->multi, &extra, fd >= 0 ? 1 : 0, (int)(left * 1e3) + 1, NULL);
  work(http);
}

static rt_http_transfer *skip_released(rt_http_transfer *t) {
  while (t && t->released) t = t->next;
  return t;
}
rt_http_transfer *rt_http_first(rt_http *http) { return skip_released(http->first); }
rt_http_transfer *rt_http_next(rt_http_transfer *t) { return skip_released(t->next); }
bool rt_http_done(const rt_http_transfer *t) { return t->phase == DONE; }
int rt_http_attempts(const rt_http_transfer *t) { return t->attempt; }

void rt_http_get_progress(const rt_http_transfer *t, rt_http_progress *out) {
  curl_off_t received = 0, receiving = -1, sent = 0, sending = -1;
  curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
  curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &receiving);
  curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
  curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &sending);
  *out = (rt_http_progress){received, receiving, sent, sending};
}

size_t rt_http_take(const rt_http_transfer *t, const char **data) {
  *data = t->body.data;
  return t->stream && is_success(t->status) ? t->body.size : 0;
}

void rt_http_taken(rt_http_transfer *t) {
  t->delivered = true;
  t->body.size = 0;
  if (!t->paused || t->phase != RUNNING) return;
  t->paused = false;
  curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

rt_status rt_http_result(const rt_http_transfer *t, rt_http_reply *out, rt_error *err) {
  if (t->error.code != RT_OK) return rt_fail(err, t->error.code, "%s", t->error.message);
  *out = (rt_http_reply){.status = t->status,
                         .headers = t->head.data ? t->head.data : "",
                         .headers_size = t->head.size,
                         .body = t->body.data ? t->body.data : "",
                         .body_size = t->body.size};
  return RT_OK;
}

/* Its connection ends now: whoever cancels wants nothing more to be sent. */
void rt_http_release(rt_http_transfer *t) {
  if (!t) return;
  t->released = true;
  t->phase = DONE;
  curl_multi_remove_handle(t->http->multi, t->easy);
  rt_file_abandon(t->file);
  t->file = NULL;
}
