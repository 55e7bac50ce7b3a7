/* rtlua.core.probe: what lies inside of the core, shown to the specs. Nothing else uses it.
 *
 * Vectors go in and out as plain numbers, so that a million calls cost no tables. */
#include <math.h>

#include "base/elementary.h"
#include "base/fixed.h"
#include "base/sha256.h"
#include "bind.h"
#include "render/filter.h"
#include "render/sampler.h"
#include "render/scene.h"

#define BSDF "rtlua.probe.bsdf"
#define FILTER "rtlua.probe.filter"

static const rt_scene *check_scene(lua_State *L, int index) {
  const rtl_scene *u = luaL_checkudata(L, index, RTL_SCENE);
  luaL_argcheck(L, u->committed, index, "the scene is not committed yet");
  return u->scene;
}

static uint32_t check_u32(lua_State *L, int index) { return (uint32_t)luaL_checkinteger(L, index); }

static rt_vec3 check_vec3(lua_State *L, int index) {
  return v3((float)luaL_checknumber(L, index), (float)luaL_checknumber(L, index + 1),
            (float)luaL_checknumber(L, index + 2));
}

static void push_vec3(lua_State *L, rt_vec3 v) {
  lua_pushnumber(L, (lua_Number)v.x);
  lua_pushnumber(L, (lua_Number)v.y);
  lua_pushnumber(L, (lua_Number)v.z);
}

/* ---- The sampler and the filters ---- */

/* sobol(index, dimension) -> [0, 1) */
static int l_sobol(lua_State *L) {
  lua_pushnumber(L, rt_sobol(check_u32(L, 1), check_u32(L, 2)) * 0x1p-32);
  return 1;
}

/* sampler(x, y, sample, seed, set) -> the set's four numbers, and those of the next */
static int l_sampler(lua_State *L) {
  rt_sampler sampler = rt_sampler_at(check_u32(L, 1), check_u32(L, 2), check_u32(L, 3), check_u32(L, 4));
  rt_sampler_lanes samplers = {.seed = {sampler.seed}, .index = {sampler.index}};
  float u[8][RT_LANES];
  rt_sampler_pairs(&samplers, check_u32(L, 5), u);
  for (int i = 0; i < 8; i++) lua_pushnumber(L, (lua_Number)u[i][0]);
  return 8;
}

/* filter(name) -> filter:sample(u) -> x, filter:pdf(x) -> density */
static int l_filter(lua_State *L) {
  static const char *const names[] = {"box", "gaussian", "blackman-harris", NULL};
  rt_filter filter = (rt_filter)luaL_checkoption(L, 1, NULL, names);
  rt_filter_prepare(rtl_new(L, sizeof(rt_filter_table), FILTER, 0), filter);
  return 1;
}

static int l_filter_sample(lua_State *L) {
  const rt_filter_table *table = luaL_checkudata(L, 1, FILTER);
  float u = (float)luaL_checknumber(L, 2);
  luaL_argcheck(L, u >= 0.0f && u < 1.0f, 2, "not in [0, 1)");
  lua_pushnumber(L, (lua_Number)rt_filter_sample(table, u));
  return 1;
}

static int l_filter_pdf(lua_State *L) {
  const rt_filter_table *table = luaL_checkudata(L, 1, FILTER);
  lua_pushnumber(L, (lua_Number)rt_filter_pdf(table, (float)luaL_checknumber(L, 2)));
  return 1;
}

/* ---- BSDFs ---- */

/* fresnel(cos, ior) -> reflectance */
static int l_fresnel(lua_State *L) {
  float cos_t;
  lua_pushnumber(
      L, (lua_Number)rt_fresnel_dielectric((float)luaL_checknumber(L, 1), (float)luaL_checknumber(L, 2), &cos_t));
  return 1;
}

/* fresnel_conductor(cos, eta, k) -> reflectance */
static int l_fresnel_conductor(lua_State *L) {
  float eta = (float)luaL_checknumber(L, 2), k = (float)luaL_checknumber(L, 3);
  lua_pushnumber(L, (lua_Number)rt_fresnel_conductor((float)luaL_checknumber(L, 1), eta, k));
  return 1;
}

