/* BSDFs: the switch over kinds, and the two simple ones, diffuse (Lambert) and mirror.
 *
 * Always: sample's weight is eval / pdf of the same two directions; nothing is NaN or infinite, also at grazing
 * angles: what cannot be computed there is black, or ends the path. Everything is a function of the arguments. */
#include "shading/bsdf.h"

#include "base/isa.h"

static bool diffuse_sample(const rt_bsdf *bsdf, const float u[3], rt_bsdf_sample_t *out) {
  rt_vec3 wi = cosine_sample(u[1], u[2]);
  *out = (rt_bsdf_sample_t){wi, bsdf->color, wi.z * (1.0f / RT_PI_F), false, false, 1.0f};
  return out->pdf > 0.0f;
}

bool bsdf_is_delta(const rt_bsdf *bsdf) {
  switch (bsdf->kind) {
  case RT_BSDF_DIFFUSE: return false;
  case RT_BSDF_METAL: return metal_is_smooth(bsdf);
  case RT_BSDF_GLASS: return glass_is_smooth(bsdf);
  case RT_BSDF_PLASTIC: return plastic_is_delta(bsdf);
  case RT_BSDF_MIRROR:
  case RT_BSDF_NONE: break;
  }
  return true;
}

rt_rgb rt_bsdf_albedo(const rt_bsdf *bsdf) {
  switch (bsdf->kind) {
  case RT_BSDF_METAL: return metal_albedo(bsdf);
  case RT_BSDF_PLASTIC: return plastic_albedo(bsdf);
  case RT_BSDF_DIFFUSE:
  case RT_BSDF_MIRROR:
  case RT_BSDF_GLASS: return bsdf->color;
  case RT_BSDF_NONE: break;
  }
  return v3_all(1.0f);
}

rt_rgb rt_bsdf_eval(const rt_bsdf *bsdf, const rt_vec3 *wo, const rt_vec3 *wi, float *pdf) {
  *pdf = 0.0f;
  if (bsdf->kind == RT_BSDF_GLASS) return glass_eval(bsdf, *wo, *wi, pdf);
  if (!(wo->z > 0.0f) || !(wi->z > 0.0f)) return rgb_black();
  switch (bsdf->kind) {
  case RT_BSDF_DIFFUSE: return diffuse_eval(bsdf->color, wi->z, pdf);
  case RT_BSDF_METAL: return metal_eval(bsdf, *wo, *wi, pdf);
  case RT_BSDF_PLASTIC: return plastic_eval(bsdf, *wo, *wi, pdf);
  case RT_BSDF_GLASS:
  case RT_BSDF_MIRROR:
  case RT_BSDF_NONE: break;
  }
  return rgb_black();
}

bool rt_bsdf_sample(const rt_bsdf *bsdf, const rt_vec3 *wo, const float u[3], rt_bsdf_sample_t *out) {
  if (bsdf->kind == RT_BSDF_GLASS) return glass_sample(bsdf, *wo, u, out);
  if (!(wo->z > 0.0f)) return false;
  switch (bsdf->kind) {
  case RT_BSDF_DIFFUSE: return diffuse_sample(bsdf, u, out);
  case RT_BSDF_MIRROR: sample_delta(out, v3(-wo->x, -wo->y, wo->z), bsdf->color); return true;
  case RT_BSDF_METAL: return metal_sample(bsdf, *wo, u, out);
  case RT_BSDF_PLASTIC: return plastic_sample(bsdf, *wo, u, out);
  case RT_BSDF_GLASS:
  case RT_BSDF_NONE: break;
  }
  return false;
}

/* ---- Eight at a time ---- */

static bool is_other(const rt_bsdf *bsdf) { return bsdf && bsdf->kind != RT_BSDF_DIFFUSE; }

void rt_bsdfs_eval(const rt_bsdf_lanes *bsdfs, const int32_t wanted[RT_LANES], const rt_vec3_lanes *wo,
                   const rt_vec3_lanes *wi, rt_vec3_lanes *f, float pdf[RT_LANES]) {
  RT_BY_ISA(rt_bsdfs)->diffuse_eval(bsdfs, wo, wi, f, pdf);
  RT_EACH_LANE(i) {
    if (!wanted[i] || !is_other(bsdfs->of[i])) continue;
    rt_vec3 from = v3_get(wo, i), to = v3_get(wi, i);
    v3_put(f, i, rt_bsdf_eval(bsdfs->of[i], &from, &to, &pdf[i]));
  }
}

void rt_bsdf_sample_put(rt_bsdf_sample_lanes *out, int i, bool any, const rt_bsdf_sample_t *sample) {
  out->any[i] = any;
  if (!any) return;
  v3_put(&out->wi, i, sample->wi);
  v3_put(&out->weight, i, sample->weight);
  out->pdf[i] = sample->pdf;
  out->eta_scale[i] = sample->eta_scale;
  out->delta[i] = sample->delta;
  out->transmission[i] = sample->transmission;
}

void rt_bsdfs_sample(const rt_bsdf_lanes *bsdfs, const rt_vec3_lanes *wo, const float u[3][RT_LANES],
                     rt_bsdf_sample_lanes *out) {
  RT_BY_ISA(rt_bsdfs)->diffuse_sample(bsdfs, wo, u[1], u[2], out);
  RT_EACH_LANE(i) {
    if (!is_other(bsdfs->of[i])) continue;
    rt_vec3 from = v3_get(wo, i);
    rt_bsdf_sample_t sample;
    bool any = rt_bsdf_sample(bsdfs->of[i], &from, (const float[3]){u[0][i], u[1][i], u[2][i]}, &sample);
    rt_bsdf_sample_put(out, i, any, &sample);
  }
}
