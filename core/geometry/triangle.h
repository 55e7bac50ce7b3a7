/* The exact test of a ray against a triangle: the only code that accepts a triangle. Internal to this room.
 *
 * Woop, Benthin, Wald 2013, "Watertight Ray/Triangle Intersection": the vertices are moved to the ray's origin and
 * sheared so that the ray becomes the axis kz, in float; the edge functions are doubles, whose products of floats are
 * exact, so that their signs are exact, and two triangles that share an edge see opposite values of one number: no
 * ray slips between them.
 *
 * How far off is an accepted hit? u = 2^-24, A = the largest |v - o| of a coordinate of a vertex; A <= D = max|o| +
 * max|v|.
 *   a = fl(v - o) is off by at most uA an axis. The sheared x is fl(ax - fl(S az)) with S = fl(dx/dz), |S| <= 1: the
 *   product is off by 3uA (S, az and the product), the difference rounds by 2uA, and ax brings uA: 6uA in all, the
 *   same in y. The weights U/det, V/det, W/det are not negative, add to 1 and carry double's rounding alone. So q,
 *   the point of the triangle with these weights, is met by the line at the height qz to within 6uA in x and y; t dz
 *   is off qz - oz by uA (az) + uA (t's rounding). Hence |o + t d - q| <= 6uA + |S| 2uA <= 8uA in every coordinate,
 *   to first order; second-order terms are below 1e-5 of it.
 * Two uses: boxes are widened by it (trace.c), and a ray that leaves a point at least 8uA |n|_1 above a plane does
 * not meet a triangle in it (n.(o + t d - q) <= 8uA |n|_1 gives t (n.d) < 0): RT_TRIANGLE_ERROR. */
#ifndef RT_GEOMETRY_TRIANGLE_H
#define RT_GEOMETRY_TRIANGLE_H

#include "base/vec.h"

#define RT_TRIANGLE_ERROR (8.5 * 0x1p-24) /* times A; the half is for what is not of first order */

/* A ray made ready for triangles. kz is the axis of the largest |d|. */
typedef struct {
  int kx, ky, kz;
  float ox, oy, oz; /* along these axes */
  float sx, sy, dz;
} rt_shear;

static inline int rt_next_axis(int axis) { return axis < 2 ? axis + 1 : 0; }

/* Without branches, for loops over lanes, and since nobody can guess a bounce's direction. */
static inline rt_shear rt_shear_of(rt_vec3 o, rt_vec3 d) {
  const float ax = fabsf(d.x), ay = fabsf(d.y), az = fabsf(d.z);
  bool x_wins = (ax > ay) & (ax > az), y_wins = !(ax > ay) & (ay > az); /* x, else y, else z */
  rt_shear s;
  s.kz = x_wins ? 0 : y_wins ? 1 : 2;
  s.kx = x_wins ? 1 : y_wins ? 2 : 0;
  s.ky = x_wins ? 2 : y_wins ? 0 : 1;
  s.ox = x_wins ? o.y : y_wins ? o.z : o.x;
  s.oy = x_wins ? o.z : y_wins ? o.x : o.y;
  s.oz = x_wins ? o.x : y_wins ? o.y : o.z;
  float dx = x_wins ? d.y : y_wins ? d.z : d.x, dy = x_wins ? d.z : y_wins ? d.x : d.y;
  s.dz = x_wins ? d.x : y_wins ? d.y : d.z;
  s.sx = dx / s.dz;
  s.sy = dy / s.dz;
  return s;
}

/* The test proper, on sheared vertices. True for t in (tnear, tmax] that is finite; u and v are the weights of b and
 * c. */
static inline bool rt_triangle_sheared(float ax, float ay, float az, float bx, float by, float bz, float cx, float cy,
                                       float cz, float dz, float tnear, float tmax, float *t, float *u, float *v) {
  double wa = (double)cx * by - (double)cy * bx;
  double wb = (double)ax * cy - (double)ay * cx;
  double wc = (double)bx * ay - (double)by * ax;
  if ((wa < 0.0 || wb < 0.0 || wc < 0.0) && (wa > 0.0 || wb > 0.0 || wc > 0.0)) return false;
  double det = wa + wb + wc;
  if (det == 0.0) return false;
  float at = (float)((wa * az + wb * bz + wc * cz) / (det * dz));
  if (!(at > tnear && at <= tmax && at < INFINITY)) return false;
  *t = at;
  *u = (float)(wb / det);
  *v = (float)(wc / det);
  return true;
}

/* Of a vertex, the same operations that walk.h does eight at a time. */
static inline void rt_shear_vertex(const rt_shear *s, const float *v, float *x, float *y, float *z) {
  float dz = v[s->kz] - s->oz;
  *x = (v[s->kx] - s->ox) - s->sx * dz;
  *y = (v[s->ky] - s->oy) - s->sy * dz;
  *z = dz;
}

static inline bool rt_triangle_hit(const rt_shear *s, const float *a, const float *b, const float *c, float tnear,
                                   float tmax, float *t, float *u, float *v) {
  float ax, ay, az, bx, by, bz, cx, cy, cz;
  rt_shear_vertex(s, a, &ax, &ay, &az);
  rt_shear_vertex(s, b, &bx, &by, &bz);
  rt_shear_vertex(s, c, &cx, &cy, &cz);
  return rt_triangle_sheared(ax, ay, az, bx, by, bz, cx, cy, cz, s->dz, tnear, tmax, t, u, v);
}

#endif
