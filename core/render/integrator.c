/* Unidirectional path tracing: next event estimation at every vertex that is not purely specular, combined with BSDF
 * sampling by the power heuristic (Veach 1997, chapter 9), and unbiased Russian roulette.
 *
 * Paths go together, a batch at a time: each stage takes all that are still on their way before the next stage begins
 * (Laine, Karras, Aila 2013, "Megakernels Considered Harmful"). What one path would wait for, memory above all and
 * square roots and divisions, is hidden by the work of the others. A path knows nothing of its batch.
 *
 * Invariant, when a round of stages begins: a path's `throughput` is the product of BSDF weights from the camera to its
 * ray's origin, so that radiance L arriving along the ray adds throughput * L; `pdf` is the density over solid angle
 * with which the last vertex chose the ray, and `delta` says that no other technique could have found it. */
#include "render/integrator.h"

#include <math.h>

/* A path whose throughput is below this goes on with a probability that brings it up to this. Roulette at 1 ends so many
 * paths, and makes so much of the others, that those which come upon a caustic speckle the picture: at 1/2 scenes/
 * bench_cornell.lua takes a quarter less time for the same noise, rays for rays, and at 1/3 it is no better. */
#define ROULETTE_BELOW 0.5f
/* From this bounce on a path may be ended whatever its throughput: light trapped in loss-free glass would go round for
 * ever. */
#define ROULETTE_CERTAIN 256
#define ROULETTE_CERTAIN_SURVIVAL 0.99f

/* From this bounce on shading normals are left aside: by them light can be caught inside of a smooth mesh of glass
 * that the mesh itself would let out, since refraction by another normal than the surface's cannot be reversed. */
#define SHADING_NORMALS_END 64

/* Shadow rays end this far before the light, relative to their length: what the rounding of their direction and of t takes. */
#define SHADOW_END (1.0f - 4.0f * RT_U)

/* Sampler sets of four dimensions: the camera's, then two a vertex, for the BSDF and for the light. */
#define SET_CAMERA 0
static uint32_t vertex_set(uint32_t depth) { return 1 + 2 * depth; }

/* A vertex of a path, with its frame. */
typedef struct {
  rt_surface surface;
  rt_bsdf bsdf;
  rt_frame frame;
  rt_vec3 wo;       /* world, towards where the path came from */
  rt_vec3 local_wo; /* in the frame */
  rt_vec3 side;     /* geometric normal on the side of wo */
} vertex;

/* A ray to a sampled point of a light, and what arrives along it if nothing is in the way. */
typedef struct {
  rt_ray ray;
  uint64_t target;
  rt_rgb radiance;
} shadow;

typedef struct {
  rt_sampler sampler;
  rt_ray ray;
  rt_vec3 from; /* the last vertex */
  rt_rgb throughput;
  float pdf, eta_scale;
  bool delta;
  bool found; /* the ray met something: `hit` */
  bool lit;   /* `shadow` is wanted */
  bool chain; /* all vertices so far were specular, and features are wanted */
  rt_hit hit;
  vertex v;
  float u[8]; /* the vertex's numbers: four for the BSDF, four for the light */
  shadow shadow;
  rt_rgb light[3]; /* that comes straight, that was scattered once, and the rest */
  rt_features *features;
  bool covered;
  uint32_t rays;
} path;

/* Those on their way: indices into paths. */
typedef struct {
  const rt_scene *scene;
  const rt_render_settings *settings;
  uint32_t depth;
  size_t n;
  uint8_t going[RT_BATCH];
  path paths[RT_BATCH];
} batch;
_Static_assert(RT_BATCH <= 256, "going has 8 bits");

static bool is_transmissive(const rt_bsdf *bsdf) { return bsdf->kind == RT_BSDF_GLASS; }

/* The frame for a normal on the outward side. Opaque materials reflect on both sides, so theirs is turned to the
 * viewer; glass needs to know which side is outside. */
