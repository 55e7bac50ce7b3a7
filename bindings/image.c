/* rtlua.core.image: pictures in memory and in files. Pixel (0, 0) is at top left; values are linear. */
#include <limits.h>

#include "bind.h"
#include "guard.h"

static rtl_image *to_image(lua_State *L, int index) {
  rtl_image *u = luaL_checkudata(L, index, RTL_IMAGE);
  if (!u->image) luaL_argerror(L, index, "the image is closed");
  return u;
}

rt_image *rtl_check_image(lua_State *L, int index) { return to_image(L, index)->image; }

static int l_close(lua_State *L) {
  rtl_image *u = luaL_checkudata(L, 1, RTL_IMAGE);
  rt_image_free(u->image);
  u->image = NULL;
  return 0;
}

static int check_int(lua_State *L, int index) {
  lua_Integer v = luaL_checkinteger(L, index);
  luaL_argcheck(L, v >= INT_MIN && v <= INT_MAX, index, "out of range");
  return (int)v;
}

static int l_new(lua_State *L) {
  int width = check_int(L, 1), height = check_int(L, 2), channels = check_int(L, 3);
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  return rtl_result(L, rt_image_new(&u->image, width, height, channels, &err), &err, 1);
}

/* load(path[, raw[, layer]]) */
static int l_load(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *layer = luaL_optstring(L, 3, NULL);
  bool raw = lua_toboolean(L, 2);
  if (rtl_refuse_reading(L, path)) return 3;
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  rt_status status =
      layer ? rt_image_load_layer(&u->image, path, layer, &err) : rt_image_load(&u->image, path, raw, &err);
  return rtl_result(L, status, &err, 1);
}

static int l_can_save(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_error err;
  lua_pushboolean(L, true);
  return rtl_result(L, rt_image_can_save(path, &err), &err, 1);
}

static int l_compare(lua_State *L) {
  rt_image *a = rtl_check_image(L, 1), *b = rtl_check_image(L, 2);
  rt_difference d;
  rt_error err;
  rt_status status = rt_image_compare(a, b, &d, &err);
  if (status != RT_OK) return rtl_result(L, status, &err, 0);
  lua_createtable(L, 0, 3);
  rtl_set_number(L, "mse", d.mse);
  rtl_set_number(L, "relmse", d.relmse);
  rtl_set_number(L, "psnr", d.psnr);
  return 1;
}

/* ssim(a, b): a number. */
static int l_ssim(lua_State *L) {
  rt_image *a = rtl_check_image(L, 1), *b = rtl_check_image(L, 2);
  double ssim = 0.0;
  rt_error err;
  rt_status status = rt_image_ssim(a, b, &ssim, &err);
  lua_pushnumber(L, ssim);
  return rtl_result(L, status, &err, 1);
}

/* flip(a, b[, pixels_per_degree]): the mean, and the map as an image. */
static int l_flip(lua_State *L) {
  rt_image *a = rtl_check_image(L, 1), *b = rtl_check_image(L, 2);
  double ppd = luaL_optnumber(L, 3, RT_FLIP_PIXELS_PER_DEGREE), mean = 0.0;
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  rt_status status = rt_image_flip(a, b, ppd, &mean, &u->image, &err);
  lua_pushnumber(L, mean);
  lua_insert(L, -2);
  return rtl_result(L, status, &err, 2);
}

/* magma(image): its first channel in the colours of magma. */
static int l_magma(lua_State *L) {
  const rt_image *values = rtl_check_image(L, 1);
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  return rtl_result(L, rt_image_magma(&u->image, values, &err), &err, 1);
}

/* ---- Saving ---- */

#define MAX_THREADS 1024
#define MAX_LAYERS 1000 /* far above what a render has */

