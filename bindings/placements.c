/* rtlua.core.placements: transforms in large numbers, packed as a function makes them.
 *
 * new(count): room for so many. fill(placements, make, read[, inner]) adds make(1) to make(count); what a transform
 * must not be is a failure (nil, message, 65), and make's own errors come through. Either way #placements says how many
 * came before. read(value) gives the transform that is meant by a value which is none, nor 16 numbers of a matrix;
 * `inner` is the 12 numbers of a transform that comes before each. */
#include "base/vec.h"
#include "bind.h"

static rtl_placements *to_placements(lua_State *L, int index) {
  rtl_placements *u = luaL_checkudata(L, index, RTL_PLACEMENTS);
  if (!u->placements) luaL_argerror(L, index, "the placements are closed");
  return u;
}

static int l_close(lua_State *L) {
  rtl_placements *u = luaL_checkudata(L, 1, RTL_PLACEMENTS);
  rt_placements_free(u->placements);
  u->placements = NULL;
  return 0;
}

static int l_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)rt_placements_count(to_placements(L, 1)->placements));
  return 1;
}

static int l_new(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count >= 1, 1, "at least 1 expected");
  rt_error err;
  rtl_placements *u = rtl_new_placements(L);
  return rtl_result(L, rt_placements_new(&u->placements, (size_t)count, &err), &err, 1);
}

/* The 12 numbers of a transform, or the 16 of a matrix, on top of the stack; false when it is neither. */
static bool read_transform(lua_State *L, rt_affine *out) {
  static const double last_row[4] = {0.0, 0.0, 0.0, 1.0};
  if (lua_type(L, -1) != LUA_TTABLE) return false;
  size_t n = lua_rawlen(L, -1);
  if (n != 12 && n != 16) return false;
  for (size_t i = 0; i < n; i++) {
    if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TNUMBER) {
      lua_pop(L, 1);
      return false;
    }
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (i < 12)
      out->m[i / 4][i % 4] = v;
    else if (v != last_row[i - 12])
      return false;
  }
  return true;
}

static int l_fill(lua_State *L) {
  rt_placements *placements = to_placements(L, 1)->placements;
  lua_Integer count = luaL_checkinteger(L, 2);
  rt_affine inner, transform;
  rt_error err;
  luaL_checktype(L, 3, LUA_TFUNCTION);
  luaL_checktype(L, 4, LUA_TFUNCTION);
  lua_settop(L, 5);
  bool placed = !lua_isnil(L, 5);
  if (placed && !read_transform(L, &inner)) return luaL_argerror(L, 5, "a transform expected");
  for (lua_Integer i = 1; i <= count; i++) {
    lua_pushvalue(L, 3);
    lua_pushinteger(L, i);
    lua_call(L, 1, 1);
    if (!read_transform(L, &transform)) {
      lua_pushvalue(L, 4);
      lua_insert(L, -2);
      lua_call(L, 1, 1);
      if (!read_transform(L, &transform)) return luaL_error(L, "a transform expected");
    }
    lua_pop(L, 1);
    if (placed) transform = affine_mul(&transform, &inner);
    rt_status status = rt_placements_add(placements, &transform, &err);
    if (status != RT_OK) return rtl_result(L, status, &err, 0);
  }
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {{"fill", l_fill}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__len", l_len}, {"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

rtl_placements *rtl_new_placements(lua_State *L) {
  rtl_class(L, RTL_PLACEMENTS, methods, metamethods);
  return rtl_new(L, sizeof(rtl_placements), RTL_PLACEMENTS, 0);
}

RTL_OPEN luaopen_rtlua_core_placements(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
