/* Owns shapes in their own space: checks, bounds, the exact tests of the round ones, points with texture coordinates
 * and errors. Stands on base, mesh.h and linear.h.
 *
 * Tests are in double from float inputs, so that f = o - centre is exact or nearly so, and what they get wrong (some
 * 2^-50 of the coordinates) is nothing beside the one rounding of t to float. Quadratics: Haines et al. 2019,
 * "Precision Improvements for Ray/Sphere Intersection" (Ray Tracing Gems, chapter 7): the discriminant from the
 * vector of nearest approach, the roots without cancellation. A capped cylinder is the common part of two intervals
 * (tube and slab), so that it has no seam.
 *
 * Texture coordinates
 *   sphere       u = 1/2 + atan2(x, z) / 2 pi, v = latitude from -y (0) to +y (1): an image is read rightly from
 *                outside, its middle facing +z
 *   cylinder     side: u around in the same sense about the axis, v from `from` (0) to `to` (1); caps: as a disk
 *   disk         the square around it, 0 to 1 along its tangent and bitangent
 *   plane        scene units along tangent and bitangent, 0 at its point; for a normal +y these are +x and -z
 *   quad         A (0, 0), B (1, 0), C (1, 1), D (0, 1); triangle: A (0, 0), B (1, 0), C (0, 1), as in meshes without
 *                any
 *   box          each face 0 to 1, v up (+y) on its sides, -z on its top, +z on its bottom */
#include "geometry/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/elementary.h"
#include "base/error.h"
#include "base/memory.h"
#include "geometry/triangle.h"

/* The error of p on a round shape as a part of the coordinates that go into it: double's 2^-53 times the 60
 * operations of the longest chain, rounded up. */
#define ROUND_ERROR 0x1p-46

static const char *const kind_names[] = {"sphere", "quad", "disk", "plane", "box", "cylinder", "triangle", "mesh"};

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static rt_status bad(const rt_shape *shape, const char *what, rt_error *err) {
  if (shape->name) return rt_fail(err, RT_BAD_DATA, "%s '%s': %s", kind_names[shape->kind], shape->name, what);
  return rt_fail(err, RT_BAD_DATA, "%s: %s", kind_names[shape->kind], what);
}

static bool usable_radius(float r) { return isfinite(r) && r > 0.0f; }

static rt_status make_mesh(rt_shape *shape, const rt_vec3 *corners, const float *uvs, size_t n, const uint32_t *indices,
                           size_t n_triangles, rt_error *err) {
  float vertices[24 * 3];
  double area = 0.0;
  for (size_t i = 0; i < n; i++) {
    if (!v3_is_finite(corners[i])) return bad(shape, "a corner is not finite: give numbers", err);
    memcpy(vertices + 3 * i, &corners[i], sizeof corners[i]);
  }
  for (size_t i = 0; i < n_triangles; i++) {
    rt_d3 a = d3_from(corners[indices[3 * i]]);
    area += d3_length(
        d3_cross(d3_sub(d3_from(corners[indices[3 * i + 1]]), a), d3_sub(d3_from(corners[indices[3 * i + 2]]), a)));
  }
  if (!(area > 0.0)) return bad(shape, "its corners are on one line: give it an area", err);
  rt_mesh_data data = {.vertices = vertices,
                       .uvs = uvs,
                       .indices = indices,
                       .n_vertices = n,
                       .n_triangles = n_triangles,
                       .name = kind_names[shape->kind]};
  return rt_mesh_new(&shape->mesh, &data, err);
}