/* Reads options, a table at `index` or nothing. The table keeps the texts, a userdata on the stack their list. */
static rt_save_options check_options(lua_State *L, int index) {
  static const char *const tonemaps[] = {"none", "agx", "aces", "filmic", NULL};
  static const char *const exr_types[] = {"half", "float", NULL};
  static const char *const exr_compressions[] = {"zip", "zips", "none", NULL};
  rt_save_options options = RT_SAVE_OPTIONS_INIT;
  if (lua_isnoneornil(L, index)) return options;
  luaL_checktype(L, index, LUA_TTABLE);
  options.exposure = (float)rtl_number_or(L, index, "exposure", 0.0);
  options.tonemap = (rt_tonemap)rtl_option(L, index, "tonemap", tonemaps, "none");
  options.bits = (int)rtl_integer_or(L, index, "bits", 8, 16, 8);
  if (options.bits != 8 && options.bits != 16) luaL_error(L, "bits: 8 or 16 expected, got %d", options.bits);
  options.quality = (int)rtl_integer_or(L, index, "quality", 1, 100, options.quality);
  options.exr_type = (rt_exr_type)rtl_option(L, index, "exr_type", exr_types, "half");
  options.exr_compression = (rt_exr_compression)rtl_option(L, index, "exr_compression", exr_compressions, "zip");
  lua_pushliteral(L, "dither");
  if (lua_rawget(L, index) != LUA_TNIL) options.dither = lua_toboolean(L, -1);
  lua_pushliteral(L, "white_balance");
  options.white_balance = lua_rawget(L, index) != LUA_TNIL;
  lua_pop(L, 2);
  if (options.white_balance) rtl_numbers(L, index, "white_balance", options.white_matrix, 9);

  lua_pushliteral(L, "text");
  if (lua_rawget(L, index) == LUA_TNIL) return options;
  if (!lua_istable(L, -1)) rtl_expected(L, "text", "list of {key, value}");
  int list = lua_gettop(L);
  size_t n = lua_rawlen(L, list);
  rt_text *text = lua_newuserdatauv(L, n * sizeof *text, 0);
  for (size_t i = 0; i < n; i++) {
    if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TTABLE) rtl_expected(L, "text", "list of {key, value}");
    if (lua_rawgeti(L, -1, 1) != LUA_TSTRING || lua_rawgeti(L, -2, 2) != LUA_TSTRING)
      rtl_expected(L, "text", "pair of strings");
    text[i] = (rt_text){lua_tostring(L, -2), lua_tostring(L, -1)};
    lua_pop(L, 3);
  }
  options.text = text;
  options.n_text = n;
  return options;
}