/* bsdf(scene, material, front) -> the BSDF at uv (0, 0) */
static int l_bsdf(lua_State *L) {
  const rt_scene *scene = check_scene(L, 1);
  uint32_t material = check_u32(L, 2);
  luaL_argcheck(L, material < rt_materials_count(scene->materials), 2, "no such material");
  float pick = 0.5f;
  rt_bsdf *bsdf = rtl_new(L, sizeof *bsdf, BSDF, 0);
  rt_bsdf room;
  *bsdf = *rt_material_bsdf(scene->materials, material, 0.0f, 0.0f, lua_toboolean(L, 3), &pick, &room);
  return 1;
}

/* bsdf:eval(wo, wi) -> r, g, b of f cos, density */
static int l_bsdf_eval(lua_State *L) {
  const rt_bsdf *bsdf = luaL_checkudata(L, 1, BSDF);
  float pdf;
  rt_vec3 wo = check_vec3(L, 2), wi = check_vec3(L, 5);
  push_vec3(L, rt_bsdf_eval(bsdf, &wo, &wi, &pdf));
  lua_pushnumber(L, (lua_Number)pdf);
  return 4;
}

/* bsdf:sample(wo, u1, u2, u3) -> wi, weight, density, delta, transmission, eta_scale; nothing when the path ends */
static int l_bsdf_sample(lua_State *L) {
  const rt_bsdf *bsdf = luaL_checkudata(L, 1, BSDF);
  rt_vec3 u = check_vec3(L, 5);
  rt_bsdf_sample_t sample;
  rt_vec3 wo = check_vec3(L, 2);
  if (!rt_bsdf_sample(bsdf, &wo, (const float[3]){u.x, u.y, u.z}, &sample)) return 0;
  push_vec3(L, sample.wi);
  push_vec3(L, sample.weight);
  lua_pushnumber(L, (lua_Number)sample.pdf);
  lua_pushboolean(L, sample.delta);
  lua_pushboolean(L, sample.transmission);
  lua_pushnumber(L, (lua_Number)sample.eta_scale);
  return 10;
}

/* ---- Rays and lights ---- */

static rt_ray check_ray(lua_State *L) {
  return (rt_ray){.o = check_vec3(L, 2), .tnear = 0.0f, .d = check_vec3(L, 5), .tfar = INFINITY};
}

static int push_hit(lua_State *L, bool found, const rt_hit *hit) {
  if (!found) return 0;
  lua_pushnumber(L, (lua_Number)hit->t);
  lua_pushinteger(L, (lua_Integer)hit->ordinal);
  return 2;
}

/* hit(scene, origin, direction) -> t, ordinal; nothing for a miss. brute_hit: the same without the tree. */
static int l_hit(lua_State *L) {
  rt_ray ray = check_ray(L);
  rt_hit hit;
  return push_hit(L, rt_intersect(check_scene(L, 1)->geometry, &ray, &hit), &hit);
}

static int l_brute_hit(lua_State *L) {
  rt_ray ray = check_ray(L);
  rt_hit hit;
  return push_hit(L, rt_intersect_brute(check_scene(L, 1)->geometry, &ray, &hit), &hit);
}

static int l_occluded(lua_State *L) {
  rt_ray ray = check_ray(L);
  lua_pushboolean(L, rt_occluded(check_scene(L, 1)->geometry, &ray, RT_NO_TARGET));
  return 1;
}

/* light_sample(scene, reference, u1, u2, u3) -> wi, radiance, density, delta; nothing when there is none */
static int l_light_sample(lua_State *L) {
  const rt_scene *scene = check_scene(L, 1);
  rt_vec3 u = check_vec3(L, 5);
  rt_vec3_lanes refs = {0};
  v3_put(&refs, 0, check_vec3(L, 2));
  rt_light_lanes lights;
  rt_lights_sample(scene->lights, scene->materials, (const int32_t[RT_LANES]){true}, &refs,
                   (const double[RT_LANES]){u.x}, (const float[RT_LANES]){u.y}, (const float[RT_LANES]){u.z}, &lights);
  if (!lights.any[0]) return 0;
  push_vec3(L, v3_get(&lights.at.wi, 0));
  push_vec3(L, v3_get(&lights.radiance, 0));
  lua_pushnumber(L, (lua_Number)lights.at.pdf[0]);
  lua_pushboolean(L, lights.delta[0]);
  return 8;
}

