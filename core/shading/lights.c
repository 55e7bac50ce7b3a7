/* Lights: what emits, collected from the placed scene, and the table that picks one of them for next event estimation.
 *
 * A light is the part of one placed shape that has one emissive material (an area light), a placed lamp (lamps.h), or
 * a background that varies (environment.h). The area lights come first, in order of (placement, material), so that the
 * light of a hit is found by binary search. A shape that cannot be sampled is not in the table, nor is a constant
 * background: their radiance is met by BSDF sampling alone.
 *
 * Picking. The probability of a light is fixed for the scene, and follows an estimate of its power, the luminance of:
 *   area light    pi area times the sum over its sides of the mean radiance (over a fixed set of texture coordinates)
 *   point, spot   intensity integrated over the sphere
 *   sun           irradiance times pi R^2, the cross-section of the ball around the finite scene (half its diagonal)
 *   background    pi mean radiance, which is the irradiance that it gives to an open surface, times pi R^2
 * A flux that starts R away gives an irradiance of about flux / (pi R^2), so the two kinds compare when the scene's
 * size says how far lamps are from what they light. One wide ground makes R say nothing, hence two safeguards: where
 * there are finite and infinite lights, each of the two classes gets SHARE_OF_CLASS at least; and within a class
 * SHARE_UNIFORM is dealt out evenly.
 *
 * Light from infinity. The background and the suns that have a disk overlap, so they are one sum and one mixture:
 * whichever of them made a direction, its radiance is the sum and its density the sum of the choice probabilities times
 * densities, both from rt_lights_background_at. This is why a sample and a chance hit agree to the bit.
 *
 * Invariant: `units` and lights[i].probability are the same distribution; every light in the table has a probability
 * above 0. */
#include <float.h>
#include <stdlib.h>

#include "base/elementary.h"
#include "base/error.h"
#include "base/memory.h"
#include "shading/distribution.h"
#include "shading/environment.h"
#include "shading/lamps.h"
#include "shading/shading.h"

/* At worst a class that gives nothing takes a quarter of the samples, and one that gives everything gets a quarter. */
#define SHARE_OF_CLASS 0.25
/* Of a class, dealt out evenly, so that no light starves where the estimate is wrong. */
#define SHARE_UNIFORM 0.1
/* Where an emission is looked up for its mean. */
#define TEXTURE_POINTS 64

typedef struct {
  uint32_t group;
  rt_light_desc desc;
} lamp_entry;

typedef struct {
  uint64_t placement;
  uint32_t material;
} area_key;

typedef struct {
  area_key key;
  rt_emitter *emitter;
  float scale; /* from rt_material_emission to radiance: 1, or 1 / (area sides) where it is a power */
  double power;
} area_light;

typedef enum { LIGHT_AREA, LIGHT_LAMP, LIGHT_SUN_DISK, LIGHT_BACKGROUND } light_kind;

/* Hot: what sampling needs, 24 bytes. */
typedef struct {
  light_kind kind;
  float probability;
  const void *source; /* rt_emitter or rt_lamp by kind; NULL: the background */
  float scale;        /* area: as above */
  uint32_t material;  /* area */
} light;

struct rt_lights {
  /* As described. */
  lamp_entry *entries;
  size_t n_entries, entry_capacity;
  rt_environment *environment; /* NULL: black */

  /* As built. */
  area_light *areas;
  size_t n_areas, area_capacity;
  rt_lamp *lamps;
  size_t n_lamps, lamp_capacity;
  light *lights;   /* areas, then lamps, then the background */
  area_key *keys;  /* of lights 0 to n_areas - 1: ascending */
  uint32_t *units; /* distribution over the lights */
  uint32_t *suns;  /* indices of those with a disk */
  size_t n_lights, n_suns;
  float background_probability; /* 0: not in the table */
};

/* ---- Describing ---- */

rt_status rt_lights_new(rt_lights **out, rt_error *err) {
  rt_lights *lights = rt_alloc(1, sizeof *lights, err);
  if (!lights) return RT_NO_MEMORY;
  *out = lights;
  return RT_OK;
}

static void clear_build(rt_lights *lights) {
  for (size_t i = 0; i < lights->n_areas; i++) rt_emitter_free(lights->areas[i].emitter);
  rt_free(lights->areas);
  rt_free(lights->lamps);
  rt_free(lights->lights);
  rt_free(lights->keys);
  rt_free(lights->units);
  rt_free(lights->suns);
  *lights = (rt_lights){.entries = lights->entries,
                        .n_entries = lights->n_entries,
                        .entry_capacity = lights->entry_capacity,
                        .environment = lights->environment};
}

