/* The BSDFs one by one, behind rt_bsdf_eval and rt_bsdf_sample (shading.h): bsdf.c dispatches and has diffuse and
 * mirror. Directions are unit; wo.z is not 0. For opaque BSDFs wo.z > 0. */
#ifndef RT_SHADING_BSDF_H
#define RT_SHADING_BSDF_H

#include "shading/microfacet.h"
#include "shading/shading.h"

static inline rt_rgb rgb_black(void) { return v3(0.0f, 0.0f, 0.0f); }

/* Cosine-weighted direction around +z: the concentric map of Shirley and Chiu 1997, lifted to the hemisphere. */
rt_vec3 cosine_sample(float u0, float u1);

static inline void sample_delta(rt_bsdf_sample_t *out, rt_vec3 wi, rt_rgb weight) {
  *out = (rt_bsdf_sample_t){wi, weight, 1.0f, true, false, 1.0f};
}

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
