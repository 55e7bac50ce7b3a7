/* Shading: textures, materials, BSDFs and lights. Stands on geometry and base.
 *
 * Directions of a BSDF are in the frame of the shading normal, z along it, both pointing away from the surface. */
#ifndef RT_SHADING_H
#define RT_SHADING_H

#include "geometry/geometry.h"

/* ---- Textures and materials: tables that only grow until the scene is committed ---- */

typedef struct rt_materials rt_materials;
rt_status rt_materials_new(rt_materials **out, rt_error *err);
void rt_materials_free(rt_materials *materials);
/* Retains the image. Checks that ids exist already (so that there are no cycles) and that constants are finite and in
 * range. */
rt_status rt_materials_add_texture(rt_materials *materials, const rt_texture_desc *desc, uint32_t *id, rt_error *err);
rt_status rt_materials_add(rt_materials *materials, const rt_material_desc *desc, uint32_t *id, rt_error *err);
uint32_t rt_materials_count(const rt_materials *materials);
uint32_t rt_materials_texture_count(const rt_materials *materials);
size_t rt_materials_bytes(const rt_materials *materials);
void rt_materials_hash(const rt_materials *materials, rt_sha256 *sha);
rt_rgb rt_texture_at(const rt_materials *materials, uint32_t texture, float u, float v);

/* Emission. rt_material_emission gives the radiance that leaves at (u, v); `front` says whether on the side of the
 * normal. For a material whose emission is a power it gives flux / pi; the light's scale (1 / (area sides)) makes it
 * radiance. A two_sided material emits with the material of each side, a mix with the weighted sum. */
bool rt_material_emits(const rt_materials *materials, uint32_t material);
bool rt_material_emission_is_power(const rt_materials *materials, uint32_t material);
int rt_material_emission_sides(const rt_materials *materials, uint32_t material); /* 0, 1 or 2 */
rt_rgb rt_material_emission(const rt_materials *materials, uint32_t material, float u, float v, bool front);

/* ---- BSDFs ---- */

typedef enum {
  RT_BSDF_NONE,
  RT_BSDF_DIFFUSE,
  RT_BSDF_MIRROR,
  RT_BSDF_METAL,
  RT_BSDF_GLASS,
  RT_BSDF_PLASTIC
} rt_bsdf_kind;
typedef struct {
  rt_bsdf_kind kind;
  bool delta;   /* only directions of probability zero: it cannot be evaluated, only sampled */
  bool schlick; /* metal: color is the reflectance at normal incidence; else eta and k */
  rt_rgb color;
  rt_rgb eta, k;
  float alpha;      /* GGX; 0: smooth */
  float ior;        /* relative to the outside, of the side of the normal: light that comes from -z sees 1 / ior */
  float f_internal; /* plastic: reflectance of the coat for diffuse light from inside; a function of ior */
} rt_bsdf;

/* The BSDF at a point, textures looked up, in `room` where it is not the same everywhere. `front`: the viewer is on the
 * side of the normal. `pick` in [0, 1) chooses between the parts of a mix; the choice is consumed, so that pick may be
 * used on afterwards: it is rescaled in place. */
const rt_bsdf *rt_material_bsdf(const rt_materials *materials, uint32_t material, float u, float v, bool front,
                                float *pick, rt_bsdf *room);

/* What it reflects of light that comes straight on, about: for denoisers. A light has no BSDF, and counts as white. */
rt_rgb rt_bsdf_albedo(const rt_bsdf *bsdf);
/* f(wo, wi) |cos wi| for radiance carried from wi to wo, and the density of rt_bsdf_sample for wi. Opaque BSDFs
 * reflect on both sides: the caller has flipped the frame for them so that wo.z > 0; for glass z is the outward
 * normal and wo.z may be negative. */
rt_rgb rt_bsdf_eval(const rt_bsdf *bsdf, const rt_vec3 *wo, const rt_vec3 *wi, float *pdf);

typedef struct {
  rt_vec3 wi;
  rt_rgb weight; /* f |cos wi| / pdf */
  float pdf;     /* over solid angle; 1 when delta */
  bool delta;
  bool transmission;
  /* On transmission (eta of wi's side / eta of wo's side)^2, else 1: weight holds 1 / eta_scale for radiance, and
   * roulette undoes it. */
  float eta_scale;
} rt_bsdf_sample_t;
/* From three uniform numbers: u[0] picks the lobe, u[1], u[2] the direction. False when the path ends (absorbed, or
 * below the horizon). */
bool rt_bsdf_sample(const rt_bsdf *bsdf, const rt_vec3 *wo, const float u[3], rt_bsdf_sample_t *out);

