/* Diffuse BSDFs, eight at a time, for the instruction set that the file which includes this is compiled for. It defines
 * RT_BSDFS, and gets an rt_bsdf_kernel of this name (bsdf.h). */
#include "shading/bsdf.h"

static void eval_lanes(const rt_bsdf_lanes *restrict bsdfs, const rt_vec3_lanes *restrict wo,
                       const rt_vec3_lanes *restrict wi, rt_vec3_lanes *restrict f, float pdf[restrict RT_LANES]) {
  RT_EACH_LANE(i) {
    float density, cosine = f_pick((wo->z[i] > 0.0f) & (wi->z[i] > 0.0f), 0.0f, wi->z[i]);
    v3_put(f, i, diffuse_eval(v3_get(&bsdfs->color, i), cosine, &density));
    pdf[i] = density;
  }
}

static void sample_lanes(const rt_bsdf_lanes *restrict bsdfs, const rt_vec3_lanes *restrict wo,
                         const float u0[restrict RT_LANES], const float u1[restrict RT_LANES],
                         rt_bsdf_sample_lanes *restrict out) {
  RT_EACH_LANE(i) {
    rt_vec3 wi = cosine_sample(u0[i], u1[i]);
    v3_put(&out->wi, i, wi);
    v3_put(&out->weight, i, v3_get(&bsdfs->color, i));
    out->pdf[i] = wi.z * (1.0f / RT_PI_F);
    out->eta_scale[i] = 1.0f;
    out->delta[i] = out->transmission[i] = 0;
    out->any[i] = f_min(wo->z[i], wi.z) > 0.0f;
  }
}

const rt_bsdf_kernel RT_BSDFS = {eval_lanes, sample_lanes};
