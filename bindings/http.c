/* rtlua.http: HTTP requests, one or many at once (core/machine/http.c); docs/http.md shows their use.
 *
 * How it works. A client's user value is a table from transfers' addresses to their userdata, so that whoever runs is
 * not collected; a transfer's user values are its client and the table that describes its request. `wait` polls in
 * short steps and calls on_data and on_progress between them, never from inside of libcurl.
 *
 * Always: a transfer's pointer is valid while it has one and its client is open. A callback cannot drive or close the
 * client that calls it. A wait ends early for a signal that arrives during it, not for one that came before: cleaning
 * up after a signal needs the network. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "bind.h"
#include "guard.h"
#include "machine/http.h"

#define CLIENT "rtlua.http.client"
#define TRANSFER "rtlua.http.transfer"
#define SLICE 0.05      /* seconds between looks at signals and the guard */
#define MAX_SECONDS 1e6 /* what libcurl's milliseconds hold on any machine */
#define MAX_ATTEMPTS 1000

typedef struct {
  rt_http *http; /* NULL: closed */
  bool busy;     /* it calls a callback */
} client;

typedef struct {
  rt_http_transfer *transfer; /* NULL: cancelled, or its result was taken */
  client *client;             /* kept by user value 1 */
} transfer;

enum { OF_CLIENT = 1, OF_REQUEST = 2 };

static client *to_client(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  luaL_argcheck(L, c->http, 1, "the client is closed");
  if (c->busy) luaL_error(L, "a callback cannot use the client that calls it");
  return c;
}

/* ---- Reading a request ---- */

static void check_fields(lua_State *L, int t, const char *const known[]) {
  rtl_check_table(L, t, known[0]);
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    int i = 1;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    while (known[i] && strcmp(known[i], name) != 0) i++;
    if (!known[i]) luaL_error(L, "%s: there is no field '%s'", known[0], name);
  }
}

/* Strings stay on the stack, where they keep alive; what holds a zero byte is refused. */
static const char *string_field(lua_State *L, int t, const char *what) {
  luaL_checkstack(L, 4, NULL);
  const char *s = rtl_push_string(L, t, what);
  if (s && strlen(s) != lua_rawlen(L, -1)) luaL_error(L, "%s: no zero byte may be in it", what);
  return s;
}

static double seconds_field(lua_State *L, int t, const char *what, double least, double otherwise) {
  double v = rtl_number_or(L, t, what, otherwise);
  if (!(v >= least && v <= MAX_SECONDS)) luaL_error(L, "%s: seconds expected, at most %f", what, MAX_SECONDS);
  return v;
}

static void check_method(lua_State *L, const char *method) {
  size_t n = strlen(method);
  if (n == 0 || n > 20 || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != n)
    luaL_error(L, "method: a name in capital letters expected");
}

static void add_encoded(luaL_Buffer *b, const char *s, size_t n) {
  static const char digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~", c))) {
      luaL_addchar(b, (char)c);
    } else {
      luaL_addchar(b, '%');
      luaL_addchar(b, digits[c >> 4]);
      luaL_addchar(b, digits[c & 15]);
    }
  }
}

/* Pushes "name=value", encoded, of the pair at -2 and -1. */
static void push_pair(lua_State *L) {
  luaL_Buffer b;
  size_t n, m;
  if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "query: names are strings");
  if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER) rtl_expected(L, "query", "string or number");
  lua_pushvalue(L, -1); /* a copy: lua_tolstring changes a number in place */
  const char *name = lua_tolstring(L, -3, &n), *value = lua_tolstring(L, -1, &m);
  luaL_buffinit(L, &b);
  add_encoded(&b, name, n);
  luaL_addchar(&b, '=');
  add_encoded(&b, value, m);
  luaL_pushresult(&b);
  lua_remove(L, -2);
}

/* Inserts the string on top into the sorted list at `list` (SigV4 signs the query in this order), and pops it. */
static void insert_sorted(lua_State *L, int list) {
  lua_Integer i = (lua_Integer)lua_rawlen(L, list);
  for (; i > 0; i--) {
    lua_rawgeti(L, list, i);
    if (!lua_compare(L, -2, -1, LUA_OPLT)) {
      lua_pop(L, 1);
      break;
    }
    lua_rawseti(L, list, i + 1);
  }
  lua_rawseti(L, list, i + 1);
}

