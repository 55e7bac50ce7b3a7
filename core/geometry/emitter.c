/* Owns placed shapes as things to be sampled: by the solid angle of a sphere, else by area in the world. Stands on
 * shape.h and internal.h.
 *
 * An affine map with linear part A turns an area element with unit normal n into one |det A| |A^-T n| times as large,
 * with the normal n' = A^-T n / |A^-T n|; since A^T n' = n / |A^-T n|, the factor is |det A| / |A^T n'|: the density
 * at a point follows from its normal in the world, which is how sampling and rt_emitter_pdf come to use one function
 * (area_density) on the same rounded point and normal.
 *   triangles   one of them by its area in the world, then uniform (Heitz 2019, "A Low-Distortion Map Between
 *               Triangle and Square")
 *   disk        uniform; its image is an ellipse with a constant factor
 *   sphere      that stays one: the cone of directions that meet it (Pharr, Jakob, Humphreys 2023, section 6.2.4), with
 *               1 - cos = sin^2 / (1 + cos); from inside uniform over the surface
 *   ellipsoid   uniform over the sphere that it is the image of: area 4 pi R_G(a^2 b^2, a^2 c^2, b^2 c^2), DLMF 19.33.1
 *   cylinder    a face by its area in the world, then uniform over the face that it is the image of; the side's area
 *               is length times the perimeter of an ellipse, 8 R_G(0, a^2, b^2), as |A axis x A tangent| goes round
 *               with semi-axes a and b
 *
 * Always true: a face or triangle of area 0 is never chosen, and a pdf is finite. */
#include <float.h>

#include "base/elementary.h"
#include "base/error.h"
#include "base/memory.h"
#include "geometry/internal.h"
#include "geometry/points.h"

#define SIMILARITY 1e-9 /* relative spread of the scales (squared) below which a sphere is still one */

typedef enum { TRIANGLES, DISK, SPHERE, ELLIPSOID, CYLINDER } emitter_kind;

struct rt_emitter {
  emitter_kind kind;
  const rt_shape *shape;
  rt_affine to_world, to_local;
  bool moved;           /* to_world is not the identity */
  double determinant;   /* |det A| */
  double area, density; /* 1 / area */
  double face_area[3];  /* in the world; a disk's or sphere's is the first */
  double face_local[3];
  rt_d3 center; /* of a sphere in the world */
  double radius;
  uint32_t *triangles; /* those with the material and an area */
  double *cdf;         /* cdf[i]: area of the first i of them */
  size_t n_triangles;
};

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static rt_d3 corner_in_world(const rt_emitter *e, uint32_t triangle, int corner) {
  const rt_mesh *mesh = e->shape->mesh;
  return d3_map_point(&e->to_world,
                      d3_from(rt_mesh_vertex(mesh, mesh->indices[3 * (size_t)triangle + (size_t)corner])));
}

static double triangle_area(const rt_emitter *e, uint32_t triangle) {
  rt_d3 a = corner_in_world(e, triangle, 0), b = corner_in_world(e, triangle, 1), c = corner_in_world(e, triangle, 2);
  return 0.5 * d3_length(d3_cross(d3_sub(b, a), d3_sub(c, a)));
}

static rt_status make_triangles(rt_emitter *e, uint32_t material, rt_error *err) {
  const rt_mesh *mesh = e->shape->mesh;
  size_t n = 0;
  for (size_t i = 0; i < mesh->n_triangles; i++) n += rt_shape_material(e->shape, (uint32_t)i) == material;
  e->kind = TRIANGLES;
  e->triangles = rt_alloc(n, sizeof *e->triangles, err);
  e->cdf = e->triangles ? rt_alloc(n + 1, sizeof *e->cdf, err) : NULL;
  if (!e->cdf) return RT_NO_MEMORY;
  for (size_t i = 0; i < mesh->n_triangles; i++) {
    uint32_t triangle = (uint32_t)i;
    if (rt_shape_material(e->shape, triangle) != material) continue;
    double area = triangle_area(e, triangle), next = e->cdf[e->n_triangles] + area;
    if (!(next > e->cdf[e->n_triangles])) continue;
    e->triangles[e->n_triangles++] = triangle;
    e->cdf[e->n_triangles] = next;
  }
  e->area = e->cdf[e->n_triangles];
  return RT_OK;
}

static double image_of_parallelogram(const rt_emitter *e, rt_d3 a, rt_d3 b) {
  return d3_length(d3_cross(d3_map_vector(&e->to_world, a), d3_map_vector(&e->to_world, b)));
}

static void make_disk(rt_emitter *e) {
  const rt_shape *s = e->shape;
  e->kind = DISK;
  e->face_local[0] = RT_PI * s->radius * s->radius;
  e->face_area[0] = e->face_local[0] * image_of_parallelogram(e, s->tangent, s->bitangent);
}

