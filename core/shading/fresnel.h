/* Fresnel's equations for the hot path; shading.h has the checked-for-sides public forms. Unpolarized: the mean of
 * the reflectances of the two polarizations (Born and Wolf, "Principles of Optics", sections 1.5, 14.2). */
#ifndef RT_SHADING_FRESNEL_H
#define RT_SHADING_FRESNEL_H

#include "base/vec.h"

/* Dielectric. c in [0, 1] is the cosine on this side, eta the index of the other side over that of this one; *g = eta
 * cos_t, 0 with total internal reflection. With d = eta^2 - 1 and g = sqrt(d + c^2), the amplitudes (c - g) / (c + g)
 * and (eta^2 c - g) / (eta^2 c + g) are expanded by their conjugates, so that nothing cancels as eta comes near 1, at
 * grazing angles or near Brewster's. */
static inline float fresnel_dielectric(float c, float eta, float *g) {
  float d = (eta - 1.0f) * (eta + 1.0f), c2 = c * c, g2 = d + c2;
  if (d == 0.0f) {
    *g = c;
    return 0.0f;
  }
  if (!(g2 > 0.0f)) {
    *g = 0.0f;
    return 1.0f;
  }
  *g = sqrtf(g2);
  float eta2 = eta * eta, s = c + *g, p = eta2 * c + *g;
  float rs = d / (s * s), rp = d * ((eta2 + 1.0f) * c2 - 1.0f) / (p * p);
  return f_min(0.5f * (rs * rs + rp * rp), 1.0f);
}

/* Conductor of index eta + i k, eta > 0, k >= 0, met from air or vacuum. With a + i b = sqrt((eta + i k)^2 - sin^2):
 * r = a^2 + b^2, and a^2 = (r + t) / 2 where t = eta^2 - k^2 - sin^2, rewritten where t < 0 would cancel against r. */
static inline float fresnel_conductor(float c, float eta, float k) {
  float c2 = c * c, s2 = f_max(1.0f - c2, 0.0f), eta2 = eta * eta, k2 = k * k, t = eta2 - k2 - s2, ek2 = eta2 * k2;
  float r = sqrtf(t * t + 4.0f * ek2);
  float a = sqrtf(t < 0.0f ? 2.0f * ek2 / (r - t) : 0.5f * (r + t));
  float ac = 2.0f * a * c, ns = r + c2, np = c2 * r + s2 * s2;
  if (!(ns + ac > 0.0f) || !(np + ac * s2 > 0.0f)) return 1.0f;
  float rs = (ns - ac) / (ns + ac), rp = rs * ((np - ac * s2) / (np + ac * s2));
  return f_clamp(0.5f * (rs + rp), 0.0f, 1.0f);
}

/* Schlick 1994: f0 at normal incidence, 1 at grazing. */
static inline rt_rgb fresnel_schlick(float c, rt_rgb f0) {
  float m = 1.0f - c, m2 = m * m, m5 = m2 * m2 * m;
  return v3(f0.x + (1.0f - f0.x) * m5, f0.y + (1.0f - f0.y) * m5, f0.z + (1.0f - f0.z) * m5);
}

/* The reflectance of a smooth dielectric of index ior >= 1 for perfectly diffuse light that comes from inside. */
float fresnel_diffuse_internal(float ior);

#endif
