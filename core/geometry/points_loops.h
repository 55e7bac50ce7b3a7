/* Points on shapes, eight at a time, for the instruction set that the file which includes this is compiled for. It
 * defines RT_POINTS, and gets an rt_point_kernel of this name (points.h). */
#include "geometry/points.h"
#include "geometry/triangle.h"

/* Of a ray that leaves the point: no corner is farther from it, along an axis, than the longest edge. */
static inline double triangle_error(rt_d3 ab, rt_d3 ac) {
  return RT_TRIANGLE_ERROR * d_max(d3_abs_max(ab), d_max(d3_abs_max(ac), d3_abs_max(d3_sub(ac, ab))));
}

static void on_triangles(const rt_corner_lanes *restrict corners, rt_point_lanes *restrict out) {
  RT_EACH_LANE(i) {
    double b1 = corners->b1[i], b2 = corners->b2[i];
    rt_d3 a = d3_from(v3_get(&corners->corner[0].p, i)), ab = d3_sub(d3_from(v3_get(&corners->corner[1].p, i)), a),
          ac = d3_sub(d3_from(v3_get(&corners->corner[2].p, i)), a);
    double error = triangle_error(ab, ac);
    d3_put(&out->p, i, d3_mad(d3_mad(a, ab, b1), ac, b2));
    d3_put(&out->n, i, d3_cross(ab, ac));
    d3_put(&out->error, i, d3(error, error, error));
  }
  RT_EACH_LANE(i) {
    float f1 = (float)corners->b1[i], f2 = (float)corners->b2[i], f0 = 1.0f - f1 - f2;
    rt_vec3 a = v3_get(&corners->corner[0].n, i), b = v3_get(&corners->corner[1].n, i),
            c = v3_get(&corners->corner[2].n, i);
    d3_put(&out->ns, i, d3_from(v3_mad(v3_mad(v3_scale(a, f0), b, f1), c, f2)));
  }
  RT_EACH_LANE(i) {
    double b1 = corners->b1[i], b2 = corners->b2[i], b0 = 1.0 - b1 - b2;
    out->u[i] = (float)(b0 * corners->corner[0].u[i] + b1 * corners->corner[1].u[i] + b2 * corners->corner[2].u[i]);
    out->v[i] = (float)(b0 * corners->corner[0].v[i] + b1 * corners->corner[1].v[i] + b2 * corners->corner[2].v[i]);
  }
}

/* Rounding is u |p|; half as much again is room for all that double rounds. */
static inline float whole_error(double p, double error) {
  return (float)((error + 1.5 * RT_U * fabs(p)) * (1.0 + 0x1p-20));
}

static inline rt_d3 d3_pick(bool second, rt_d3 a, rt_d3 b) {
  return d3(second ? b.x : a.x, second ? b.y : a.y, second ? b.z : a.z);
}

/* d3_normalize without a branch. */
static inline rt_d3 unit_of(rt_d3 a) {
  double length = d3_length(a);
  return d3_scale(a, length > 0.0 ? 1.0 / length : 1.0);
}

static void round_points(const rt_point_lanes *restrict points, rt_vec3_lanes *restrict p,
                         rt_vec3_lanes *restrict p_error, rt_vec3_lanes *restrict n, rt_vec3_lanes *restrict ns) {
  RT_EACH_LANE(i) {
    rt_d3 at = d3_get(&points->p, i), error = d3_get(&points->error, i);
    v3_put(p, i, d3_round(at));
    v3_put(p_error, i, v3(whole_error(at.x, error.x), whole_error(at.y, error.y), whole_error(at.z, error.z)));
  }
  RT_EACH_LANE(i) {
    rt_d3 flat = unit_of(d3_get(&points->n, i)), smooth = unit_of(d3_get(&points->ns, i));
    double side = d3_dot(flat, smooth); /* 0 too where there is no smooth one */
    smooth = d3_scale(smooth, side > 0.0 ? 1.0 : -1.0);
    v3_put(n, i, d3_round(flat));
    v3_put(ns, i, d3_round(d3_pick(side != 0.0, flat, smooth)));
  }
}

static void look(const rt_vec3_lanes *restrict refs, const rt_vec3_lanes *restrict p, const rt_vec3_lanes *restrict n,
                 const double density[restrict RT_LANES], rt_vec3_lanes *restrict wi, float pdf[restrict RT_LANES]) {
  RT_EACH_LANE(i) {
    rt_sight sight = rt_sight_of(v3_get(refs, i), v3_get(p, i), v3_get(n, i), density[i]);
    v3_put(wi, i, sight.wi);
    pdf[i] = sight.pdf;
  }
}

const rt_point_kernel RT_POINTS = {on_triangles, round_points, look};
