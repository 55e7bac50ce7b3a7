#include "render/scene.h"

#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

rt_status rt_scene_new(rt_scene **out, rt_error *err) {
  *out = NULL;
  rt_scene *scene = rt_alloc(1, sizeof *scene, err);
  if (scene == NULL) return RT_NO_MEMORY;
  atomic_init(&scene->references, 1);
  const rt_camera_desc camera = {.from = {0, 0, 5}, .up = {0, 1, 0}, .fov = 40, .height = 2};
  rt_status status = rt_geometry_new(&scene->geometry, err);
  if (status == RT_OK) status = rt_materials_new(&scene->materials, err);
  if (status == RT_OK) status = rt_lights_new(&scene->lights, err);
  if (status == RT_OK) status = rt_scene_camera(scene, &camera, err);
  if (status != RT_OK) {
    rt_scene_free(scene);
    return status;
  }
  *out = scene;
  return RT_OK;
}

rt_scene *rt_scene_ref(rt_scene *scene) {
  atomic_fetch_add(&scene->references, 1);
  return scene;
}

void rt_scene_free(rt_scene *scene) {
  if (scene == NULL || atomic_fetch_sub(&scene->references, 1) != 1) return;
  rt_geometry_free(scene->geometry);
  rt_materials_free(scene->materials);
  rt_lights_free(scene->lights);
  rt_free(scene);
}

static rt_status check_open(const rt_scene *scene, rt_error *err) {
  if (scene->committed) return rt_fail(err, RT_BAD_USAGE, "the scene is committed: nothing can be added to it");
  return RT_OK;
}

rt_status rt_scene_texture(rt_scene *scene, const rt_texture_desc *desc, uint32_t *id, rt_error *err) {
  rt_status status = check_open(scene, err);
  return status != RT_OK ? status : rt_materials_add_texture(scene->materials, desc, id, err);
}

rt_status rt_scene_material(rt_scene *scene, const rt_material_desc *desc, uint32_t *id, rt_error *err) {
  rt_status status = check_open(scene, err);
  return status != RT_OK ? status : rt_materials_add(scene->materials, desc, id, err);
}

rt_status rt_scene_group(rt_scene *scene, uint32_t *id, rt_error *err) {
  rt_status status = check_open(scene, err);
  return status != RT_OK ? status : rt_geometry_add_group(scene->geometry, id, err);
}

rt_status rt_scene_shape(rt_scene *scene, uint32_t group, const rt_shape_desc *desc, rt_error *err) {
  rt_status status = check_open(scene, err);
  if (status != RT_OK) return status;
  for (uint32_t i = 0; i < desc->n_materials; i++) {
    if (desc->materials[i] >= rt_materials_count(scene->materials)) {
      return rt_fail(err, RT_BAD_USAGE, "there is no material %u: add it before the shape", desc->materials[i]);
    }
  }
  uint32_t id;
  return rt_geometry_add_shape(scene->geometry, group, desc, &id, err);
}

rt_status rt_scene_instance(rt_scene *scene, uint32_t group, const rt_instance_desc *desc, rt_error *err) {
  rt_status status = check_open(scene, err);
  return status != RT_OK ? status : rt_geometry_add_instance(scene->geometry, group, desc, err);
}

rt_status rt_scene_light(rt_scene *scene, uint32_t group, const rt_light_desc *desc, rt_error *err) {
  rt_status status = check_open(scene, err);
  return status != RT_OK ? status : rt_lights_add(scene->lights, group, desc, err);
}

rt_status rt_scene_background(rt_scene *scene, const rt_background_desc *desc, rt_error *err) {
  rt_status status = check_open(scene, err);
  return status != RT_OK ? status : rt_lights_background(scene->lights, desc, err);
}

rt_status rt_scene_camera(rt_scene *scene, const rt_camera_desc *desc, rt_error *err) {
  rt_status status = check_open(scene, err);
  if (status == RT_OK) status = rt_camera_init(&scene->camera, desc, err);
  if (status == RT_OK) scene->camera_desc = *desc;
  return status;
}

