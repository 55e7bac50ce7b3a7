/* rtlua.core.ordered: pairs and next that visit keys in an order that is the same on every machine: integers
 * ascending, then other numbers, strings by their bytes, false, true. Stock Lua's order depends on addresses and on a
 * seed from the clock.
 *
 * Both walk a snapshot of the keys, sorted, and skip those whose value has become nil; so fields may be set and
 * cleared on the way, as the manual allows, and new ones are not seen. Keys 1 to the border are not listed but
 * counted, so that an array of a million elements costs one pass. Tables, functions and userdata have no order: one
 * of them as a key comes last, several are an error.
 *
 * pairs keeps its snapshot in the iterator; next, which is given only a key, in a small weak cache, and finds its
 * place by bisection. */
#include <stdlib.h>
#include <string.h>

#include "bind.h"

typedef enum { RANK_INTEGER, RANK_FLOAT, RANK_STRING, RANK_BOOLEAN, RANK_OTHER } rank;

typedef struct {
  rank rank;
  union {
    lua_Integer integer;
    double number;
    struct {
      const char *bytes;
      size_t length;
    } string;
  };
  lua_Integer index; /* of the key in the snapshot's user value */
} entry;

/* In order: `before` entries (integers below 1), the integers 1 to `border`, the other entries. */
typedef struct {
  lua_Integer border;
  size_t n, before;
  size_t at; /* the position visited last: the next one is most likely to be asked for */
  entry entries[];
} snapshot;

#define CACHED 32 /* traversals by next that may be under way at once without new snapshots */

static int compare(const entry *a, const entry *b) {
  if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
  switch (a->rank) {
  case RANK_INTEGER:
  case RANK_BOOLEAN: return (a->integer > b->integer) - (a->integer < b->integer);
  case RANK_FLOAT: return (a->number > b->number) - (a->number < b->number);
  case RANK_STRING: {
    size_t shorter = a->string.length < b->string.length ? a->string.length : b->string.length;
    int order = memcmp(a->string.bytes, b->string.bytes, shorter);
    return order ? order : (a->string.length > b->string.length) - (a->string.length < b->string.length);
  }
  case RANK_OTHER: break;
  }
  return 0;
}

static int compare_entries(const void *a, const void *b) { return compare(a, b); }

/* The key on the stack as an entry. Strings are pointed at, so something must keep them. */
static entry entry_of(lua_State *L, int index) {
  entry e = {.rank = RANK_OTHER};
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      e.rank = RANK_INTEGER;
      e.integer = lua_tointeger(L, index);
    } else {
      e.rank = RANK_FLOAT;
      e.number = lua_tonumber(L, index);
    }
    break;
  case LUA_TSTRING:
    e.rank = RANK_STRING;
    e.string.bytes = lua_tolstring(L, index, &e.string.length);
    break;
  case LUA_TBOOLEAN:
    e.rank = RANK_BOOLEAN;
    e.integer = lua_toboolean(L, index);
    break;
  default: break;
  }
  return e;
}

static bool is_inside(lua_State *L, lua_Integer border) {
  lua_Integer i = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
  return i >= 1 && i <= border;
}

/* Pushes a snapshot of the table at `t`. */
static snapshot *push_snapshot(lua_State *L, int t) {
  lua_Integer border = (lua_Integer)lua_rawlen(L, t);
  size_t inside = 0, n = 0;
  luaL_checkstack(L, 6, NULL);
  for (lua_pushnil(L); lua_next(L, t);) {
    lua_pop(L, 1);
    if (is_inside(L, border))
      inside++;
    else
      n++;
  }
  if (inside < (size_t)border / 2) { /* mostly holes: counting through them would take for ever */
    border = 0;
    n += inside;
  }
  if (n > (SIZE_MAX - sizeof(snapshot)) / sizeof(entry) || n > INT32_MAX)
    luaL_error(L, "pairs: the table is too large");
  snapshot *s = lua_newuserdatauv(L, sizeof *s + n * sizeof(entry), 1);
  *s = (snapshot){.border = border};
  if (n == 0) return s;

  int self = lua_gettop(L);
  lua_createtable(L, (int)n, 0);
  for (lua_pushnil(L); s->n < n && lua_next(L, t);) {
    lua_pop(L, 1);
    if (is_inside(L, border)) continue;
    entry *e = &s->entries[s->n++];
    *e = entry_of(L, -1);
    e->index = (lua_Integer)s->n;
    lua_pushvalue(L, -1);
    lua_rawseti(L, self + 1, e->index);
  }
  lua_settop(L, self + 1);
  lua_setiuservalue(L, self, 1);
  qsort(s->entries, s->n, sizeof *s->entries, compare_entries);
  if (s->n > 1 && s->entries[s->n - 2].rank == RANK_OTHER) {
    lua_pushliteral(L, "pairs: tables, functions and userdata as keys have no order that is the same every time: "
                       "keep a list of them");
    lua_error(L); /* without a place: the loader puts the scene's before it */
  }
  while (s->before < s->n && s->entries[s->before].rank == RANK_INTEGER && s->entries[s->before].integer < 1)
    s->before++;
  return s;
}

