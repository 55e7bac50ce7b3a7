/* rtlua.core.files: private files that are written whole, and SHA-256, for scripts/rtlua/files.lua. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/sha256.h"
#include "bind.h"
#include "guard.h"

/* write(path, text): true. Mode 0600; on the disk when it returns. */
static int l_write(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_file *file;
  rt_error err;
  rt_status status = rt_file_create_private(&file, path, &err);
  if (status == RT_OK) {
    /* What fails here is remembered by the stream, and reported by the commit. */
    size_t written = fwrite(text, 1, size, rt_file_stream(file));
    (void)written;
    status = rt_file_commit(file, &err);
  }
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

static bool is_interrupted(void *wait) { return rtl_wait_interrupted(wait); }

/* sha256(path). Where a signal comes meanwhile nil, message, 128 + its number. */
static int l_sha256(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (rtl_refuse_reading(L, path)) return 3;
  char hex[65] = "";
  rt_error err;
  rtl_wait wait = rtl_wait_begin(INFINITY);
  rt_status status = rt_file_sha256(hex, path, is_interrupted, &wait, &err);
  if (status == RT_TRY_AGAIN) return rtl_wait_failure(L, &wait, err.message);
  lua_pushstring(L, hex);
  return rtl_result(L, status, &err, 1);
}

/* sha256_text(text) */
static int l_sha256_text(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  rt_sha256 sha;
  char hex[65];
  rt_sha256_init(&sha);
  rt_sha256_add(&sha, text, size);
  rt_sha256_hex(&sha, hex);
  lua_pushstring(L, hex);
  return 1;
}

RTL_OPEN luaopen_rtlua_core_files(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"write", l_write}, {"sha256", l_sha256}, {"sha256_text", l_sha256_text}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
