/* rtlua.core.caller: functions that know who called them.
 *
 * constructor(f) gives a C function that calls f({ source =, line = }, ...). It is C because a C function that is
 * tail-called, as in `return rt.scene { ... }`, leaves its caller's frame and line in place, where a Lua function
 * would have replaced them.
 *
 * value(f) gives one that calls f(...), for what is made in millions: place() finds its caller where something is
 * wrong, in a third of the time of the call otherwise. */
#include "bind.h"

/* Pushes the nearest Lua function's file and line, from a level of the stack on; "?" and 0 when there is none. */
static void push_where(lua_State *L, int level) {
  lua_Debug ar = {.source = "=?", .currentline = 0};
  for (; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0) break;
  }
  lua_createtable(L, 0, 2);
  if (ar.currentline <= 0)
    lua_pushliteral(L, "?");
  else
    lua_pushstring(L, *ar.source == '@' || *ar.source == '=' ? ar.source + 1 : ar.short_src);
  lua_setfield(L, -2, "source");
  rtl_set_integer(L, "line", ar.currentline > 0 ? ar.currentline : 0);
}

static int finish(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

static int call(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checkstack(L, 4, NULL);
  lua_pushvalue(L, lua_upvalueindex(1));
  push_where(L, 1);
  lua_rotate(L, 1, 2);
  lua_callk(L, n + 1, LUA_MULTRET, 0, finish);
  return finish(L, LUA_OK, 0);
}

static int call_value(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checkstack(L, 1, NULL);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, n, LUA_MULTRET, 0, finish);
  return finish(L, LUA_OK, 0);
}

static int make(lua_State *L, lua_CFunction function) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, function, 1);
  return 1;
}

static int l_constructor(lua_State *L) { return make(L, call); }
static int l_value(lua_State *L) { return make(L, call_value); }

static int l_place(lua_State *L) {
  lua_Debug ar;
  int level = 1;
  for (bool found = false; !found && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "f", &ar);
    found = lua_tocfunction(L, -1) == call_value;
    lua_pop(L, 1);
  }
  push_where(L, level);
  return 1;
}

RTL_OPEN luaopen_rtlua_core_caller(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"constructor", l_constructor}, {"value", l_value}, {"place", l_place}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
