/* Unidirectional path tracing: next event estimation at every vertex that is not purely specular, combined with BSDF
 * sampling by the power heuristic (Veach 1997, chapter 9), and unbiased Russian roulette.
 *
 * Paths go together, a batch at a time: all rays of a batch are traced before the first of their vertices is shaded, so
 * that what one path would wait for, memory above all, is hidden by the work of the others (Laine, Karras, Aila 2013,
 * "Megakernels Considered Harmful"), and vertices are shaded eight at a time, in the lanes of vector registers
 * (vertices.h, and rt_surfaces_at, rt_bsdfs_eval, rt_lights_sample below it). A path knows nothing of its batch.
 *
 * Invariant, when a round begins: the first n places hold all paths that are not ended, and some that are, which the
 * round's rays leave behind; what a place holds is in vertices.h. */
#include "render/integrator.h"

#include <math.h>

#include "base/isa.h"
#include "render/vertices.h"

/* Sampler sets of four dimensions: the camera's, then two a vertex, for the BSDF and for the light. */
#define SET_CAMERA 0
static uint32_t vertex_set(uint32_t depth) { return 1 + 2 * depth; }

#define GROUPS (RT_BATCH / RT_LANES)
_Static_assert(RT_BATCH % RT_LANES == 0 && RT_BATCH <= 256, "whole groups, whose paths have numbers of 8 bits");

typedef struct {
  rt_paths paths;
  rt_sampler_lanes samplers;
  uint8_t number[RT_LANES]; /* which of the samples that were asked for */
} group;

/* What has come of a sample so far. */
typedef struct {
  rt_rgb light[3]; /* that comes straight, that was scattered once, and the rest */
  rt_features *features;
  bool covered;
  bool chain; /* all vertices so far were specular, and features are wanted */
  uint32_t rays;
} tally;

typedef struct {
  const rt_scene *scene;
  const rt_render_settings *settings;
  const rt_vertex_kernel *kernel;
  uint32_t depth;
  size_t n;
  group groups[GROUPS];
  rt_hit hits[RT_BATCH];
  tally tallies[RT_BATCH];
} batch;

static void add(tally *t, uint32_t scatterings, rt_rgb radiance) {
  rt_rgb *part = &t->light[scatterings < 2 ? scatterings : 2];
  *part = v3_add(*part, radiance);
}

static rt_rgb clamped(rt_rgb radiance, float limit) {
  float largest = v3_max(radiance);
  return limit > 0.0f && largest > limit ? v3_scale(radiance, limit / largest) : radiance;
}

/* What the first vertex says. */
static void note_first(rt_features *f, const rt_camera *camera, const rt_surface *surface, rt_vec3 wo) {
  bool back = v3_dot(surface->ns, wo) < 0.0f;
  f->normal = back ? v3_neg(surface->ns) : surface->ns;
  f->position = surface->p;
  f->depth = rt_camera_depth(camera, surface->p);
  f->u = surface->u;
  f->v = surface->v;
  f->shape = surface->shape + 1;
  f->material = surface->material + 1;
}

static float at_most_1(float x) { return f_clamp(x, 0.0f, 1.0f); }

/* The albedo of where a chain of specular reflections and refractions ends, as seen through it; lights and the
 * background count as white. */
static void note_albedo(rt_features *f, rt_rgb throughput, rt_rgb albedo) {
  rt_rgb seen = v3_mul(throughput, albedo);
  f->albedo = v3(at_most_1(seen.x), at_most_1(seen.y), at_most_1(seen.z));
}

/* ---- Rays -------------------------------------------------------------------------------------------------------- */