static void make_sphere(rt_emitter *e) {
  const rt_shape *s = e->shape;
  double squares[3], r2 = s->radius * s->radius;
  rt_singular_squares(&e->to_world, squares);
  double mean = (squares[0] + squares[1] + squares[2]) / 3.0;
  e->kind = squares[2] - squares[0] <= SIMILARITY * mean ? SPHERE : ELLIPSOID;
  e->center = d3_map_point(&e->to_world, s->center);
  e->radius = s->radius * sqrt(mean);
  e->face_local[0] = 4.0 * RT_PI * r2;
  e->face_area[0] = e->kind == SPHERE
                        ? 4.0 * RT_PI * e->radius * e->radius
                        : e->face_local[0] *
                              rt_elliptic_rg(squares[0] * squares[1], squares[0] * squares[2], squares[1] * squares[2]);
}

static void make_cylinder(rt_emitter *e) {
  const rt_shape *s = e->shape;
  rt_d3 axis = d3_map_vector(&e->to_world, s->axis);
  rt_d3 p = d3_cross(axis, d3_map_vector(&e->to_world, s->tangent)),
        q = d3_cross(axis, d3_map_vector(&e->to_world, s->bitangent));
  /* The squared semi-axes of the ellipse cos p + sin q: the eigenvalues of its 2 by 2 Gram matrix. */
  double pp = d3_dot(p, p), qq = d3_dot(q, q), pq = d3_dot(p, q);
  double middle = 0.5 * (pp + qq), half = sqrt(0.25 * (pp - qq) * (pp - qq) + pq * pq), long2 = middle + half;
  rt_d3 normal = d3_cross(p, q); /* pp qq - pq^2 without cancellation */
  double short2 = long2 > 0.0 ? d3_dot(normal, normal) / long2 : 0.0;
  e->kind = CYLINDER;
  e->face_local[RT_FACE_SIDE] = 2.0 * RT_PI * s->radius * d3_length(s->axis);
  if (long2 > 0.0) e->face_area[RT_FACE_SIDE] = s->radius * 8.0 * rt_elliptic_rg(0.0, long2, short2);
  if (!s->caps) return;
  double cap = RT_PI * s->radius * s->radius, factor = image_of_parallelogram(e, s->tangent, s->bitangent);
  e->face_local[RT_FACE_FROM] = e->face_local[RT_FACE_TO] = cap;
  e->face_area[RT_FACE_FROM] = e->face_area[RT_FACE_TO] = cap * factor;
}

static rt_status make_round(rt_emitter *e, rt_error *err) {
  switch (e->shape->kind) {
  case RT_SHAPE_DISK: make_disk(e); break;
  case RT_SHAPE_SPHERE: make_sphere(e); break;
  case RT_SHAPE_CYLINDER: make_cylinder(e); break;
  default: return rt_fail(err, RT_BAD_DATA, "an infinite plane cannot be sampled as a light: use a quad or a disk");
  }
  e->area = e->face_area[0] + e->face_area[1] + e->face_area[2];
  return RT_OK;
}

static bool is_identity(const rt_affine *a) {
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 4; j++)
      if (a->m[i][j] != (i == j ? 1.0 : 0.0)) return false;
  return true;
}

rt_status rt_emitter_new(rt_emitter **out, const rt_geometry *g, uint32_t shape, uint32_t material,
                         const rt_affine *to_world, rt_error *err) {
  *out = NULL;
  const rt_shape *s = &g->shapes[shape];
  bool has = false;
  for (uint32_t i = 0; i < s->n_distinct; i++) has |= s->distinct[i] == material;
  if (!has) return RT_OK;
  rt_emitter *e = rt_alloc(1, sizeof *e, err);
  if (!e) return RT_NO_MEMORY;
  e->shape = s;
  e->to_world = *to_world;
  e->moved = !is_identity(to_world);
  e->determinant = fabs(rt_determinant(to_world));
  rt_status status = RT_OK;
  if (!affine_invert(&e->to_local, to_world))
    status = rt_fail(err, RT_BAD_DATA, "a light's transform is singular: give scales other than 0");
  else
    status = s->mesh ? make_triangles(e, material, err) : make_round(e, err);
  if (status == RT_OK && !(e->area <= DBL_MAX))
    status = rt_fail(err, RT_BAD_DATA, "a light's area is not finite: make it smaller");
  if (status != RT_OK || !(e->area > 0.0)) {
    rt_emitter_free(e);
    return status;
  }
  e->density = 1.0 / e->area;
  *out = e;
  return RT_OK;
}

void rt_emitter_free(rt_emitter *e) {
  if (!e) return;
  rt_free(e->triangles);
  rt_free(e->cdf);
  rt_free(e);
}