static rt_status make_box(rt_shape *shape, rt_vec3 a, rt_vec3 b, rt_error *err) {
  if (!v3_is_finite(a) || !v3_is_finite(b)) return bad(shape, "a corner is not finite: give numbers", err);
  if (!(a.x < b.x && a.y < b.y && a.z < b.z))
    return bad(shape, "min must be below max on every axis: swap or move them", err);
  const rt_vec3 corners[24] = {
      {b.x, a.y, b.z}, {b.x, a.y, a.z}, {b.x, b.y, a.z}, {b.x, b.y, b.z}, /* +x */
      {a.x, a.y, a.z}, {a.x, a.y, b.z}, {a.x, b.y, b.z}, {a.x, b.y, a.z}, /* -x */
      {a.x, b.y, b.z}, {b.x, b.y, b.z}, {b.x, b.y, a.z}, {a.x, b.y, a.z}, /* +y */
      {a.x, a.y, a.z}, {b.x, a.y, a.z}, {b.x, a.y, b.z}, {a.x, a.y, b.z}, /* -y */
      {a.x, a.y, b.z}, {b.x, a.y, b.z}, {b.x, b.y, b.z}, {a.x, b.y, b.z}, /* +z */
      {b.x, a.y, a.z}, {a.x, a.y, a.z}, {a.x, b.y, a.z}, {b.x, b.y, a.z}, /* -z */
  };
  static const float square[8] = {0, 0, 1, 0, 1, 1, 0, 1};
  static const uint32_t halves[6] = {0, 1, 2, 0, 2, 3};
  float uvs[48];
  uint32_t indices[36];
  for (uint32_t face = 0; face < 6; face++) {
    memcpy(uvs + 8 * face, square, sizeof square);
    for (uint32_t i = 0; i < 6; i++) indices[6 * face + i] = 4 * face + halves[i];
  }
  return make_mesh(shape, corners, uvs, 24, indices, 12, err);
}

/* Duff et al. 2017 in double. `n` is unit. */
static void make_frame(rt_shape *shape, rt_d3 n) {
  double sign = copysign(1.0, n.z), a = -1.0 / (sign + n.z), b = n.x * n.y * a;
  shape->tangent = d3(1.0 + sign * n.x * n.x * a, sign * b, -sign * n.x);
  shape->bitangent = d3(b, sign + n.y * n.y * a, -n.y);
}

static rt_status make_flat(rt_shape *shape, rt_vec3 point, rt_vec3 normal, rt_error *err) {
  if (!v3_is_finite(point)) return bad(shape, "its position is not finite: give numbers", err);
  if (!v3_is_finite(normal) || v3_is_zero(normal))
    return bad(shape, "its normal must be finite and not 0: give it a direction", err);
  shape->center = d3_from(point);
  shape->axis = d3_normalize(d3_from(normal));
  make_frame(shape, shape->axis);
  return RT_OK;
}

static rt_status make_cylinder(rt_shape *shape, const rt_shape_desc *desc, rt_error *err) {
  rt_vec3 from = desc->cylinder.from, to = desc->cylinder.to;
  if (!v3_is_finite(from) || !v3_is_finite(to)) return bad(shape, "`from` or `to` is not finite: give numbers", err);
  shape->center = d3_from(from);
  shape->axis = d3_sub(d3_from(to), shape->center);
  shape->radius = desc->cylinder.radius;
  shape->caps = desc->cylinder.caps;
  if (!(d3_dot(shape->axis, shape->axis) > 0.0)) return bad(shape, "`from` and `to` are one point: move one", err);
  make_frame(shape, d3_normalize(shape->axis));
  return RT_OK;
}

