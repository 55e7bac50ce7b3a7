/* Unidirectional path tracing: next event estimation at every vertex that is not purely specular, combined with BSDF
 * sampling by the power heuristic (Veach 1997, chapter 9), and unbiased Russian roulette.
 *
 * Invariant, at the top of the loop: `throughput` is the product of BSDF weights from the camera to the ray's origin,
 * so that radiance L arriving along the ray adds throughput * L; `pdf` is the density over solid angle with which the
 * last vertex chose the ray, and `delta` says that no other technique could have found it. */
#include "render/integrator.h"

#include <math.h>

/* From this bounce on a path may be ended by roulette: before it, throughput says little about what a path is worth. */
#define ROULETTE_START 3
/* From this bounce on it may be ended whatever its throughput: light trapped in loss-free glass would go round for
 * ever. */
#define ROULETTE_CERTAIN 256
#define ROULETTE_CERTAIN_SURVIVAL 0.99f

/* From this bounce on shading normals are left aside: by them light can be caught inside of a smooth mesh of glass
 * that the mesh itself would let out, since refraction by another normal than the surface's cannot be reversed. */
#define SHADING_NORMALS_END 64

/* Shadow rays end this far before the light, relative to their length: what the rounding of their direction and of t takes. */
#define SHADOW_END (1.0f - 4.0f * RT_U)

/* Sampler sets of four dimensions: set 0 is the camera's, then two a vertex. */
enum { SET_CAMERA, SET_BSDF, SET_LIGHT };
static uint32_t vertex_set(uint32_t depth, uint32_t which) { return which + 2 * depth; }

typedef struct {
  const rt_scene *scene;
  rt_sampler sampler;
  rt_rgb light[3]; /* that comes straight, that was scattered once, and the rest */
  uint32_t rays;
} path;

/* A vertex of the path, with its frame. */
typedef struct {
  rt_surface surface;
  rt_bsdf bsdf;
  rt_frame frame;
  rt_vec3 wo;   /* world, towards where the path came from */
  rt_vec3 side; /* geometric normal on the side of wo */
} vertex;

static bool is_transmissive(const rt_bsdf *bsdf) { return bsdf->kind == RT_BSDF_GLASS; }

/* The frame for a normal on the outward side. Opaque materials reflect on both sides, so theirs is turned to the
 * viewer; glass needs to know which side is outside. */
static rt_frame oriented_frame(const vertex *v, rt_vec3 normal) {
  bool turn = !is_transmissive(&v->bsdf) && v3_dot(v->surface.ng, v->wo) < 0.0f;
  return frame_from_z(turn ? v3_neg(normal) : normal);
}

/* A shading normal that puts the viewer behind the surface is of no use there: the geometric one takes its place. */
static void set_frame(vertex *v, uint32_t depth) {
  bool front = v3_dot(v->surface.ng, v->wo) >= 0.0f, seen_front = v3_dot(v->surface.ns, v->wo) >= 0.0f;
  v->side = front ? v->surface.ng : v3_neg(v->surface.ng);
  bool shaded = front == seen_front && depth < SHADING_NORMALS_END;
  v->frame = oriented_frame(v, shaded ? v->surface.ns : v->surface.ng);
}

static void add(path *p, uint32_t scatterings, rt_rgb radiance) {
  rt_rgb *part = &p->light[scatterings < 2 ? scatterings : 2];
  *part = v3_add(*part, radiance);
}

static float power_heuristic(float a, float b) {
  if (!(b > 0.0f)) return 1.0f;
  float ratio = b / a; /* of densities whose squares might overflow */
  return 1.0f / (1.0f + ratio * ratio);
}

static bool is_unoccluded(path *p, const vertex *v, const rt_light_sample *light) {
  rt_ray ray = {.o = rt_offset(v->surface.p, v->surface.p_error, v->surface.ng, light->wi), .tnear = 0.0f};
  if (light->infinite) {
    ray.d = light->wi;
    ray.tfar = INFINITY;
  } else {
    rt_vec3 target = light->point ? light->p : rt_offset(light->p, light->p_error, light->n, v3_neg(light->wi));
    ray.d = v3_sub(target, ray.o);
    ray.tfar = SHADOW_END;
    if (v3_is_zero(ray.d)) return false;
  }
  p->rays++;
  return !rt_occluded(p->scene->geometry, &ray, light->target);
}

