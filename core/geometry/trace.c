/* Owns rays against the scene: the walk through trees, and the walk through everything that defines what the first
 * must find. Stands on bvh.h, shape.h, triangle.h and internal.h.
 *
 * A hit is the least (t, ordinal) among all primitives that their exact tests accept (triangle.h, shape.c). The tree
 * may only leave out what cannot be that, by two written bounds.
 *
 * Packets. Four triangles are sheared by the operations of the exact test. fl(a) - fl(b) is never of the wrong sign,
 * only 0, so that edge functions in float that are strictly of both signs reject exactly; and where the weights are
 * of one sign and no vertex lies in front, t <= 0. What is left goes to the exact test.
 *
 * Boxes. Let u = 2^-24, D = max|o| + max|bounds| in a group's space. An accepted hit's point o + t d is off its
 * primitive by
 *   H = 8uD an axis for a triangle (triangle.h); less for round shapes: uD for the rounding of t and some 2^-50 D.
 * The box test takes near = (lo - (o + E)) rd, rd = 1/d: the sum rounds by u(|o| + E), the difference, rd and the
 * product by 3u(D + E) in lengths, so that near <= t <= far where the point is off the box by at most E - 4u(D + E).
 * |d| is taken to be at least 2^-40 max|d|, so that 0 * inf never happens, which moves the point by 2^-39 D. E = 32uD
 * is more than twice the need of 12uD. To it comes 2^-149 max|d| for a t below the normal floats. A product that
 * overflows does so to the right side: t is finite.
 *
 * Instances. A ray enters a child's space by M, the inverse of the map A (with translation b), rounded once: o' and
 * d' are off by u an axis. In Euclidean norms, a hit below at t, off by H' = e |o'| + s there, is off in the parent by
 *   |A| (H' + u |o'| + u t |d'|),  t |d'| <= |o'| + |p'|,  |o'| <= |M| (|o| + |b|),  |p'| <= sqrt(3) max|bounds'| + H'
 *   = (e + 2u) |A||M| (|o| + |b|) + |A| (s + 2u max|bounds'|), again of the form e |o| + s: geometry.c carries it up
 *   from 14u (8 sqrt(3)).
 * Double's own rounding, 2^-50 |A||M|, is far below as |A||M| <= 2^24. E = 2H covers the box test's 4u(D + E), with
 * |o| <= sqrt(3) max|o|. */
#include "geometry/f4.h"
#include "geometry/internal.h"
#include "geometry/triangle.h"

/* A node leaves at most three children behind. */
#define STACK (3 * RT_TREE_DEPTH + 1)
#define LEAST_D 0x1p-40f /* of a component of d, as a part of the largest: for boxes only */

typedef struct {
  const rt_geometry *geometry;
  float tnear;
  bool any, camera, brute;
  uint64_t target;   /* of this primitive, */
  float target_from; /* hits behind this t do not count */
  bool found;
  rt_hit hit; /* the best so far; t is tfar and ordinal the largest while there is none */
  uint32_t depth, path[RT_MAX_NESTING];
} search;

typedef struct {
  rt_vec3 o, d;
} line;

static void visit_instance(search *s, const rt_item *item, const line *ray, uint64_t base);

/* ---- Primitives -------------------------------------------------------------------------------------------------- */

/* t <= the best t. */
static void accept(search *s, const rt_item *item, uint64_t ordinal, uint32_t primitive, float t, float u, float v) {
  if (!(t < s->hit.t || ordinal < s->hit.ordinal)) return;
  if (ordinal == s->target && t > s->target_from) return;
  s->found = true;
  s->hit.t = t;
  s->hit.u = u;
  s->hit.v = v;
  s->hit.shape = item->index;
  s->hit.primitive = primitive;
  s->hit.ordinal = ordinal;
  s->hit.depth = s->depth;
  for (uint32_t i = 0; i < s->depth; i++) s->hit.path[i] = s->path[i];
}

static void test_round(search *s, const rt_item *item, const line *ray, uint64_t base) {
  const rt_shape *shape = rt_item_shape(s->geometry, item);
  if (s->camera && shape->hidden) return;
  double t[2];
  uint32_t face[2];
  int n = rt_shape_roots(shape, ray->o, ray->d, t, face);
  for (int i = 0; i < n; i++) {
    float at = (float)t[i];
    if (!(at > s->tnear)) continue;
    if (at <= s->hit.t && at < INFINITY) accept(s, item, base + item->first, face[i], at, 0.0f, 0.0f);
    return;
  }
}

/* An item that is not a mesh. */
static void test_item(search *s, const rt_item *item, const line *ray, uint64_t base) {
  if (item->is_instance)
    visit_instance(s, item, ray, base);
  else
    test_round(s, item, ray, base);
}

/* ---- Packets ----------------------------------------------------------------------------------------------------- */

