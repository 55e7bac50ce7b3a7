/* Points on shapes, eight at a time: what is computed of them alike whatever the shape. Internal to this room.
 *
 * The loops (points_loops.h) are compiled for an instruction set each; what comes out does not depend on it. What
 * comes of a lane that nobody asked for nobody reads. */
#ifndef RT_GEOMETRY_POINTS_H
#define RT_GEOMETRY_POINTS_H

#include <float.h>

#include "base/lanes.h"
#include "geometry/shape.h"

typedef struct {
  _Alignas(32) double x[RT_LANES], y[RT_LANES], z[RT_LANES];
} rt_d3_lanes;

static inline rt_d3 d3_get(const rt_d3_lanes *v, int i) { return d3(v->x[i], v->y[i], v->z[i]); }
static inline void d3_put(rt_d3_lanes *v, int i, rt_d3 a) {
  v->x[i] = a.x;
  v->y[i] = a.y;
  v->z[i] = a.z;
}

/* rt_point's. */
typedef struct {
  rt_d3_lanes p, n, ns, error;
  float u[RT_LANES], v[RT_LANES];
} rt_point_lanes;

rt_point rt_point_get(const rt_point_lanes *points, int i);
void rt_point_put(rt_point_lanes *points, int i, const rt_point *point);

/* What the corners of triangles hold, and the weights of the second and third. */
typedef struct {
  struct {
    rt_vec3_lanes p, n; /* n: 0 without normals */
    float u[RT_LANES], v[RT_LANES];
  } corner[3];
  double b1[RT_LANES], b2[RT_LANES];
} rt_corner_lanes;

/* Fill in lane i, with zeros where it is no triangle. */
void rt_corners_of(const rt_shape *shape, uint32_t primitive, double b1, double b2, rt_corner_lanes *out, int i);
void rt_corners_none(rt_corner_lanes *out, int i);

/* A point of an emitter as it is seen from a reference point. */
typedef struct {
  rt_vec3 wi; /* unit; not finite where the points are one */
  float pdf;  /* over solid angle at the reference point; 0 where the surface is seen edge on */
} rt_sight;

static inline float rt_finite_pdf(double pdf) { return pdf < (double)FLT_MAX ? (float)pdf : FLT_MAX; }

/* density: over area. */
static inline rt_sight rt_sight_of(rt_vec3 ref, rt_vec3 p, rt_vec3 n, double density) {
  rt_d3 w = d3_sub(d3_from(p), d3_from(ref));
  double distance2 = d3_dot(w, w), distance = sqrt(distance2), facing = fabs(d3_dot(w, d3_from(n)));
  double pdf = density * distance2 * distance / facing;
  return (rt_sight){d3_round(d3_scale(w, 1.0 / distance)), facing > 0.0 ? rt_finite_pdf(pdf) : 0.0f};
}

typedef struct {
  /* Points on triangles by the weights of their corners. */
  void (*on_triangles)(const rt_corner_lanes *corners, rt_point_lanes *out);
  /* Rounded to float, once: p, its whole error, unit normals with ns on n's side. */
  void (*round)(const rt_point_lanes *points, rt_vec3_lanes *p, rt_vec3_lanes *p_error, rt_vec3_lanes *n,
                rt_vec3_lanes *ns);
  /* rt_sight_of. */
  void (*look)(const rt_vec3_lanes *refs, const rt_vec3_lanes *p, const rt_vec3_lanes *n,
               const double density[RT_LANES], rt_vec3_lanes *wi, float pdf[RT_LANES]);
} rt_point_kernel;

extern const rt_point_kernel rt_points_base, rt_points_avx2;
const rt_point_kernel *rt_points(void); /* of the instruction set in use */

#endif