static void start(batch *b, const rt_integrator *integrator, const rt_path_start *starts, rt_features *features) {
  const rt_render_settings *settings = integrator->settings;
  for (size_t i = 0; i < b->n; i++) {
    rt_sampler sampler = rt_sampler_at((uint32_t)starts[i].x, (uint32_t)starts[i].y, starts[i].sample, settings->seed);
    b->groups[i / RT_LANES].samplers.seed[i % RT_LANES] = sampler.seed;
    b->groups[i / RT_LANES].samplers.index[i % RT_LANES] = sampler.index;
  }
  for (size_t g = 0; g < GROUPS; g++) RT_EACH_LANE(i) b->groups[g].paths.ray.tfar[i] = INFINITY;
  float u[8][RT_LANES];
  for (size_t i = 0; i < b->n; i++) {
    group *g = &b->groups[i / RT_LANES];
    int lane = (int)(i % RT_LANES);
    if (lane == 0) rt_sampler_pairs(&g->samplers, SET_CAMERA, u);
    double x = starts[i].x + 0.5 + (double)rt_filter_sample(&integrator->filter, u[0][lane]);
    double y = starts[i].y + 0.5 + (double)rt_filter_sample(&integrator->filter, u[1][lane]);
    rt_ray ray;
    rt_camera_ray(&b->scene->camera, settings->width, settings->height, x, y, u[2][lane], u[3][lane], &ray);
    v3_put(&g->paths.ray.o, lane, ray.o);
    v3_put(&g->paths.ray.d, lane, ray.d);
    v3_put(&g->paths.from, lane, ray.o);
    v3_put(&g->paths.throughput, lane, v3_all(1.0f));
    g->paths.pdf[lane] = g->paths.eta_scale[lane] = 1.0f;
    g->paths.delta[lane] = g->paths.going[lane] = true;
    g->number[lane] = (uint8_t)i;
    b->tallies[i] = (tally){.features = features ? &features[i] : NULL, .chain = features != NULL};
    if (features) features[i] = (rt_features){0};
  }
}

static void move(group *to, int j, const group *from, int i) {
  v3_put(&to->paths.ray.o, j, v3_get(&from->paths.ray.o, i));
  v3_put(&to->paths.ray.d, j, v3_get(&from->paths.ray.d, i));
  v3_put(&to->paths.from, j, v3_get(&from->paths.from, i));
  v3_put(&to->paths.throughput, j, v3_get(&from->paths.throughput, i));
  to->paths.pdf[j] = from->paths.pdf[i];
  to->paths.eta_scale[j] = from->paths.eta_scale[i];
  to->paths.delta[j] = from->paths.delta[i];
  to->paths.going[j] = from->paths.going[i];
  to->samplers.seed[j] = from->samplers.seed[i];
  to->samplers.index[j] = from->samplers.index[i];
  to->number[j] = from->number[i];
}

/* Radiance that a path met by chance where light sampling could have found it with the density light_pdf. */
static void add_met(batch *b, const group *g, int i, rt_rgb radiance, float light_pdf) {
  float weight = g->paths.delta[i] ? 1.0f : power_heuristic(g->paths.pdf[i], light_pdf);
  add(&b->tallies[g->number[i]], b->depth, v3_scale(v3_mul(v3_get(&g->paths.throughput, i), radiance), weight));
}

/* What the background sends to a ray that met nothing. */
static void escape(batch *b, const group *g, int i) {
  tally *t = &b->tallies[g->number[i]];
  if (b->depth == 0 && b->settings->transparent) return;
  if (t->chain) note_albedo(t->features, v3_get(&g->paths.throughput, i), v3_all(1.0f));
  float light_pdf;
  rt_rgb radiance = rt_lights_background_at(b->scene->lights, v3_get(&g->paths.ray.d, i), &light_pdf);
  add_met(b, g, i, radiance, light_pdf);
}

/* Traces the rays of all that are not ended; those that meet something close ranks. */
static void trace(batch *b) {
  const rt_geometry *geometry = b->scene->geometry;
  size_t n = 0;
  for (size_t begin = 0; begin < b->n; begin += RT_LANES) {
    group *g = &b->groups[begin / RT_LANES];
    int32_t found[RT_LANES];
    rt_intersect_lanes(geometry, &g->paths.ray, g->paths.going, b->depth == 0, &b->hits[n], found);
    RT_EACH_LANE(i) {
      if (!g->paths.going[i]) continue;
      b->tallies[g->number[i]].rays++;
      if (!found[i]) {
        escape(b, g, i);
        continue;
      }
      rt_surface_prefetch(geometry, &b->hits[n]);
      if (n != begin + (size_t)i) move(&b->groups[n / RT_LANES], (int)(n % RT_LANES), g, i);
      n++;
    }
  }
  b->n = n;
}