void rt_lights_free(rt_lights *lights) {
  if (!lights) return;
  clear_build(lights);
  rt_free(lights->entries);
  rt_environment_free(lights->environment);
  rt_free(lights);
}

rt_status rt_lights_add(rt_lights *lights, uint32_t group, const rt_light_desc *desc, rt_error *err) {
  lamp_entry entry = {group, *desc};
  rt_status status = rt_lamp_check(&entry.desc, err);
  if (status != RT_OK) return status;
  if (!rt_grow((void **)&lights->entries, &lights->entry_capacity, lights->n_entries + 1, sizeof entry, err))
    return RT_NO_MEMORY;
  lights->entries[lights->n_entries++] = entry;
  return RT_OK;
}

rt_status rt_lights_background(rt_lights *lights, const rt_background_desc *desc, rt_error *err) {
  rt_environment *environment;
  rt_status status = rt_environment_new(&environment, desc, err);
  if (status != RT_OK) return status;
  rt_environment_free(lights->environment);
  lights->environment = environment;
  return RT_OK;
}

uint32_t rt_lights_count(const rt_lights *lights) {
  bool background = lights->environment && rt_environment_mean(lights->environment) > 0.0;
  return (uint32_t)(lights->n_areas + lights->n_lamps + background);
}

size_t rt_lights_bytes(const rt_lights *lights) {
  return sizeof *lights + lights->entry_capacity * sizeof *lights->entries +
         lights->area_capacity * sizeof *lights->areas + lights->lamp_capacity * sizeof *lights->lamps +
         lights->n_areas * sizeof *lights->keys + lights->n_lights * (sizeof *lights->lights + sizeof *lights->units) +
         lights->n_suns * sizeof *lights->suns + (lights->environment ? rt_environment_bytes(lights->environment) : 0);
}

void rt_lights_hash(const rt_lights *lights, rt_sha256 *sha) {
  rt_sha256_u32(sha, (uint32_t)lights->n_entries);
  for (size_t i = 0; i < lights->n_entries; i++) {
    rt_sha256_u32(sha, lights->entries[i].group);
    rt_lamp_hash(&lights->entries[i].desc, sha);
  }
  rt_sha256_u32(sha, lights->environment != NULL);
  if (lights->environment) rt_environment_hash(lights->environment, sha);
}

/* ---- Building: collecting ---- */

typedef struct {
  rt_lights *lights;
  const rt_geometry *geometry;
  const rt_materials *materials;
  double *emission;          /* mean_emission of each material; below 0: not known yet */
  const rt_light_desc *desc; /* the lamp that is being placed */
} collector;

/* The mean luminance of an emission over a square of texture coordinates, summed over both sides. The points are
 * Roberts' R2 sequence: no period that a checker could share. */
static double mean_emission(const collector *c, uint32_t material) {
  if (c->emission[material] >= 0.0) return c->emission[material];
  double sum = 0.0;
  for (int i = 0; i < TEXTURE_POINTS; i++) {
    double u = 0.5 + i * 0.75487766624669276, v = 0.5 + i * 0.56984029099805327;
    float uf = (float)(u - floor(u)), vf = (float)(v - floor(v));
    for (int front = 0; front < 2; front++) {
      float l = rgb_luminance(rt_material_emission(c->materials, material, uf, vf, front));
      if (isfinite(l)) sum += l;
    }
  }
  return c->emission[material] = sum / TEXTURE_POINTS;
}

static bool wants_material(void *context, uint32_t material) {
  return rt_material_emits(((const collector *)context)->materials, material);
}

static rt_status add_area(collector *c, uint32_t shape, uint64_t placement, uint32_t material,
                          const rt_affine *to_world, rt_error *err) {
  rt_lights *lights = c->lights;
  bool is_power = rt_material_emission_is_power(c->materials, material);
  rt_emitter *emitter = NULL;
  rt_error why;
  rt_status status = rt_emitter_new(&emitter, c->geometry, shape, material, to_world, &why);
  if (status == RT_BAD_DATA && !is_power) return RT_OK;
  if (status == RT_BAD_DATA)
    return rt_fail(err, RT_BAD_DATA,
                   "light: power is spread over the area of a shape, and an infinite plane has none: give radiance");
  if (status != RT_OK) return rt_fail(err, status, "%s", why.message);
  if (!emitter) return RT_OK;

  double area = rt_emitter_area(emitter), scale = 1.0;
  if (is_power) scale = 1.0 / (area * rt_material_emission_sides(c->materials, material));
  if (!isfinite((float)scale)) {
    rt_emitter_free(emitter);
    return rt_fail(err, RT_BAD_DATA, "light: the shape is too small for a power: give radiance instead");
  }
  if (!rt_grow((void **)&lights->areas, &lights->area_capacity, lights->n_areas + 1, sizeof *lights->areas, err)) {
    rt_emitter_free(emitter);
    return RT_NO_MEMORY;
  }
  double power = RT_PI * area * scale * mean_emission(c, material);
  lights->areas[lights->n_areas++] = (area_light){{placement, material}, emitter, (float)scale, power};
  return RT_OK;
}

