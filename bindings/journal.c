/* rtlua.core.journal: entries as text, and the lock, for scripts/rtlua/journal.lua. */
#include <math.h>

#include "base/memory.h"
#include "bind.h"
#include "guard.h"
#include "machine/journal.h"

#define LOCK_STEP 0.01 /* seconds between attempts: a write takes about as long */

typedef struct {
  rt_journal *journal; /* NULL: closed */
} rtl_journal;
typedef struct {
  bool held; /* user value 1 is the journal then */
} rtl_lock;
/* What the core allocated, while Lua may raise. */
typedef struct {
  rt_journal_list list;
  char *text;
} rtl_held;
#define RTL_HELD "rtlua.journal.held"

static rt_journal *to_journal(lua_State *L) {
  rtl_journal *u = luaL_checkudata(L, 1, RTL_JOURNAL);
  if (!u->journal) luaL_argerror(L, 1, "the journal is closed");
  return u->journal;
}

static int l_close(lua_State *L) {
  rtl_journal *u = luaL_checkudata(L, 1, RTL_JOURNAL);
  rt_journal *journal = u->journal;
  u->journal = NULL;
  rt_journal_close(journal);
  return 0;
}

static int l_unlock(lua_State *L) {
  rtl_lock *u = luaL_checkudata(L, 1, RTL_LOCK);
  if (!u->held) return 0;
  u->held = false;
  lua_getiuservalue(L, 1, 1);
  rtl_journal *journal = luaL_checkudata(L, -1, RTL_JOURNAL);
  if (journal->journal) rt_journal_unlock(journal->journal);
  return 0;
}

static int l_release(lua_State *L) {
  rtl_held *u = luaL_checkudata(L, 1, RTL_HELD);
  rt_free(u->list.ids);
  rt_free(u->list.strays);
  rt_free(u->text);
  *u = (rtl_held){0};
  return 0;
}

/* journal:lock(seconds): to be closed. */
static int l_lock(lua_State *L) {
  rt_journal *journal = to_journal(L);
  rtl_wait wait = rtl_wait_begin(luaL_optnumber(L, 2, INFINITY));
  rtl_lock *u = rtl_new(L, sizeof *u, RTL_LOCK, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  rt_error err;
  rt_status status = rt_journal_try_lock(journal, &err);
  double slice;
  while (status == RT_TRY_AGAIN && (slice = rtl_wait_slice(&wait)) > 0.0) {
    rtl_sleep(slice < LOCK_STEP ? slice : LOCK_STEP);
    status = rt_journal_try_lock(journal, &err);
  }
  if (status == RT_TRY_AGAIN && rtl_wait_interrupted(&wait)) return rtl_wait_failure(L, &wait, "");
  u->held = status == RT_OK;
  return rtl_result(L, status, &err, 1);
}

static int l_read(lua_State *L) {
  rt_journal *journal = to_journal(L);
  const char *id = luaL_checkstring(L, 2);
  rtl_held *u = rtl_new(L, sizeof *u, RTL_HELD, 0);
  size_t size = 0;
  rt_error err;
  rt_status status = rt_journal_read(&u->text, &size, journal, id, &err);
  if (status == RT_OK) lua_pushlstring(L, u->text, size);
  return rtl_result(L, status, &err, 1);
}

static int l_write(lua_State *L) {
  size_t size;
  const char *id = luaL_checkstring(L, 2), *text = luaL_checklstring(L, 3, &size);
  rt_error err;
  rt_status status = rt_journal_write(to_journal(L), id, text, size, &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

static int l_remove(lua_State *L) {
  rt_error err;
  rt_status status = rt_journal_remove(to_journal(L), luaL_checkstring(L, 2), &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

static int l_set_aside(lua_State *L) {
  rt_error err;
  rt_status status = rt_journal_set_aside(to_journal(L), luaL_checkstring(L, 2), &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

static void push_names(lua_State *L, const char *names, size_t size) {
  lua_newtable(L);
  for (size_t i = 0, n = 0; i < size;) {
    lua_pushstring(L, names + i);
    i += lua_rawlen(L, -1) + 1;
    lua_rawseti(L, -2, (lua_Integer)++n);
  }
}

/* journal:names(): a list of ids, and one of files that are no entries. */
static int l_names(lua_State *L) {
  rt_journal *journal = to_journal(L);
  rtl_held *u = rtl_new(L, sizeof *u, RTL_HELD, 0);
  rt_error err;
  rt_status status = rt_journal_names(&u->list, journal, &err);
  if (status != RT_OK) return rtl_result(L, status, &err, 0);
  push_names(L, u->list.ids, u->list.ids_size);
  push_names(L, u->list.strays, u->list.strays_size);
  return 2;
}

static int l_open(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  rtl_journal *u = rtl_new(L, sizeof *u, RTL_JOURNAL, 0);
  rt_error err;
  return rtl_result(L, rt_journal_open(&u->journal, folder, &err), &err, 1);
}

RTL_OPEN luaopen_rtlua_core_journal(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"lock", l_lock},           {"read", l_read},   {"write", l_write}, {"remove", l_remove},
      {"set_aside", l_set_aside}, {"names", l_names}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg lock_methods[] = {{"release", l_unlock}, {NULL, NULL}};
  static const luaL_Reg lock_metamethods[] = {{"__gc", l_unlock}, {"__close", l_unlock}, {NULL, NULL}};
  static const luaL_Reg held_metamethods[] = {{"__gc", l_release}, {NULL, NULL}};
  rtl_class(L, RTL_JOURNAL, methods, metamethods);
  rtl_class(L, RTL_LOCK, lock_methods, lock_metamethods);
  rtl_class(L, RTL_HELD, lock_methods + 1, held_metamethods);
  luaL_newlib(L, functions);
  return 1;
}
