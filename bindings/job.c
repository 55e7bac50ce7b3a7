/* Jobs: a scene being rendered on threads of its own, scene:start{...} of rtlua.core.scene.
 *
 * The core's job holds a reference to the scene; the userdata holds the scene's userdata too, so that `close` of a
 * collected scene never surprises. Closing a job stops it and waits for its threads. */
#include <limits.h>
#include <math.h>

#include "bind.h"
#include "guard.h"

typedef struct {
  rt_job *job; /* NULL: closed */
} rtl_job;

#define WAIT_SLICE 0.05 /* seconds between looks at the guard: a stop is felt at once, and costs nothing */

static rt_job *to_job(lua_State *L) {
  rtl_job *u = luaL_checkudata(L, 1, RTL_JOB);
  if (!u->job) luaL_argerror(L, 1, "the job is closed");
  return u->job;
}

static int l_close(lua_State *L) {
  rtl_job *u = luaL_checkudata(L, 1, RTL_JOB);
  rt_job *job = u->job;
  u->job = NULL;
  rt_job_free(job);
  return 0;
}

/* job:wait(seconds): no seconds is for ever. Comes back early when a signal arrives or the guard wants the script to
 * end. */
static int l_wait(lua_State *L) {
  rt_job *job = to_job(L);
  double left = luaL_optnumber(L, 2, INFINITY);
  int signal_before = rtl_signal_pending();
  bool done = rt_job_wait(job, 0.0);
  while (!done && left > 0.0 && !rtl_guard_wants_end() && rtl_signal_pending() == signal_before) {
    double slice = left < WAIT_SLICE ? left : WAIT_SLICE;
    done = rt_job_wait(job, slice);
    left -= slice;
  }
  lua_pushboolean(L, done);
  return 1;
}

static int l_progress(lua_State *L) {
  rt_progress p;
  rt_job_progress(to_job(L), &p);
  lua_createtable(L, 0, 10);
  lua_pushboolean(L, p.done);
  lua_setfield(L, -2, "done");
  rtl_set_integer(L, "samples", (lua_Integer)p.samples);
  rtl_set_integer(L, "total", (lua_Integer)p.total);
  rtl_set_integer(L, "made", (lua_Integer)p.made);
  rtl_set_integer(L, "rays", (lua_Integer)p.rays);
  rtl_set_number(L, "seconds", p.seconds);
  if (p.noise >= 0.0) rtl_set_number(L, "noise", p.noise);
  rtl_set_integer(L, "not_finite", (lua_Integer)p.not_finite);
  rtl_set_integer(L, "overflow", (lua_Integer)p.overflow);
  rtl_set_integer(L, "film_bytes", (lua_Integer)p.film_bytes);
  return 1;
}

static int l_stop(lua_State *L) {
  rt_job_stop(to_job(L));
  return 0;
}

static rt_status picture_of(const void *job, rt_aov aov, rt_image **out, rt_error *err) {
  rt_job *own = *(rt_job *const *)job;
  return aov == RT_AOVS ? rt_job_image(own, out, err) : rt_job_aov(own, aov, out, err);
}

/* job:image([aov]) */
static int l_image(lua_State *L) {
  rt_job *job = to_job(L);
  return rtl_push_picture(L, 2, &job, picture_of);
}

/* job:save(path): the film so far as a part file; true. */
static int l_save(lua_State *L) {
  rt_job *job = to_job(L);
  const char *path = luaL_checkstring(L, 2);
  if (rtl_refuse_writing(L, path)) return 3;
  rt_error err;
  lua_pushboolean(L, true);
  return rtl_result(L, rt_job_save(job, path, &err), &err, 1);
}

/* max_depth: a whole number, or math.huge. */
static uint32_t read_depth(lua_State *L, int t, uint32_t otherwise) {
  lua_pushliteral(L, "max_depth");
  bool infinite = lua_rawget(L, t) == LUA_TNUMBER && lua_tonumber(L, -1) == INFINITY;
  lua_pop(L, 1);
  if (infinite) return RT_DEPTH_INFINITE;
  return (uint32_t)rtl_integer_or(L, t, "max_depth", 0, RT_DEPTH_INFINITE - 1u, otherwise);
}

static rt_render_settings read_settings(lua_State *L, int t) {
  static const char *const filters[] = {"box", "gaussian", "blackman-harris", NULL};
  rt_render_settings s = RT_RENDER_SETTINGS_INIT;
  luaL_checktype(L, t, LUA_TTABLE);
  s.width = (int)rtl_integer_or(L, t, "width", 1, RT_MAX_SIDE, s.width);
  s.height = (int)rtl_integer_or(L, t, "height", 1, RT_MAX_SIDE, s.height);
  s.crop[2] = s.width;
  s.crop[3] = s.height;
  lua_pushliteral(L, "crop");
  if (lua_rawget(L, t) != LUA_TNIL) {
    double crop[4];
    rtl_numbers(L, t, "crop", crop, 4);
    for (int i = 0; i < 4; i++) {
      if (!(crop[i] >= 0.0 && crop[i] <= RT_MAX_SIDE) || crop[i] != floor(crop[i]))
        luaL_error(L, "crop: four pixel coordinates expected");
      s.crop[i] = (int)crop[i];
    }
  }
  s.sample_begin = (uint32_t)rtl_integer_or(L, t, "sample_begin", 0, RT_MAX_SPP, s.sample_begin);
  s.sample_end = (uint32_t)rtl_integer_or(L, t, "sample_end", 0, RT_MAX_SPP, s.sample_end);
  s.threads = (int)rtl_integer_or(L, t, "threads", 1, INT_MAX, rt_threads_available());
  s.seed = (uint32_t)rtl_integer_or(L, t, "seed", 0, UINT32_MAX, s.seed);
  s.max_depth = read_depth(L, t, s.max_depth);
  s.filter = (rt_filter)rtl_option(L, t, "filter", filters, "blackman-harris");
  s.clamp_indirect = (float)rtl_number_or(L, t, "clamp_indirect", 0.0);
  s.transparent = rtl_boolean(L, t, "transparent");
  s.aovs = rtl_aovs(L, t, "aov");
  s.noise = (float)rtl_number_or(L, t, "noise", 0.0);
  return s;
}

int rtl_start_job(lua_State *L) {
  static const luaL_Reg methods[] = {{"wait", l_wait}, {"progress", l_progress}, {"stop", l_stop}, {"image", l_image},
                                     {"save", l_save}, {"close", l_close},       {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  rtl_scene *scene = luaL_checkudata(L, 1, RTL_SCENE);
  rt_render_settings settings = read_settings(L, 2);
  if (!scene->scene) return luaL_argerror(L, 1, "the scene is closed");
  if (!scene->committed) return luaL_argerror(L, 1, "the scene is not committed yet");
  rt_film **before = rtl_push_film(L, 2, "before"); /* may be NULL */
  rtl_class(L, RTL_JOB, methods, metamethods);
  rtl_job *u = rtl_new(L, sizeof *u, RTL_JOB, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  rt_error err;
  return rtl_result(L, rt_job_start(&u->job, scene->scene, &settings, before ? *before : NULL, &err), &err, 1);
}