static rt_status visit_shape(void *context, uint32_t shape, uint64_t placement, const rt_affine *to_world,
                             rt_error *err) {
  collector *c = context;
  const uint32_t *materials;
  uint32_t n;
  rt_shape_materials(c->geometry, shape, &materials, &n);
  for (uint32_t i = 0; i < n; i++) {
    if (!rt_material_emits(c->materials, materials[i])) continue;
    rt_status status = add_area(c, shape, placement, materials[i], to_world, err);
    if (status != RT_OK) return status;
  }
  return RT_OK;
}

static rt_status visit_group(void *context, const rt_affine *to_world, rt_error *err) {
  const collector *c = context;
  rt_lights *lights = c->lights;
  if (!rt_grow((void **)&lights->lamps, &lights->lamp_capacity, lights->n_lamps + 1, sizeof *lights->lamps, err))
    return RT_NO_MEMORY;
  rt_status status = rt_lamp_place(&lights->lamps[lights->n_lamps], c->desc, to_world, err);
  if (status == RT_OK) lights->n_lamps++;
  return status;
}

static int compare_keys(const area_key *a, const area_key *b) {
  if (a->placement != b->placement) return a->placement < b->placement ? -1 : 1;
  return (a->material > b->material) - (a->material < b->material);
}

static int compare_areas(const void *a, const void *b) {
  return compare_keys(&((const area_light *)a)->key, &((const area_light *)b)->key);
}

static rt_status collect(rt_lights *lights, const rt_geometry *geometry, const rt_materials *materials, rt_error *err) {
  uint32_t n_materials = rt_materials_count(materials);
  collector c = {lights, geometry, materials, rt_alloc(n_materials, sizeof(double), err), NULL};
  if (!c.emission) return RT_NO_MEMORY;
  for (uint32_t i = 0; i < n_materials; i++) c.emission[i] = -1.0;
  rt_status status = rt_geometry_each_placed(geometry, wants_material, visit_shape, &c, err);
  rt_free(c.emission);
  if (status != RT_OK) return status;
  /* Keys are unique, so that the order is one whatever qsort's algorithm. */
  if (lights->n_areas) qsort(lights->areas, lights->n_areas, sizeof *lights->areas, compare_areas);

  for (size_t i = 0; i < lights->n_entries; i++) {
    c.desc = &lights->entries[i].desc;
    if (v3_is_zero(c.desc->intensity)) continue;
    status = rt_geometry_each_group(geometry, lights->entries[i].group, visit_group, &c, err);
    if (status != RT_OK) return status;
  }
  return RT_OK;
}

/* ---- Building: the table ---- */

static double scene_radius(const rt_geometry *geometry) {
  rt_bounds b = rt_geometry_bounds(geometry);
  double x = (double)b.max.x - b.min.x, y = (double)b.max.y - b.min.y, z = (double)b.max.z - b.min.z;
  double radius = 0.5 * sqrt(x * x + y * y + z * z);
  bool known = b.min.x <= b.max.x && radius > 0.0 && isfinite(radius);
  return known ? radius : 1.0; /* 1: nothing finite to take a scale from */
}

static bool is_infinite(const light *l) {
  if (l->kind == LIGHT_LAMP) return ((const rt_lamp *)l->source)->kind == RT_LIGHT_SUN;
  return l->kind != LIGHT_AREA;
}

