/* A Lua interpreter for sanitizer builds: a sanitizer's run time has to be in the process before rtlua.so is, and when it is
 * preloaded into the installed lua5.4 it is in every shell that a spec runs as well, which TSan's does not survive.
 * Understands `lua5.4 -e CHUNK [NAME ARGS]`, whose chunk has to exit where there is a name, and `lua5.4 SCRIPT [ARGS]`,
 * with lua.c's `arg`, messages and exit codes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static int traceback(lua_State *L) {
  const char *message = luaL_tolstring(L, 1, NULL);
  luaL_traceback(L, L, message, 1);
  return 1;
}

static int run(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  int is_chunk = argc >= 3 && strcmp(argv[1], "-e") == 0;
  int script = is_chunk ? 3 : 1;
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
  lua_pushcfunction(L, traceback);
  int handler = lua_gettop(L);
  int status = is_chunk ? luaL_loadbuffer(L, argv[2], strlen(argv[2]), "=(command line)") : luaL_loadfile(L, argv[1]);
  for (int i = script + 1; i < argc && !is_chunk; i++) lua_pushstring(L, argv[i]);
  if (status == LUA_OK) status = lua_pcall(L, is_chunk ? 0 : argc - 2, 0, handler);
  if (status != LUA_OK) fprintf(stderr, "%s: %s\n", argv[0], lua_tostring(L, -1));
  lua_pushboolean(L, status == LUA_OK);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (argc < 2 || L == NULL) return EXIT_FAILURE;
  lua_pushcfunction(L, run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int ok = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_close(L);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
