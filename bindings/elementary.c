/* rtlua.core.elementary: what of Lua's math and table libraries is not the same everywhere, made so.
 *
 * The functions take and give what those of the manual do. sin to pow are core/base/elementary.h's. sort is a merge
 * sort, for stock Lua picks pivots by the clock; it is stable, too, and a comparison that raises leaves the table as
 * it was. */
#include "base/elementary.h"

#include <math.h>

#include "bind.h"

static int l_sin(lua_State *L) {
  lua_pushnumber(L, rt_sin(luaL_checknumber(L, 1)));
  return 1;
}
static int l_cos(lua_State *L) {
  lua_pushnumber(L, rt_cos(luaL_checknumber(L, 1)));
  return 1;
}
static int l_tan(lua_State *L) {
  lua_pushnumber(L, rt_tan(luaL_checknumber(L, 1)));
  return 1;
}
static int l_asin(lua_State *L) {
  lua_pushnumber(L, rt_asin(luaL_checknumber(L, 1)));
  return 1;
}
static int l_acos(lua_State *L) {
  lua_pushnumber(L, rt_acos(luaL_checknumber(L, 1)));
  return 1;
}
static int l_atan(lua_State *L) {
  double y = luaL_checknumber(L, 1);
  lua_pushnumber(L, rt_atan2(y, luaL_optnumber(L, 2, 1.0)));
  return 1;
}
static int l_exp(lua_State *L) {
  lua_pushnumber(L, rt_exp(luaL_checknumber(L, 1)));
  return 1;
}
static int l_log(lua_State *L) {
  double x = luaL_checknumber(L, 1), result;
  if (lua_isnoneornil(L, 2)) {
    result = rt_log(x);
  } else {
    double base = luaL_checknumber(L, 2);
    result = base == 2.0 ? rt_log2(x) : base == 10.0 ? rt_log10(x) : rt_log(x) / rt_log(base);
  }
  lua_pushnumber(L, result);
  return 1;
}
static int l_pow(lua_State *L) {
  double x = luaL_checknumber(L, 1);
  lua_pushnumber(L, rt_pow(x, luaL_checknumber(L, 2)));
  return 1;
}
static int l_sqrt(lua_State *L) {
  lua_pushnumber(L, sqrt(luaL_checknumber(L, 1)));
  return 1;
}

/* ---- Sorting ---- */

/* A sort orders numbers of elements: element i is values[i] (a Lua table), or numbers[i] where all are numbers and no
 * function compares them. */
typedef struct {
  lua_State *L;
  int compare;           /* stack index of the function, 0: none */
  int values;            /* stack index of the copy of the elements, from 0 */
  const double *numbers; /* or NULL */
} sort_context;

static bool less(const sort_context *s, uint32_t a, uint32_t b) {
  lua_State *L = s->L;
  if (s->numbers) return s->numbers[a] < s->numbers[b];
  if (s->compare) lua_pushvalue(L, s->compare);
  lua_rawgeti(L, s->values, (lua_Integer)a);
  lua_rawgeti(L, s->values, (lua_Integer)b);
  bool result;
  if (s->compare) {
    lua_call(L, 2, 1);
    result = lua_toboolean(L, -1);
    lua_pop(L, 1);
  } else {
    result = lua_compare(L, -2, -1, LUA_OPLT);
    lua_pop(L, 2);
  }
  return result;
}

/* Bottom-up: runs of `width` become runs of twice that, from one half of the buffer to the other. Returns the half
 * that holds the result. */
static const uint32_t *merge_sort(const sort_context *s, uint32_t *from, uint32_t *to, size_t n) {
  for (size_t i = 0; i < n; i++) from[i] = (uint32_t)i;
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t start = 0; start < n; start += 2 * width) {
      size_t middle = start + width < n ? start + width : n, end = middle + width < n ? middle + width : n;
      size_t left = start, right = middle;
      for (size_t k = start; k < end; k++) {
        bool take_right = right < end && (left >= middle || less(s, from[right], from[left]));
        to[k] = from[take_right ? right++ : left++];
      }
    }
    uint32_t *swap = from;
    from = to;
    to = swap;
  }
  return from;
}

/* The elements as doubles, in a userdata that stays on the stack, when that loses nothing; NULL else. */
static const double *read_numbers(lua_State *L, int values, size_t n) {
  double *numbers = lua_newuserdatauv(L, n * sizeof *numbers, 0);
  for (size_t i = 0; i < n; i++) {
    bool exact = lua_rawgeti(L, values, (lua_Integer)i) == LUA_TNUMBER;
    if (exact && lua_isinteger(L, -1)) {
      lua_Integer v = lua_tointeger(L, -1);
      exact = v >= -((lua_Integer)1 << 53) && v <= (lua_Integer)1 << 53;
    }
    numbers[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (!exact) {
      lua_pop(L, 1);
      return NULL;
    }
  }
  return numbers;
}

static int l_sort(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  sort_context s = {.L = L};
  if (n < 2) return 0;
  luaL_argcheck(L, n < INT32_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    s.compare = 2;
  }
  lua_settop(L, 2);
  lua_createtable(L, (int)n, 1);
  s.values = 3;
  for (lua_Integer i = 0; i < n; i++) {
    lua_geti(L, 1, i + 1);
    lua_rawseti(L, s.values, i);
  }
  if (!s.compare) s.numbers = read_numbers(L, s.values, (size_t)n);
  uint32_t *buffer = lua_newuserdatauv(L, 2 * (size_t)n * sizeof *buffer, 0);
  const uint32_t *order = merge_sort(&s, buffer, buffer + n, (size_t)n);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, s.values, (lua_Integer)order[i]);
    lua_seti(L, 1, i + 1);
  }
  return 0;
}

RTL_OPEN luaopen_rtlua_core_elementary(lua_State *L) {
  static const luaL_Reg functions[] = {{"sin", l_sin},   {"cos", l_cos},   {"tan", l_tan},   {"asin", l_asin},
                                       {"acos", l_acos}, {"atan", l_atan}, {"exp", l_exp},   {"log", l_log},
                                       {"pow", l_pow},   {"sqrt", l_sqrt}, {"sort", l_sort}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
