/* Double-precision vectors and the linear algebra that error bounds and areas of mapped shapes need. Internal to this
 * room. */
#ifndef RT_GEOMETRY_LINEAR_H
#define RT_GEOMETRY_LINEAR_H

#include "base/vec.h"

typedef struct {
  double x, y, z;
} rt_d3;

static inline rt_d3 d3(double x, double y, double z) { return (rt_d3){x, y, z}; }
static inline rt_d3 d3_from(rt_vec3 a) { return d3(a.x, a.y, a.z); }
static inline rt_vec3 d3_round(rt_d3 a) { return v3((float)a.x, (float)a.y, (float)a.z); }
static inline rt_d3 d3_add(rt_d3 a, rt_d3 b) { return d3(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline rt_d3 d3_sub(rt_d3 a, rt_d3 b) { return d3(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline rt_d3 d3_scale(rt_d3 a, double s) { return d3(a.x * s, a.y * s, a.z * s); }
/* a + b s */
static inline rt_d3 d3_mad(rt_d3 a, rt_d3 b, double s) { return d3(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s); }
static inline double d3_dot(rt_d3 a, rt_d3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline rt_d3 d3_cross(rt_d3 a, rt_d3 b) {
  return d3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline double d3_length(rt_d3 a) { return sqrt(d3_dot(a, a)); }
/* (0, 0, 0) stays. Lengths from 1e-150 to 1e150. */
static inline rt_d3 d3_normalize(rt_d3 a) {
  double length = d3_length(a);
  return length > 0.0 ? d3_scale(a, 1.0 / length) : a;
}
static inline double d_max(double a, double b) { return a > b ? a : b; }
static inline double d3_abs_max(rt_d3 a) { return d_max(fabs(a.x), d_max(fabs(a.y), fabs(a.z))); }

static inline rt_d3 d3_map_vector(const rt_affine *a, rt_d3 v) {
  return d3(a->m[0][0] * v.x + a->m[0][1] * v.y + a->m[0][2] * v.z,
            a->m[1][0] * v.x + a->m[1][1] * v.y + a->m[1][2] * v.z,
            a->m[2][0] * v.x + a->m[2][1] * v.y + a->m[2][2] * v.z);
}
static inline rt_d3 d3_map_point(const rt_affine *a, rt_d3 p) {
  return d3_add(d3_map_vector(a, p), d3(a->m[0][3], a->m[1][3], a->m[2][3]));
}
/* By the transpose of the linear part: maps normals where `a` is the inverse of the map. */
static inline rt_d3 d3_map_transposed(const rt_affine *a, rt_d3 n) {
  return d3(a->m[0][0] * n.x + a->m[1][0] * n.y + a->m[2][0] * n.z,
            a->m[0][1] * n.x + a->m[1][1] * n.y + a->m[2][1] * n.z,
            a->m[0][2] * n.x + a->m[1][2] * n.y + a->m[2][2] * n.z);
}
/* By the absolute values of the linear part: maps bounds of errors. */
static inline rt_d3 d3_map_absolute(const rt_affine *a, rt_d3 e) {
  return d3(fabs(a->m[0][0]) * e.x + fabs(a->m[0][1]) * e.y + fabs(a->m[0][2]) * e.z,
            fabs(a->m[1][0]) * e.x + fabs(a->m[1][1]) * e.y + fabs(a->m[1][2]) * e.z,
            fabs(a->m[2][0]) * e.x + fabs(a->m[2][1]) * e.y + fabs(a->m[2][2]) * e.z);
}

/* Floats that are at most and at least x. */
static inline float rt_round_down(double x) {
  float f = (float)x;
  return (double)f > x ? f_next_down(f) : f;
}
static inline float rt_round_up(double x) {
  float f = (float)x;
  return (double)f < x ? f_next_up(f) : f;
}
/* The smallest box of floats around the image of a box; empty stays empty. */
rt_bounds rt_bounds_map(const rt_affine *a, const rt_bounds *b);

double rt_determinant(const rt_affine *a);
/* Squares of the singular values of the linear part, ascending. */
void rt_singular_squares(const rt_affine *a, double squares[3]);
/* |A x| <= bound |x| in the Euclidean norm, up to rounding: the largest singular value where A is a rotation and scales
 * along axes, in any order; at most the root of 3 times that for any other. */
double rt_norm_bound(const rt_affine *a);
/* Carlson's symmetric elliptic integral R_G of arguments that are at least 0, at most one of them 0. */
double rt_elliptic_rg(double x, double y, double z);

#endif
