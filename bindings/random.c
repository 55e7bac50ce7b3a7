/* rtlua.core.random: math.random and math.randomseed with a seed of our own, one generator for each that asks.
 *
 * xoshiro256** (Blackman and Vigna 2018), seeded and projected as Lua 5.4 does, so that randomseed(42) gives the
 * numbers that stock Lua gives. */
#include <string.h>

#include "bind.h"

typedef struct {
  uint64_t s[4];
} generator;

static uint64_t rotl(uint64_t x, int n) { return (x << n) | (x >> (64 - n)); }

static uint64_t next(generator *g) {
  uint64_t *s = g->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 45);
  return result;
}

static void seed(generator *g, uint64_t a, uint64_t b) {
  *g = (generator){{a, 0xff, b, 0}};
  for (int i = 0; i < 16; i++) next(g); /* few bits in, so discard what they show */
}

/* Uniform in [0, n], from the bits that n needs, by rejection. */
static uint64_t project(generator *g, uint64_t bits, uint64_t n) {
  uint64_t mask = n;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  while ((bits &= mask) > n) bits = next(g);
  return bits;
}

static generator *self(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static int l_random(lua_State *L) {
  generator *g = self(L);
  lua_Integer low = 1, high;
  uint64_t bits = next(g);
  switch (lua_gettop(L)) {
  case 0: lua_pushnumber(L, (double)(bits >> 11) * 0x1p-53); return 1;
  case 1:
    high = luaL_checkinteger(L, 1);
    if (high == 0) {
      lua_pushinteger(L, (lua_Integer)bits);
      return 1;
    }
    break;
  case 2:
    low = luaL_checkinteger(L, 1);
    high = luaL_checkinteger(L, 2);
    break;
  default: return luaL_error(L, "wrong number of arguments");
  }
  luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
  lua_pushinteger(L, (lua_Integer)(project(g, bits, (uint64_t)high - (uint64_t)low) + (uint64_t)low));
  return 1;
}

/* randomseed(a, b): without arguments the seed that it began with, not one from the clock. */
static int l_randomseed(lua_State *L) {
  int exact = 1;
  uint64_t a = 0;
  if (!lua_isnone(L, 1)) {
    double number = luaL_checknumber(L, 1);
    a = (uint64_t)lua_tointegerx(L, 1, &exact);
    if (!exact) memcpy(&a, &number, sizeof a);
  }
  uint64_t b = (uint64_t)luaL_optinteger(L, 2, 0);
  seed(self(L), a, b);
  lua_pushinteger(L, (lua_Integer)a);
  lua_pushinteger(L, (lua_Integer)b);
  return 2;
}

/* new() -> random, randomseed */
static int l_new(lua_State *L) {
  seed(lua_newuserdatauv(L, sizeof(generator), 0), 0, 0);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, l_random, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, l_randomseed, 1);
  return 2;
}

RTL_OPEN luaopen_rtlua_core_random(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
