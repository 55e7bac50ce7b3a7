/* Vertices of paths, eight at a time, for the instruction set that the file which includes this is compiled for. It
 * defines RT_VERTICES, and gets an rt_vertex_kernel of this name (vertices.h). */
#include "render/vertices.h"

static void frames(rt_vertices *restrict v, bool shaded) {
  RT_EACH_LANE(i) {
    rt_vec3 ng = v3_get(&v->surface.ng, i), ns = v3_get(&v->surface.ns, i), wo = v3_get(&v->wo, i);
    bool front = v3_dot(ng, wo) >= 0.0f, seen_front = v3_dot(ns, wo) >= 0.0f;
    v3_put(&v->side, i, v3_pick(front, v3_neg(ng), ng));
    /* A shading normal that puts the viewer behind the surface is of no use: the geometric one takes its place. */
    rt_vec3 normal = v3_pick(shaded & (front == seen_front), ng, ns);
    rt_frame frame = frame_from_z(oriented(normal, v->transmissive[i], ng, wo));
    v3_put(&v->frame.x, i, frame.x);
    v3_put(&v->frame.y, i, frame.y);
    v3_put(&v->frame.z, i, frame.z);
    v3_put(&v->local_wo, i, frame_to_local(&frame, wo));
  }
}

static void see_lights(const rt_vertices *restrict v, const rt_light_lanes *restrict lights,
                       rt_vec3_lanes *restrict local_wi, int32_t wanted[restrict RT_LANES]) {
  RT_EACH_LANE(i) {
    rt_vec3 wi = v3_get(&lights->at.wi, i);
    rt_frame frame = frame_get(&v->frame, i);
    rt_vec3 local = frame_to_local(&frame, wi);
    /* By the shading normal light may come from the side that the geometric normal says is dark: such light would leak
     * through. */
    bool reflects = v3_dot(v3_get(&v->side, i), wi) > 0.0f;
    wanted[i] = (lights->any[i] != 0) & (reflects == (local.z * v->local_wo.z[i] > 0.0f));
    v3_put(local_wi, i, local);
  }
}

static void make_shadows(const rt_vertices *restrict v, const rt_light_lanes *restrict lights,
                         const rt_vec3_lanes *restrict throughput, const rt_vec3_lanes *restrict f,
                         const float pdf[restrict RT_LANES], rt_shadows *restrict out) {
  RT_EACH_LANE(i) {
    float light_pdf = lights->at.pdf[i];
    float weight = f_pick(lights->delta[i], power_heuristic(light_pdf, pdf[i]), 1.0f) / light_pdf;
    rt_rgb radiance = v3_mul(v3_mul(v3_get(throughput, i), v3_get(f, i)), v3_get(&lights->radiance, i));
    v3_put(&out->radiance, i, v3_scale(radiance, weight));
  }
  RT_EACH_LANE(i) {
    rt_vec3 wi = v3_get(&lights->at.wi, i), p = v3_get(&lights->at.p, i);
    rt_vec3 from = rt_offset(v3_get(&v->surface.p, i), v3_get(&v->surface.p_error, i), v3_get(&v->surface.ng, i), wi);
    rt_vec3 to = rt_offset(p, v3_get(&lights->at.p_error, i), v3_get(&lights->at.n, i), v3_neg(wi));
    rt_vec3 d = v3_sub(v3_pick(lights->point[i], to, p), from);
    bool infinite = lights->infinite[i];
    d = v3_pick(infinite, d, wi);
    v3_put(&out->ray.o, i, from);
    v3_put(&out->ray.d, i, d);
    out->ray.tnear[i] = 0.0f;
    out->ray.tfar[i] = f_pick(infinite, SHADOW_END, INFINITY);
    bool black = v3_is_zero(v3_get(&out->radiance, i)), nowhere = v3_is_zero(d);
    out->wanted[i] &= !black & !nowhere;
  }
}

static void directions(const rt_vertices *restrict v, const rt_bsdf_sample_lanes *restrict samples,
                       rt_vec3_lanes *restrict wi, int32_t left[restrict RT_LANES]) {
  RT_EACH_LANE(i) {
    rt_frame frame = frame_get(&v->frame, i);
    rt_vec3 w = out_of_frame(&frame, v3_get(&samples->wi, i));
    v3_put(wi, i, w);
    left[i] = leaves(v3_get(&v->side, i), w, samples->transmission[i]);
  }
}

static void go_on(rt_paths *restrict paths, const rt_vertices *restrict v, const rt_bsdf_sample_lanes *restrict samples,
                  const rt_vec3_lanes *restrict wi, const float u[restrict RT_LANES], float most_survival,
                  int32_t broken[restrict RT_LANES]) {
  RT_EACH_LANE(i) {
    rt_rgb throughput = v3_mul(v3_get(&paths->throughput, i), v3_get(&samples->weight, i));
    float eta_scale = paths->eta_scale[i] * f_pick(samples->transmission[i], 1.0f, samples->eta_scale[i]);
    /* eta_scale takes out the radiance's change by refraction, which a later refraction will undo. */
    float q = f_min(v3_max(throughput) * eta_scale * (1.0f / ROULETTE_BELOW), most_survival);
    bool goes = (paths->going[i] != 0) & (samples->any[i] != 0), finite = v3_is_bounded(throughput);
    broken[i] = goes & !finite;
    paths->going[i] = goes & finite & (u[i] < q);
    v3_put(&paths->throughput, i, v3_scale(throughput, 1.0f / q));
    paths->eta_scale[i] = eta_scale;
    paths->pdf[i] = samples->pdf[i];
    paths->delta[i] = samples->delta[i];
  }
  RT_EACH_LANE(i) {
    rt_vec3 p = v3_get(&v->surface.p, i), w = v3_get(wi, i);
    v3_put(&paths->from, i, p);
    v3_put(&paths->ray.o, i, rt_offset(p, v3_get(&v->surface.p_error, i), v3_get(&v->surface.ng, i), w));
    v3_put(&paths->ray.d, i, w);
  }
}

const rt_vertex_kernel RT_VERTICES = {frames, see_lights, make_shadows, directions, go_on};