/* Turns the estimates of power into weights: see the top of this file. */
static void share_out(const rt_lights *lights, double *power) {
  double sum[2] = {0.0, 0.0};
  size_t count[2] = {0, 0};
  for (size_t i = 0; i < lights->n_lights; i++) {
    bool infinite = is_infinite(&lights->lights[i]);
    sum[infinite] += power[i];
    count[infinite]++;
  }
  double share[2] = {1.0, 1.0};
  if (count[0] && count[1]) {
    double both = sum[0] + sum[1], part = both > 0.0 ? sum[1] / both : 0.5;
    part = part < SHARE_OF_CLASS ? SHARE_OF_CLASS : part;
    share[1] = part > 1.0 - SHARE_OF_CLASS ? 1.0 - SHARE_OF_CLASS : part;
    share[0] = 1.0 - share[1];
  }
  for (size_t i = 0; i < lights->n_lights; i++) {
    bool infinite = is_infinite(&lights->lights[i]);
    double even = 1.0 / (double)count[infinite], by_power = sum[infinite] > 0.0 ? power[i] / sum[infinite] : even;
    power[i] = share[infinite] * (SHARE_UNIFORM * even + (1.0 - SHARE_UNIFORM) * by_power);
  }
}

static void fill_table(rt_lights *lights, double radius, double *weights) {
  light *next = lights->lights;
  for (size_t i = 0; i < lights->n_areas; i++) {
    const area_light *a = &lights->areas[i];
    *weights++ = a->power;
    lights->keys[i] = a->key;
    *next++ = (light){LIGHT_AREA, 0.0f, a->emitter, a->scale, a->key.material};
  }
  for (size_t i = 0; i < lights->n_lamps; i++) {
    const rt_lamp *lamp = &lights->lamps[i];
    *weights++ = rt_lamp_power(lamp, radius);
    if (lamp->disk) lights->suns[lights->n_suns++] = (uint32_t)(next - lights->lights);
    *next++ = (light){lamp->disk ? LIGHT_SUN_DISK : LIGHT_LAMP, 0.0f, lamp, 0.0f, 0};
  }
  if ((size_t)(next - lights->lights) < lights->n_lights) {
    *weights = RT_PI * RT_PI * radius * radius * rt_environment_mean(lights->environment);
    *next = (light){LIGHT_BACKGROUND, 0.0f, NULL, 0.0f, 0};
  }
}

static rt_status make_table(rt_lights *lights, double radius, rt_error *err) {
  bool background = lights->environment && rt_environment_mean(lights->environment) > 0.0 &&
                    rt_environment_varies(lights->environment);
  size_t n = lights->n_areas + lights->n_lamps + background;
  if (!n) return RT_OK;
  if (n > RT_DISTRIBUTION_MAX) return rt_fail(err, RT_BAD_DATA, "the scene has %zu lights, the limit is 2^30", n);
  double *weights = rt_alloc(n, sizeof *weights, err);
  lights->lights = rt_alloc(n, sizeof *lights->lights, err);
  lights->keys = rt_alloc(lights->n_areas, sizeof *lights->keys, err);
  lights->units = rt_alloc(n, sizeof *lights->units, err);
  lights->suns = rt_alloc(lights->n_lamps, sizeof *lights->suns, err);
  bool ok = weights && lights->lights && lights->keys && lights->units && lights->suns;
  if (ok) {
    lights->n_lights = n;
    fill_table(lights, radius, weights);
    share_out(lights, weights);
    double total = rt_distribution_build(lights->units, weights, n);
    for (size_t i = 0; i < n; i++)
      lights->lights[i].probability = (float)(rt_distribution_units(lights->units, i) / total);
    if (background) lights->background_probability = lights->lights[n - 1].probability;
  }
  rt_free(weights);
  return ok ? RT_OK : RT_NO_MEMORY;
}

rt_status rt_lights_build(rt_lights *lights, const rt_geometry *geometry, const rt_materials *materials,
                          rt_error *err) {
  clear_build(lights);
  rt_status status = collect(lights, geometry, materials, err);
  if (status == RT_OK) status = make_table(lights, scene_radius(geometry), err);
  if (status != RT_OK) clear_build(lights);
  return status;
}

/* ---- Sampling ---- */

static void sample_infinite(const rt_lights *lights, const light *l, float u0, float u1, rt_light_sample *out) {
  *out = (rt_light_sample){.infinite = true};
  out->wi = l->kind == LIGHT_BACKGROUND ? rt_environment_sample(lights->environment, u0, u1)
                                        : rt_sun_sample(l->source, u0, u1);
  out->radiance = rt_lights_background_at(lights, out->wi, &out->pdf);
}

static void put_sample(rt_light_lanes *out, int i, bool any, const rt_light_sample *s) {
  v3_put(&out->at.wi, i, s->wi);
  v3_put(&out->at.p, i, s->p);
  v3_put(&out->radiance, i, any ? s->radiance : v3_all(0.0f));
  out->at.pdf[i] = s->pdf;
  out->target[i] = RT_NO_TARGET;
  out->infinite[i] = s->infinite;
  out->point[i] = true; /* exact, or there is none */
  out->delta[i] = s->delta;
}