static void prefetch(const batch *b, size_t begin) {
  for (size_t i = begin; i < b->n && i < begin + RT_LANES; i++)
    rt_surface_prefetch_corners(b->scene->geometry, &b->hits[i]);
}

/* ---- Vertices ---------------------------------------------------------------------------------------------------- */

/* Adds what a vertex emits and looks up its BSDF; NULL where the path ends there. */
static const rt_bsdf *meet_material(batch *b, const group *g, const rt_vertices *v, int i, float *pick, rt_bsdf *room) {
  const rt_scene *scene = b->scene;
  tally *t = &b->tallies[g->number[i]];
  uint32_t material = v->surface.material[i];
  rt_vec3 wo = v3_get(&v->wo, i);
  t->covered = true;
  if (t->features && b->depth == 0) {
    rt_surface surface = rt_surface_get(&v->surface, i);
    note_first(t->features, &scene->camera, &surface, wo);
  }
  if (rt_material_emits(scene->materials, material)) {
    float light_pdf;
    rt_surface surface = rt_surface_get(&v->surface, i);
    rt_rgb radiance = rt_lights_surface(scene->lights, scene->materials, v3_get(&g->paths.from, i),
                                        v3_get(&g->paths.ray.d, i), &surface, &light_pdf);
    add_met(b, g, i, radiance, light_pdf);
  }
  if (b->depth >= b->settings->max_depth && !t->chain) return NULL;

  bool front = v3_dot(v3_get(&v->surface.ng, i), wo) >= 0.0f;
  const rt_bsdf *bsdf =
      rt_material_bsdf(scene->materials, material, v->surface.u[i], v->surface.v[i], front, pick, room);
  bool last = bsdf->kind == RT_BSDF_NONE || b->depth >= b->settings->max_depth;
  if (t->chain && (last || !bsdf->delta)) {
    note_albedo(t->features, v3_get(&g->paths.throughput, i), rt_bsdf_albedo(bsdf));
    t->chain = false;
  }
  return last ? NULL : bsdf;
}

/* Next event estimation: the light that one sampled point of one light sends to each vertex, where it is seen. */
static void light_up(batch *b, const group *g, const rt_vertices *v, const float u[8][RT_LANES]) {
  const rt_scene *scene = b->scene;
  rt_light_lanes lights;
  rt_shadows shadows;
  int32_t wanted[RT_LANES];
  double pick[RT_LANES];
  bool any = false;
  RT_EACH_LANE(i) {
    wanted[i] = g->paths.going[i] && !v->bsdf.of[i]->delta;
    any |= wanted[i];
    /* 48 bits for the choice, since there may be more than 2^24 lights. */
    pick[i] = (double)u[4][i] + (double)u[7][i] * 0x1p-24;
  }
  if (!any) return;
  rt_lights_sample(scene->lights, scene->materials, wanted, &v->surface.p, pick, u[5], u[6], &lights);
  rt_vec3_lanes wi, f;
  float pdf[RT_LANES];
  b->kernel->see_lights(v, &lights, &wi, shadows.wanted);
  rt_bsdfs_eval(&v->bsdf, shadows.wanted, &v->local_wo, &wi, &f, pdf);
  b->kernel->make_shadows(v, &lights, &g->paths.throughput, &f, pdf, &shadows);
  int32_t found[RT_LANES];
  rt_occluded_lanes(scene->geometry, &shadows.ray, lights.target, shadows.wanted, found);
  RT_EACH_LANE(i) {
    if (!shadows.wanted[i]) continue;
    tally *t = &b->tallies[g->number[i]];
    t->rays++;
    if (!found[i]) add(t, b->depth + 1, v3_get(&shadows.radiance, i));
  }
}

/* Where a specular direction by the shading normal lies on the wrong side of the surface, the geometric normal is used:
 * energy is kept, and glass stays as clear as it should be. Any other ends the path. */
