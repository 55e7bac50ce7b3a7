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

/* ---- AOVs -------------------------------------------------------------------------------------------------------- */

static rt_aov check_aov(lua_State *L, int index) {
  const char *names[RT_AOVS + 1];
  for (int aov = 0; aov < RT_AOVS; aov++) names[aov] = rt_aov_name((rt_aov)aov);
  names[RT_AOVS] = NULL;
  return (rt_aov)luaL_checkoption(L, index, NULL, names);
}

uint32_t rtl_aovs(lua_State *L, int t, const char *what) {
  uint32_t bits = 0;
  lua_pushstring(L, what);
  if (lua_rawget(L, t) != LUA_TNIL) {
    rtl_check_table(L, -1, what);
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
      bits |= RT_AOV_BIT(check_aov(L, lua_gettop(L)));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return bits;
}

int rtl_push_picture(lua_State *L, int index, const void *source,
                     rt_status (*picture)(const void *source, rt_aov aov, rt_image **out, rt_error *err)) {
  rt_aov aov = lua_isnoneornil(L, index) ? RT_AOVS : check_aov(L, index);
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  return rtl_result(L, picture(source, aov, &u->image, &err), &err, 1);
}

/* ---- Films ------------------------------------------------------------------------------------------------------- */

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

/* film:about(): { width, height, crop, seed, scene, aovs, noise, bytes }. */
static int l_about(lua_State *L) {
  rt_film_info info;
  rt_film_about(to_film(L, 1), &info);
  lua_createtable(L, 0, 8);
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
  rtl_set_number(L, "noise", info.noise);
  rtl_set_integer(L, "bytes", (lua_Integer)info.bytes);
  lua_newtable(L);
  for (int aov = 0, n = 0; aov < RT_AOVS; aov++) {
    if (!(info.aovs & RT_AOV_BIT(aov))) continue;
    lua_pushstring(L, rt_aov_name((rt_aov)aov));
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, "aovs");
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

/* film:whole(): the samples that each pixel has, 0 to this, with a noise at most, and how many it has in the mean; or
 * nil, message, code. */
static int l_whole(lua_State *L) {
  uint32_t spp = 0;
  double mean = 0.0;
  rt_error err;
  rt_status status = rt_film_check_whole(to_film(L, 1), &spp, &mean, &err);
  lua_pushinteger(L, spp);
  lua_pushnumber(L, mean);
  return rtl_result(L, status, &err, 2);
}

static rt_status picture_of(const void *film, rt_aov aov, rt_image **out, rt_error *err) {
  return aov == RT_AOVS ? rt_film_image(film, out, err) : rt_film_aov(film, aov, out, err);
}

/* film:image([aov]) */
static int l_image(lua_State *L) { return rtl_push_picture(L, 2, to_film(L, 1), picture_of); }

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

/* aovs(): a list of { name, channels, show } of all that there are. */
static int l_aovs(lua_State *L) {
  lua_createtable(L, RT_AOVS, 0);
  for (int aov = 0; aov < RT_AOVS; aov++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, rt_aov_name((rt_aov)aov));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, rt_aov_channels((rt_aov)aov));
    lua_setfield(L, -2, "channels");
    lua_pushstring(L, rt_aov_show((rt_aov)aov));
    lua_setfield(L, -2, "show");
    lua_rawseti(L, -2, aov + 1);
  }
  return 1;
}

RTL_OPEN luaopen_rtlua_core_film(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"new", l_new}, {"load", l_load}, {"can_save", l_can_save}, {"aovs", l_aovs}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
