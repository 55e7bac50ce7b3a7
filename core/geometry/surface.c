/* Owns what shading learns of a hit: point, its error, normals, texture coordinates, material. Stands on shape.h and
 * internal.h.
 *
 * The point is made where its error is least, in the shape's own space: from barycentric weights on a triangle, from
 * the root in double put back onto the surface on a round shape; so that it is as good for a far ray as for a near
 * one. It goes out through the instances in double and is rounded once. p_error bounds how far it is off the surface
 * as rays that leave from it find it, which takes in the rounding of those rays in the spaces below (rt_point_map)
 * and the triangle test's own error (triangle.h); along the surface, p is as exact as t. */
#include "geometry/internal.h"
#include "geometry/points.h"

/* The root of o + t d on the hit's face that is nearest to the hit's t, which it was rounded to. */
static double exact_root(const rt_shape *shape, uint32_t on_face, double hit_t, rt_vec3 o, rt_vec3 d) {
  double t[2];
  uint32_t face[2];
  int n = rt_shape_roots(shape, o, d, t, face);
  double best = hit_t, least = INFINITY;
  for (int i = 0; i < n; i++) {
    if (face[i] == on_face && fabs(t[i] - hit_t) < least) {
      least = fabs(t[i] - hit_t);
      best = t[i];
    }
  }
  return best;
}

static void round_point(const rt_geometry *g, rt_vec3 o, rt_vec3 d, const rt_hit *hit, rt_point *out) {
  const rt_shape *shape = &g->shapes[hit->shape];
  int exponent = rt_ray_exponent(d);
  if (exponent) d = rt_scale_by(d, exponent);
  for (uint32_t i = 0; i < hit->depth; i++) {
    rt_affine room;
    rt_instance_ray(rt_instance_to_child(&g->instances[hit->path[i].instance], hit->path[i].which, &room), &o, &d);
  }
  double t = exact_root(shape, hit->primitive, ldexp(hit->t, -exponent), o, d);
  rt_point_on_round(shape, hit->primitive, d3_mad(d3_from(o), d3_from(d), t), out);
}

static void to_world(const rt_geometry *g, const rt_hit *hit, rt_point_lanes *points, int i) {
  rt_point point = rt_point_get(points, i);
  for (uint32_t level = hit->depth; level > 0; level--) {
    const rt_place *place = &hit->path[level - 1];
    const rt_instance *instance = &g->instances[place->instance];
    rt_affine room;
    rt_point_map(&point, rt_instance_to_parent(instance, place->which),
                 rt_instance_to_child(instance, place->which, &room));
  }
  rt_point_put(points, i, &point);
}

void rt_surfaces_at(const rt_geometry *g, int n, const rt_ray_lanes *rays, const rt_hit hits[], rt_surface_lanes *out) {
  const rt_point_kernel *kernel = rt_points();
  rt_corner_lanes corners;
  rt_point_lanes points;
  bool plain = true;
  for (int i = 0; i < n; i++) {
    const rt_hit *hit = &hits[i];
    const rt_shape *shape = &g->shapes[hit->shape];
    if (shape->mesh)
      rt_corners_of(shape, hit->primitive, hit->u, hit->v, &corners, i);
    else
      rt_corners_none(&corners, i);
    plain &= shape->mesh && hit->depth == 0;
    out->material[i] = rt_shape_material(shape, hit->primitive);
    out->shape[i] = hit->shape;
    out->primitive[i] = hit->primitive;
    out->placement[i] = shape->mesh ? hit->ordinal - hit->primitive : hit->ordinal;
  }
  for (int i = n; i < RT_LANES; i++) rt_corners_none(&corners, i);
  kernel->on_triangles(&corners, &points);
  for (int i = 0; !plain && i < n; i++) {
    if (!g->shapes[hits[i].shape].mesh) {
      rt_point point;
      round_point(g, v3_get(&rays->o, i), v3_get(&rays->d, i), &hits[i], &point);
      rt_point_put(&points, i, &point);
    }
    if (hits[i].depth > 0) to_world(g, &hits[i], &points, i);
  }
  kernel->round(&points, &out->p, &out->p_error, &out->ng, &out->ns);
  memcpy(out->u, points.u, sizeof out->u);
  memcpy(out->v, points.v, sizeof out->v);
}

rt_surface rt_surface_get(const rt_surface_lanes *surfaces, int i) {
  return (rt_surface){.p = v3_get(&surfaces->p, i),
                      .p_error = v3_get(&surfaces->p_error, i),
                      .ng = v3_get(&surfaces->ng, i),
                      .ns = v3_get(&surfaces->ns, i),
                      .u = surfaces->u[i],
                      .v = surfaces->v[i],
                      .material = surfaces->material[i],
                      .shape = surfaces->shape[i],
                      .primitive = surfaces->primitive[i],
                      .placement = surfaces->placement[i]};
}

void rt_surface_at(const rt_geometry *g, const rt_ray *ray, const rt_hit *hit, rt_surface *surface) {
  rt_ray_lanes rays = {0};
  rt_surface_lanes surfaces;
  v3_put(&rays.o, 0, ray->o);
  v3_put(&rays.d, 0, ray->d);
  rt_surfaces_at(g, 1, &rays, hit, &surfaces);
  *surface = rt_surface_get(&surfaces, 0);
}

void rt_surface_prefetch(const rt_geometry *g, const rt_hit *hit) {
  const rt_mesh *mesh = g->shapes[hit->shape].mesh;
  if (mesh) __builtin_prefetch(mesh->indices + 3 * (size_t)hit->primitive);
}

void rt_surface_prefetch_corners(const rt_geometry *g, const rt_hit *hit) {
  const rt_mesh *mesh = g->shapes[hit->shape].mesh;
  if (!mesh) return;
  const uint32_t *corners = mesh->indices + 3 * (size_t)hit->primitive;
  for (int i = 0; i < 3; i++) {
    __builtin_prefetch(mesh->vertices + 3 * (size_t)corners[i]);
    if (mesh->normals) __builtin_prefetch(mesh->normals + 3 * (size_t)corners[i]);
    if (mesh->uvs) __builtin_prefetch(mesh->uvs + 2 * (size_t)corners[i]);
  }
}
