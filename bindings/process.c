/* rtlua.core.process: programs that run, for scripts/rtlua/process.lua.
 *
 * A child is a userdata that ends its process when it is closed or collected. No Lua code is ever called from here: the
 * library calls its user's functions between calls. */
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "guard.h"
#include "machine/process.h"
#include "machine/spawn.h"

#define LIMIT (16 << 20) /* bytes of each output that are kept unless another limit is given */
#define GRACE 2.0        /* seconds between SIGTERM and SIGKILL */

#ifdef __APPLE__
extern char **environ; /* elsewhere unistd.h has it */
#endif

typedef struct {
  rt_process *process; /* NULL: closed */
} rtl_process;
typedef struct {
  int ends[2]; /* descriptors plus one; 0: closed */
} rtl_pipe;

/* ---- Signals ---- */

static const struct {
  const char *name;
  int number;
} signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
               {"ABRT", SIGABRT}, {"BUS", SIGBUS},   {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"SEGV", SIGSEGV},
               {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
               {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};
#define N_SIGNALS (sizeof signals / sizeof *signals)

static int check_signal(lua_State *L, int index, int otherwise) {
  if (lua_isnoneornil(L, index)) return otherwise;
  if (lua_isinteger(L, index)) return (int)lua_tointeger(L, index);
  const char *name = luaL_checkstring(L, index);
  for (size_t i = 0; i < N_SIGNALS; i++)
    if (strcmp(signals[i].name, name) == 0) return signals[i].number;
  return luaL_argerror(L, index, lua_pushfstring(L, "there is no signal '%s'", name));
}

static void push_exit(lua_State *L, const rt_process_exit *result) {
  lua_createtable(L, 0, 3);
  rtl_set_integer(L, "code", result->code);
  rtl_set_number(L, "seconds", result->seconds);
  if (!result->signal) return;
  const char *name = NULL;
  for (size_t i = 0; i < N_SIGNALS; i++)
    if (signals[i].number == result->signal) name = signals[i].name;
  if (name)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, result->signal);
  lua_setfield(L, -2, "signal");
}

/* ---- Options ---- */

/* The string on top of the stack, without zero bytes. */
static const char *to_text(lua_State *L, const char *what) {
  size_t length;
  const char *text =
      lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER ? lua_tolstring(L, -1, &length) : NULL;
  if (!text) rtl_expected(L, what, "string");
  if (strlen(text) != length) luaL_error(L, "%s: a zero byte cannot be passed to a program", what);
  return text;
}

/* Leaves a block of pointers on the stack, to the strings of the list below it, which keeps them. */
static const char **push_pointers(lua_State *L) {
  lua_Integer n = luaL_len(L, -1);
  const char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, -2, i + 1);
    list[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

static const char **push_arguments(lua_State *L, int t) {
  lua_Integer n = luaL_len(L, t);
  lua_newtable(L);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, t, i);
    lua_pushstring(L, to_text(L, "argument")); /* numbers become strings, once */
    lua_rawseti(L, -3, i);
    lua_pop(L, 1);
  }
  return push_pointers(L);
}

/* This process's environment with the changes of the field env: NAME = value, or false to take it out. */
static const char **push_environment(lua_State *L, int t) {
  lua_Integer n = 0;
  lua_pushliteral(L, "env");
  bool changed = lua_rawget(L, t) != LUA_TNIL;
  if (changed) rtl_check_table(L, -1, "env");
  int changes = lua_gettop(L), list = changes + 1;
  lua_newtable(L);
  for (char **entry = environ; entry && *entry; entry++) {
    const char *equals = strchr(*entry, '=');
    if (changed && equals) {
      lua_pushlstring(L, *entry, (size_t)(equals - *entry));
      bool replaced = lua_rawget(L, changes) != LUA_TNIL;
      lua_pop(L, 1);
      if (replaced) continue;
    }
    lua_pushstring(L, *entry);
    lua_rawseti(L, list, ++n);
  }
  for (lua_pushnil(L); changed && lua_next(L, changes);) {
    if (lua_type(L, -2) != LUA_TSTRING || strpbrk(lua_tostring(L, -2), "=") || lua_rawlen(L, -2) == 0)
      luaL_error(L, "env: names without '=' expected");
    if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), to_text(L, "env"));
    lua_rawseti(L, list, ++n);
    lua_pop(L, 1);
  }
  if (!changed) lua_settop(L, list);
  return push_pointers(L);
}