static rt_status make_kind(rt_shape *shape, const rt_shape_desc *desc, rt_error *err) {
  static const float square[8] = {0, 0, 1, 0, 1, 1, 0, 1}, corner[6] = {0, 0, 1, 0, 0, 1};
  static const uint32_t indices[6] = {0, 1, 2, 0, 2, 3};
  switch (desc->kind) {
  case RT_SHAPE_SPHERE:
    if (!v3_is_finite(desc->sphere.center)) return bad(shape, "its center is not finite: give numbers", err);
    shape->center = d3_from(desc->sphere.center);
    shape->radius = desc->sphere.radius;
    return RT_OK;
  case RT_SHAPE_DISK:
    shape->radius = desc->disk.radius;
    return make_flat(shape, desc->disk.center, desc->disk.normal, err);
  case RT_SHAPE_PLANE: return make_flat(shape, desc->plane.point, desc->plane.normal, err);
  case RT_SHAPE_CYLINDER: return make_cylinder(shape, desc, err);
  case RT_SHAPE_BOX: return make_box(shape, desc->box.min, desc->box.max, err);
  case RT_SHAPE_QUAD: return make_mesh(shape, desc->quad.v, square, 4, indices, 2, err);
  case RT_SHAPE_TRIANGLE: return make_mesh(shape, desc->triangle.v, corner, 3, indices, 1, err);
  case RT_SHAPE_MESH:
    if (!desc->mesh.mesh) return bad(shape, "it has no mesh: load or make one", err);
    shape->mesh = rt_mesh_ref(desc->mesh.mesh);
    return RT_OK;
  }
  return rt_fail(err, RT_BAD_USAGE, "shape kind %d is unknown: use one of RT_SHAPE_*", (int)desc->kind);
}

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static rt_status copy_materials(rt_shape *shape, const rt_shape_desc *desc, rt_error *err) {
  uint32_t slots = shape->mesh ? rt_mesh_slots(shape->mesh) : 1;
  if (desc->n_materials < slots || !desc->materials) {
    char what[96];
    (void)snprintf(what, sizeof what, "%u materials for %u material slots: give one for each slot",
                   (unsigned)desc->n_materials, (unsigned)slots);
    return bad(shape, what, err);
  }
  shape->materials = rt_alloc(desc->n_materials, sizeof *shape->materials, err);
  shape->distinct = rt_alloc(slots, sizeof *shape->distinct, err);
  if (!shape->materials || !shape->distinct) return RT_NO_MEMORY;
  shape->n_materials = desc->n_materials;
  memcpy(shape->materials, desc->materials, desc->n_materials * sizeof *shape->materials);
  memcpy(shape->distinct, desc->materials, slots * sizeof *shape->distinct);
  qsort(shape->distinct, slots, sizeof *shape->distinct, compare_u32);
  for (uint32_t i = 0; i < slots; i++)
    if (i == 0 || shape->distinct[i] != shape->distinct[shape->n_distinct - 1])
      shape->distinct[shape->n_distinct++] = shape->distinct[i];
  return RT_OK;
}

rt_status rt_shape_init(rt_shape *shape, const rt_shape_desc *desc, rt_error *err) {
  *shape = (rt_shape){.kind = desc->kind, .hidden = desc->hidden};
  if ((unsigned)desc->kind > RT_SHAPE_MESH)
    return rt_fail(err, RT_BAD_USAGE, "shape kind %d is unknown: use one of RT_SHAPE_*", (int)desc->kind);
  if (desc->name && !(shape->name = rt_strdup(desc->name, err))) return RT_NO_MEMORY;
  rt_status status = make_kind(shape, desc, err);
  if (status != RT_OK) return status;
  bool round = !shape->mesh && shape->kind != RT_SHAPE_PLANE;
  if (round && !usable_radius((float)shape->radius)) {
    char what[64];
    (void)snprintf(what, sizeof what, "radius is %g: give a finite number above 0", shape->radius);
    return bad(shape, what, err);
  }
  rt_bounds bounds = rt_shape_bounds(shape);
  if (round && !(v3_is_finite(bounds.min) && v3_is_finite(bounds.max)))
    return bad(shape, "it reaches beyond the largest float: make it smaller", err);
  return copy_materials(shape, desc, err);
}

void rt_shape_release(rt_shape *shape) {
  rt_mesh_free(shape->mesh);
  rt_free(shape->name);
  rt_free(shape->materials);
  rt_free(shape->distinct);
  *shape = (rt_shape){.kind = shape->kind};
}

/* ---- Bounds ------------------------------------------------------------------------------------------------------ */

static rt_bounds box_around(rt_d3 lo, rt_d3 hi, rt_d3 reach) {
  return (rt_bounds){v3(rt_round_down(lo.x - reach.x), rt_round_down(lo.y - reach.y), rt_round_down(lo.z - reach.z)),
                     v3(rt_round_up(hi.x + reach.x), rt_round_up(hi.y + reach.y), rt_round_up(hi.z + reach.z))};
}

