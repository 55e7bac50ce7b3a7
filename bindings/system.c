/* rtlua.system: what the command wants to know of the process and its machine. */
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bind.h"
#include "guard.h"

static int check_fd(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "a file descriptor expected");
  return (int)fd;
}

/* threads(): how many the process may use. */
static int l_threads(lua_State *L) {
  lua_pushinteger(L, rt_threads_available());
  return 1;
}

static int l_isatty(lua_State *L) {
  lua_pushboolean(L, isatty(check_fd(L)));
  return 1;
}

/* columns(fd): of the terminal, or nil. */
static int l_columns(lua_State *L) {
  struct winsize size;
  if (ioctl(check_fd(L), TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 0;
  lua_pushinteger(L, size.ws_col);
  return 1;
}

/* now(): seconds of a clock that only goes forward. */
static int l_now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
  return 1;
}

/* time(): seconds since 1970 by the wall clock. */
static int l_time(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
  return 1;
}

/* sleep(seconds): true, or nil, message, code when it was interrupted. */
static int l_sleep(lua_State *L) {
  rtl_wait wait = rtl_wait_begin(luaL_checknumber(L, 1));
  double slice;
  while ((slice = rtl_wait_slice(&wait)) > 0.0) rtl_sleep(slice);
  if (rtl_wait_interrupted(&wait)) return rtl_wait_failure(L, &wait, "");
  lua_pushboolean(L, true);
  return 1;
}

static int l_realpath(lua_State *L) {
  char resolved[PATH_MAX];
  const char *path = luaL_checkstring(L, 1);
  if (!realpath(path, resolved))
    return rtl_failure(L, errno == ENOENT || errno == ENOTDIR ? RT_NO_INPUT : RT_BAD_DATA, "%s: %s", path,
                       strerror(errno));
  lua_pushstring(L, resolved);
  return 1;
}

/* exists(path): "file", "folder", "other", or nil. */
static int l_exists(lua_State *L) {
  struct stat s;
  if (stat(luaL_checkstring(L, 1), &s) < 0) return 0;
  lua_pushstring(L, S_ISREG(s.st_mode) ? "file" : S_ISDIR(s.st_mode) ? "folder" : "other");
  return 1;
}

/* failed(file): has a write to it failed, now or earlier? */
static int l_failed(lua_State *L) {
  const luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  lua_pushboolean(L, stream->closef && ferror(stream->f));
  return 1;
}

static void set_optional(lua_State *L, const char *name, const char *version, const char *package) {
  if (version)
    lua_pushstring(L, version);
  else
    lua_pushfstring(L, "none (package %s, then build again)", package);
  lua_setfield(L, -2, name);
}

/* features(): what this build stands on, by name, with versions. */
static int l_features(lua_State *L) {
  lua_createtable(L, 0, 5);
  lua_pushstring(L, rt_isa());
  lua_setfield(L, -2, "kernel");
  lua_pushliteral(L, LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE);
  lua_setfield(L, -2, "lua");
  lua_pushstring(L, png_get_libpng_ver(NULL));
  lua_setfield(L, -2, "libpng");
  set_optional(L, "openexr", rt_openexr_version(), "libopenexr-dev");
  set_optional(L, "libjpeg", rt_libjpeg_version(), "libjpeg-dev");
  return 1;
}

/* isa([name]): the kernel that traces rays; selects another one first. */
static int l_isa(lua_State *L) {
  rt_error err;
  const char *name = luaL_optstring(L, 1, NULL);
  rt_status status = name ? rt_isa_select(name, &err) : RT_OK;
  lua_pushstring(L, rt_isa());
  return rtl_result(L, status, &err, 1);
}

static int l_version(lua_State *L) {
  lua_pushliteral(L, RT_VERSION);
  return 1;
}

/* peak_memory(): bytes, the most that the process had in memory. */
static int l_peak_memory(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  lua_pushinteger(L, usage.ru_maxrss);
#else
  lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
#endif
  return 1;
}

RTL_OPEN luaopen_rtlua_system(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"threads", l_threads},   {"isatty", l_isatty}, {"columns", l_columns},   {"now", l_now},
      {"time", l_time},         {"sleep", l_sleep},   {"realpath", l_realpath}, {"exists", l_exists},
      {"features", l_features}, {"isa", l_isa},       {"version", l_version},   {"peak_memory", l_peak_memory},
      {"failed", l_failed},     {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