/* A stream: true or "pipe"; false or nil, by `otherwise`; a descriptor; { file = path, append = true }; "stdout". */
static rt_stream read_stream(lua_State *L, int t, const char *what, rt_stream_kind otherwise) {
  rt_stream stream = {.kind = otherwise, .fd = -1};
  lua_pushstring(L, what);
  int type = lua_rawget(L, t), value = lua_gettop(L);
  if (type == LUA_TBOOLEAN)
    stream.kind = lua_toboolean(L, value) ? RT_STREAM_PIPE : RT_STREAM_NULL;
  else if (type == LUA_TNUMBER) {
    stream.kind = RT_STREAM_FD;
    stream.fd = (int)rtl_integer_or(L, t, what, 0, INT_MAX, 0);
  } else if (type == LUA_TSTRING && strcmp(what, "stderr") == 0 && strcmp(lua_tostring(L, value), "stdout") == 0)
    stream.kind = RT_STREAM_STDOUT;
  else if (type == LUA_TTABLE) {
    stream.kind = RT_STREAM_FILE;
    stream.append = rtl_boolean(L, value, "append");
    lua_pushliteral(L, "file");
    lua_rawget(L, value);
    stream.path = to_text(L, "file"); /* kept by the table, which the options keep */
  } else if (type != LUA_TNIL)
    rtl_expected(L, what, "true, false, a descriptor or { file = path }");
  return stream;
}

/* A descriptor, a list of them, or nothing; the block is on the stack. */
static const int *push_kept(lua_State *L, int t, size_t *n) {
  lua_pushliteral(L, "keep_fd");
  int type = lua_rawget(L, t), value = lua_gettop(L);
  bool list = type == LUA_TTABLE;
  *n = type == LUA_TNIL ? 0 : list ? lua_rawlen(L, value) : 1;
  int *kept = lua_newuserdatauv(L, (*n + 1) * sizeof *kept, 0);
  for (size_t i = 0; i < *n; i++) {
    if (list)
      lua_rawgeti(L, value, (lua_Integer)i + 1);
    else
      lua_pushvalue(L, value);
    int exact;
    lua_Integer fd = lua_tointegerx(L, -1, &exact);
    if (!exact || fd < 3 || fd > INT_MAX) rtl_expected(L, "keep_fd", "descriptor above 2");
    kept[i] = (int)fd;
    lua_pop(L, 1);
  }
  return kept;
}

/* ---- A child ---- */

static rt_process *to_process(lua_State *L) {
  rtl_process *u = luaL_checkudata(L, 1, RTL_PROCESS);
  if (!u->process) luaL_argerror(L, 1, "the process is closed");
  return u->process;
}

static int check_output(lua_State *L, int index) {
  static const char *const names[] = {"stdout", "stderr", NULL};
  return luaL_checkoption(L, index, "stdout", names) + 1;
}

static int l_close(lua_State *L) {
  rtl_process *u = luaL_checkudata(L, 1, RTL_PROCESS);
  rt_process *process = u->process;
  u->process = NULL;
  rt_process_free(process);
  return 0;
}

/* child:stop(grace): ends it now, and keeps what it wrote. */
static int l_stop(lua_State *L) {
  rt_process_end(to_process(L), luaL_optnumber(L, 2, GRACE));
  return 0;
}

/* child:step(seconds): waits for something to do, and does it. nil, message, code when interrupted. */
static int l_step(lua_State *L) {
  rt_process *process = to_process(L);
  rtl_wait wait = rtl_wait_begin(luaL_optnumber(L, 2, 0.0));
  rt_process_step(process, rtl_wait_slice(&wait));
  if (rtl_wait_interrupted(&wait)) return rtl_wait_failure(L, &wait, "");
  lua_pushboolean(L, true);
  return 1;
}