double rt_emitter_area(const rt_emitter *e) { return e->area; }

/* ---- Densities --------------------------------------------------------------------------------------------------- */

/* Per unit of area in the world, at a point of `face` with the unit normal n. */
static double area_density(const rt_emitter *e, uint32_t face, rt_vec3 n) {
  if (e->kind == TRIANGLES || e->kind == DISK || e->kind == SPHERE) return e->density;
  if (face != RT_FACE_SIDE) return e->density; /* a cap's factor is constant */
  double chosen = e->face_area[face] / e->area;
  return chosen * d3_length(d3_map_transposed(&e->to_world, d3_from(n))) / (e->determinant * e->face_local[face]);
}

typedef struct {
  rt_d3 axis; /* unit, from ref to the centre */
  double distance;
  double sin2;     /* of its half angle */
  double one_less; /* 1 - cos of it */
} cone;

/* False from inside the sphere. */
static bool make_cone(const rt_emitter *e, rt_vec3 ref, cone *out) {
  if (e->kind != SPHERE) return false;
  rt_d3 to = d3_sub(e->center, d3_from(ref));
  double distance2 = d3_dot(to, to), radius2 = e->radius * e->radius;
  if (!(distance2 > radius2)) return false;
  out->distance = sqrt(distance2);
  out->axis = d3_scale(to, 1.0 / out->distance);
  out->sin2 = radius2 / distance2;
  out->one_less = out->sin2 / (1.0 + sqrt(1.0 - out->sin2));
  return out->one_less > 0.0;
}

static float cone_pdf(const cone *c) { return rt_finite_pdf(1.0 / (2.0 * RT_PI * c->one_less)); }

float rt_emitter_pdf(const rt_emitter *e, rt_vec3 ref, const rt_surface *surface) {
  cone c;
  if (make_cone(e, ref, &c)) return cone_pdf(&c);
  double density = area_density(e, e->kind == CYLINDER ? surface->primitive : 0, surface->ng);
  return rt_sight_of(ref, surface->p, surface->ng, density).pdf;
}

/* ---- Sampling ---------------------------------------------------------------------------------------------------- */

/* A unit vector of the plane of x and y, evenly around for u in [0, 1). */
static void around(float u, double *x, double *y) {
  float sine, cosine;
  rt_sincos_turn(u, &sine, &cosine);
  double s = 1.0 / sqrt((double)sine * sine + (double)cosine * cosine);
  *x = cosine * s;
  *y = sine * s;
}

static rt_d3 uniform_direction(float u0, float u1) {
  double z = 1.0 - 2.0 * u0, r = sqrt(d_max(0.0, 1.0 - z * z)), x, y;
  around(u1, &x, &y);
  return d3(r * x, r * y, z);
}

/* What is left of u after the choice of [from, to) out of [0, 1): uniform again. */
static float rescale(double u, double from, double to) {
  float x = (float)((u - from) / (to - from));
  return f_clamp(x, 0.0f, 0x1.fffffep-1f);
}

/* The triangle, and the weights of its second and third corner. */
static uint32_t choose_triangle(const rt_emitter *e, double u0, float u1, double *b1, double *b2) {
  double target = u0 * e->area;
  size_t low = 0, high = e->n_triangles - 1; /* the last i with cdf[i] <= target */
  while (low < high) {
    size_t middle = low + (high - low + 1) / 2;
    if (e->cdf[middle] <= target)
      low = middle;
    else
      high = middle - 1;
  }
  double x = rescale(target, e->cdf[low], e->cdf[low + 1]), y = u1;
  bool above = y > x;
  double half = 0.5 * (above ? x : y);
  *b1 = above ? half : x - half;
  *b2 = above ? y - half : half;
  return e->triangles[low];
}

/* From the centre of a face of `shape`, in the plane of tangent and bitangent. */
static rt_d3 disk_offset(const rt_shape *s, float u0, float u1) {
  double r = s->radius * sqrt((double)u0), x, y;
  around(u1, &x, &y);
  return d3_mad(d3_scale(s->tangent, r * x), s->bitangent, r * y);
}

static uint32_t cylinder_face(const rt_emitter *e, float *u) {
  double target = (double)*u * e->area, from = 0.0;
  uint32_t face = RT_FACE_SIDE;
  for (; face < RT_FACE_TO; face++) {
    double to = from + e->face_area[face];
    if (target < to || e->face_area[face + 1] == 0.0) break;
    from = to;
  }
  *u = rescale(target, from, from + e->face_area[face]);
  return face;
}

