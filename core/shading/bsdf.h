/* The BSDFs one by one, behind rt_bsdf_eval and rt_bsdf_sample (shading.h): bsdf.c dispatches and has diffuse and
 * mirror. Directions are unit; wo.z is not 0. For opaque BSDFs wo.z > 0. */
#ifndef RT_SHADING_BSDF_H
#define RT_SHADING_BSDF_H

#include "base/elementary.h"
#include "shading/microfacet.h"
#include "shading/shading.h"

static inline rt_rgb rgb_black(void) { return v3(0.0f, 0.0f, 0.0f); }

/* Cosine-weighted direction around +z: the concentric map of Shirley and Chiu 1997, lifted to the hemisphere. */
static inline rt_vec3 cosine_sample(float u0, float u1) {
  float a = 2.0f * u0 - 1.0f, b = 2.0f * u1 - 1.0f, sine, cosine;
  bool a_is_larger = fabsf(a) > fabsf(b);
  float r = f_pick(a_is_larger, b, a), other = f_pick(a_is_larger, a, b);
  float ratio = other / f_pick(r == 0.0f, r, 1.0f); /* both are 0 where r is */
  float turn = f_pick(a_is_larger, 0.25f - 0.125f * ratio, 0.125f * ratio);
  rt_sincos_turn(fabsf(turn), &sine, &cosine);
  return v3(r * cosine, r * copysignf(sine, turn), sqrtf(f_max((1.0f - r) * (1.0f + r), 0.0f)));
}

/* Lambert's. */
static inline rt_rgb diffuse_eval(rt_rgb color, float cosine, float *pdf) {
  *pdf = cosine * (1.0f / RT_PI_F);
  return v3_scale(color, *pdf);
}

/* Diffuse ones eight at a time (bsdf_loops.h), as rt_bsdfs_eval and rt_bsdfs_sample (shading.h): others are passed
 * over as if they were. */
typedef struct {
  void (*diffuse_eval)(const rt_bsdf_lanes *bsdfs, const rt_vec3_lanes *wo, const rt_vec3_lanes *wi, rt_vec3_lanes *f,
                       float pdf[RT_LANES]);
  void (*diffuse_sample)(const rt_bsdf_lanes *bsdfs, const rt_vec3_lanes *wo, const float u0[RT_LANES],
                         const float u1[RT_LANES], rt_bsdf_sample_lanes *out);
} rt_bsdf_kernel;
extern const rt_bsdf_kernel rt_bsdfs_base, rt_bsdfs_avx2;

static inline void sample_delta(rt_bsdf_sample_t *out, rt_vec3 wi, rt_rgb weight) {
  *out = (rt_bsdf_sample_t){wi, weight, 1.0f, true, false, 1.0f};
}

bool bsdf_is_delta(const rt_bsdf *bsdf); /* what its field `delta` shall say */

bool metal_is_smooth(const rt_bsdf *bsdf);
rt_rgb metal_albedo(const rt_bsdf *bsdf);
rt_rgb metal_eval(const rt_bsdf *bsdf, rt_vec3 wo, rt_vec3 wi, float *pdf);
bool metal_sample(const rt_bsdf *bsdf, rt_vec3 wo, const float u[3], rt_bsdf_sample_t *out);

bool glass_is_smooth(const rt_bsdf *bsdf);
rt_rgb glass_eval(const rt_bsdf *bsdf, rt_vec3 wo, rt_vec3 wi, float *pdf);
bool glass_sample(const rt_bsdf *bsdf, rt_vec3 wo, const float u[3], rt_bsdf_sample_t *out);

bool plastic_is_delta(const rt_bsdf *bsdf);
rt_rgb plastic_albedo(const rt_bsdf *bsdf);
rt_rgb plastic_eval(const rt_bsdf *bsdf, rt_vec3 wo, rt_vec3 wi, float *pdf);
bool plastic_sample(const rt_bsdf *bsdf, rt_vec3 wo, const float u[3], rt_bsdf_sample_t *out);

#endif