/* The URL with the fields of `query` behind it, on the stack. */
static const char *read_url(lua_State *L, int t) {
  const char *url = string_field(L, t, "url");
  if (!url) rtl_expected(L, "url", "string");
  int at = lua_gettop(L);
  lua_pushliteral(L, "query");
  if (lua_rawget(L, t) == LUA_TNIL) return url;
  rtl_check_table(L, -1, "query");
  int query = lua_gettop(L), list = query + 1;
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, query); lua_pop(L, 1)) {
    push_pair(L);
    insert_sorted(L, list);
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_pushvalue(L, at);
  luaL_addvalue(&b);
  char mark = strchr(url, '?') ? '&' : '?';
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= n; i++, mark = '&') {
    luaL_addchar(&b, mark);
    lua_rawgeti(L, list, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

/* The lines live in a table, their addresses in a userdata; both stay on the stack. */
static void read_headers(lua_State *L, int t, rt_http_request *r) {
  lua_pushliteral(L, "headers");
  if (lua_rawget(L, t) == LUA_TNIL) return;
  rtl_check_table(L, -1, "headers");
  int headers = lua_gettop(L), lines = headers + 1;
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, headers); lua_pop(L, 1)) {
    size_t n, m = 0;
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "headers: names are strings");
    const char *name = lua_tolstring(L, -2, &n);
    const char *value = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &m) : NULL;
    if (!value || !rt_http_header_ok(name, n, value, m)) /* the value may be a secret: it is not shown */
      luaL_error(L, "headers: a name or value is refused: no line ends or control characters, no framing headers");
    lua_pushfstring(L, m > 0 ? "%s: %s" : "%s;", name, value);
    lua_rawseti(L, lines, (lua_Integer)lua_rawlen(L, lines) + 1);
  }
  r->n_headers = lua_rawlen(L, lines);
  const char **list = lua_newuserdatauv(L, (r->n_headers + 1) * sizeof *list, 0);
  for (size_t i = 0; i < r->n_headers; i++) {
    lua_rawgeti(L, lines, (lua_Integer)i + 1);
    list[i] = lua_tostring(L, -1);
    lua_pop(L, 1); /* the table keeps it */
  }
  r->headers = list;
}

static const char *signing_field(lua_State *L, int t, const char *what, bool required) {
  const char *s = string_field(L, t, what);
  if (!s && !required) return NULL;
  if (!s || !*s || !rt_http_header_ok("x", 1, s, strlen(s)))
    luaL_error(L, "sigv4.%s: a string without control characters expected", what);
  return s;
}

static void read_signing(lua_State *L, int t, rt_http_request *r) {
  static const char *const known[] = {"sigv4", "access_key", "secret_key", "session_token", "region", "service", NULL};
  lua_pushliteral(L, "sigv4");
  if (lua_rawget(L, t) == LUA_TNIL) return;
  int s = lua_gettop(L);
  check_fields(L, s, known);
  r->access_key = signing_field(L, s, "access_key", true);
  r->secret_key = signing_field(L, s, "secret_key", true);
  r->session_token = signing_field(L, s, "session_token", false);
  r->region = signing_field(L, s, "region", true);
  r->service = signing_field(L, s, "service", true);
  if (strlen(r->region) > 100 || strlen(r->service) > 100) luaL_error(L, "sigv4: region or service is too long");
  if (r->follow) luaL_error(L, "sigv4: redirects cannot be followed: the token would go with them");
  if (r->body_file) luaL_error(L, "sigv4: a body_file cannot be signed: give the body as a string");
}

static void read_retry(lua_State *L, int t, rt_http_request *r) {
  static const char *const known[] = {"retry", "attempts", "base", "cap", "max_wait", "always", NULL};
  lua_pushliteral(L, "retry");
  if (lua_rawget(L, t) == LUA_TNIL) return;
  int s = lua_gettop(L);
  check_fields(L, s, known);
  r->attempts = (int)rtl_integer_or(L, s, "attempts", 1, MAX_ATTEMPTS, r->attempts);
  r->retry_base = seconds_field(L, s, "base", 0.0, r->retry_base);
  r->retry_cap = seconds_field(L, s, "cap", 0.0, r->retry_cap);
  r->retry_max_wait = seconds_field(L, s, "max_wait", 0.0, r->retry_max_wait);
  r->retry_always = rtl_boolean(L, s, "always");
}