static uint32_t cylinder_sample(const rt_emitter *e, float u0, float u1, rt_point *out) {
  const rt_shape *s = e->shape;
  uint32_t face = cylinder_face(e, &u0);
  rt_d3 p;
  if (face == RT_FACE_SIDE) {
    double x, y;
    around(u1, &x, &y);
    p = d3_mad(d3_mad(d3_scale(s->tangent, s->radius * x), s->bitangent, s->radius * y), s->axis, u0);
  } else {
    p = disk_offset(s, u0, u1);
    if (face == RT_FACE_TO) p = d3_add(p, s->axis);
  }
  rt_point_on_round(s, face, d3_add(s->center, p), out);
  return face;
}

/* By the cone: theta at ref against the axis, alpha at the centre against the way back to ref. */
static void cone_point(const rt_emitter *e, const cone *c, float u0, float u1, rt_point *out) {
  double less = u0 * c->one_less, cos_theta = 1.0 - less, sin2_theta = less * (2.0 - less);
  double cos_alpha = sin2_theta / sqrt(c->sin2) + cos_theta * sqrt(d_max(0.0, 1.0 - sin2_theta / c->sin2));
  double sin_alpha = sqrt(d_max(0.0, 1.0 - cos_alpha * cos_alpha)), x, y;
  around(u1, &x, &y);
  rt_frame frame = frame_from_z(d3_round(c->axis));
  rt_d3 n = d3_scale(c->axis, -cos_alpha);
  n = d3_mad(d3_mad(n, d3_from(frame.x), sin_alpha * x), d3_from(frame.y), sin_alpha * y);
  rt_d3 local = d3_normalize(d3_map_vector(&e->to_local, n));
  rt_point_on_round(e->shape, 0, d3_mad(e->shape->center, local, e->shape->radius), out);
}

/* Of what is not made of triangles. Returns the face. */
static uint32_t round_sample(const rt_emitter *e, rt_vec3 ref, float u0, float u1, rt_point *out) {
  const rt_shape *s = e->shape;
  cone c;
  if (make_cone(e, ref, &c)) {
    cone_point(e, &c, u0, u1, out);
    return 0;
  }
  if (e->kind == CYLINDER) return cylinder_sample(e, u0, u1, out);
  rt_d3 offset = e->kind == DISK ? disk_offset(s, u0, u1) : d3_scale(uniform_direction(u0, u1), s->radius);
  rt_point_on_round(s, 0, d3_add(s->center, offset), out);
  return 0;
}

void rt_emitters_sample(const rt_emitter *const emitters[RT_LANES], const rt_vec3_lanes *refs,
                        const double u0[RT_LANES], const float u1[RT_LANES], rt_emitter_lanes *out) {
  const rt_point_kernel *kernel = rt_points();
  rt_corner_lanes corners;
  rt_point_lanes points;
  uint32_t face[RT_LANES] = {0};
  double density[RT_LANES];
  bool plain = true;
  RT_EACH_LANE(i) {
    const rt_emitter *e = emitters[i];
    density[i] = 0.0;
    out->primitive[i] = 0;
    bool triangles = e && e->kind == TRIANGLES;
    plain &= !e || (triangles && !e->moved);
    if (!triangles) {
      rt_corners_none(&corners, i);
      continue;
    }
    double b1, b2;
    out->primitive[i] = choose_triangle(e, u0[i], u1[i], &b1, &b2);
    density[i] = e->density;
    rt_corners_of(e->shape, out->primitive[i], b1, b2, &corners, i);
  }
  kernel->on_triangles(&corners, &points);
  for (int i = 0; !plain && i < RT_LANES; i++) {
    const rt_emitter *e = emitters[i];
    if (!e || (e->kind == TRIANGLES && !e->moved)) continue;
    rt_point point = rt_point_get(&points, i);
    /* All but the choice of a triangle have enough in 24 bits. */
    if (e->kind != TRIANGLES)
      face[i] = round_sample(e, v3_get(refs, i), f_min((float)u0[i], 1.0f - RT_U), u1[i], &point);
    /* Of the instances on the way only their product is known: twice the rounding of one map, where there is any. */
    if (e->moved) {
      rt_point_map(&point, &e->to_world, &e->to_local);
      point.error = d3_scale(point.error, 2.0);
    }
    rt_point_put(&points, i, &point);
  }
  rt_vec3_lanes smooth; /* of no use here */
  kernel->round(&points, &out->p, &out->p_error, &out->n, &smooth);
  for (int i = 0; !plain && i < RT_LANES; i++) {
    if (emitters[i]) density[i] = area_density(emitters[i], face[i], v3_get(&out->n, i));
  }
  kernel->look(refs, &out->p, &out->n, density, &out->wi, out->pdf);
  for (int i = 0; !plain && i < RT_LANES; i++) {
    cone c;
    if (emitters[i] && make_cone(emitters[i], v3_get(refs, i), &c)) out->pdf[i] = cone_pdf(&c);
  }
  memcpy(out->u, points.u, sizeof out->u);
  memcpy(out->v, points.v, sizeof out->v);
}