static void hash_scene(const rt_scene *scene, char hex[65]) {
  rt_sha256 sha;
  rt_sha256_init(&sha);
  rt_geometry_hash(scene->geometry, &sha);
  rt_materials_hash(scene->materials, &sha);
  rt_lights_hash(scene->lights, &sha);
  rt_camera_hash(&scene->camera_desc, &sha);
  rt_sha256_hex(&sha, hex);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

rt_status rt_scene_commit(rt_scene *scene, int threads, rt_error *err) {
  rt_status status = check_open(scene, err);
  if (status != RT_OK) return status;
  rt_pool *pool;
  status = rt_pool_new(&pool, threads, err);
  if (status != RT_OK) return status;
  rt_float_mode saved;
  rt_float_mode_set(&saved);
  double start = now();
  status = rt_geometry_build(scene->geometry, pool, err);
  if (status == RT_OK) status = rt_lights_build(scene->lights, scene->geometry, scene->materials, err);
  scene->build_seconds = now() - start;
  scene->committed = status == RT_OK;
  if (scene->committed) hash_scene(scene, scene->hash);
  rt_float_mode_restore(&saved);
  rt_pool_free(pool);
  return status;
}

void rt_scene_describe(const rt_scene *scene, rt_scene_info *out) {
  memset(out, 0, sizeof *out);
  rt_geometry_describe(scene->geometry, out);
  out->lights = rt_lights_count(scene->lights);
  out->materials = rt_materials_count(scene->materials);
  out->textures = rt_materials_texture_count(scene->materials);
  out->bytes += rt_materials_bytes(scene->materials) + rt_lights_bytes(scene->lights);
  out->build_seconds = scene->build_seconds;
}

void rt_scene_hash(const rt_scene *scene, char hex[65]) { memcpy(hex, scene->hash, sizeof scene->hash); }

bool rt_scene_intersect(const rt_scene *scene, rt_vec3 origin, rt_vec3 direction, float tnear, float tfar,
                        rt_scene_hit *out) {
  if (!scene->committed || !v3_is_finite(origin) || !v3_is_finite(direction) || v3_is_zero(direction)) return false;
  rt_float_mode saved;
  rt_float_mode_set(&saved);
  rt_ray ray = {.o = origin, .tnear = tnear, .d = direction, .tfar = tfar, .camera = false};
  rt_hit hit;
  bool found = rt_intersect(scene->geometry, &ray, &hit);
  if (found) {
    rt_surface surface;
    rt_surface_at(scene->geometry, &ray, &hit, &surface);
    *out = (rt_scene_hit){.t = hit.t,
                          .point = surface.p,
                          .normal = surface.ng,
                          .shading_normal = surface.ns,
                          .u = surface.u,
                          .v = surface.v,
                          .material = surface.material,
                          .name = rt_hit_name(scene->geometry, &hit),
                          .ordinal = hit.ordinal};
  }
  rt_float_mode_restore(&saved);
  return found;
}

#define CHUNK 4096 /* rays that a thread takes at a time */

typedef struct {
  const rt_scene *scene;
  const float *rays;
  size_t n;
  bool any;
  struct {
    uint64_t hits;
    double t_sum;
  } * chunks;
} trace_job;

static void trace_chunk(void *context, size_t chunk, int worker) {
  (void)worker;
  const trace_job *job = context;
  const rt_geometry *geometry = job->scene->geometry;
  size_t begin = chunk * CHUNK, end = begin + CHUNK < job->n ? begin + CHUNK : job->n;
  uint64_t hits = 0;
  double t_sum = 0.0;
  rt_ray_lanes rays = {0};
  uint64_t targets[RT_LANES];
  RT_EACH_LANE(i) targets[i] = RT_NO_TARGET;
  for (; begin < end; begin += RT_LANES) {
    int32_t wanted[RT_LANES], found[RT_LANES];
    rt_hit hit[RT_LANES];
    RT_EACH_LANE(i) {
      size_t at = begin + (size_t)i;
      const float *r = job->rays + 8 * at;
      wanted[i] = at < end;
      if (!wanted[i]) continue;
      rt_ray_put(&rays, i,
                 &(rt_ray){.o = v3(r[0], r[1], r[2]), .tnear = r[3], .d = v3(r[4], r[5], r[6]), .tfar = r[7]});
    }
    if (job->any) {
      rt_occluded_lanes(geometry, &rays, targets, wanted, found);
      RT_EACH_LANE(i) hits += (uint64_t)found[i];
      continue;
    }
    int n = rt_intersect_lanes(geometry, &rays, wanted, false, hit, found);
    for (int i = 0; i < n; i++) t_sum += (double)hit[i].t;
    hits += (uint64_t)n;
  }
  job->chunks[chunk].hits = hits;
  job->chunks[chunk].t_sum = t_sum;
}

rt_status rt_scene_trace(const rt_scene *scene, const float *rays, size_t n, bool any, int threads,
                         rt_trace_result *out, rt_error *err) {
  if (!scene->committed) return rt_fail(err, RT_BAD_USAGE, "the scene must be committed before rays are traced");
  for (size_t i = 0; i < n; i++) {
    float tnear = rays[8 * i + 3];
    if (!(tnear >= 0.0f))
      return rt_fail(err, RT_BAD_DATA, "ray %zu begins at t = %g: it must be at least 0", i, (double)tnear);
  }
  size_t chunks = n / CHUNK + (n % CHUNK != 0);
  trace_job job = {.scene = scene, .rays = rays, .n = n, .any = any};
  job.chunks = rt_alloc(chunks, sizeof *job.chunks, err);
  if (!job.chunks) return RT_NO_MEMORY;
  rt_pool *pool;
  rt_status status = rt_pool_new(&pool, threads, err);
  if (status == RT_OK) {
    *out = (rt_trace_result){0};
    double start = now();
    rt_pool_for(pool, chunks, trace_chunk, &job);
    out->seconds = now() - start;
    for (size_t i = 0; i < chunks; i++) {
      out->hits += job.chunks[i].hits;
      out->t_sum += job.chunks[i].t_sum;
    }
    rt_pool_free(pool);
  }
  rt_free(job.chunks);
  return status;
}
