/* Microfacets: isotropic GGX with Smith's masking and shadowing, sampled by visible normals.
 *
 *   D(m)       = alpha^2 / (pi (mx^2 + my^2 + alpha^2 mz^2)^2)      Walter et al. 2007, so that nothing cancels
 *   Z(w)       = sqrt(wz^2 + alpha^2 (wx^2 + wy^2)),  Lambda = (Z / |wz| - 1) / 2
 *   G1(w)      = 1 / (1 + Lambda(w))                  = 2 |wz| / (|wz| + Z(w))
 *   G2(o, i)   = 1 / (1 + Lambda(o) + Lambda(i))      = 2 |oz iz| / (|iz| Z(o) + |oz| Z(i))   Heitz 2014
 *   density(m) = G1(o) D(m) max(o.m, 0) / oz                        Heitz 2018
 *
 * G2 is height-correlated. It is used for transmission too, as pbrt and Cycles do: it keeps more of the light than
 * the exact Beta function of Heitz 2014, and G2 <= G1, so that the albedo never exceeds 1.
 *
 * Here o and i are unit, o.z > 0: who looks from below mirrors the z axis first. A lobe is given by its density over
 * solid angle and by the ratio G2 / G1 in [0, 1]: f |cos| = F density ratio, and a sample weighs F ratio. Both are
 * functions of (o, i) alone, so that eval and sample agree to the bit. No divisor vanishes at grazing angles: |wz|
 * only stands beside Z >= alpha |sin|. */
#ifndef RT_SHADING_MICROFACET_H
#define RT_SHADING_MICROFACET_H

#include "base/elementary.h"
#include "base/vec.h"

/* Below this a surface is smooth. Half vectors are known to some 1e-7, hence D to 4e-7 / alpha relative: .0004 here. */
#define RT_ALPHA_SMOOTH 1e-3f

typedef struct {
  float density; /* of i over solid angle */
  float ratio;   /* G2 / G1 */
  float cosine;  /* o.m, in (0, 1] */
} ggx_lobe;

/* A microfacet normal visible from o, m.z > 0: Dupuy and Benyoub 2023, "Sampling Visible GGX Normals with Spherical
 * Caps". */
rt_vec3 ggx_sample(rt_vec3 o, float alpha, float u0, float u1);

static inline float ggx_z(rt_vec3 w, float alpha2) { return sqrtf(w.z * w.z + alpha2 * (w.x * w.x + w.y * w.y)); }

/* For h of squared length h2, not normalized. */
static inline float ggx_d(rt_vec3 h, float h2, float alpha2) {
  float t = h2 / (h.x * h.x + h.y * h.y + alpha2 * (h.z * h.z));
  return alpha2 * (t * t) * (1.0f / RT_PI_F);
}

/* The lobe of i for i.z > 0. False where it is 0 or cannot be told from it. */
static inline bool ggx_reflect(rt_vec3 o, rt_vec3 i, float alpha, ggx_lobe *lobe) {
  float alpha2 = alpha * alpha, z_o = ggx_z(o, alpha2), z_i = ggx_z(i, alpha2);
  rt_vec3 h = v3_add(o, i);
  float h2 = v3_dot(h, h), g = i.z * z_o + o.z * z_i;
  /* A squared half vector this short is about to underflow: both directions lie within 1e-15 of the horizon. */
  if (!(h2 > 1e-30f) || !(g > 0.0f)) return false;
  lobe->density = ggx_d(h, h2, alpha2) / (2.0f * (o.z + z_o));
  lobe->ratio = f_min(i.z * (o.z + z_o) / g, 1.0f);
  lobe->cosine = f_min(0.5f * sqrtf(h2), 1.0f); /* o.(o + i) = |o + i|^2 / 2 */
  return true;
}

/* The lobe of i for i.z < 0, into a side whose index over that of o's is eta, not near 1: Walter et al. 2007,
 * equations 16 and 17. The density is that of refracting at a visible normal; its Jacobian is eta^2 |i.m| / |o + eta
 * i|^2. */
static inline bool ggx_refract(rt_vec3 o, rt_vec3 i, float alpha, float eta, ggx_lobe *lobe) {
  float alpha2 = alpha * alpha, z_o = ggx_z(o, alpha2), z_i = ggx_z(i, alpha2);
  /* h on o's side of the facet, |h| >= |1 - eta|. */
  rt_vec3 h = v3_scale(v3_mad(o, i, eta), eta < 1.0f ? 1.0f : -1.0f);
  float h2 = v3_dot(h, h), o_h = v3_dot(o, h), i_h = -v3_dot(i, h), g = o.z * z_i - i.z * z_o;
  if (!(h.z > 0.0f) || !(o_h > 0.0f) || !(i_h > 0.0f) || !(g > 0.0f)) return false;
  lobe->density = ggx_d(h, h2, alpha2) * 2.0f * (eta * eta) * (o_h / h2) * (i_h / h2) / (o.z + z_o);
  lobe->ratio = f_min(-i.z * (o.z + z_o) / g, 1.0f);
  lobe->cosine = f_min(o_h / sqrtf(h2), 1.0f);
  return true;
}

#endif