/* Next event estimation: the light that one sampled point of one light sends to v. */
static void add_light(path *p, const vertex *v, uint32_t depth, rt_rgb throughput) {
  float u[4];
  rt_sampler_set(&p->sampler, vertex_set(depth, SET_LIGHT), u);
  rt_light_sample light;
  /* 48 bits for the choice, since there may be more than 2^24 lights. */
  double pick = (double)u[0] + (double)u[3] * 0x1p-24;
  if (!rt_lights_sample(p->scene->lights, p->scene->materials, v->surface.p, pick, u[1], u[2], &light)) return;
  rt_vec3 wi = frame_to_local(&v->frame, light.wi), wo = frame_to_local(&v->frame, v->wo);
  /* By the shading normal light may come from the side that the geometric normal says is dark: such light would leak
   * through. */
  bool reflects = v3_dot(v->side, light.wi) > 0.0f;
  if (reflects != (wi.z * wo.z > 0.0f)) return;
  float pdf;
  rt_rgb f = rt_bsdf_eval(&v->bsdf, wo, wi, &pdf);
  if (v3_is_zero(f)) return;
  float weight = (light.delta ? 1.0f : power_heuristic(light.pdf, pdf)) / light.pdf;
  rt_rgb radiance = v3_scale(v3_mul(v3_mul(throughput, f), light.radiance), weight);
  if (v3_is_zero(radiance) || !is_unoccluded(p, v, &light)) return;
  add(p, depth + 1, radiance);
}

/* Chooses the next direction; false when the path ends. Where a specular direction by the shading normal lies on the
 * wrong side of the surface, the geometric normal is used: energy is kept, and glass stays as clear as it should be. */
static bool scatter(const vertex *v, const float u[3], rt_bsdf_sample_t *sample, rt_vec3 *wi) {
  rt_frame frame = v->frame;
  for (int attempt = 0; attempt < 2; attempt++) {
    if (!rt_bsdf_sample(&v->bsdf, frame_to_local(&frame, v->wo), u, sample)) return false;
    *wi = v3_normalize(frame_to_world(&frame, sample->wi));
    float cosine = v3_dot(v->side, *wi);
    if (sample->transmission ? cosine < 0.0f : cosine > 0.0f) return true;
    if (!sample->delta) return false;
    frame = oriented_frame(v, v->surface.ng);
  }
  return false;
}

/* The probability of going on. eta_scale takes out the radiance's change by refraction, which a later refraction will
 * undo. */
static float survival(rt_rgb throughput, float eta_scale, uint32_t depth) {
  if (depth < ROULETTE_START) return 1.0f;
  float q = f_min(v3_max(throughput) * eta_scale, 1.0f);
  return depth < ROULETTE_CERTAIN ? q : f_min(q, ROULETTE_CERTAIN_SURVIVAL);
}

static rt_rgb clamped(rt_rgb radiance, float limit) {
  float largest = v3_max(radiance);
  return limit > 0.0f && largest > limit ? v3_scale(radiance, limit / largest) : radiance;
}

/* What the first vertex says. */
static void note_first(rt_features *f, const rt_camera *camera, const vertex *v) {
  bool back = v3_dot(v->surface.ns, v->wo) < 0.0f;
  f->normal = back ? v3_neg(v->surface.ns) : v->surface.ns;
  f->position = v->surface.p;
  f->depth = rt_camera_depth(camera, v->surface.p);
  f->u = v->surface.u;
  f->v = v->surface.v;
  f->shape = v->surface.shape + 1;
  f->material = v->surface.material + 1;
}

static float at_most_1(float x) { return f_clamp(x, 0.0f, 1.0f); }

/* The albedo of where a chain of specular reflections and refractions ends, as seen through it; lights and the
 * background count as white. */
static void note_albedo(rt_features *f, rt_rgb throughput, rt_rgb albedo) {
  rt_rgb seen = v3_mul(throughput, albedo);
  f->albedo = v3(at_most_1(seen.x), at_most_1(seen.y), at_most_1(seen.z));
}

