/* Visible normals of GGX. */
#include "shading/microfacet.h"

/* Stretched by alpha, the surface is a hemisphere, whose mirror reflections of `o` are uniform over the cap z > -o.z;
 * the normal is the half vector. The cap's z is t - s.z with t = (1 - u0)(1 + s.z); keeping t saves h.z and 1 - z =
 * u0 (1 + s.z) from cancellation. */
rt_vec3 ggx_sample(rt_vec3 o, float alpha, float u0, float u1) {
  rt_vec3 s = v3(alpha * o.x, alpha * o.y, o.z);
  s = v3_scale(s, 1.0f / sqrtf(v3_dot(s, s)));
  float span = 1.0f + s.z, t = (1.0f - u0) * span, sine, cosine;
  float r = sqrtf(u0 * span * f_max(1.0f - s.z + t, 0.0f));
  rt_sincos_turn(u1, &sine, &cosine);
  rt_vec3 m = v3(alpha * (s.x + r * cosine), alpha * (s.y + r * sine), t);
  return v3_scale(m, 1.0f / sqrtf(v3_dot(m, m)));
}