static void test_packet(search *s, const rt_group *group, const rt_packet *packet, const rt_shear *shear,
                        uint64_t base) {
  const int kx = shear->kx, ky = shear->ky, kz = shear->kz;
  const rt_f4 ox = f4_all(shear->o[kx]), oy = f4_all(shear->o[ky]), oz = f4_all(shear->o[kz]);
  const rt_f4 sx = f4_all(shear->sx), sy = f4_all(shear->sy), zero = f4_all(0.0f);
  const rt_f4 az = f4_load(packet->v[0][kz]) - oz, bz = f4_load(packet->v[1][kz]) - oz,
              cz = f4_load(packet->v[2][kz]) - oz;
  const rt_f4 ax = (f4_load(packet->v[0][kx]) - ox) - sx * az, ay = (f4_load(packet->v[0][ky]) - oy) - sy * az;
  const rt_f4 bx = (f4_load(packet->v[1][kx]) - ox) - sx * bz, by = (f4_load(packet->v[1][ky]) - oy) - sy * bz;
  const rt_f4 cx = (f4_load(packet->v[2][kx]) - ox) - sx * cz, cy = (f4_load(packet->v[2][ky]) - oy) - sy * cz;
  const rt_f4 wa = cx * by - cy * bx, wb = ax * cy - ay * cx, wc = bx * ay - by * ax;
  const rt_i4 mixed = ((wa < zero) | (wb < zero) | (wc < zero)) & ((wa > zero) | (wb > zero) | (wc > zero));
  const rt_f4 sign = f4_all(shear->dz < 0.0f ? -1.0f : 1.0f);
  const rt_i4 in_front = (az * sign > zero) | (bz * sign > zero) | (cz * sign > zero);
  unsigned mask = i4_mask(in_front & ~mixed) & packet->lanes;
  for (; mask; mask &= mask - 1) {
    int i = __builtin_ctz(mask);
    float t, u, v;
    if (!rt_triangle_sheared(ax[i], ay[i], az[i], bx[i], by[i], bz[i], cx[i], cy[i], cz[i], shear->dz, s->tnear,
                             s->hit.t, &t, &u, &v))
      continue;
    const rt_item *item = &group->items[packet->item[i]];
    if (s->camera && rt_item_shape(s->geometry, item)->hidden) continue;
    accept(s, item, base + item->first + packet->primitive[i], packet->primitive[i], t, u, v);
  }
}

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

/* A ray made ready for boxes: by axis, the row that it enters by and the one that it leaves by, the origins moved
 * away from them by E. */
typedef struct {
  int enter[3], leave[3];
  float enter_o[3], leave_o[3], rd[3];
} slabs;

static slabs make_slabs(const rt_group *group, const line *ray) {
  slabs out;
  const float o[3] = {ray->o.x, ray->o.y, ray->o.z}, d[3] = {ray->d.x, ray->d.y, ray->d.z};
  float largest = v3_abs_max(ray->d), least = largest * LEAST_D;
  float pad = group->pad_o * v3_abs_max(ray->o) + group->pad_s + largest * 0x1p-149f;
  for (int i = 0; i < 3; i++) {
    bool negative = signbit(d[i]);
    out.rd[i] = 1.0f / copysignf(f_max(fabsf(d[i]), least), d[i]);
    out.enter[i] = 2 * i + negative;
    out.leave[i] = 2 * i + !negative;
    out.enter_o[i] = negative ? o[i] - pad : o[i] + pad;
    out.leave_o[i] = negative ? o[i] + pad : o[i] - pad;
  }
  return out;
}

typedef struct {
  float near;
  uint32_t child;
} entry;

/* The children of a node whose boxes the ray meets up to its best t, at nears. */
static inline unsigned meet_boxes(const rt_node *node, const slabs *r, float tnear, float best, rt_f4 *nears) {
  rt_f4 near = f4_all(tnear), far = f4_all(best);
  for (int i = 0; i < 3; i++) {
    rt_f4 rd = f4_all(r->rd[i]);
    near = f4_max((f4_load(node->box[r->enter[i]]) - f4_all(r->enter_o[i])) * rd, near);
    far = f4_min((f4_load(node->box[r->leave[i]]) - f4_all(r->leave_o[i])) * rd, far);
  }
  *nears = near;
  return i4_mask(near <= far) & node->lanes;
}

/* Puts children on the stack, the nearest last. */
static inline size_t push_sorted(entry *stack, size_t n, const rt_node *node, unsigned mask, const rt_f4 *nears) {
  size_t first = n;
  for (; mask; mask &= mask - 1) {
    int lane = __builtin_ctz(mask);
    entry e = {(*nears)[lane], node->child[lane]};
    size_t i = n++;
    for (; i > first && stack[i - 1].near < e.near; i--) stack[i] = stack[i - 1];
    stack[i] = e;
  }
  return n;
}