static bool has_function(lua_State *L, int t, const char *what) {
  lua_pushstring(L, what);
  int type = lua_rawget(L, t);
  if (type != LUA_TNIL && type != LUA_TFUNCTION) rtl_expected(L, what, "function");
  lua_pop(L, 1);
  return type == LUA_TFUNCTION;
}

static void read_body(lua_State *L, int t, rt_http_request *r) {
  r->body = rtl_push_string(L, t, "body"); /* any bytes */
  if (r->body) r->body_size = lua_rawlen(L, -1);
  r->body_file = string_field(L, t, "body_file");
  r->to_file = string_field(L, t, "to_file");
  r->stream = has_function(L, t, "on_data");
  has_function(L, t, "on_progress");
  if (r->body && r->body_file) luaL_error(L, "body and body_file: give one of them");
  if (r->to_file && r->stream) luaL_error(L, "to_file and on_data: give one of them");
  if ((r->body || r->body_file) && strcmp(r->method, "HEAD") == 0) luaL_error(L, "a HEAD request has no body");
}

static rt_http_request read_request(lua_State *L, int t) {
  static const char *const known[] = {"request",   "method",          "url",         "headers",     "body",
                                      "body_file", "query",           "timeout",     "unix_socket", "ca_file",
                                      "to_file",   "connect_timeout", "on_progress", "on_data",     "sigv4",
                                      "retry",     "max_body",        "follow",      NULL};
  rt_http_request r = RT_HTTP_REQUEST_INIT;
  check_fields(L, t, known);
  const char *method = string_field(L, t, "method");
  if (method) r.method = method;
  check_method(L, r.method);
  r.url = read_url(L, t);
  read_headers(L, t, &r);
  read_body(L, t, &r);
  r.unix_socket = string_field(L, t, "unix_socket");
  r.ca_file = string_field(L, t, "ca_file");
  r.connect_timeout = seconds_field(L, t, "connect_timeout", 0.001, r.connect_timeout);
  r.timeout = seconds_field(L, t, "timeout", 0.0, r.timeout);
  r.follow = rtl_boolean(L, t, "follow");
  r.max_body = (size_t)rtl_integer_or(L, t, "max_body", 0, (lua_Integer)1 << 40, (lua_Integer)r.max_body);
  read_signing(L, t, &r);
  read_retry(L, t, &r);
  return r;
}

/* ---- Transfers ---- */

/* Forgets the transfer in its client's table and in the core. */
static void release(lua_State *L, transfer *u, int index) {
  rt_http_transfer *core = u->client->http ? u->transfer : NULL;
  u->transfer = NULL;
  if (!core) return;
  index = lua_absindex(L, index);
  lua_getiuservalue(L, index, OF_CLIENT);
  lua_getiuservalue(L, -1, 1);
  lua_pushnil(L);
  lua_rawsetp(L, -2, core);
  lua_pop(L, 2);
  rt_http_release(core);
}

/* Starts the request at index 2 of the client at 1. 1: the transfer is on top; else nil, message, code. */
static int start(lua_State *L, client *c) {
  lua_settop(L, 2);
  rt_http_request r = read_request(L, 2);
  int refused = r.body_file ? rtl_refuse_reading(L, r.body_file) : 0;
  if (!refused && r.to_file) refused = rtl_refuse_writing(L, r.to_file);
  if (refused) return refused;
  transfer *u = rtl_new(L, sizeof *u, TRANSFER, 2);
  u->client = c;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, OF_CLIENT);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, OF_REQUEST);
  rt_error err;
  rt_status status = rt_http_start(&u->transfer, c->http, &r, &err);
  if (status == RT_BAD_USAGE) luaL_error(L, "%s", err.message);
  if (status != RT_OK) return rtl_result(L, status, &err, 1);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, u->transfer);
  lua_pop(L, 1);
  return 1;
}