static int l_save(lua_State *L) {
  rt_image *image = rtl_check_image(L, 1);
  const char *path = luaL_checkstring(L, 2);
  rt_save_options options = check_options(L, 3);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_error err;
  rt_status status = rt_image_save(image, path, &options, &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

/* Field `name` of the table on top of the stack, which keeps it. */
static const char *layer_string(lua_State *L, const char *name) {
  const char *text = rtl_push_string(L, lua_gettop(L), name);
  if (!text) rtl_expected(L, name, "string");
  lua_pop(L, 1);
  return text;
}

/* save_layers(layers, path[, options]): a list of { name, channels, image } as rt_layer has them. */
static int l_save_layers(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *path = luaL_checkstring(L, 2);
  size_t n = lua_rawlen(L, 1);
  lua_settop(L, 3);
  luaL_argcheck(L, n <= MAX_LAYERS, 1, "too many layers");
  rt_layer *layers = lua_newuserdatauv(L, n * sizeof *layers, 0);
  for (size_t i = 0; i < n; i++) {
    if (lua_rawgeti(L, 1, (lua_Integer)i + 1) != LUA_TTABLE) rtl_expected(L, "layers", "list of layers");
    layers[i].name = layer_string(L, "name");
    layers[i].channels = layer_string(L, "channels");
    const rtl_image *u = rtl_push_userdata(L, lua_gettop(L), "image", RTL_IMAGE);
    if (!u->image) luaL_error(L, "image: it is closed");
    layers[i].image = u->image;
    lua_pop(L, 2);
  }
  rt_save_options options = check_options(L, 3);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_error err;
  rt_status status = rt_image_save_layers(layers, (int)n, path, &options, &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

/* ---- Denoising ---- */

/* Asked on the core's threads: both are flags. */
static bool wants_end(void *context) {
  (void)context;
  return rtl_guard_wants_end() || rtl_signal_pending();
}

static const rt_image *input_image(lua_State *L, const char *name) {
  const rtl_image *u = rtl_push_userdata(L, 1, name, RTL_IMAGE);
  if (!u->image) luaL_error(L, "%s: the image is closed", name);
  return u->image; /* the table keeps it */
}

/* denoise(input, threads[, "builtin" | "oidn"]): an image. input has the images of rt_denoise_input. */
static int l_denoise(lua_State *L) {
  static const char *const denoisers[] = {"builtin", "oidn", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer threads = luaL_checkinteger(L, 2);
  luaL_argcheck(L, threads >= 1 && threads <= MAX_THREADS, 2, "out of range");
  bool oidn = luaL_checkoption(L, 3, "builtin", denoisers) == 1;
  rt_denoise_input in = {
      .colour = input_image(L, "colour"),
      .error = input_image(L, "error"),
      .variance = input_image(L, "variance"),
      .albedo = input_image(L, "albedo"),
      .albedo_error = input_image(L, "albedo_error"),
      .normal = input_image(L, "normal"),
      .normal_error = input_image(L, "normal_error"),
      .depth = input_image(L, "depth"),
      .depth_error = input_image(L, "depth_error"),
  };
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  rt_status status = oidn ? rt_denoise_oidn(&u->image, &in, (int)threads, &err)
                          : rt_denoise(&u->image, &in, (int)threads, wants_end, NULL, &err);
  return rtl_result(L, status, &err, 1);
}

/* find_oidn(): true. */
static int l_find_oidn(lua_State *L) {
  rt_error err;
  lua_pushboolean(L, true);
  return rtl_result(L, rt_find_oidn(&err), &err, 1);
}

/* image:show(way): another image. */
static int l_show(lua_State *L) {
  const rt_image *image = rtl_check_image(L, 1);
  const char *way = luaL_checkstring(L, 2);
  rt_error err;
  rtl_image *u = rtl_new_image(L);
  return rtl_result(L, rt_image_show(&u->image, image, way, &err), &err, 1);
}

static int l_write_png(lua_State *L) {
  rt_image *image = rtl_check_image(L, 1);
  int fd = check_int(L, 2);
  rt_save_options options = check_options(L, 3);
  if (rtl_refuse_writing(L, "a file descriptor")) return 3;
  rt_error err;
  rt_status status = rt_image_write_png(image, fd, &options, &err);
  lua_pushboolean(L, true);
  return rtl_result(L, status, &err, 1);
}

/* ---- Pixels ---- */

/* The offset of the pixel at arguments 2 and 3. */
static size_t check_pixel(lua_State *L, const rt_image *image) {
  lua_Integer x = luaL_checkinteger(L, 2), y = luaL_checkinteger(L, 3);
  luaL_argcheck(L, x >= 0 && x < rt_image_width(image), 2, "outside of the image");
  luaL_argcheck(L, y >= 0 && y < rt_image_height(image), 3, "outside of the image");
  return ((size_t)y * (size_t)rt_image_width(image) + (size_t)x) * (size_t)rt_image_channels(image);
}

static int l_pixel(lua_State *L) {
  rt_image *image = rtl_check_image(L, 1);
  const float *p = rt_image_view(image) + check_pixel(L, image);
  int channels = rt_image_channels(image);
  lua_createtable(L, channels, 0);
  for (int c = 0; c < channels; c++) {
    lua_pushnumber(L, p[c]);
    lua_rawseti(L, -2, c + 1);
  }
  return 1;
}

static int l_set(lua_State *L) {
  rtl_image *u = to_image(L, 1);
  size_t at = check_pixel(L, u->image);
  int channels = rt_image_channels(u->image);
  float v[4];
  luaL_checktype(L, 4, LUA_TTABLE);
  for (int c = 0; c < channels; c++) {
    if (lua_rawgeti(L, 4, c + 1) != LUA_TNUMBER) luaL_argerror(L, 4, "a number for each channel expected");
    v[c] = (float)lua_tonumber(L, -1);
  }
  if (u->frozen) luaL_argerror(L, 1, "a scene uses the image, which can no longer be changed");
  float *p = rt_image_pixels(u->image) + at;
  for (int c = 0; c < channels; c++) p[c] = v[c];
  return 0;
}

static int l_width(lua_State *L, rt_image *image) {
  lua_pushinteger(L, rt_image_width(image));
  return 1;
}
static int l_height(lua_State *L, rt_image *image) {
  lua_pushinteger(L, rt_image_height(image));
  return 1;
}
static int l_channels(lua_State *L, rt_image *image) {
  lua_pushinteger(L, rt_image_channels(image));
  return 1;
}

/* image.width, image.height, image.channels; else a method, from the table that is the upvalue. */
static int l_index(lua_State *L) {
  static const struct {
    const char *name;
    int (*push)(lua_State *L, rt_image *image);
  } properties[] = {{"width", l_width}, {"height", l_height}, {"channels", l_channels}};
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING) {
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
      lua_pushstring(L, properties[i].name);
      if (lua_rawequal(L, 2, -1)) return properties[i].push(L, rtl_check_image(L, 1));
      lua_pop(L, 1);
    }
  }
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

static int l_tostring(lua_State *L) {
  rtl_image *u = luaL_checkudata(L, 1, RTL_IMAGE);
  if (u->image)
    lua_pushfstring(L, "image of %d by %d pixels", rt_image_width(u->image), rt_image_height(u->image));
  else
    lua_pushliteral(L, "closed image");
  return 1;
}

static const luaL_Reg methods[] = {{"pixel", l_pixel},         {"set", l_set},     {"save", l_save}, {"show", l_show},
                                   {"write_png", l_write_png}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {
    {"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};

rtl_image *rtl_new_image(lua_State *L) {
  if (luaL_getmetatable(L, RTL_IMAGE) == LUA_TNIL) {
    rtl_class(L, RTL_IMAGE, NULL, metamethods);
    luaL_getmetatable(L, RTL_IMAGE);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return rtl_new(L, sizeof(rtl_image), RTL_IMAGE, 0);
}

RTL_OPEN luaopen_rtlua_core_image(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new},
                                       {"load", l_load},
                                       {"can_save", l_can_save},
                                       {"compare", l_compare},
                                       {"ssim", l_ssim},
                                       {"flip", l_flip},
                                       {"save_layers", l_save_layers},
                                       {"magma", l_magma},
                                       {"denoise", l_denoise},
                                       {"find_oidn", l_find_oidn},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
