/* Glass: a dielectric boundary, smooth or GGX, exact Fresnel (Walter et al. 2007, "Microfacet Models for Refraction
 * through Rough Surfaces").
 *
 * z is the outward normal. Seen from inside (wo.z < 0) the z axis is mirrored and the index inverted, so that below
 * wo.z > 0 and eta = index of the other side / index of this side. A microfacet (of a smooth surface: z itself)
 * reflects with probability F and refracts else, so that F cancels in the weights:
 *   reflection    G2 / G1
 *   transmission  color G2 / G1 / eta^2
 * The color is a filter that each crossing multiplies by once: what passes through a solid sees it twice. Radiance
 * shrinks by eta^2 where it leaves the denser side, and grows back; over a whole passage the factors cancel. */
#include "shading/bsdf.h"
#include "shading/fresnel.h"

/* Refraction spreads light by about alpha |ior - 1|: below this (radians) the spread cannot be told from a straight
 * line, and o + eta i, which is known to 1e-7, has too few digits for a density. */
#define SPREAD_SMOOTH 1e-4f

bool glass_is_smooth(const rt_bsdf *bsdf) {
  return !(bsdf->alpha >= RT_ALPHA_SMOOTH) || !(bsdf->alpha * fabsf(bsdf->ior - 1.0f) >= SPREAD_SMOOTH);
}

typedef struct {
  float sign;         /* of wo.z */
  float eta, inverse; /* of the other side over this side, and 1 / eta */
} side;

static side side_of(const rt_bsdf *bsdf, float wo_z) {
  return wo_z > 0.0f ? (side){1.0f, bsdf->ior, 1.0f / bsdf->ior} : (side){-1.0f, 1.0f / bsdf->ior, bsdf->ior};
}

/* The lobe of i, whichever it is; its density is already times the probability of the lobe. */
static bool lobe_of(const rt_bsdf *bsdf, const side *s, rt_vec3 o, rt_vec3 i, ggx_lobe *lobe) {
  bool transmits = i.z < 0.0f;
  if (!(transmits ? ggx_refract(o, i, bsdf->alpha, s->eta, lobe) : ggx_reflect(o, i, bsdf->alpha, lobe))) return false;
  float g, f = fresnel_dielectric(lobe->cosine, s->eta, &g);
  lobe->density *= transmits ? 1.0f - f : f;
  return lobe->density > 0.0f;
}

static rt_rgb weight_of(const rt_bsdf *bsdf, const side *s, bool transmits, float ratio) {
  return transmits ? v3_scale(bsdf->color, ratio * (s->inverse * s->inverse)) : v3_all(ratio);
}

rt_rgb glass_eval(const rt_bsdf *bsdf, rt_vec3 wo, rt_vec3 wi, float *pdf) {
  if (wo.z == 0.0f || wi.z == 0.0f || glass_is_smooth(bsdf)) return rgb_black();
  side s = side_of(bsdf, wo.z);
  ggx_lobe lobe;
  rt_vec3 o = v3(wo.x, wo.y, s.sign * wo.z), i = v3(wi.x, wi.y, s.sign * wi.z);
  if (!lobe_of(bsdf, &s, o, i, &lobe)) return rgb_black();
  *pdf = lobe.density;
  return v3_scale(weight_of(bsdf, &s, i.z < 0.0f, lobe.ratio), lobe.density);
}

static bool sample_smooth(const rt_bsdf *bsdf, rt_vec3 wo, float u, rt_bsdf_sample_t *out) {
  side s = side_of(bsdf, wo.z);
  float g, f = fresnel_dielectric(f_min(s.sign * wo.z, 1.0f), s.eta, &g);
  if (u < f) {
    sample_delta(out, v3(-wo.x, -wo.y, wo.z), v3_all(1.0f));
    return true;
  }
  rt_vec3 wi = v3(-wo.x * s.inverse, -wo.y * s.inverse, -s.sign * (g * s.inverse));
  sample_delta(out, wi, weight_of(bsdf, &s, true, 1.0f));
  out->transmission = true;
  out->eta_scale = s.eta * s.eta;
  return wi.z != 0.0f;
}

bool glass_sample(const rt_bsdf *bsdf, rt_vec3 wo, const float u[3], rt_bsdf_sample_t *out) {
  if (wo.z == 0.0f) return false;
  if (glass_is_smooth(bsdf)) return sample_smooth(bsdf, wo, u[0], out);
  side s = side_of(bsdf, wo.z);
  rt_vec3 o = v3(wo.x, wo.y, s.sign * wo.z), m = ggx_sample(o, bsdf->alpha, u[1], u[2]), i;
  float c = f_min(v3_dot(o, m), 1.0f), g;
  if (!(c > 0.0f)) return false;
  bool transmits = !(u[0] < fresnel_dielectric(c, s.eta, &g));
  i = transmits ? v3_scale(v3_sub(v3_scale(m, c - g), o), s.inverse) : v3_sub(v3_scale(m, 2.0f * c), o);
  ggx_lobe lobe;
  if (!(transmits ? i.z < 0.0f : i.z > 0.0f) || !lobe_of(bsdf, &s, o, i, &lobe)) return false;
  rt_rgb weight = weight_of(bsdf, &s, transmits, lobe.ratio);
  float eta_scale = transmits ? s.eta * s.eta : 1.0f;
  i.z *= s.sign;
  *out = (rt_bsdf_sample_t){i, weight, lobe.density, false, transmits, eta_scale};
  return true;
}
