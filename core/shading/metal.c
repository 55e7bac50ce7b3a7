/* Metal: a conductor, smooth or a GGX surface of conductors (single scattering), by exact Fresnel reflectance per
 * channel from eta and k, or by Schlick's curve from the color at normal incidence. */
#include "shading/bsdf.h"
#include "shading/fresnel.h"

static rt_rgb reflectance(const rt_bsdf *bsdf, float c) {
  if (bsdf->schlick) return fresnel_schlick(c, bsdf->color);
  return v3(fresnel_conductor(c, bsdf->eta.x, bsdf->k.x), fresnel_conductor(c, bsdf->eta.y, bsdf->k.y),
            fresnel_conductor(c, bsdf->eta.z, bsdf->k.z));
}

bool metal_is_smooth(const rt_bsdf *bsdf) { return !(bsdf->alpha >= RT_ALPHA_SMOOTH); }

rt_rgb metal_albedo(const rt_bsdf *bsdf) { return reflectance(bsdf, 1.0f); }

rt_rgb metal_eval(const rt_bsdf *bsdf, rt_vec3 wo, rt_vec3 wi, float *pdf) {
  ggx_lobe lobe;
  if (metal_is_smooth(bsdf) || !ggx_reflect(wo, wi, bsdf->alpha, &lobe)) return rgb_black();
  *pdf = lobe.density;
  return v3_scale(reflectance(bsdf, lobe.cosine), lobe.ratio * lobe.density);
}

bool metal_sample(const rt_bsdf *bsdf, rt_vec3 wo, const float u[3], rt_bsdf_sample_t *out) {
  if (metal_is_smooth(bsdf)) {
    sample_delta(out, v3(-wo.x, -wo.y, wo.z), reflectance(bsdf, f_min(wo.z, 1.0f)));
    return true;
  }
  rt_vec3 m = ggx_sample(wo, bsdf->alpha, u[1], u[2]);
  rt_vec3 wi = v3_sub(v3_scale(m, 2.0f * v3_dot(wo, m)), wo);
  ggx_lobe lobe;
  if (!(wi.z > 0.0f) || !ggx_reflect(wo, wi, bsdf->alpha, &lobe)) return false;
  *out = (rt_bsdf_sample_t){wi, v3_scale(reflectance(bsdf, lobe.cosine), lobe.ratio), lobe.density, false, false, 1.0f};
  return lobe.density > 0.0f;
}
