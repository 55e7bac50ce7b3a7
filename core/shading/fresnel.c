/* Fresnel reflectance: the public forms, and the mean over diffuse light. */
#include "shading/fresnel.h"

#include "base/elementary.h"
#include "shading/shading.h"

float rt_fresnel_dielectric(float cos_i, float ior, float *cos_t) {
  float eta = cos_i < 0.0f ? 1.0f / ior : ior, g;
  float f = fresnel_dielectric(f_min(fabsf(cos_i), 1.0f), eta, &g);
  *cos_t = f_min(g / eta, 1.0f);
  return f;
}

float rt_fresnel_conductor(float cos_i, float eta, float k) {
  return fresnel_conductor(f_min(fabsf(cos_i), 1.0f), eta, k);
}

/* From outside, the integral of F 2 c dc over [0, 1] has a closed form: Walsh 1926 (printed by Duntley 1942; error
 * here below 1e-8, found against quadrature, for n - 1 from 2^-23 to 9). The factors n - 1 are taken out of n^4 - 1
 * because they are exact. By reciprocity 1 - F_in = (1 - F_out) / n^2. */
float fresnel_diffuse_internal(float ior) {
  double n = ior, n2 = n * n, n4 = n2 * n2, less = n - 1.0, more = n + 1.0, sum = n2 + 1.0;
  if (!(less > 0.0)) return 0.0f;
  double diff4 = less * more * sum; /* n^4 - 1 */
  double out = 0.5 + less * (3.0 * n + 1.0) / (6.0 * more * more) +
               n2 * (less * more) * (less * more) / (sum * sum * sum) * rt_log(less / more) -
               2.0 * n2 * n * (n2 + 2.0 * n - 1.0) / (sum * diff4) +
               8.0 * n4 * (n4 + 1.0) / (sum * diff4 * diff4) * rt_log(n);
  return (float)(1.0 - (1.0 - out) / n2);
}