/* child:wait(seconds): { code, signal, seconds }, once it has ended and its output is here. */
static int l_wait(lua_State *L) {
  rt_process *process = to_process(L);
  rtl_wait wait = rtl_wait_begin(luaL_optnumber(L, 2, INFINITY));
  rt_process_exit result;
  double slice;
  rt_process_step(process, 0.0);
  while (!rt_process_done(process) && (slice = rtl_wait_slice(&wait)) > 0.0) rt_process_step(process, slice);
  if (!rt_process_done(process) || !rt_process_ended(process, &result))
    return rtl_wait_failure(L, &wait, "still running");
  push_exit(L, &result);
  return 1;
}

/* child:read(stream, seconds): what has come, waiting at most this long for the first byte; "": nothing yet; nil: the
 * end. */
static int l_read(lua_State *L) {
  rt_process *process = to_process(L);
  int stream = check_output(L, 2);
  rtl_wait wait = rtl_wait_begin(luaL_optnumber(L, 3, INFINITY));
  size_t size;
  double slice;
  rt_process_step(process, 0.0);
  const char *data = rt_process_output(process, stream, &size);
  while (size == 0 && rt_process_open(process, stream) && (slice = rtl_wait_slice(&wait)) > 0.0) {
    rt_process_step(process, slice);
    data = rt_process_output(process, stream, &size);
  }
  if (size == 0 && !rt_process_open(process, stream)) return 0;
  if (size == 0 && rtl_wait_interrupted(&wait)) return rtl_wait_failure(L, &wait, "");
  lua_pushlstring(L, data, size);
  rt_process_consume(process, stream, size);
  return 1;
}

/* child:dropped(stream): bytes beyond the limit that nobody read in time. */
static int l_dropped(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)rt_process_dropped(to_process(L), check_output(L, 2)));
  return 1;
}

/* child:write(text, seconds): true once all is in the pipe; without waiting where seconds is 0. */
static int l_write(lua_State *L) {
  rt_process *process = to_process(L);
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  rtl_wait wait = rtl_wait_begin(luaL_optnumber(L, 3, INFINITY));
  rt_error err;
  double slice;
  rt_status status = rt_process_write(process, text, size, &err);
  if (status != RT_OK) return rtl_result(L, status, &err, 0);
  rt_process_step(process, 0.0);
  while (rt_process_unwritten(process) > 0 && (slice = rtl_wait_slice(&wait)) > 0.0) rt_process_step(process, slice);
  if (!rt_process_open(process, 0)) return rtl_failure(L, RT_UNAVAILABLE, "the program reads no more: see why");
  if (rt_process_unwritten(process) > 0 && rtl_wait_interrupted(&wait)) return rtl_wait_failure(L, &wait, "");
  lua_pushboolean(L, rt_process_unwritten(process) == 0);
  return 1;
}

static int l_close_input(lua_State *L) {
  rt_process_close_input(to_process(L));
  return 0;
}

