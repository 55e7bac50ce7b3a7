/* rtlua.core.scene: builds scenes and asks them. Tables have the fields of rt.h's descriptions, enums in lower case.
 *
 * Everything is read from the table before the scene is looked at, then one call of the core follows. */
#include <limits.h>
#include <math.h>

#include <string.h>

#include "bind.h"

static rtl_scene *to_scene(lua_State *L, int index) {
  rtl_scene *u = luaL_checkudata(L, index, RTL_SCENE);
  if (!u->scene) luaL_argerror(L, index, "the scene is closed");
  return u;
}

static rt_scene *to_builder(lua_State *L) {
  rtl_scene *u = to_scene(L, 1);
  if (u->committed) luaL_argerror(L, 1, "the scene is committed and can no longer be changed");
  return u->scene;
}

static rt_scene *to_committed(lua_State *L) {
  rtl_scene *u = to_scene(L, 1);
  if (!u->committed) luaL_argerror(L, 1, "the scene is not committed yet");
  return u->scene;
}

static int l_close(lua_State *L) {
  rtl_scene *u = luaL_checkudata(L, 1, RTL_SCENE);
  rt_scene_free(u->scene);
  u->scene = NULL;
  return 0;
}

static int l_new(lua_State *L) {
  rt_error err;
  rtl_scene *u = rtl_new_scene(L);
  return rtl_result(L, rt_scene_new(&u->scene, &err), &err, 1);
}

static int l_is(lua_State *L) {
  lua_pushboolean(L, luaL_testudata(L, 1, RTL_SCENE) != NULL);
  return 1;
}

static int result_id(lua_State *L, rt_status status, uint32_t id, const rt_error *err) {
  lua_pushinteger(L, id);
  return rtl_result(L, status, err, 1);
}

static int result_true(lua_State *L, rt_status status, const rt_error *err) {
  lua_pushboolean(L, true);
  return rtl_result(L, status, err, 1);
}

static uint32_t check_group(lua_State *L, int index) {
  lua_Integer group = luaL_checkinteger(L, index);
  luaL_argcheck(L, group >= 0 && group < (lua_Integer)RT_NONE, index, "no such group");
  return (uint32_t)group;
}

static rt_image *push_image(lua_State *L, int t, const char *what) {
  rtl_image *u = rtl_push_userdata(L, t, what, RTL_IMAGE);
  if (!u->image) luaL_error(L, "%s: the image is closed", what);
  u->frozen = true;
  return u->image;
}

/* ---- Textures and materials ---- */

static int l_texture(lua_State *L) {
  static const char *const kinds[] = {"constant", "image", "checker", NULL};
  luaL_checktype(L, 2, LUA_TTABLE);
  rt_texture_desc desc = {.kind = (rt_texture_kind)rtl_option(L, 2, "kind", kinds, NULL), .scale = {1.0f, 1.0f}};
  if (desc.kind == RT_TEXTURE_CONSTANT) {
    desc.value = rtl_vec3(L, 2, "value");
  } else {
    double scale[2] = {1.0, 1.0};
    lua_pushliteral(L, "scale");
    if (lua_rawget(L, 2) != LUA_TNIL) rtl_numbers(L, 2, "scale", scale, 2);
    desc.scale[0] = (float)scale[0];
    desc.scale[1] = (float)scale[1];
    desc.a = rtl_id(L, 2, "a");
    desc.b = rtl_id(L, 2, "b");
  }
  if (desc.kind == RT_TEXTURE_IMAGE) {
    desc.value = rtl_vec3_or(L, 2, "value", (rt_vec3){1.0f, 1.0f, 1.0f});
    desc.image = push_image(L, 2, "image");
  }
  rt_error err;
  uint32_t id = RT_NONE;
  rt_status status = rt_scene_texture(to_builder(L), &desc, &id, &err);
  return result_id(L, status, id, &err);
}

static int l_material(lua_State *L) {
  static const char *const kinds[] = {"diffuse", "mirror",    "metal", "glass", "plastic",
                                      "light",   "two_sided", "mix",   NULL};
  rt_material_desc desc = RT_MATERIAL_DESC_INIT;
  luaL_checktype(L, 2, LUA_TTABLE);
  desc.kind = (rt_material_kind)rtl_option(L, 2, "kind", kinds, NULL);
  desc.color = rtl_id(L, 2, "color");
  desc.eta = rtl_id(L, 2, "eta");
  desc.k = rtl_id(L, 2, "k");
  desc.ior = rtl_id(L, 2, "ior");
  desc.roughness = rtl_id(L, 2, "roughness");
  desc.roughness_is_alpha = rtl_boolean(L, 2, "roughness_is_alpha");
  desc.a = rtl_id(L, 2, "a");
  desc.b = rtl_id(L, 2, "b");
  desc.amount = rtl_id(L, 2, "amount");
  desc.emission = rtl_id(L, 2, "emission");
  desc.emission_two_sided = rtl_boolean(L, 2, "emission_two_sided");
  desc.emission_is_power = rtl_boolean(L, 2, "emission_is_power");
  rt_error err;
  uint32_t id = RT_NONE;
  rt_status status = rt_scene_material(to_builder(L), &desc, &id, &err);
  return result_id(L, status, id, &err);
}

