/* Owns rays against the scene: which kernel walks through the trees, and the walk through everything, which defines what
 * a kernel must find. Stands on kernel.h and search.h. */
#include "base/isa.h"
#include "geometry/kernel.h"
#include "geometry/search.h"

static const rt_kernel *kernel(void) {
#ifdef __x86_64__
  static const rt_kernel *const by_level[RT_ISAS] = {&rt_kernel_base, &rt_kernel_avx2, &rt_kernel_avx512};
  return by_level[rt_isa_now()];
#else
  return &rt_kernel_base;
#endif
}

int rt_intersect_lanes(const rt_geometry *geometry, const rt_ray_lanes *rays, const int32_t wanted[RT_LANES],
                       bool camera, rt_hit hits[], int32_t found[RT_LANES]) {
  return kernel()->intersect(geometry, rays, wanted, camera, hits, found);
}

void rt_occluded_lanes(const rt_geometry *geometry, const rt_ray_lanes *rays, const uint64_t targets[RT_LANES],
                       const int32_t wanted[RT_LANES], int32_t found[RT_LANES]) {
  kernel()->occluded(geometry, rays, targets, wanted, found);
}

bool rt_intersect(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit) {
  rt_ray_lanes rays = {0};
  int32_t found[RT_LANES];
  rt_ray_put(&rays, 0, ray);
  return rt_intersect_lanes(geometry, &rays, (const int32_t[RT_LANES]){true}, ray->camera, hit, found) > 0;
}

bool rt_occluded(const rt_geometry *geometry, const rt_ray *ray, uint64_t target) {
  rt_ray_lanes rays = {0};
  int32_t found[RT_LANES];
  rt_ray_put(&rays, 0, ray);
  rt_occluded_lanes(geometry, &rays, (const uint64_t[RT_LANES]){target}, (const int32_t[RT_LANES]){true}, found);
  return found[0];
}

/* ---- Everything -------------------------------------------------------------------------------------------------- */

static void test_mesh(search *s, const rt_item *item, const line *ray, uint64_t base) {
  const rt_shape *shape = rt_item_shape(s->geometry, item);
  if (s->camera && shape->hidden) return;
  const rt_mesh *mesh = shape->mesh;
  rt_shear shear = rt_shear_of(v3_from(ray->o), v3_from(ray->d));
  for (size_t i = 0; i < mesh->n_triangles; i++) {
    const uint32_t *v = mesh->indices + 3 * i;
    float t, u, w;
    if (rt_triangle_hit(&shear, mesh->vertices + 3 * (size_t)v[0], mesh->vertices + 3 * (size_t)v[1],
                        mesh->vertices + 3 * (size_t)v[2], s->tnear, s->hit->t, &t, &u, &w))
      search_accept(s, item, base + item->first + i, (uint32_t)i, t, u, w);
  }
}

static void test_everything(search *s, const rt_group *group, const line *ray, uint64_t base) {
  for (size_t i = 0; i < group->n_items; i++) {
    const rt_item *item = &group->items[i];
    line local;
    if (item->is_instance) {
      size_t n = rt_instance_count(&s->geometry->instances[item->index]);
      for (uint32_t which = 0; which < n; which++) {
        uint64_t base_below = base;
        const rt_group *below = search_enter(s, item, which, ray, &local, &base_below);
        if (!below) continue;
        test_everything(s, below, &local, base_below);
        s->depth--;
      }
    } else if (rt_item_shape(s->geometry, item)->mesh) {
      test_mesh(s, item, ray, base);
    } else {
      search_round(s, item, ray, base);
    }
  }
}

bool rt_intersect_brute(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit) {
  search s;
  line l = {f4_from(ray->o), f4_from(ray->d)};
  int exponent;
  search_open(&s, geometry, ray->tnear, ray->tfar, ray->camera, RT_NO_TARGET, hit);
  if (!search_scale(&s, &l, &exponent)) return false;
  test_everything(&s, &geometry->groups[0], &l, 0);
  return search_end(&s, exponent);
}
