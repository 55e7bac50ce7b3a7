/* BSDFs: the switch over kinds, and the two simple ones, diffuse (Lambert) and mirror.
 *
 * Always: sample's weight is eval / pdf of the same two directions; nothing is NaN or infinite, also at grazing
 * angles: what cannot be computed there is black, or ends the path. Everything is a function of the arguments. */
#include "shading/bsdf.h"

rt_vec3 cosine_sample(float u0, float u1) {
  float a = 2.0f * u0 - 1.0f, b = 2.0f * u1 - 1.0f, r, turn;
  if (a == 0.0f && b == 0.0f) return v3(0.0f, 0.0f, 1.0f);
  if (fabsf(a) > fabsf(b)) {
    r = a;
    turn = 0.125f * (b / a);
  } else {
    r = b;
    turn = 0.25f - 0.125f * (a / b);
  }
  float sine, cosine, z = sqrtf(f_max((1.0f - r) * (1.0f + r), 0.0f));
  rt_sincos_turn(fabsf(turn), &sine, &cosine);
  return v3(r * cosine, r * copysignf(sine, turn), z);
}

static rt_rgb diffuse_eval(const rt_bsdf *bsdf, float cosine, float *pdf) {
  *pdf = cosine * (1.0f / RT_PI_F);
  return v3_scale(bsdf->color, *pdf);
}

static bool diffuse_sample(const rt_bsdf *bsdf, const float u[3], rt_bsdf_sample_t *out) {
  rt_vec3 wi = cosine_sample(u[1], u[2]);
  *out = (rt_bsdf_sample_t){wi, bsdf->color, wi.z * (1.0f / RT_PI_F), false, false, 1.0f};
  return out->pdf > 0.0f;
}

bool rt_bsdf_is_delta(const rt_bsdf *bsdf) {
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
  case RT_BSDF_DIFFUSE: return diffuse_eval(bsdf, wi->z, pdf);
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
