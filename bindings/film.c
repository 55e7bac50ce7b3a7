/* rtlua.core.film: films outside of a job: part files, and joining them. */
#include "bind.h"

typedef struct {
  rt_film *film; /* NULL: closed, or nothing was joined yet */
} rtl_film;

static rt_film *to_film(lua_State *L, int index) {
  rtl_film *u = luaL_checkudata(L, index, RTL_FILM);
  if (!u->film) luaL_argerror(L, index, "the film is closed or empty");
  return u->film;
}

rt_film **rtl_push_film(lua_State *L, int t, const char *what) {
  lua_pushstring(L, what);
  if (lua_rawget(L, t) == LUA_TNIL) return NULL;
  rtl_film *u = luaL_testudata(L, -1, RTL_FILM);
  if (!u || !u->film) rtl_expected(L, what, RTL_FILM);
  return &u->film;
}

static int l_close(lua_State *L) {
  rtl_film *u = luaL_checkudata(L, 1, RTL_FILM);
  rt_film *film = u->film;
  u->film = NULL;
  rt_film_free(film);
  return 0;
}

/* film:save(path): true. */
static int l_save(lua_State *L) {
  const rt_film *film = to_film(L, 1);
  const char *path = luaL_checkstring(L, 2);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_error err;
  lua_pushboolean(L, true);
  return rtl_result(L, rt_film_save(film, path, &err), &err, 1);
}

/* film:about(): { width, height, crop, seed, scene }. */
static int l_about(lua_State *L) {
  rt_film_info info;
  rt_film_about(to_film(L, 1), &info);
  lua_createtable(L, 0, 5);
  rtl_set_integer(L, "width", info.width);
  rtl_set_integer(L, "height", info.height);
  rtl_set_integer(L, "seed", info.seed);
  lua_pushstring(L, info.scene);
  lua_setfield(L, -2, "scene");
  lua_createtable(L, 4, 0);
  for (int i = 0; i < 4; i++) {
    lua_pushinteger(L, info.crop[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "crop");
  return 1;
}

/* whole:join(part, name[, allow_overlap]): true. An empty `whole` becomes a film of the whole picture. */
static int l_join(lua_State *L) {
  rtl_film *u = luaL_checkudata(L, 1, RTL_FILM);
  const rt_film *part = to_film(L, 2);
  const char *name = luaL_checkstring(L, 3);
  rt_error err;
  rt_status status = rt_film_join(&u->film, part, lua_toboolean(L, 4), name, &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

/* film:whole(): the samples that each pixel has, 0 to this; or nil, message, code. */
static int l_whole(lua_State *L) {
  uint32_t spp = 0;
  rt_error err;
  rt_status status = rt_film_check_whole(to_film(L, 1), &spp, &err);
  lua_pushinteger(L, spp);
  return rtl_result(L, status, &err, 1);
}

static int l_image(lua_State *L) {
  const rt_film *film = to_film(L, 1);
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  return rtl_result(L, rt_film_image(film, &u->image, &err), &err, 1);
}

static rtl_film *new_film(lua_State *L) {
  static const luaL_Reg methods[] = {{"save", l_save},   {"about", l_about}, {"join", l_join}, {"whole", l_whole},
                                     {"image", l_image}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  rtl_class(L, RTL_FILM, methods, metamethods);
  return rtl_new(L, sizeof(rtl_film), RTL_FILM, 0);
}

static int l_can_save(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_error err;
  lua_pushboolean(L, true);
  return rtl_result(L, rt_film_can_save(path, &err), &err, 1);
}

/* new(): an empty one, for join. */
static int l_new(lua_State *L) {
  new_film(L);
  return 1;
}

static int l_load(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (rtl_refuse_reading(L, path)) return 3;
  rtl_film *u = new_film(L);
  rt_error err;
  return rtl_result(L, rt_film_load(&u->film, path, &err), &err, 1);
}

RTL_OPEN luaopen_rtlua_core_film(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new}, {"load", l_load}, {"can_save", l_can_save}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