static int l_kill(lua_State *L) {
  rt_process *process = to_process(L);
  rt_error err;
  rt_status status = rt_process_kill(process, check_signal(L, 2, SIGTERM), &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

/* Methods, and pid, which stays after closing. Upvalue 1: the methods. */
static int l_index(lua_State *L) {
  luaL_checkudata(L, 1, RTL_PROCESS);
  lua_getiuservalue(L, 1, 1);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "pid") == 0) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

/* start(options): see scripts/rtlua/process.lua. */
static int l_start(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  bool detached = rtl_boolean(L, 1, "detached");
  rt_stream_kind output = detached ? RT_STREAM_NULL : RT_STREAM_PIPE;
  rt_process_options options = {.detached = detached,
                                .foreground = rtl_boolean(L, 1, "foreground"),
                                .limit = (size_t)rtl_integer_or(L, 1, "limit", 0, (lua_Integer)1 << 40, LIMIT),
                                .streams = {read_stream(L, 1, "stdin", RT_STREAM_NULL),
                                            read_stream(L, 1, "stdout", output), read_stream(L, 1, "stderr", output)}};
  options.arguments = push_arguments(L, 1);
  options.environment = push_environment(L, 1);
  options.keep = push_kept(L, 1, &options.n_keep);
  lua_pushliteral(L, "cwd");
  if (lua_rawget(L, 1) != LUA_TNIL) options.cwd = to_text(L, "cwd");
  rtl_process *u = rtl_new(L, sizeof *u, RTL_PROCESS, 1);
  rt_error err;
  rt_status status = rt_process_start(&u->process, &options, &err);
  if (status != RT_OK) return rtl_result(L, status, &err, 0);
  lua_pushinteger(L, rt_process_pid(u->process));
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* ---- Death pipes ---- */

static int l_pipe_close(lua_State *L) {
  rtl_pipe *u = luaL_checkudata(L, 1, RTL_PIPE);
  for (int i = 0; i < 2; i++) {
    if (u->ends[i]) close(u->ends[i] - 1);
    u->ends[i] = 0;
  }
  return 0;
}

/* pipe:close_reader(): once the child that watches has it. */
static int l_pipe_close_reader(lua_State *L) {
  rtl_pipe *u = luaL_checkudata(L, 1, RTL_PIPE);
  if (u->ends[0]) close(u->ends[0] - 1);
  u->ends[0] = 0;
  return 0;
}

static int l_pipe_index(lua_State *L) {
  static const char *const names[] = {"reader", "writer"};
  rtl_pipe *u = luaL_checkudata(L, 1, RTL_PIPE);
  const char *key = luaL_checkstring(L, 2);
  for (int i = 0; i < 2; i++)
    if (strcmp(key, names[i]) == 0) {
      if (!u->ends[i]) return 0;
      lua_pushinteger(L, u->ends[i] - 1);
      return 1;
    }
  bool close = strcmp(key, "close") == 0, close_reader = strcmp(key, "close_reader") == 0;
  if (!close && !close_reader) return 0;
  lua_pushcfunction(L, close ? l_pipe_close : l_pipe_close_reader);
  return 1;
}

static int l_death_pipe(lua_State *L) {
  rtl_pipe *u = rtl_new(L, sizeof *u, RTL_PIPE, 0);
  int ends[2];
  if (!rt_pipe(ends)) return rtl_failure(L, RT_NO_MEMORY, "cannot make a pipe: raise ulimit -n");
  for (int i = 0; i < 2; i++) u->ends[i] = ends[i] + 1;
  return 1;
}

/* hung_up(fd, seconds): is the other end closed in every process? */
static int l_hung_up(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  rtl_wait wait = rtl_wait_begin(luaL_optnumber(L, 2, INFINITY));
  bool over = rt_pipe_hung_up(fd, 0.0);
  double slice;
  while (!over && (slice = rtl_wait_slice(&wait)) > 0.0) over = rt_pipe_hung_up(fd, slice);
  if (!over && rtl_wait_interrupted(&wait)) return rtl_wait_failure(L, &wait, "");
  lua_pushboolean(L, over);
  return 1;
}

RTL_OPEN luaopen_rtlua_core_process(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"start", l_start}, {"death_pipe", l_death_pipe}, {"hung_up", l_hung_up}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"step", l_step},   {"wait", l_wait},   {"read", l_read},
                                     {"write", l_write}, {"kill", l_kill},   {"close_input", l_close_input},
                                     {"stop", l_stop},   {"close", l_close}, {"dropped", l_dropped},
                                     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg pipe_metamethods[] = {
      {"__gc", l_pipe_close}, {"__close", l_pipe_close}, {"__index", l_pipe_index}, {NULL, NULL}};
  rtl_class(L, RTL_PROCESS, NULL, metamethods);
  luaL_getmetatable(L, RTL_PROCESS);
  luaL_newlib(L, methods);
  lua_pushcclosure(L, l_index, 1);
  lua_setfield(L, -2, "__index");
  rtl_class(L, RTL_PIPE, NULL, pipe_metamethods);
  luaL_newlib(L, functions);
  return 1;
}