rt_bounds rt_shape_bounds(const rt_shape *shape) {
  if (shape->mesh) return shape->mesh->bounds;
  if (shape->kind == RT_SHAPE_PLANE) return RT_BOUNDS_EMPTY;
  rt_d3 a = shape->center, b = a, reach = d3(shape->radius, shape->radius, shape->radius);
  if (shape->kind != RT_SHAPE_SPHERE) { /* a circle about the unit axis n reaches r sqrt(1 - n_i^2) */
    rt_d3 n = d3_normalize(shape->axis);
    reach = d3(shape->radius * sqrt(n.y * n.y + n.z * n.z), shape->radius * sqrt(n.z * n.z + n.x * n.x),
               shape->radius * sqrt(n.x * n.x + n.y * n.y));
  }
  if (shape->kind == RT_SHAPE_CYLINDER) b = d3_add(a, shape->axis);
  return box_around(d3(a.x < b.x ? a.x : b.x, a.y < b.y ? a.y : b.y, a.z < b.z ? a.z : b.z),
                    d3(a.x < b.x ? b.x : a.x, a.y < b.y ? b.y : a.y, a.z < b.z ? b.z : a.z), reach);
}

/* ---- The exact tests --------------------------------------------------------------------------------------------- */

/* The roots, ascending, of |f + t d|^2 = r^2; f and d may be projections. d is not 0. False when there are none. */
static bool quadratic(rt_d3 f, rt_d3 d, double r, double t[2]) {
  double a = d3_dot(d, d), b = -d3_dot(f, d);
  rt_d3 nearest = d3_mad(f, d, b / a);
  double free = r * r - d3_dot(nearest, nearest);
  if (!(free >= 0.0)) return false;
  double q = b + copysign(sqrt(a * free), b);
  if (q == 0.0) { /* f itself is the point of contact */
    t[0] = t[1] = 0.0;
    return true;
  }
  double x = (d3_dot(f, f) - r * r) / q, y = q / a;
  t[0] = x < y ? x : y;
  t[1] = x < y ? y : x;
  return true;
}

static int flat_root(const rt_shape *s, rt_d3 f, rt_d3 d, double t[2]) {
  double along = d3_dot(d, s->axis);
  if (along == 0.0) return 0;
  t[0] = -d3_dot(f, s->axis) / along;
  if (s->kind == RT_SHAPE_PLANE) return 1;
  rt_d3 p = d3_mad(f, d, t[0]);
  return d3_dot(p, p) <= s->radius * s->radius;
}

static int cylinder_roots(const rt_shape *s, rt_d3 f, rt_d3 d, double t[2], uint32_t face[2]) {
  double m = d3_dot(s->axis, s->axis), f_along = d3_dot(f, s->axis) / m, d_along = d3_dot(d, s->axis) / m;
  rt_d3 f_across = d3_mad(f, s->axis, -f_along), d_across = d3_mad(d, s->axis, -d_along);
  double tube[2] = {-INFINITY, INFINITY}, slab[2] = {-INFINITY, INFINITY};
  bool parallel = !(d3_dot(d_across, d_across) > 0.0);
  if (parallel) {
    if (!s->caps || d3_dot(f_across, f_across) > s->radius * s->radius) return 0;
  } else if (!quadratic(f_across, d_across, s->radius, tube)) {
    return 0;
  }
  uint32_t low = RT_FACE_FROM, high = RT_FACE_TO;
  if (d_along != 0.0) {
    double x = -f_along / d_along, y = (1.0 - f_along) / d_along;
    slab[0] = d_along > 0.0 ? x : y;
    slab[1] = d_along > 0.0 ? y : x;
    if (d_along < 0.0) low = RT_FACE_TO, high = RT_FACE_FROM;
  } else if (!(f_along >= 0.0 && f_along <= 1.0)) {
    return 0;
  }
  int n = 0;
  if (!s->caps) {
    for (int i = 0; i < 2; i++)
      if (tube[i] >= slab[0] && tube[i] <= slab[1]) face[n] = RT_FACE_SIDE, t[n++] = tube[i];
    return n;
  }
  bool side_in = tube[0] >= slab[0], side_out = tube[1] <= slab[1];
  t[0] = side_in ? tube[0] : slab[0];
  t[1] = side_out ? tube[1] : slab[1];
  face[0] = side_in ? (uint32_t)RT_FACE_SIDE : low;
  face[1] = side_out ? (uint32_t)RT_FACE_SIDE : high;
  return t[0] <= t[1] ? 2 : 0;
}

