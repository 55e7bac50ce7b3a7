/* Vectors of three floats, affine maps, bounds.
 * Exactness: every expression here has one order; nothing may be contracted or reassociated (see exact.h). */
#ifndef RT_BASE_VEC_H
#define RT_BASE_VEC_H

#include <math.h>
#include <string.h>

#include "base/exact.h"
#include "rt.h"

static inline rt_vec3 v3(float x, float y, float z) { return (rt_vec3){x, y, z}; }
static inline rt_vec3 v3_all(float s) { return v3(s, s, s); }
static inline rt_vec3 v3_add(rt_vec3 a, rt_vec3 b) { return v3(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline rt_vec3 v3_sub(rt_vec3 a, rt_vec3 b) { return v3(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline rt_vec3 v3_mul(rt_vec3 a, rt_vec3 b) { return v3(a.x * b.x, a.y * b.y, a.z * b.z); }
static inline rt_vec3 v3_scale(rt_vec3 a, float s) { return v3(a.x * s, a.y * s, a.z * s); }
static inline rt_vec3 v3_neg(rt_vec3 a) { return v3(-a.x, -a.y, -a.z); }
/* a + b s */
static inline rt_vec3 v3_mad(rt_vec3 a, rt_vec3 b, float s) { return v3(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s); }
static inline float v3_dot(rt_vec3 a, rt_vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
/* In double, so that no finite vector over- or underflows; (0, 0, 0) stays. */
static inline rt_vec3 v3_normalize(rt_vec3 a) {
  double length2 = (double)a.x * a.x + (double)a.y * a.y + (double)a.z * a.z;
  if (!(length2 > 0.0)) return a;
  double s = 1.0 / sqrt(length2);
  return v3((float)(a.x * s), (float)(a.y * s), (float)(a.z * s));
}
/* Of a vector whose length is off 1 by rounding: the first terms of 1 / sqrt(1 + x). */
static inline rt_vec3 v3_renormalize(rt_vec3 a) { return v3_scale(a, 1.5f - 0.5f * v3_dot(a, a)); }
static inline float f_min(float a, float b) { return a < b ? a : b; }
static inline float f_max(float a, float b) { return a > b ? a : b; }
static inline float f_clamp(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; } /* NaN stays NaN */
/* The next float above and below a finite x, as nextafterf gives them, without a call. */
static inline float f_next_up(float x) {
  int32_t bits;
  x += 0.0f; /* -0 counts as 0 */
  memcpy(&bits, &x, sizeof bits);
  bits += x < 0.0f ? -1 : 1;
  memcpy(&x, &bits, sizeof bits);
  return x;
}
static inline float f_next_down(float x) { return -f_next_up(-x); }
static inline float v3_max(rt_vec3 a) { return f_max(a.x, f_max(a.y, a.z)); }
static inline float v3_abs_max(rt_vec3 a) { return f_max(fabsf(a.x), f_max(fabsf(a.y), fabsf(a.z))); }
static inline bool v3_is_finite(rt_vec3 a) { return isfinite(a.x) && isfinite(a.y) && isfinite(a.z); }
static inline bool v3_is_zero(rt_vec3 a) { return a.x == 0.0f && a.y == 0.0f && a.z == 0.0f; }
static inline float rgb_luminance(rt_rgb c) { return 0.2126f * c.x + 0.7152f * c.y + 0.0722f * c.z; } /* Rec. 709 */

#define RT_BOUNDS_EMPTY ((rt_bounds){{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}})
static inline rt_bounds bounds_union(rt_bounds a, rt_bounds b) {
  return (rt_bounds){v3(f_min(a.min.x, b.min.x), f_min(a.min.y, b.min.y), f_min(a.min.z, b.min.z)),
                     v3(f_max(a.max.x, b.max.x), f_max(a.max.y, b.max.y), f_max(a.max.z, b.max.z))};
}
static inline rt_bounds bounds_add(rt_bounds a, rt_vec3 p) { return bounds_union(a, (rt_bounds){p, p}); }

/* An orthonormal basis whose z axis is n (unit): Duff et al. 2017, "Building an Orthonormal Basis, Revisited". */
typedef struct {
  rt_vec3 x, y, z;
} rt_frame;
static inline rt_frame frame_from_z(rt_vec3 n) {
  float sign = copysignf(1.0f, n.z), a = -1.0f / (sign + n.z), b = n.x * n.y * a;
  return (rt_frame){v3(1.0f + sign * n.x * n.x * a, sign * b, -sign * n.x), v3(b, sign + n.y * n.y * a, -n.y), n};
}
static inline rt_vec3 frame_to_local(const rt_frame *f, rt_vec3 w) {
  return v3(v3_dot(w, f->x), v3_dot(w, f->y), v3_dot(w, f->z));
}
static inline rt_vec3 frame_to_world(const rt_frame *f, rt_vec3 l) {
  return v3_mad(v3_mad(v3_scale(f->x, l.x), f->y, l.y), f->z, l.z);
}

/* Affine maps, base/affine.c. Points, vectors and normals are mapped in double and rounded once. */
#define RT_AFFINE_IDENTITY ((rt_affine){{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}})
rt_affine affine_mul(const rt_affine *a, const rt_affine *b); /* a after b */
bool affine_invert(rt_affine *out, const rt_affine *a);       /* false: singular or not finite */
rt_vec3 affine_point(const rt_affine *a, rt_vec3 p);
rt_vec3 affine_vector(const rt_affine *a, rt_vec3 v);

#endif