/* Eight of them: what rt_bsdf_eval and rt_bsdf_sample give, lane by lane. */
typedef struct {
  const rt_bsdf *of[RT_LANES]; /* NULL: none */
  rt_vec3_lanes color;
} rt_bsdf_lanes;
static inline void rt_bsdfs_set(rt_bsdf_lanes *bsdfs, int i, const rt_bsdf *bsdf) {
  bsdfs->of[i] = bsdf;
  v3_put(&bsdfs->color, i, bsdf ? bsdf->color : v3_all(0.0f));
}
/* Where wanted; f is 0 and pdf means nothing else. */
void rt_bsdfs_eval(const rt_bsdf_lanes *bsdfs, const int32_t wanted[RT_LANES], const rt_vec3_lanes *wo,
                   const rt_vec3_lanes *wi, rt_vec3_lanes *f, float pdf[RT_LANES]);
typedef struct {
  rt_vec3_lanes wi, weight;
  float pdf[RT_LANES], eta_scale[RT_LANES];
  int32_t delta[RT_LANES], transmission[RT_LANES], any[RT_LANES]; /* any: the path goes on */
} rt_bsdf_sample_lanes;
void rt_bsdf_sample_put(rt_bsdf_sample_lanes *out, int i, bool any, const rt_bsdf_sample_t *sample);
void rt_bsdfs_sample(const rt_bsdf_lanes *bsdfs, const rt_vec3_lanes *wo, const float u[3][RT_LANES],
                     rt_bsdf_sample_lanes *out);

/* Exact unpolarized Fresnel reflectance. cos_i in [0, 1] (dielectric: its sign says the side: > 0 outside). */
float rt_fresnel_dielectric(float cos_i, float ior, float *cos_t); /* cos_t >= 0; 0 with total internal reflection */
float rt_fresnel_conductor(float cos_i, float eta, float k);

/* ---- Lights ---- */

typedef struct rt_lights rt_lights;
rt_status rt_lights_new(rt_lights **out, rt_error *err);
void rt_lights_free(rt_lights *lights);
rt_status rt_lights_add(rt_lights *lights, uint32_t group, const rt_light_desc *desc, rt_error *err);
rt_status rt_lights_background(rt_lights *lights, const rt_background_desc *desc, rt_error *err);
/* After geometry is built: makes an emitter of each placed emissive shape, places the lights of groups, and the table
 * that picks one. An emission that is a power on a shape that cannot be sampled is RT_BAD_DATA. */
rt_status rt_lights_build(rt_lights *lights, const rt_geometry *geometry, const rt_materials *materials, rt_error *err);
uint32_t rt_lights_count(const rt_lights *lights); /* the background counts as one when it is not black */
size_t rt_lights_bytes(const rt_lights *lights);
void rt_lights_hash(const rt_lights *lights, rt_sha256 *sha);

/* Eight points of lights as seen from reference points. */
typedef struct {
  rt_emitter_lanes
      at; /* wi (before offsets); p, where it is finite; p_error, n where it is not a `point` either; pdf is
                          over solid angle, times the probability of choosing this light; delta: that alone */
  rt_vec3_lanes radiance;     /* incident at the reference point along wi; delta: radiance / pdf is what counts */
  uint64_t target[RT_LANES];  /* ordinal of the primitive that p is on; RT_NO_TARGET: none */
  int32_t infinite[RT_LANES]; /* background or sun: no p */
  int32_t point[RT_LANES];    /* p is exact: a point or spot light, without an n */
  int32_t delta[RT_LANES];    /* BSDF sampling cannot find it: MIS weight 1 */
  int32_t any[RT_LANES];      /* it gives something; else nothing here means anything */
} rt_light_lanes;
/* Where wanted, picks a light (`pick`) and a point on it (u0, u1). */
void rt_lights_sample(const rt_lights *lights, const rt_materials *materials, const int32_t wanted[RT_LANES],
                      const rt_vec3_lanes *refs, const double pick[RT_LANES], const float u0[RT_LANES],
                      const float u1[RT_LANES], rt_light_lanes *out);
/* What a ray from `ref` in direction wi that hit `surface` receives by emission, and the density with which
 * rt_lights_sample would have made wi (0 for what cannot be sampled). */
rt_rgb rt_lights_surface(const rt_lights *lights, const rt_materials *materials, rt_vec3 ref, rt_vec3 wi,
                         const rt_surface *surface, float *pdf);
/* The background in direction w (unit), without suns that are points, with discs of suns that are not, and its
 * density. */
rt_rgb rt_lights_background_at(const rt_lights *lights, rt_vec3 w, float *pdf);

#endif