static void mend_direction(const rt_vertices *v, int i, const float u[8][RT_LANES], rt_bsdf_sample_lanes *samples,
                           rt_vec3_lanes *wi) {
  bool was_delta = samples->delta[i];
  samples->any[i] = false;
  if (!was_delta) return;
  rt_vec3 ng = v3_get(&v->surface.ng, i), wo = v3_get(&v->wo, i);
  rt_frame frame = frame_from_z(oriented(ng, v->transmissive[i], ng, wo));
  rt_vec3 local_wo = frame_to_local(&frame, wo);
  rt_bsdf_sample_t sample;
  if (!rt_bsdf_sample(v->bsdf.of[i], &local_wo, (const float[3]){u[0][i], u[1][i], u[2][i]}, &sample)) return;
  rt_vec3 w = out_of_frame(&frame, sample.wi);
  if (!leaves(v3_get(&v->side, i), w, sample.transmission)) return;
  rt_bsdf_sample_put(samples, i, true, &sample);
  v3_put(wi, i, w);
}

/* Makes the next rays. */
static void scatter(batch *b, group *g, const rt_vertices *v, const float u[8][RT_LANES]) {
  rt_bsdf_sample_lanes samples;
  rt_vec3_lanes wi;
  int32_t left[RT_LANES], broken[RT_LANES];
  rt_bsdfs_sample(&v->bsdf, &v->local_wo, u, &samples);
  b->kernel->directions(v, &samples, &wi, left);
  RT_EACH_LANE(i) {
    if (g->paths.going[i] && samples.any[i] && !left[i]) mend_direction(v, i, u, &samples, &wi);
  }
  float most_survival = b->depth < ROULETTE_CERTAIN ? 1.0f : ROULETTE_CERTAIN_SURVIVAL;
  b->kernel->go_on(&g->paths, v, &samples, &wi, u[3], most_survival, broken);
  RT_EACH_LANE(i) {
    if (broken[i]) b->tallies[g->number[i]].light[0] = v3_all(NAN); /* the film counts such a sample, and drops it */
  }
}

/* The vertices of the first n paths of a group: its other places hold none. */
static void shade(batch *b, group *g, const rt_hit hits[], int n) {
  rt_vertices v;
  rt_bsdf rooms[RT_LANES];
  float u[8][RT_LANES];
  rt_sampler_pairs(&g->samplers, vertex_set(b->depth), u);
  rt_surfaces_at(b->scene->geometry, n, &g->paths.ray, hits, &v.surface);
  bool any = false;
  RT_EACH_LANE(i) {
    v3_put(&v.wo, i, v3_neg(v3_get(&g->paths.ray.d, i)));
    const rt_bsdf *bsdf = i < n ? meet_material(b, g, &v, i, &u[0][i], &rooms[i]) : NULL;
    rt_bsdfs_set(&v.bsdf, i, bsdf);
    v.transmissive[i] = bsdf && bsdf->kind == RT_BSDF_GLASS;
    g->paths.going[i] = bsdf != NULL;
    any |= bsdf != NULL;
  }
  if (!any) return;
  b->kernel->frames(&v, b->depth < SHADING_NORMALS_END);
  light_up(b, g, &v, u);
  scatter(b, g, &v, u);
}

static rt_path_sample finish(const batch *b, const tally *t) {
  rt_rgb indirect = clamped(t->light[2], b->settings->clamp_indirect);
  if (t->features) {
    t->features->emission = t->light[0];
    t->features->direct = t->light[1];
    t->features->indirect = indirect;
  }
  return (rt_path_sample){v3_add(v3_add(t->light[0], t->light[1]), indirect), t->covered, t->rays};
}

void rt_integrator_samples(const rt_integrator *integrator, const rt_path_start *starts, size_t n, rt_path_sample *out,
                           rt_features *features) {
  batch b;
  b.scene = integrator->scene;
  b.settings = integrator->settings;
  b.kernel = RT_BY_ISA(rt_vertices);
  b.n = n;
  memset(b.groups, 0, sizeof b.groups);
  start(&b, integrator, starts, features);
  for (b.depth = 0; b.n > 0; b.depth++) {
    trace(&b);
    prefetch(&b, 0);
    for (size_t begin = 0; begin < b.n; begin += RT_LANES) {
      prefetch(&b, begin + RT_LANES);
      size_t rest = b.n - begin;
      shade(&b, &b.groups[begin / RT_LANES], &b.hits[begin], rest < RT_LANES ? (int)rest : RT_LANES);
    }
  }
  for (size_t i = 0; i < n; i++) out[i] = finish(&b, &b.tallies[i]);
}