/* light_pdf(scene, reference, direction) -> radiance that a ray receives by emission, density of light_sample there */
static int l_light_pdf(lua_State *L) {
  const rt_scene *scene = check_scene(L, 1);
  rt_ray ray = check_ray(L);
  rt_hit hit;
  float pdf;
  rt_rgb radiance;
  if (rt_intersect(scene->geometry, &ray, &hit)) {
    rt_surface surface;
    rt_surface_at(scene->geometry, &ray, &hit, &surface);
    radiance = rt_lights_surface(scene->lights, scene->materials, ray.o, ray.d, &surface, &pdf);
  } else {
    radiance = rt_lights_background_at(scene->lights, ray.d, &pdf);
  }
  push_vec3(L, radiance);
  lua_pushnumber(L, (lua_Number)pdf);
  return 4;
}

/* ---- Base ---- */

/* fixed_mean(values[, times]) -> the film's mean of each value `times` times, how many were too bright */
static int l_fixed_mean(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1), times = (lua_Integer)luaL_optnumber(L, 2, 1), overflow = 0;
  rt_fixed sum = {0, 0};
  for (lua_Integer i = 1; i <= n; i++) {
    rt_fixed value;
    lua_rawgeti(L, 1, i);
    overflow += !rt_fixed_from(&value, (float)luaL_checknumber(L, -1));
    for (lua_Integer k = 0; k < times; k++) rt_fixed_add(&sum, value);
    lua_pop(L, 1);
  }
  lua_pushnumber(L, (lua_Number)rt_fixed_mean(sum, (uint64_t)(n * times)));
  lua_pushinteger(L, overflow);
  return 2;
}

/* single(name, x[, y]): the float functions of base/elementary.h; sincos_turn gives two numbers */
static int l_single(lua_State *L) {
  static const char *const names[] = {"sin", "cos", "acos", "exp", "log", "atan2", "pow", "sincos_turn", NULL};
  float x = (float)luaL_checknumber(L, 2), y = (float)luaL_optnumber(L, 3, 0.0), result = 0.0f, second;
  switch (luaL_checkoption(L, 1, NULL, names)) {
  case 0: result = rt_sinf(x); break;
  case 1: result = rt_cosf(x); break;
  case 2: result = rt_acosf(x); break;
  case 3: result = rt_expf(x); break;
  case 4: result = rt_logf(x); break;
  case 5: result = rt_atan2f(x, y); break;
  case 6: result = rt_powf(x, y); break;
  default:
    luaL_argcheck(L, x >= 0.0f && x < 1.0f, 2, "not in [0, 1)");
    rt_sincos_turn(x, &result, &second);
    lua_pushnumber(L, (lua_Number)result);
    lua_pushnumber(L, (lua_Number)second);
    return 2;
  }
  lua_pushnumber(L, (lua_Number)result);
  return 1;
}

/* sha256_base(text) -> hex, without the processor's own instructions */
static int l_sha256_base(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  char hex[65];
  rt_sha256 sha;
  rt_sha256_init(&sha);
  sha.compress = rt_sha256_compress_base;
  rt_sha256_add(&sha, text, n);
  rt_sha256_hex(&sha, hex);
  lua_pushstring(L, hex);
  return 1;
}

RTL_OPEN luaopen_rtlua_core_probe(lua_State *L);
RTL_OPEN luaopen_rtlua_core_probe(lua_State *L) {
  static const luaL_Reg bsdf[] = {{"eval", l_bsdf_eval}, {"sample", l_bsdf_sample}, {NULL, NULL}};
  static const luaL_Reg filter[] = {{"sample", l_filter_sample}, {"pdf", l_filter_pdf}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {{"sobol", l_sobol},
                                       {"sampler", l_sampler},
                                       {"filter", l_filter},
                                       {"fresnel", l_fresnel},
                                       {"fresnel_conductor", l_fresnel_conductor},
                                       {"bsdf", l_bsdf},
                                       {"hit", l_hit},
                                       {"brute_hit", l_brute_hit},
                                       {"occluded", l_occluded},
                                       {"light_sample", l_light_sample},
                                       {"light_pdf", l_light_pdf},
                                       {"fixed_mean", l_fixed_mean},
                                       {"single", l_single},
                                       {"sha256_base", l_sha256_base},
                                       {NULL, NULL}};
  rtl_class(L, BSDF, bsdf, none);
  rtl_class(L, FILTER, filter, none);
  luaL_newlib(L, functions);
  return 1;
}