int rt_shape_roots(const rt_shape *shape, rt_vec3 o, rt_vec3 d, double t[2], uint32_t face[2]) {
  rt_d3 f = d3_sub(d3_from(o), shape->center), dd = d3_from(d);
  face[0] = face[1] = 0;
  if (shape->kind == RT_SHAPE_SPHERE) return quadratic(f, dd, shape->radius, t) ? 2 : 0;
  if (shape->kind == RT_SHAPE_CYLINDER) return cylinder_roots(shape, f, dd, t, face);
  return flat_root(shape, f, dd, t);
}

/* ---- Points ------------------------------------------------------------------------------------------------------ */

/* Around an axis, right way round from outside: 1/2 where y is least. */
static float turn(double x, double y) { return (float)(0.5 + rt_atan2f((float)x, (float)-y) * (0.5 / RT_PI)); }

static void sphere_point(const rt_shape *s, rt_d3 f, rt_point *out) {
  rt_d3 n = d3_normalize(f);
  out->n = n;
  out->p = d3_mad(s->center, n, s->radius);
  out->u = turn(n.x, -n.z);
  out->v = (float)(rt_acosf(f_clamp((float)-n.y, -1.0f, 1.0f)) * (1.0 / RT_PI));
}

static void disk_uv(const rt_shape *s, rt_d3 f, rt_point *out) {
  out->u = (float)(0.5 + 0.5 * d3_dot(f, s->tangent) / s->radius);
  out->v = (float)(0.5 + 0.5 * d3_dot(f, s->bitangent) / s->radius);
}

static void cylinder_point(const rt_shape *s, uint32_t face, rt_d3 f, rt_point *out) {
  double along = d3_dot(f, s->axis) / d3_dot(s->axis, s->axis);
  rt_d3 across = d3_mad(f, s->axis, -along);
  if (face == RT_FACE_SIDE) {
    out->n = d3_normalize(across);
    out->p = d3_mad(d3_mad(s->center, s->axis, along), out->n, s->radius);
    out->u = turn(d3_dot(out->n, s->tangent), d3_dot(out->n, s->bitangent));
    out->v = (float)along;
    return;
  }
  out->n = d3_scale(d3_normalize(s->axis), face == RT_FACE_TO ? 1.0 : -1.0);
  out->p = d3_add(face == RT_FACE_TO ? d3_add(s->center, s->axis) : s->center, across);
  disk_uv(s, across, out);
}

void rt_point_on_round(const rt_shape *shape, uint32_t face, rt_d3 p, rt_point *out) {
  rt_d3 f = d3_sub(p, shape->center);
  out->ns = d3(0.0, 0.0, 0.0);
  if (shape->kind == RT_SHAPE_SPHERE) {
    sphere_point(shape, f, out);
  } else if (shape->kind == RT_SHAPE_CYLINDER) {
    cylinder_point(shape, face, f, out);
  } else {
    out->n = shape->axis;
    out->p = d3_mad(p, shape->axis, -d3_dot(f, shape->axis));
    if (shape->kind == RT_SHAPE_DISK) {
      disk_uv(shape, f, out);
    } else {
      out->u = (float)d3_dot(f, shape->tangent);
      out->v = (float)d3_dot(f, shape->bitangent);
    }
  }
  double scale = d3_abs_max(out->p) + d3_abs_max(shape->center) + d3_abs_max(shape->axis) + shape->radius;
  out->error = d3(ROUND_ERROR * scale, ROUND_ERROR * scale, ROUND_ERROR * scale);
}

/* A ray that leaves p in the parent's space is rounded once more in the child's: by u |p| an axis, twice that for
 * what it is moved by. */
void rt_point_map(rt_point *point, const rt_affine *map, const rt_affine *inverse) {
  const double u2 = 2.0 * RT_U;
  rt_d3 e = d3(point->error.x + u2 * fabs(point->p.x), point->error.y + u2 * fabs(point->p.y),
               point->error.z + u2 * fabs(point->p.z));
  point->error = d3_map_absolute(map, e);
  point->p = d3_map_point(map, point->p);
  point->n = d3_normalize(d3_map_transposed(inverse, point->n));
  point->ns = d3_normalize(d3_map_transposed(inverse, point->ns));
}
