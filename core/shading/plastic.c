/* Plastic: a dielectric coat, smooth or GGX, over a Lambert base.
 *
 * Light that enters the coat is scattered by the base and, with the probability f_internal that diffuse light is
 * reflected back from inside, scattered again, and so on: a geometric series, so that with the base's albedo a
 * (`color`)
 *   f = (1 - F(wo)) (1 - F(wi)) a / (pi n^2 (1 - a f_internal)) + the coat's own reflection.
 * It is reciprocal, and with a = 1 and a smooth coat the albedo is exactly 1, because (1 - F_out) / n^2 = 1 -
 * f_internal.
 *
 * The lobes are chosen in proportion to their albedos, that of the base being of its brightest channel. A smooth
 * coat's reflection is delta: it is only sampled, and the base alone is evaluated. */
#include "shading/bsdf.h"
#include "shading/fresnel.h"

/* A rough coat reflects a little more than F(wo), the mean of F over its normals, which the base must not give again:
 * (E - F) / (1 - F) is below .024 alpha and below .00075, by quadrature over all angles and ior to 4. */
#define EXCESS_PER_ALPHA 0.03f
#define EXCESS_MAX 8e-4f

static bool coat_is_smooth(const rt_bsdf *bsdf) { return !(bsdf->alpha >= RT_ALPHA_SMOOTH); }

bool plastic_is_delta(const rt_bsdf *bsdf) { return coat_is_smooth(bsdf) && v3_is_zero(bsdf->color); }

typedef struct {
  rt_rgb base; /* (1 - F(wo)) a / (n^2 (1 - a f_internal)), less what a rough coat takes */
  float sum;   /* of the lobes' albedos */
  float p_coat, p_base;
} lobes;

static bool lobes_at(const rt_bsdf *bsdf, rt_vec3 wo, lobes *out) {
  float g, f = fresnel_dielectric(f_min(wo.z, 1.0f), bsdf->ior, &g), n2 = bsdf->ior * bsdf->ior;
  float excess = coat_is_smooth(bsdf) ? 0.0f : f_min(EXCESS_PER_ALPHA * bsdf->alpha, EXCESS_MAX);
  float t = (1.0f - f) * (1.0f - excess) / n2;
  rt_rgb a = bsdf->color;
  out->base = v3(t * a.x / (1.0f - a.x * bsdf->f_internal), t * a.y / (1.0f - a.y * bsdf->f_internal),
                 t * a.z / (1.0f - a.z * bsdf->f_internal));
  float base = v3_max(out->base) * n2 * (1.0f - bsdf->f_internal);
  out->sum = f + base;
  if (!(out->sum > 0.0f)) return false;
  out->p_coat = f / out->sum;
  out->p_base = base / out->sum;
  return true;
}

rt_rgb plastic_albedo(const rt_bsdf *bsdf) {
  lobes l;
  if (!lobes_at(bsdf, v3(0.0f, 0.0f, 1.0f), &l)) return rgb_black();
  float n2 = bsdf->ior * bsdf->ior;
  return v3_mad(v3_all(l.p_coat * l.sum), l.base, n2 * (1.0f - bsdf->f_internal));
}

/* f |cos| and the density, of all that is not delta. */
static rt_rgb eval_at(const rt_bsdf *bsdf, const lobes *l, rt_vec3 wo, rt_vec3 wi, float *pdf) {
  float g, cosine = wi.z * (1.0f / RT_PI_F), through = 1.0f - fresnel_dielectric(f_min(wi.z, 1.0f), bsdf->ior, &g);
  rt_rgb f = v3_scale(l->base, through * cosine);
  *pdf = l->p_base * cosine;
  ggx_lobe lobe;
  if (coat_is_smooth(bsdf) || !ggx_reflect(wo, wi, bsdf->alpha, &lobe)) return f;
  *pdf += l->p_coat * lobe.density;
  return v3_add(f, v3_all(fresnel_dielectric(lobe.cosine, bsdf->ior, &g) * lobe.ratio * lobe.density));
}

rt_rgb plastic_eval(const rt_bsdf *bsdf, rt_vec3 wo, rt_vec3 wi, float *pdf) {
  lobes l;
  return lobes_at(bsdf, wo, &l) ? eval_at(bsdf, &l, wo, wi, pdf) : rgb_black();
}

bool plastic_sample(const rt_bsdf *bsdf, rt_vec3 wo, const float u[3], rt_bsdf_sample_t *out) {
  lobes l;
  if (!lobes_at(bsdf, wo, &l)) return false;
  rt_vec3 wi;
  if (!(u[0] < l.p_coat)) {
    wi = cosine_sample(u[1], u[2]);
  } else if (coat_is_smooth(bsdf)) {
    sample_delta(out, v3(-wo.x, -wo.y, wo.z), v3_all(l.sum)); /* F / p_coat */
    return true;
  } else {
    rt_vec3 m = ggx_sample(wo, bsdf->alpha, u[1], u[2]);
    wi = v3_sub(v3_scale(m, 2.0f * v3_dot(wo, m)), wo);
  }
  if (!(wi.z > 0.0f)) return false;
  float pdf;
  rt_rgb f = eval_at(bsdf, &l, wo, wi, &pdf);
  if (!(pdf > 0.0f)) return false;
  *out = (rt_bsdf_sample_t){wi, v3(f.x / pdf, f.y / pdf, f.z / pdf), pdf, false, false, 1.0f};
  return true;
}