static void walk_tree(search *s, const rt_group *group, const line *ray, uint64_t base) {
  const rt_tree *tree = &group->tree;
  if (!tree->nodes) return;
  const rt_shear shear = rt_shear_make(ray->o, ray->d);
  const slabs r = make_slabs(group, ray);
  entry stack[STACK];
  size_t n = 1;
  stack[0] = (entry){s->tnear, 0};
  while (n > 0) {
    entry top = stack[--n];
    if (top.near > s->hit.t) continue;
    if (top.child < RT_CHILD_ITEM) {
      const rt_node *node = &tree->nodes[top.child];
      rt_f4 nears;
      unsigned mask = meet_boxes(node, &r, s->tnear, s->hit.t, &nears);
      n = push_sorted(stack, n, node, mask, &nears);
      continue;
    }
    if (top.child & RT_CHILD_PACKET)
      test_packet(s, group, &tree->packets[top.child & RT_CHILD_INDEX], &shear, base);
    else
      test_item(s, &group->items[top.child & RT_CHILD_INDEX], ray, base);
    if (s->any && s->found) return;
  }
}

static void walk_group(search *s, const rt_group *group, const line *ray, uint64_t base) {
  for (size_t i = 0; i < group->n_always; i++) {
    test_item(s, &group->items[group->always[i]], ray, base);
    if (s->any && s->found) return;
  }
  walk_tree(s, group, ray, base);
}

/* ---- Everything -------------------------------------------------------------------------------------------------- */

static void test_mesh(search *s, const rt_item *item, const line *ray, uint64_t base) {
  const rt_shape *shape = rt_item_shape(s->geometry, item);
  if (s->camera && shape->hidden) return;
  const rt_mesh *mesh = shape->mesh;
  const rt_shear shear = rt_shear_make(ray->o, ray->d);
  for (size_t i = 0; i < mesh->n_triangles; i++) {
    const uint32_t *v = mesh->indices + 3 * i;
    float t, u, w;
    if (rt_triangle_hit(&shear, mesh->vertices + 3 * (size_t)v[0], mesh->vertices + 3 * (size_t)v[1],
                        mesh->vertices + 3 * (size_t)v[2], s->tnear, s->hit.t, &t, &u, &w))
      accept(s, item, base + item->first + i, (uint32_t)i, t, u, w);
  }
}

static void test_everything(search *s, const rt_group *group, const line *ray, uint64_t base) {
  for (size_t i = 0; i < group->n_items; i++) {
    const rt_item *item = &group->items[i];
    if (!item->is_instance && rt_item_shape(s->geometry, item)->mesh)
      test_mesh(s, item, ray, base);
    else
      test_item(s, item, ray, base);
  }
}

/* ---- Instances and entry ----------------------------------------------------------------------------------------- */

static void visit_instance(search *s, const rt_item *item, const line *ray, uint64_t base) {
  const rt_instance *instance = &s->geometry->instances[item->index];
  const rt_group *group = &s->geometry->groups[instance->group];
  if (s->camera && instance->hidden) return;
  line local = *ray;
  if (!rt_instance_ray(instance, &local.o, &local.d)) return;
  s->path[s->depth++] = item->index;
  if (s->brute)
    test_everything(s, group, &local, base + item->first);
  else
    walk_group(s, group, &local, base + item->first);
  s->depth--;
}

static bool run(search *s, const rt_ray *ray) {
  if (!v3_is_finite(ray->o) || !v3_is_finite(ray->d) || v3_is_zero(ray->d)) return false;
  line l = {ray->o, ray->d};
  int exponent = rt_ray_exponent(ray->d);
  s->tnear = ray->tnear;
  s->hit.t = ray->tfar;
  if (exponent != 0) {
    l.d = rt_scale_by(l.d, exponent);
    s->tnear = ldexpf(s->tnear, -exponent);
    s->hit.t = ldexpf(f_min(s->hit.t, FLT_MAX), -exponent);
    s->target_from = ldexpf(s->target_from, -exponent);
  }
  s->hit.ordinal = UINT64_MAX;
  const rt_group *world = &s->geometry->groups[0];
  if (s->brute)
    test_everything(s, world, &l, 0);
  else
    walk_group(s, world, &l, 0);
  if (exponent != 0) s->hit.t = ldexpf(s->hit.t, exponent);
  return s->found;
}

bool rt_intersect(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit) {
  search s = {.geometry = geometry, .camera = ray->camera, .target = RT_NO_TARGET};
  if (!run(&s, ray)) return false;
  *hit = s.hit;
  return true;
}

bool rt_occluded(const rt_geometry *geometry, const rt_ray *ray, uint64_t target) {
  search s = {
      .geometry = geometry, .camera = ray->camera, .any = true, .target = target, .target_from = RT_TARGET_FROM};
  return run(&s, ray);
}

bool rt_intersect_brute(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit) {
  search s = {.geometry = geometry, .camera = ray->camera, .brute = true, .target = RT_NO_TARGET};
  if (!run(&s, ray)) return false;
  *hit = s.hit;
  return true;
}
