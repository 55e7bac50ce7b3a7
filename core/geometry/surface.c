/* Owns what shading learns of a hit: point, its error, normals, texture coordinates, material. Stands on shape.h and
 * internal.h.
 *
 * The point is made where its error is least, in the shape's own space: from barycentric weights on a triangle, from
 * the root in double put back onto the surface on a round shape; so that it is as good for a far ray as for a near
 * one. It goes out through the instances in double and is rounded once. p_error bounds how far it is off the surface
 * as rays that leave from it find it, which takes in the rounding of those rays in the spaces below (rt_point_map)
 * and the triangle test's own error (triangle.h); along the surface, p is as exact as t. */
#include "geometry/internal.h"

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

static void round_point(const rt_geometry *g, const rt_ray *ray, const rt_hit *hit, rt_point *out) {
  const rt_shape *shape = &g->shapes[hit->shape];
  int exponent = rt_ray_exponent(ray->d);
  rt_vec3 o = ray->o, d = exponent ? rt_scale_by(ray->d, exponent) : ray->d;
  for (uint32_t i = 0; i < hit->depth; i++) {
    rt_affine room;
    rt_instance_ray(rt_instance_to_child(&g->instances[hit->path[i].instance], hit->path[i].which, &room), &o, &d);
  }
  double t = exact_root(shape, hit->primitive, ldexp(hit->t, -exponent), o, d);
  rt_point_on_round(shape, hit->primitive, d3_mad(d3_from(o), d3_from(d), t), out);
}

void rt_surface_at(const rt_geometry *g, const rt_ray *ray, const rt_hit *hit, rt_surface *surface) {
  const rt_shape *shape = &g->shapes[hit->shape];
  rt_point point;
  if (shape->mesh)
    rt_point_on_triangle(shape, hit->primitive, hit->u, hit->v, &point);
  else
    round_point(g, ray, hit, &point);
  for (uint32_t i = hit->depth; i > 0; i--) {
    const rt_place *place = &hit->path[i - 1];
    const rt_instance *instance = &g->instances[place->instance];
    rt_affine room;
    rt_point_map(&point, rt_instance_to_parent(instance, place->which),
                 rt_instance_to_child(instance, place->which, &room));
  }
  rt_point_round(&point, &surface->p, &surface->p_error, &surface->ng, &surface->ns);
  surface->u = point.u;
  surface->v = point.v;
  surface->material = rt_shape_material(shape, hit->primitive);
  surface->shape = hit->shape;
  surface->primitive = hit->primitive;
  surface->placement = shape->mesh ? hit->ordinal - hit->primitive : hit->ordinal;
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