static size_t size_of(const snapshot *s) { return s->n + (size_t)s->border; }

static entry entry_at(const snapshot *s, size_t position) {
  if (position < s->before) return s->entries[position];
  if (position - s->before < (size_t)s->border)
    return (entry){.rank = RANK_INTEGER, .integer = (lua_Integer)(position - s->before) + 1};
  return s->entries[position - (size_t)s->border];
}

/* The position behind the key at `key`, or where it would be. */
static size_t position_after(lua_State *L, snapshot *s, int key) {
  if (lua_isnil(L, key)) return 0;
  entry wanted = entry_of(L, key), likely;
  if (s->at < size_of(s)) {
    likely = entry_at(s, s->at);
    if (compare(&likely, &wanted) == 0) return s->at + 1;
  }
  size_t low = 0, high = size_of(s);
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    entry e = entry_at(s, middle);
    if (compare(&e, &wanted) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Pushes the key behind the one at `key` that has a value, and the value; or nil. */
static int push_next(lua_State *L, snapshot *s, int self, int t, int key) {
  for (size_t i = position_after(L, s, key); i < size_of(s); i++) {
    entry e = entry_at(s, i);
    int type;
    if (e.rank == RANK_INTEGER) {
      lua_pushinteger(L, e.integer);
      type = lua_rawgeti(L, t, e.integer);
    } else {
      lua_getiuservalue(L, self, 1);
      lua_rawgeti(L, -1, e.index);
      lua_remove(L, -2);
      lua_pushvalue(L, -1);
      type = lua_rawget(L, t);
    }
    if (type != LUA_TNIL) {
      s->at = i;
      return 2;
    }
    lua_pop(L, 2);
  }
  lua_pushnil(L);
  return 1;
}

/* next(t, k). Upvalues: the cache, weak tables to snapshots, and how many it was given. */
static int l_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  snapshot *s = NULL;
  if (!lua_isnil(L, 2)) {
    lua_pushvalue(L, 1);
    lua_rawget(L, lua_upvalueindex(1));
    s = lua_touserdata(L, 3);
    if (!s) lua_pop(L, 1);
  }
  if (!s) {
    s = push_snapshot(L, 1);
    lua_Integer count = lua_tointeger(L, lua_upvalueindex(2)) + 1;
    if (count > CACHED) { /* forget all: what goes on takes a new snapshot */
      lua_newtable(L);
      lua_getmetatable(L, lua_upvalueindex(1));
      lua_setmetatable(L, -2);
      lua_replace(L, lua_upvalueindex(1));
      count = 1;
    }
    lua_pushinteger(L, count);
    lua_replace(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 3);
    lua_rawset(L, lua_upvalueindex(1));
  }
  int results = push_next(L, s, 3, 1, 2);
  if (results == 1) {
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_rawset(L, lua_upvalueindex(1));
  }
  return results;
}

/* The iterator of pairs(t). Upvalues: the snapshot, t. */
static int iterate(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (!lua_rawequal(L, 1, lua_upvalueindex(2))) return luaL_error(L, "pairs: its iterator was given another table");
  return push_next(L, lua_touserdata(L, lua_upvalueindex(1)), lua_upvalueindex(1), 1, 2);
}

static int finish_pairs(lua_State *L, int status, lua_KContext context) {
  (void)L;
  (void)status;
  (void)context;
  return 3;
}

static int l_pairs(lua_State *L) {
  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 3, 0, finish_pairs);
    return 3;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  push_snapshot(L, 1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, iterate, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

RTL_OPEN luaopen_rtlua_core_ordered(lua_State *L) {
  static const luaL_Reg functions[] = {{"pairs", l_pairs}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, l_next, 2);
  lua_setfield(L, -2, "next");
  return 1;
}
