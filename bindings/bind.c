/* The common helpers of the bindings: see bind.h. */
#include "bind.h"

#include <stdlib.h>
#include <string.h>

void *rtl_new(lua_State *L, size_t size, const char *class_name, int user_values) {
  void *block = lua_newuserdatauv(L, size, user_values);
  memset(block, 0, size);
  luaL_setmetatable(L, class_name);
  return block;
}

void rtl_class(lua_State *L, const char *class_name, const luaL_Reg *methods, const luaL_Reg *metamethods) {
  if (luaL_newmetatable(L, class_name)) {
    luaL_setfuncs(L, metamethods, 0);
    if (methods) {
      lua_newtable(L);
      luaL_setfuncs(L, methods, 0);
      lua_setfield(L, -2, "__index");
    }
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
}

int rtl_failure(lua_State *L, rt_status code, const char *format, ...) {
  va_list arguments;
  lua_pushnil(L);
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_pushinteger(L, code);
  return 3;
}

int rtl_result(lua_State *L, rt_status status, const rt_error *err, int n) {
  if (status == RT_OK) return n;
  return rtl_failure(L, status, "%s", err->message);
}

void rtl_expected(lua_State *L, const char *what, const char *expected) {
  luaL_error(L, "%s: %s expected, got %s", what, expected, luaL_typename(L, -1));
  abort(); /* luaL_error does not return; the compiler is not told */
}

void rtl_check_table(lua_State *L, int index, const char *what) {
  if (lua_type(L, index) == LUA_TTABLE) return;
  lua_pushvalue(L, index);
  rtl_expected(L, what, "table");
}

static int push_field(lua_State *L, int t, const char *what) {
  lua_pushstring(L, what);
  return lua_rawget(L, t);
}

double rtl_number(lua_State *L, int t, const char *what) {
  if (push_field(L, t, what) != LUA_TNUMBER) rtl_expected(L, what, "number");
  double v = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return v;
}

double rtl_number_or(lua_State *L, int t, const char *what, double otherwise) {
  int type = push_field(L, t, what);
  if (type != LUA_TNIL && type != LUA_TNUMBER) rtl_expected(L, what, "number");
  double v = type == LUA_TNIL ? otherwise : lua_tonumber(L, -1);
  lua_pop(L, 1);
  return v;
}

lua_Integer rtl_integer_or(lua_State *L, int t, const char *what, lua_Integer low, lua_Integer high,
                           lua_Integer otherwise) {
  int type = push_field(L, t, what), exact = 1;
  lua_Integer v = type == LUA_TNIL ? otherwise : type == LUA_TNUMBER ? lua_tointegerx(L, -1, &exact) : (exact = 0);
  if (!exact || (type != LUA_TNIL && (v < low || v > high))) {
    const char *given = type == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL) : lua_typename(L, type);
    luaL_error(L, "%s: integer from %I to %I expected, got %s", what, low, high, given);
  }
  lua_pop(L, 1);
  return v;
}

bool rtl_boolean(lua_State *L, int t, const char *what) {
  int type = push_field(L, t, what);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) rtl_expected(L, what, "boolean");
  bool v = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return v;
}

uint32_t rtl_id(lua_State *L, int t, const char *what) {
  return (uint32_t)rtl_integer_or(L, t, what, 0, RT_NONE - 1u, RT_NONE);
}

int rtl_option(lua_State *L, int t, const char *what, const char *const names[], const char *otherwise) {
  int type = push_field(L, t, what);
  if (type != LUA_TSTRING && !(type == LUA_TNIL && otherwise)) rtl_expected(L, what, "string");
  const char *name = type == LUA_TNIL ? otherwise : lua_tostring(L, -1);
  int i = 0;
  while (names[i] && strcmp(names[i], name) != 0) i++;
  if (!names[i]) return luaL_error(L, "%s: there is no '%s'", what, name);
  lua_pop(L, 1);
  return i;
}

rt_vec3 rtl_to_vec3(lua_State *L, int index, const char *what) {
  static const char *const names[] = {"x", "y", "z"};
  float v[3];
  index = lua_absindex(L, index);
  if (lua_type(L, index) != LUA_TTABLE) {
    lua_pushvalue(L, index);
    rtl_expected(L, what, "vector {x, y, z}");
  }
  bool named = lua_rawgeti(L, index, 1) == LUA_TNIL;
  lua_pop(L, 1);
  for (int i = 0; i < 3; i++) {
    int type = named ? push_field(L, index, names[i]) : lua_rawgeti(L, index, i + 1);
    if (type != LUA_TNUMBER)
      luaL_error(L, "%s: vector {x, y, z} expected, its %s is a %s", what, names[i], luaL_typename(L, -1));
    v[i] = (float)lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  return (rt_vec3){v[0], v[1], v[2]};
}

rt_vec3 rtl_vec3(lua_State *L, int t, const char *what) {
  push_field(L, t, what);
  rt_vec3 v = rtl_to_vec3(L, -1, what);
  lua_pop(L, 1);
  return v;
}

rt_vec3 rtl_vec3_or(lua_State *L, int t, const char *what, rt_vec3 otherwise) {
  rt_vec3 v = push_field(L, t, what) == LUA_TNIL ? otherwise : rtl_to_vec3(L, -1, what);
  lua_pop(L, 1);
  return v;
}

void rtl_numbers(lua_State *L, int t, const char *what, double *out, int n) {
  if (push_field(L, t, what) != LUA_TTABLE) rtl_expected(L, what, "list of numbers");
  for (int i = 0; i < n; i++) {
    if (lua_rawgeti(L, -1, i + 1) != LUA_TNUMBER) luaL_error(L, "%s: a list of %d numbers expected", what, n);
    out[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

const char *rtl_push_string(lua_State *L, int t, const char *what) {
  int type = push_field(L, t, what);
  if (type != LUA_TNIL && type != LUA_TSTRING) rtl_expected(L, what, "string");
  return type == LUA_TNIL ? NULL : lua_tostring(L, -1);
}

void *rtl_push_userdata(lua_State *L, int t, const char *what, const char *class_name) {
  push_field(L, t, what);
  void *block = luaL_testudata(L, -1, class_name);
  if (!block) rtl_expected(L, what, class_name);
  return block;
}

void rtl_set_number(lua_State *L, const char *name, double v) {
  lua_pushnumber(L, v);
  lua_setfield(L, -2, name);
}

void rtl_set_integer(lua_State *L, const char *name, lua_Integer v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

void rtl_set_vec3(lua_State *L, const char *name, rt_vec3 v) {
  const float component[3] = {v.x, v.y, v.z};
  lua_createtable(L, 3, 0);
  for (int i = 0; i < 3; i++) {
    lua_pushnumber(L, component[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, name);
}