static inline __attribute__((always_inline)) rt_frame oriented_frame(const vertex *v, rt_vec3 normal) {
  bool turn = !is_transmissive(&v->bsdf) && v3_dot(v->surface.ng, v->wo) < 0.0f;
  return frame_from_z(turn ? v3_neg(normal) : normal);
}

/* A shading normal that puts the viewer behind the surface is of no use there: the geometric one takes its place. */
static void set_frame(vertex *v, uint32_t depth) {
  bool front = v3_dot(v->surface.ng, v->wo) >= 0.0f, seen_front = v3_dot(v->surface.ns, v->wo) >= 0.0f;
  v->side = front ? v->surface.ng : v3_neg(v->surface.ng);
  bool shaded = front == seen_front && depth < SHADING_NORMALS_END;
  v->frame = oriented_frame(v, shaded ? v->surface.ns : v->surface.ng);
  v->local_wo = frame_to_local(&v->frame, v->wo);
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

/* False where the light's point is the vertex itself. */
static bool make_shadow_ray(rt_ray *ray, const rt_surface *surface, const rt_light_sample *light) {
  *ray = (rt_ray){.o = rt_offset(surface->p, surface->p_error, surface->ng, light->wi), .tnear = 0.0f};
  if (light->infinite) {
    ray->d = light->wi;
    ray->tfar = INFINITY;
    return true;
  }
  rt_vec3 target = light->point ? light->p : rt_offset(light->p, light->p_error, light->n, v3_neg(light->wi));
  ray->d = v3_sub(target, ray->o);
  ray->tfar = SHADOW_END;
  return !v3_is_zero(ray->d);
}

/* Next event estimation: the light that one sampled point of one light sends to the vertex, if it is seen from there. */
static bool choose_light(const rt_scene *scene, const vertex *v, rt_rgb throughput, const float u[4], shadow *out) {
  rt_light_sample light;
  /* 48 bits for the choice, since there may be more than 2^24 lights. */
  double pick = (double)u[0] + (double)u[3] * 0x1p-24;
  if (!rt_lights_sample(scene->lights, scene->materials, v->surface.p, pick, u[1], u[2], &light)) return false;
  rt_vec3 wi = frame_to_local(&v->frame, light.wi);
  /* By the shading normal light may come from the side that the geometric normal says is dark: such light would leak
   * through. */
  bool reflects = v3_dot(v->side, light.wi) > 0.0f;
  if (reflects != (wi.z * v->local_wo.z > 0.0f)) return false;
  float pdf;
  rt_rgb f = rt_bsdf_eval(&v->bsdf, &v->local_wo, &wi, &pdf);
  if (v3_is_zero(f)) return false;
  float weight = (light.delta ? 1.0f : power_heuristic(light.pdf, pdf)) / light.pdf;
  out->radiance = v3_scale(v3_mul(v3_mul(throughput, f), light.radiance), weight);
  out->target = light.target;
  return !v3_is_zero(out->radiance) && make_shadow_ray(&out->ray, &v->surface, &light);
}

/* The direction in the world of one in a frame; false where it is on the wrong side of the surface. */
static bool leaves(const vertex *v, const rt_frame *frame, const rt_bsdf_sample_t *sample, rt_vec3 *wi) {
  *wi = v3_renormalize(frame_to_world(frame, sample->wi));
  float cosine = v3_dot(v->side, *wi);
  return sample->transmission ? cosine < 0.0f : cosine > 0.0f;
}

/* Chooses the next direction; false when the path ends. Where a specular direction by the shading normal lies on the
 * wrong side of the surface, the geometric normal is used: energy is kept, and glass stays as clear as it should be. */
static bool scatter(const vertex *v, const float u[3], rt_bsdf_sample_t *sample, rt_vec3 *wi) {
  if (!rt_bsdf_sample(&v->bsdf, &v->local_wo, u, sample)) return false;
  if (leaves(v, &v->frame, sample, wi)) return true;
  if (!sample->delta) return false;
  rt_frame frame = oriented_frame(v, v->surface.ng);
  rt_vec3 wo = frame_to_local(&frame, v->wo);
  return rt_bsdf_sample(&v->bsdf, &wo, u, sample) && leaves(v, &frame, sample, wi);
}

/* The probability of going on. eta_scale takes out the radiance's change by refraction, which a later refraction will
 * undo. */
static float survival(rt_rgb throughput, float eta_scale, uint32_t depth) {
  float q = f_min(v3_max(throughput) * eta_scale * (1.0f / ROULETTE_BELOW), 1.0f);
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

/* ---- Stages ------------------------------------------------------------------------------------------------------ */

/* Draws the numbers of a set, and of the next, for all that are on their way. */
static void draw(batch *b, uint32_t set) {
  const rt_sampler *samplers[RT_BATCH];
  float *out[RT_BATCH];
  for (size_t i = 0; i < b->n; i++) {
    path *p = &b->paths[b->going[i]];
    samplers[i] = &p->sampler;
    out[i] = p->u;
  }
  rt_sampler_pairs(b->n, samplers, set, out);
}

static void start(batch *b, const rt_integrator *integrator, const rt_path_start *starts, rt_features *features) {
  const rt_render_settings *settings = integrator->settings;
  for (size_t i = 0; i < b->n; i++) {
    path *p = &b->paths[i];
    const rt_path_start *at = &starts[i];
    p->sampler = rt_sampler_at((uint32_t)at->x, (uint32_t)at->y, at->sample, settings->seed);
    p->throughput = v3_all(1.0f);
    p->pdf = p->eta_scale = 1.0f;
    p->delta = true;
    p->features = features ? &features[i] : NULL;
    p->chain = features != NULL;
    if (features) features[i] = (rt_features){0};
    for (int part = 0; part < 3; part++) p->light[part] = v3_all(0.0f);
    p->covered = false;
    p->rays = 0;
    b->going[i] = (uint8_t)i;
  }
  draw(b, SET_CAMERA);
  for (size_t i = 0; i < b->n; i++) {
    path *p = &b->paths[i];
    double x = starts[i].x + 0.5 + (double)rt_filter_sample(&integrator->filter, p->u[0]);
    double y = starts[i].y + 0.5 + (double)rt_filter_sample(&integrator->filter, p->u[1]);
    rt_camera_ray(&b->scene->camera, settings->width, settings->height, x, y, p->u[2], p->u[3], &p->ray);
    p->from = p->ray.o;
  }
}

/* Takes a stage of all that are on their way: those for which it is false are no longer. */
static void each(batch *b, bool (*stage)(const batch *b, path *p)) {
  size_t n = 0;
  for (size_t i = 0; i < b->n; i++) {
    uint8_t index = b->going[i];
    if (stage(b, &b->paths[index])) b->going[n++] = index;
  }
  b->n = n;
}

static bool trace(const batch *b, path *p) {
  p->rays++;
  p->found = rt_intersect(b->scene->geometry, &p->ray, &p->hit);
  if (p->found) rt_surface_prefetch(b->scene->geometry, &p->hit);
  return true;
}

/* What the background sends to a ray that met nothing. */
static void escape(const batch *b, path *p) {
  if (b->depth == 0 && b->settings->transparent) return;
  if (p->chain) note_albedo(p->features, p->throughput, v3_all(1.0f));
  float light_pdf;
  rt_rgb radiance = rt_lights_background_at(b->scene->lights, p->ray.d, &light_pdf);
  add(p, b->depth, v3_scale(v3_mul(p->throughput, radiance), p->delta ? 1.0f : power_heuristic(p->pdf, light_pdf)));
}

static bool meet(const batch *b, path *p) {
  if (!p->found)
    escape(b, p);
  else
    rt_surface_prefetch_corners(b->scene->geometry, &p->hit);
  return p->found;
}

/* Makes the vertex. */
static bool arrive(const batch *b, path *p) {
  const rt_scene *scene = b->scene;
  vertex *v = &p->v;
  rt_surface_at(scene->geometry, &p->ray, &p->hit, &v->surface);
  v->wo = v3_neg(p->ray.d);
  p->covered = true;
  if (p->features && b->depth == 0) note_first(p->features, &scene->camera, v);
  if (rt_material_emits(scene->materials, v->surface.material)) {
    float light_pdf;
    rt_rgb radiance = rt_lights_surface(scene->lights, scene->materials, p->from, p->ray.d, &v->surface, &light_pdf);
    add(p, b->depth, v3_scale(v3_mul(p->throughput, radiance), p->delta ? 1.0f : power_heuristic(p->pdf, light_pdf)));
  }
  if (b->depth >= b->settings->max_depth && !p->chain) return false;

  bool front = v3_dot(v->surface.ng, v->wo) >= 0.0f;
  rt_material_bsdf(scene->materials, v->surface.material, v->surface.u, v->surface.v, front, &p->u[0], &v->bsdf);
  bool last = v->bsdf.kind == RT_BSDF_NONE || b->depth >= b->settings->max_depth;
  if (p->chain && (last || !rt_bsdf_is_delta(&v->bsdf))) {
    note_albedo(p->features, p->throughput, rt_bsdf_albedo(&v->bsdf));
    p->chain = false;
  }
  if (!last) set_frame(v, b->depth);
  return !last;
}

static bool look_for_light(const batch *b, path *p) {
  p->lit = !rt_bsdf_is_delta(&p->v.bsdf) && choose_light(b->scene, &p->v, p->throughput, p->u + 4, &p->shadow);
  return true;
}

static bool add_light(const batch *b, path *p) {
  if (!p->lit) return true;
  p->rays++;
  if (!rt_occluded(b->scene->geometry, &p->shadow.ray, p->shadow.target)) add(p, b->depth + 1, p->shadow.radiance);
  return true;
}

/* Makes the next ray. */
static bool go_on(const batch *b, path *p) {
  const vertex *v = &p->v;
  rt_bsdf_sample_t next;
  rt_vec3 wi;
  if (!scatter(v, p->u, &next, &wi)) return false;
  p->throughput = v3_mul(p->throughput, next.weight);
  if (!v3_is_finite(p->throughput)) { /* the film counts such a sample, and drops it */
    p->light[0] = v3_all(NAN);
    return false;
  }
  if (next.transmission) p->eta_scale *= next.eta_scale;
  p->pdf = next.pdf;
  p->delta = next.delta;
  float q = survival(p->throughput, p->eta_scale, b->depth);
  if (!(p->u[3] < q)) return false;
  p->throughput = v3_scale(p->throughput, 1.0f / q);
  p->from = v->surface.p;
  p->ray = (rt_ray){
      .o = rt_offset(v->surface.p, v->surface.p_error, v->surface.ng, wi), .tnear = 0.0f, .d = wi, .tfar = INFINITY};
  return true;
}

static rt_path_sample finish(const batch *b, const path *p) {
  rt_rgb indirect = clamped(p->light[2], b->settings->clamp_indirect);
  if (p->features) {
    p->features->emission = p->light[0];
    p->features->direct = p->light[1];
    p->features->indirect = indirect;
  }
  return (rt_path_sample){v3_add(v3_add(p->light[0], p->light[1]), indirect), p->covered, p->rays};
}

void rt_integrator_samples(const rt_integrator *integrator, const rt_path_start *starts, size_t n, rt_path_sample *out,
                           rt_features *features) {
  batch b;
  b.scene = integrator->scene;
  b.settings = integrator->settings;
  b.n = n;
  start(&b, integrator, starts, features);
  for (b.depth = 0; b.n > 0; b.depth++) {
    each(&b, trace);
    each(&b, meet);
    draw(&b, vertex_set(b.depth));
    each(&b, arrive);
    each(&b, look_for_light);
    each(&b, add_light);
    each(&b, go_on);
  }
  for (size_t i = 0; i < n; i++) out[i] = finish(&b, &b.paths[i]);
}