static int l_start(lua_State *L) { return start(L, to_client(L)); }

static int l_cancel(lua_State *L) {
  release(L, luaL_checkudata(L, 1, TRANSFER), 1);
  return 0;
}

static int l_done(lua_State *L) {
  transfer *u = luaL_checkudata(L, 1, TRANSFER);
  lua_pushboolean(L, !u->transfer || !u->client->http || rt_http_done(u->transfer));
  return 1;
}

/* headers = { [lower-case name] = value }; of one that comes more than once the values are joined by ", ". */
static void push_headers(lua_State *L, const rt_http_reply *reply) {
  const char *line = reply->headers, *end = line + reply->headers_size;
  lua_newtable(L);
  while (line < end) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    const char *next = stop ? stop + 1 : end, *colon = memchr(line, ':', (size_t)(next - line));
    const char *value = colon ? colon + 1 : next, *last = stop ? stop : end;
    while (value < last && (*value == ' ' || *value == '\t')) value++;
    while (last > value && strchr(" \t\r", last[-1])) last--;
    if (colon && value <= last) {
      luaL_Buffer b;
      luaL_buffinit(L, &b);
      for (const char *p = line; p < colon; p++)
        luaL_addchar(&b, (char)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p));
      luaL_pushresult(&b);
      lua_pushlstring(L, value, (size_t)(last - value));
      lua_pushvalue(L, -2);
      if (lua_rawget(L, -4) == LUA_TSTRING) {
        lua_insert(L, -2);
        lua_pushliteral(L, ", ");
        lua_insert(L, -2);
        lua_concat(L, 3);
      } else
        lua_pop(L, 1);
      lua_rawset(L, -3);
    }
    line = next;
  }
}

/* transfer:result(): the response, or nil, message, code; once. */
static int result(lua_State *L, int index) {
  transfer *u = luaL_checkudata(L, index, TRANSFER);
  if (!u->transfer || !u->client->http) return luaL_error(L, "the transfer was cancelled or its result was taken");
  if (!rt_http_done(u->transfer)) return luaL_error(L, "the transfer is not done: wait for it");
  index = lua_absindex(L, index);
  rt_http_reply reply;
  rt_error err;
  rt_status status = rt_http_result(u->transfer, &reply, &err);
  if (status == RT_OK) {
    lua_createtable(L, 0, 4);
    rtl_set_integer(L, "status", reply.status);
    rtl_set_integer(L, "attempts", rt_http_attempts(u->transfer));
    lua_pushlstring(L, reply.body, reply.body_size);
    lua_setfield(L, -2, "body");
    push_headers(L, &reply);
    lua_setfield(L, -2, "headers");
  }
  release(L, u, index);
  return rtl_result(L, status, &err, 1);
}

static int l_result(lua_State *L) { return result(L, 1); }

/* ---- Driving ---- */

/* Calls on_data and on_progress of the transfer at -1 (arguments: it). Runs protected. */
static int deliver(lua_State *L) {
  transfer *u = lua_touserdata(L, 1);
  const char *data;
  lua_getiuservalue(L, 1, OF_REQUEST);
  size_t n = rt_http_take(u->transfer, &data);
  if (n > 0) {
    lua_pushliteral(L, "on_data");
    lua_rawget(L, 2);
    lua_pushlstring(L, data, n);
    rt_http_taken(u->transfer);
    lua_call(L, 1, 0);
  }
  if (!u->transfer) return 0; /* the callback cancelled it */
  lua_pushliteral(L, "on_progress");
  if (lua_rawget(L, 2) != LUA_TFUNCTION) return 0;
  rt_http_progress p;
  rt_http_get_progress(u->transfer, &p);
  lua_createtable(L, 0, 4);
  rtl_set_integer(L, "received", p.received);
  rtl_set_integer(L, "sent", p.sent);
  if (p.receiving >= 0) rtl_set_integer(L, "receiving", p.receiving);
  if (p.sending >= 0) rtl_set_integer(L, "sending", p.sending);
  lua_call(L, 1, 0);
  return 0;
}