rt_path_sample rt_integrator_sample(const rt_integrator *integrator, int x, int y, uint32_t sample,
                                    rt_features *features) {
  const rt_scene *scene = integrator->scene;
  const rt_render_settings *settings = integrator->settings;
  path p = {.scene = scene, .sampler = rt_sampler_at((uint32_t)x, (uint32_t)y, sample, settings->seed)};
  float u[4];
  rt_sampler_set(&p.sampler, SET_CAMERA, u);
  rt_ray ray = rt_camera_ray(&scene->camera, settings->width, settings->height,
                             x + 0.5 + (double)rt_filter_sample(&integrator->filter, u[0]),
                             y + 0.5 + (double)rt_filter_sample(&integrator->filter, u[1]), u[2], u[3]);
  rt_rgb throughput = v3_all(1.0f);
  rt_vec3 from = ray.o; /* the last vertex */
  float pdf = 1.0f, eta_scale = 1.0f;
  bool delta = true, covered = false, chain = features != NULL;
  if (features) *features = (rt_features){0};
  for (uint32_t depth = 0;; depth++) {
    rt_hit hit;
    float light_pdf;
    p.rays++;
    if (!rt_intersect(scene->geometry, &ray, &hit)) {
      if (depth == 0 && settings->transparent) break;
      if (chain) note_albedo(features, throughput, v3_all(1.0f));
      rt_rgb radiance = rt_lights_background_at(scene->lights, ray.d, &light_pdf);
      add(&p, depth, v3_scale(v3_mul(throughput, radiance), delta ? 1.0f : power_heuristic(pdf, light_pdf)));
      break;
    }
    covered = true;
    vertex v;
    rt_surface_at(scene->geometry, &ray, &hit, &v.surface);
    v.wo = v3_neg(ray.d);
    if (features && depth == 0) note_first(features, &scene->camera, &v);
    if (rt_material_emits(scene->materials, v.surface.material)) {
      rt_rgb radiance = rt_lights_surface(scene->lights, scene->materials, from, ray.d, &v.surface, &light_pdf);
      add(&p, depth, v3_scale(v3_mul(throughput, radiance), delta ? 1.0f : power_heuristic(pdf, light_pdf)));
    }
    if (depth >= settings->max_depth && !chain) break;

    rt_sampler_set(&p.sampler, vertex_set(depth, SET_BSDF), u);
    bool front = v3_dot(v.surface.ng, v.wo) >= 0.0f;
    rt_material_bsdf(scene->materials, v.surface.material, v.surface.u, v.surface.v, front, &u[0], &v.bsdf);
    bool last = v.bsdf.kind == RT_BSDF_NONE || depth >= settings->max_depth;
    if (chain && (last || !rt_bsdf_is_delta(&v.bsdf))) {
      note_albedo(features, throughput, rt_bsdf_albedo(&v.bsdf));
      chain = false;
    }
    if (last) break;
    set_frame(&v, depth);
    if (!rt_bsdf_is_delta(&v.bsdf)) add_light(&p, &v, depth, throughput);

    rt_bsdf_sample_t next;
    rt_vec3 wi;
    if (!scatter(&v, u, &next, &wi)) break;
    throughput = v3_mul(throughput, next.weight);
    if (!v3_is_finite(throughput)) { /* the film counts such a sample, and drops it */
      p.light[0] = v3_all(NAN);
      break;
    }
    if (next.transmission) eta_scale *= next.eta_scale;
    pdf = next.pdf;
    delta = next.delta;
    float q = survival(throughput, eta_scale, depth);
    if (!(u[3] < q)) break;
    throughput = v3_scale(throughput, 1.0f / q);
    from = v.surface.p;
    ray = (rt_ray){
        .o = rt_offset(v.surface.p, v.surface.p_error, v.surface.ng, wi), .tnear = 0.0f, .d = wi, .tfar = INFINITY};
  }
  rt_rgb indirect = clamped(p.light[2], settings->clamp_indirect);
  if (features) {
    features->emission = p.light[0];
    features->direct = p.light[1];
    features->indirect = indirect;
  }
  return (rt_path_sample){v3_add(v3_add(p.light[0], p.light[1]), indirect), covered, p.rays};
}