/* ---- Shapes ---- */

static int l_group(lua_State *L) {
  rt_error err;
  uint32_t id = RT_NONE;
  rt_status status = rt_scene_group(to_builder(L), &id, &err);
  return result_id(L, status, id, &err);
}

/* The ids of field `materials`, in a userdata that stays on the stack. */
static void read_materials(lua_State *L, int t, rt_shape_desc *desc) {
  lua_pushliteral(L, "materials");
  if (lua_rawget(L, t) != LUA_TTABLE) rtl_expected(L, "materials", "list of material ids");
  int list = lua_gettop(L);
  size_t n = lua_rawlen(L, list);
  if (n > INT_MAX) luaL_error(L, "materials: too many");
  uint32_t *ids = lua_newuserdatauv(L, n * sizeof *ids, 0);
  for (size_t i = 0; i < n; i++) {
    int exact = 0;
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    lua_Integer id = lua_tointegerx(L, -1, &exact);
    if (!exact || id < 0 || id >= (lua_Integer)RT_NONE) rtl_expected(L, "materials", "list of material ids");
    ids[i] = (uint32_t)id;
    lua_pop(L, 1);
  }
  desc->materials = ids;
  desc->n_materials = (uint32_t)n;
}

static void read_corners(lua_State *L, int t, rt_vec3 *v, int n) {
  lua_pushliteral(L, "v");
  if (lua_rawget(L, t) != LUA_TTABLE) rtl_expected(L, "v", "list of vectors");
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, -1, i + 1);
    v[i] = rtl_to_vec3(L, -1, "v");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int l_shape(lua_State *L) {
  static const char *const kinds[] = {"sphere", "quad", "disk", "plane", "box", "cylinder", "triangle", "mesh", NULL};
  uint32_t group = check_group(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  rt_shape_desc desc = {.kind = (rt_shape_kind)rtl_option(L, 3, "kind", kinds, NULL)};
  desc.hidden = rtl_boolean(L, 3, "hidden");
  desc.name = rtl_push_string(L, 3, "name");
  read_materials(L, 3, &desc);
  switch (desc.kind) {
  case RT_SHAPE_SPHERE:
    desc.sphere.center = rtl_vec3(L, 3, "center");
    desc.sphere.radius = (float)rtl_number(L, 3, "radius");
    break;
  case RT_SHAPE_QUAD: read_corners(L, 3, desc.quad.v, 4); break;
  case RT_SHAPE_DISK:
    desc.disk.center = rtl_vec3(L, 3, "center");
    desc.disk.normal = rtl_vec3(L, 3, "normal");
    desc.disk.radius = (float)rtl_number(L, 3, "radius");
    break;
  case RT_SHAPE_PLANE:
    desc.plane.point = rtl_vec3(L, 3, "point");
    desc.plane.normal = rtl_vec3(L, 3, "normal");
    break;
  case RT_SHAPE_BOX:
    desc.box.min = rtl_vec3(L, 3, "min");
    desc.box.max = rtl_vec3(L, 3, "max");
    break;
  case RT_SHAPE_CYLINDER:
    desc.cylinder.from = rtl_vec3(L, 3, "from");
    desc.cylinder.to = rtl_vec3(L, 3, "to");
    desc.cylinder.radius = (float)rtl_number(L, 3, "radius");
    desc.cylinder.caps = rtl_boolean(L, 3, "caps");
    break;
  case RT_SHAPE_TRIANGLE: read_corners(L, 3, desc.triangle.v, 3); break;
  case RT_SHAPE_MESH: {
    rtl_mesh *u = rtl_push_userdata(L, 3, "mesh", RTL_MESH);
    if (!u->mesh) return luaL_error(L, "mesh: the mesh is closed");
    desc.mesh.mesh = u->mesh;
    break;
  }
  }
  rt_error err;
  rt_status status = rt_scene_shape(to_builder(L), group, &desc, &err);
  return result_true(L, status, &err);
}

static int l_instance(lua_State *L) {
  uint32_t group = check_group(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  rt_instance_desc desc = {.group = rtl_id(L, 3, "group"), .hidden = rtl_boolean(L, 3, "hidden")};
  lua_pushliteral(L, "placements");
  if (lua_rawget(L, 3) == LUA_TNIL) {
    double m[12];
    rtl_numbers(L, 3, "transform", m, 12);
    for (int i = 0; i < 12; i++) desc.transform.m[i / 4][i % 4] = m[i];
  } else {
    rtl_placements *u = rtl_push_userdata(L, 3, "placements", RTL_PLACEMENTS);
    if (!u->placements) return luaL_error(L, "placements: the placements are closed");
    desc.placements = u->placements;
  }
  desc.name = rtl_push_string(L, 3, "name");
  rt_error err;
  rt_status status = rt_scene_instance(to_builder(L), group, &desc, &err);
  return result_true(L, status, &err);
}

/* ---- Lights, background, camera ---- */

static const rt_vec3 ZERO = {0.0f, 0.0f, 0.0f};

static int l_light(lua_State *L) {
  static const char *const kinds[] = {"point", "spot", "sun", NULL};
  uint32_t group = check_group(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  rt_light_desc desc = {.kind = (rt_light_kind)rtl_option(L, 3, "kind", kinds, NULL)};
  desc.intensity = rtl_vec3(L, 3, "intensity");
  desc.position = desc.kind == RT_LIGHT_SUN ? ZERO : rtl_vec3(L, 3, "position");
  desc.direction = desc.kind == RT_LIGHT_POINT ? ZERO : rtl_vec3(L, 3, "direction");
  desc.angle = (float)rtl_number_or(L, 3, "angle", 0.0);
  desc.blend = (float)rtl_number_or(L, 3, "blend", 0.0);
  rt_error err;
  rt_status status = rt_scene_light(to_builder(L), group, &desc, &err);
  return result_true(L, status, &err);
}

static int l_background(lua_State *L) {
  static const char *const kinds[] = {"constant", "gradient", "image", NULL};
  luaL_checktype(L, 2, LUA_TTABLE);
  rt_background_desc desc = {.kind = (rt_background_kind)rtl_option(L, 2, "kind", kinds, NULL), .scale = 1.0f};
  if (desc.kind != RT_BACKGROUND_IMAGE) desc.top = rtl_vec3(L, 2, "top");
  if (desc.kind == RT_BACKGROUND_GRADIENT) desc.bottom = rtl_vec3(L, 2, "bottom");
  desc.scale = (float)rtl_number_or(L, 2, "scale", 1.0);
  desc.rotate = (float)rtl_number_or(L, 2, "rotate", 0.0);
  if (desc.kind == RT_BACKGROUND_IMAGE) desc.image = push_image(L, 2, "image");
  rt_error err;
  rt_status status = rt_scene_background(to_builder(L), &desc, &err);
  return result_true(L, status, &err);
}

static int l_camera(lua_State *L) {
  static const char *const kinds[] = {"perspective", "orthographic", NULL};
  luaL_checktype(L, 2, LUA_TTABLE);
  rt_camera_desc desc = {.kind = (rt_camera_kind)rtl_option(L, 2, "kind", kinds, "perspective")};
  rtl_numbers(L, 2, "from", desc.from, 3);
  rtl_numbers(L, 2, "to", desc.to, 3);
  rtl_numbers(L, 2, "up", desc.up, 3);
  desc.fov = rtl_number_or(L, 2, "fov", 0.0);
  desc.height = rtl_number_or(L, 2, "height", 0.0);
  desc.aperture = rtl_number_or(L, 2, "aperture", 0.0);
  desc.focus = rtl_number_or(L, 2, "focus", 0.0);
  rt_error err;
  rt_status status = rt_scene_camera(to_builder(L), &desc, &err);
  return result_true(L, status, &err);
}

static int l_commit(lua_State *L) {
  lua_Integer threads = luaL_optinteger(L, 2, rt_threads_available());
  luaL_argcheck(L, threads >= 1 && threads <= INT_MAX, 2, "at least one thread expected");
  rt_error err;
  rt_status status = rt_scene_commit(to_builder(L), (int)threads, &err);
  to_scene(L, 1)->committed = status == RT_OK;
  return result_true(L, status, &err);
}

/* ---- Questions ---- */

static int l_describe(lua_State *L) {
  rt_scene_info info;
  rt_scene_describe(to_committed(L), &info);
  lua_createtable(L, 0, 12);
  rtl_set_integer(L, "shapes", (lua_Integer)info.shapes);
  rtl_set_integer(L, "instances", (lua_Integer)info.instances);
  rtl_set_integer(L, "groups", (lua_Integer)info.groups);
  rtl_set_integer(L, "triangles", (lua_Integer)info.triangles);
  rtl_set_integer(L, "placed_triangles", (lua_Integer)info.placed_triangles);
  rtl_set_integer(L, "placed_primitives", (lua_Integer)info.placed_primitives);
  rtl_set_integer(L, "lights", (lua_Integer)info.lights);
  rtl_set_integer(L, "materials", (lua_Integer)info.materials);
  rtl_set_integer(L, "textures", (lua_Integer)info.textures);
  rtl_set_integer(L, "bytes", (lua_Integer)info.bytes);
  rtl_set_integer(L, "tree_bytes", (lua_Integer)info.tree_bytes);
  rtl_set_number(L, "build_seconds", info.build_seconds);
  if (info.bounds.min.x <= info.bounds.max.x) {
    lua_createtable(L, 0, 2);
    rtl_set_vec3(L, "min", info.bounds.min);
    rtl_set_vec3(L, "max", info.bounds.max);
    lua_setfield(L, -2, "bounds");
  }
  return 1;
}

static int l_hash(lua_State *L) {
  char hex[65];
  rt_scene_hash(to_committed(L), hex);
  lua_pushstring(L, hex);
  return 1;
}

static int l_intersect(lua_State *L) {
  rt_scene *scene = to_committed(L);
  float v[6];
  for (int i = 0; i < 6; i++) v[i] = (float)luaL_checknumber(L, i + 2);
  float tnear = (float)luaL_optnumber(L, 8, 0.0), tfar = (float)luaL_optnumber(L, 9, INFINITY);
  for (int i = 0; i < 6; i++) luaL_argcheck(L, isfinite(v[i]), i + 2, "a finite number expected");
  luaL_argcheck(L, v[3] != 0.0f || v[4] != 0.0f || v[5] != 0.0f, 5, "the direction has no length");
  luaL_argcheck(L, tnear >= 0.0f, 8, "at least 0 expected");
  luaL_argcheck(L, tfar >= 0.0f, 9, "at least 0 expected");
  rt_scene_hit hit;
  if (!rt_scene_intersect(scene, (rt_vec3){v[0], v[1], v[2]}, (rt_vec3){v[3], v[4], v[5]}, tnear, tfar, &hit)) return 0;
  lua_createtable(L, 0, 8);
  rtl_set_number(L, "t", hit.t);
  rtl_set_vec3(L, "point", hit.point);
  rtl_set_vec3(L, "normal", hit.normal);
  rtl_set_vec3(L, "shading_normal", hit.shading_normal);
  lua_createtable(L, 2, 0);
  lua_pushnumber(L, hit.u);
  lua_rawseti(L, -2, 1);
  lua_pushnumber(L, hit.v);
  lua_rawseti(L, -2, 2);
  lua_setfield(L, -2, "uv");
  rtl_set_integer(L, "material", hit.material);
  rtl_set_integer(L, "ordinal", (lua_Integer)hit.ordinal);
  lua_pushstring(L, hit.name);
  lua_setfield(L, -2, "name");
  return 1;
}

/* scene:trace(rays, any, threads): { hits, t_sum, seconds }; rays is a string of 8 floats each (rt_scene_trace). */
static int l_trace(lua_State *L) {
  const rt_scene *scene = to_committed(L);
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);
  lua_Integer threads = luaL_checkinteger(L, 4);
  luaL_argcheck(L, size % (8 * sizeof(float)) == 0, 2, "8 floats a ray expected");
  luaL_argcheck(L, threads >= 1 && threads <= 1024, 4, "1 to 1024 expected");
  float *rays = lua_newuserdatauv(L, size + 1, 0); /* aligned, as strings are not said to be */
  memcpy(rays, bytes, size);
  rt_trace_result result;
  rt_error err;
  rt_status status =
      rt_scene_trace(scene, rays, size / (8 * sizeof(float)), lua_toboolean(L, 3), (int)threads, &result, &err);
  if (status != RT_OK) return rtl_result(L, status, &err, 0);
  lua_createtable(L, 0, 3);
  rtl_set_integer(L, "hits", (lua_Integer)result.hits);
  rtl_set_number(L, "t_sum", result.t_sum);
  rtl_set_number(L, "seconds", result.seconds);
  return 1;
}

static const luaL_Reg methods[] = {{"texture", l_texture},
                                   {"material", l_material},
                                   {"group", l_group},
                                   {"shape", l_shape},
                                   {"instance", l_instance},
                                   {"light", l_light},
                                   {"background", l_background},
                                   {"camera", l_camera},
                                   {"commit", l_commit},
                                   {"describe", l_describe},
                                   {"hash", l_hash},
                                   {"intersect", l_intersect},
                                   {"start", rtl_start_job},
                                   {"trace", l_trace},
                                   {"close", l_close},
                                   {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

rtl_scene *rtl_new_scene(lua_State *L) {
  rtl_class(L, RTL_SCENE, methods, metamethods);
  return rtl_new(L, sizeof(rtl_scene), RTL_SCENE, 0);
}

RTL_OPEN luaopen_rtlua_core_scene(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new}, {"is", l_is}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