/* Between polls. An error of a callback cancels its transfer and goes on to the caller. */
static void deliver_all(lua_State *L, client *c) {
  lua_getiuservalue(L, 1, 1);
  int table = lua_gettop(L);
  for (rt_http_transfer *t = rt_http_first(c->http); t; t = rt_http_next(t)) {
    if (lua_rawgetp(L, table, t) != LUA_TUSERDATA) { /* memory ran out in `start` */
      rt_http_release(t);
      lua_pop(L, 1);
      continue;
    }
    lua_pushcfunction(L, deliver);
    lua_pushvalue(L, -2);
    c->busy = true;
    int status = lua_pcall(L, 1, 0, 0);
    c->busy = false;
    if (status != LUA_OK) {
      release(L, lua_touserdata(L, -2), -2);
      lua_error(L);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `before`: the signal that was pending when the wait began. What cleans up after it may wait. */
static bool is_interrupted(int before) { return rtl_signal_pending() != before || rtl_guard_interrupts(); }

static int push_interrupted(lua_State *L) {
  int number = rtl_signal_pending();
  if (!number) return rtl_failure(L, RT_TRY_AGAIN, "stopped at the time limit");
  return rtl_failure(L, (rt_status)(128 + number), "stopped by SIG%s", rtl_signal_name(number));
}

static void step(lua_State *L, client *c, double seconds, int before) {
  rt_http_poll(c->http, seconds < SLICE ? seconds : SLICE, before ? -1 : rtl_signal_fd());
  deliver_all(L, c);
}

static int l_request(lua_State *L) {
  client *c = to_client(L);
  int before = rtl_signal_pending();
  if (start(L, c) != 1) return 3;
  int index = lua_gettop(L);
  transfer *u = lua_touserdata(L, index);
  while (u->transfer && !rt_http_done(u->transfer)) {
    step(L, c, SLICE, before);
    if (u->transfer && is_interrupted(before)) {
      release(L, u, index);
      return push_interrupted(L);
    }
  }
  deliver_all(L, c);
  return result(L, index);
}

/* Pushes the list of the transfers that are done; their number. */
static lua_Integer push_finished(lua_State *L, client *c, bool *running) {
  lua_Integer n = 0;
  *running = false;
  lua_getiuservalue(L, 1, 1);
  lua_newtable(L);
  for (rt_http_transfer *t = rt_http_first(c->http); t; t = rt_http_next(t)) {
    if (!rt_http_done(t)) {
      *running = true;
      continue;
    }
    if (lua_rawgetp(L, -2, t) == LUA_TUSERDATA)
      lua_rawseti(L, -2, ++n);
    else
      lua_pop(L, 1);
  }
  lua_remove(L, -2);
  return n;
}

/* client:wait(seconds): the transfers that are done and whose result was not taken; no seconds is for ever. */
static int l_wait(lua_State *L) {
  client *c = to_client(L);
  double left = luaL_optnumber(L, 2, INFINITY), end = now() + left;
  int before = rtl_signal_pending();
  bool running;
  luaL_argcheck(L, left >= 0.0, 2, "seconds expected");
  lua_settop(L, 1);
  for (;;) {
    step(L, c, 0.0, before);
    if (is_interrupted(before)) return push_interrupted(L);
    if (push_finished(L, c, &running) > 0 || !running || left <= 0.0) return 1;
    lua_pop(L, 1);
    step(L, c, left, before);
    left = end - now();
  }
}

/* ---- Clients ---- */

static int l_close(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  if (c->busy) return luaL_error(L, "a callback cannot close the client that calls it");
  rt_http *http = c->http;
  c->http = NULL;
  rt_http_free(http);
  return 0;
}

static int l_new(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"request", l_request}, {"start", l_start}, {"wait", l_wait}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg of_transfers[] = {{"cancel", l_cancel}, {"done", l_done}, {"result", l_result}, {NULL, NULL}};
  static const luaL_Reg closing[] = {{"__close", l_cancel}, {NULL, NULL}};
  rtl_class(L, CLIENT, methods, metamethods);
  rtl_class(L, TRANSFER, of_transfers, closing);
  client *c = rtl_new(L, sizeof *c, CLIENT, 1);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  rt_error err;
  return rtl_result(L, rt_http_new(&c->http, &err), &err, 1);
}

RTL_OPEN luaopen_rtlua_http(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