void rt_lights_sample(const rt_lights *lights, const rt_materials *materials, const int32_t wanted[RT_LANES],
                      const rt_vec3_lanes *refs, const double pick[RT_LANES], const float u0[RT_LANES],
                      const float u1[RT_LANES], rt_light_lanes *out) {
  const light *of[RT_LANES];
  const rt_emitter *emitters[RT_LANES];
  double u[RT_LANES];
  bool areas = false;
  RT_EACH_LANE(i) {
    double rest;
    of[i] = wanted[i] && lights->n_lights
                ? &lights->lights[rt_distribution_choose(lights->units, lights->n_lights, pick[i], &rest)]
                : NULL;
    bool area = of[i] && of[i]->kind == LIGHT_AREA;
    emitters[i] = area ? of[i]->source : NULL;
    /* What the choice of the light left goes on behind the 24 bits of u0: a mesh may have millions of triangles. */
    u[i] = area ? (double)u0[i] + rest * 0x1p-24 : 0.0;
    areas |= area;
  }
  if (areas) rt_emitters_sample(emitters, refs, u, u1, &out->at);
  RT_EACH_LANE(i) {
    const light *l = of[i];
    rt_light_sample s = {.infinite = true};
    if (!l) {
      put_sample(out, i, false, &s);
    } else if (l->kind == LIGHT_AREA) {
      bool front = v3_dot(v3_get(&out->at.n, i), v3_get(&out->at.wi, i)) < 0.0f;
      rt_rgb emission = rt_material_emission(materials, l->material, out->at.u[i], out->at.v[i], front);
      v3_put(&out->radiance, i, v3_scale(emission, l->scale));
      out->at.pdf[i] *= l->probability;
      out->target[i] = lights->keys[l - lights->lights].placement + out->at.primitive[i];
      out->infinite[i] = out->point[i] = out->delta[i] = false;
    } else if (l->kind == LIGHT_LAMP) {
      bool any = rt_lamp_light(l->source, v3_get(refs, i), &s);
      s.pdf = l->probability;
      put_sample(out, i, any, &s);
    } else {
      sample_infinite(lights, l, u0[i], u1[i], &s);
      put_sample(out, i, true, &s);
    }
  }
  RT_EACH_LANE(i) {
    rt_vec3 wi = v3_get(&out->at.wi, i);
    rt_rgb radiance = v3_get(&out->radiance, i);
    float pdf = out->at.pdf[i];
    out->any[i] = v3_is_bounded(radiance) && !v3_is_zero(radiance) && v3_is_bounded(wi) && pdf > 0.0f && pdf <= FLT_MAX;
  }
}

/* ---- Looking up ---- */

static const light *find_area(const rt_lights *lights, uint64_t placement, uint32_t material) {
  area_key key = {placement, material};
  size_t low = 0, high = lights->n_areas;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare_keys(&lights->keys[middle], &key);
    if (order == 0) return &lights->lights[middle];
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

rt_rgb rt_lights_surface(const rt_lights *lights, const rt_materials *materials, rt_vec3 ref, rt_vec3 wi,
                         const rt_surface *surface, float *pdf) {
  *pdf = 0.0f;
  if (!rt_material_emits(materials, surface->material)) return v3_all(0.0f);
  bool front = v3_dot(surface->ng, wi) < 0.0f;
  rt_rgb emission = rt_material_emission(materials, surface->material, surface->u, surface->v, front);
  if (v3_is_zero(emission)) return emission;
  const light *l = find_area(lights, surface->placement, surface->material);
  if (!l) /* what cannot be sampled has a radiance; a power without an area is none */
    return rt_material_emission_is_power(materials, surface->material) ? v3_all(0.0f) : emission;
  *pdf = l->probability * rt_emitter_pdf(l->source, ref, surface);
  return v3_scale(emission, l->scale);
}

rt_rgb rt_lights_background_at(const rt_lights *lights, rt_vec3 w, float *pdf) {
  rt_rgb radiance = v3_all(0.0f);
  *pdf = 0.0f;
  if (lights->environment) {
    radiance = rt_environment_at(lights->environment, w, pdf);
    *pdf *= lights->background_probability;
  }
  for (size_t i = 0; i < lights->n_suns; i++) {
    const light *l = &lights->lights[lights->suns[i]];
    const rt_lamp *sun = l->source;
    double density = rt_sun_density(sun, w);
    if (density > 0.0) {
      radiance = v3_add(radiance, sun->radiance);
      *pdf += (float)(l->probability * density);
    }
  }
  return radiance;
}
