/* The walk of a ray through trees, for the instruction set that the file which includes this is compiled for. It
 * defines RT_KERNEL, and gets an rt_kernel of this name. Stands on search.h, bvh.h and f8.h.
 *
 * A hit is the least (t, ordinal) among all primitives that their exact tests accept (triangle.h, shape.c). The tree
 * may only leave out what cannot be that, by two written bounds.
 *
 * Leaves. Eight triangles are sheared by the operations of the exact test. fl(a) - fl(b) is never of the wrong sign,
 * only 0, so that edge functions in float that are strictly of both signs reject exactly. What lies behind the origin is
 * rejected too: with the weights W of one sign, t has the sign of T = sum W z over that of dz sum W. In float, an edge
 * function is off by 2u of the sum of its products' magnitudes, T by 5.2u Q Z (Q: that sum over all three; Z: the largest
 * |z|), and by 2^-146 (1 + Z) where something underflows; (8u Q + 2^-120) Z + 2^-100 is above both. What is left goes to
 * the exact test, and what is behind would fail it, since tnear is at least 0.
 *
 * Boxes. Let u = 2^-24, D = max|o| + max|bounds| in a group's space. An accepted hit's point o + t d is off its
 * primitive by
 *   H = 8uD an axis for a triangle (triangle.h); less for round shapes: uD for the rounding of t and some 2^-50 D.
 * The box test takes near = (lo - (o + E)) rd, rd = 1/d: the sum rounds by u(|o| + E), the difference, rd and the
 * product by 3u(D + E) in lengths, so that near <= t <= far where the point is off the box by at most E - 4u(D + E).
 * With FMA it is lo rd - c, c = (o + E) rd: the sum and c round by 2u(|o| + E), rd and the difference by 2u(D + E): no
 * more. |d| is taken to be at least 2^-40 max|d|, so that 0 * inf never happens, which moves the point by 2^-39 D. E =
 * 32uD is more than twice the need of 12uD. To it comes 2^-94 max|d|, more than enough for a t below the normal floats.
 * What overflows at the end does so to the right side: t is finite. Where c (or o + E) overflows, the axis rejects
 * nothing: it is made infinite, of the sign that lets all pass.
 *
 * Instances. A ray enters a child's space by M, the inverse of the map A (with translation b), rounded once: o' and
 * d' are off by u an axis. In Euclidean norms, a hit below at t, off by H' = e |o'| + s there, is off in the parent by
 *   |A| (H' + u |o'| + u t |d'|),  t |d'| <= |o'| + |p'|,  |o'| <= |M| (|o| + |b|),  |p'| <= sqrt(3) max|bounds'| + H'
 *   = (e + 2u) |A||M| (|o| + |b|) + |A| (s + 2u max|bounds'|), again of the form e |o| + s: geometry.c carries it up
 *   from 14u (8 sqrt(3)).
 * Double's own rounding, 2^-50 |A||M|, is far below as |A||M| <= 2^24. E = 2H covers the box test's 4u(D + E), with
 * |o| <= sqrt(3) max|o|. */
#include "geometry/bvh.h"
#include "geometry/f8.h"
#include "geometry/kernel.h"
#include "geometry/ready.h"
#include "geometry/search.h"

/* A node leaves at most seven children behind. */
#define STACK (7 * RT_TREE_DEPTH + 1)

/* The walk is compiled twice: with `any` true it ends at the first hit. */
#define EACH_WAY static inline __attribute__((always_inline))

EACH_WAY uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static void visit_nearest(search *s, const rt_item *item, uint32_t which, const line *ray, uint64_t base);
static void visit_any(search *s, const rt_item *item, uint32_t which, const line *ray, uint64_t base);

/* An item that is not a mesh; of an instance that stands for many, which one. */
EACH_WAY void test_item(search *s, const rt_item *item, uint32_t which, const line *ray, uint64_t base, bool any) {
  if (!item->is_instance)
    search_round(s, item, ray, base);
  else if (any)
    visit_any(s, item, which, ray, base);
  else
    visit_nearest(s, item, which, ray, base);
}

/* ---- Triangles --------------------------------------------------------------------------------------------------- */

typedef struct {
  rt_f8 x, y, z;
} wide_vertex;

/* The operations of rt_shear_vertex. */
EACH_WAY wide_vertex shear_vertices(const rt_shear *s, const float vertex[3][8]) {
  rt_f8 z = f8_sub(f8_load(vertex[s->kz]), f8_all(s->oz));
  return (wide_vertex){f8_sub(f8_sub(f8_load(vertex[s->kx]), f8_all(s->ox)), f8_mul(f8_all(s->sx), z)),
                       f8_sub(f8_sub(f8_load(vertex[s->ky]), f8_all(s->oy)), f8_mul(f8_all(s->sy), z)), z};
}

/* Eight triangles' vertices, sheared. */
typedef struct {
  wide_vertex a, b, c;
} wide_triangle;

EACH_WAY void shear_packet(wide_triangle *out, const rt_packet *packet, const rt_shear *shear) {
  out->a = shear_vertices(shear, packet->v[0]);
  out->b = shear_vertices(shear, packet->v[1]);
  out->c = shear_vertices(shear, packet->v[2]);
}

EACH_WAY wide_vertex pick_corner(const wide_vertex *v, uint32_t corner) {
  rt_lanes lanes = f8_lanes(corner);
  return (wide_vertex){f8_pick(v->x, lanes), f8_pick(v->y, lanes), f8_pick(v->z, lanes)};
}

EACH_WAY void shear_patch(wide_triangle *out, const rt_patch *patch, const rt_shear *shear) {
  wide_vertex v = shear_vertices(shear, patch->v);
  out->a = pick_corner(&v, patch->corner[0]);
  out->b = pick_corner(&v, patch->corner[1]);
  out->c = pick_corner(&v, patch->corner[2]);
}

/* Lanes that the exact test might accept. */
EACH_WAY unsigned candidates(const wide_triangle *triangle, unsigned lanes, float dz) {
  const rt_f8 zero = f8_all(0.0f);
  const wide_vertex a = triangle->a, b = triangle->b, c = triangle->c;
  const rt_f8 a1 = f8_mul(c.x, b.y), a2 = f8_mul(c.y, b.x), b1 = f8_mul(a.x, c.y), b2 = f8_mul(a.y, c.x),
              c1 = f8_mul(b.x, a.y), c2 = f8_mul(b.y, a.x);
  const rt_f8 wa = f8_sub(a1, a2), wb = f8_sub(b1, b2), wc = f8_sub(c1, c2);
  const rt_f8 least = f8_min(wa, f8_min(wb, wc)), largest = f8_max(wa, f8_max(wb, wc));
  unsigned negative = f8_lt(least, zero), mixed = negative & f8_lt(zero, largest);
  unsigned mask = ~mixed & lanes;
  if (mask == 0) return 0;
  const rt_f8 products =
      f8_add(f8_add(f8_add(f8_abs(a1), f8_abs(a2)), f8_add(f8_abs(b1), f8_abs(b2))), f8_add(f8_abs(c1), f8_abs(c2)));
  const rt_f8 height = f8_max(f8_abs(a.z), f8_max(f8_abs(b.z), f8_abs(c.z)));
  const rt_f8 t = f8_add(f8_add(f8_mul(wa, a.z), f8_mul(wb, b.z)), f8_mul(wc, c.z));
  const rt_f8 bound =
      f8_add(f8_mul(f8_add(f8_mul(f8_all(8.0f * RT_U), products), f8_all(0x1p-120f)), height), f8_all(0x1p-100f));
  unsigned below = f8_lt(t, f8_sub(zero, bound)), above = f8_lt(bound, t);
  /* Behind: t det dz < 0, det's sign being that of the weights. */
  unsigned turned = dz < 0.0f ? ~negative : negative;
  return mask & ~((turned & above) | (~turned & below));
}

EACH_WAY void accept_triangle(search *s, const rt_group *group, uint32_t number, uint64_t base, float t, float u,
                              float v) {
  uint32_t index = rt_tree_item(&group->tree, number), primitive = number - group->tree.start[index];
  const rt_item *item = &group->items[index];
  if (s->camera && rt_item_shape(s->geometry, item)->hidden) return;
  search_accept(s, item, base + item->first + primitive, primitive, t, u, v);
}

/* A leaf: a patch where `shared`, else a packet. */
EACH_WAY void test_leaf(search *s, const rt_group *group, uint32_t index, const rt_shear *shear, uint64_t base,
                        bool shared, bool any) {
  const rt_patch *patch = &group->tree.patches[index];
  const rt_packet *packet = &group->tree.packets[index];
  wide_triangle triangle;
  if (shared)
    shear_patch(&triangle, patch, shear);
  else
    shear_packet(&triangle, packet, shear);
  unsigned mask = candidates(&triangle, shared ? patch->corner[0] >> RT_PATCH_LANES : 0xff, shear->dz);
  if (mask == 0) return;
  _Alignas(32) float of[9][8];
  const rt_f8 rows[9] = {triangle.a.x, triangle.a.y, triangle.a.z, triangle.b.x, triangle.b.y,
                         triangle.b.z, triangle.c.x, triangle.c.y, triangle.c.z};
  for (int i = 0; i < 9; i++) f8_store(of[i], rows[i]);
  for (; mask; mask &= mask - 1) {
    int lane = __builtin_ctz(mask);
    float t, u, v;
    if (!rt_triangle_sheared(of[0][lane], of[1][lane], of[2][lane], of[3][lane], of[4][lane], of[5][lane], of[6][lane],
                             of[7][lane], of[8][lane], shear->dz, s->tnear, s->hit->t, &t, &u, &v))
      continue;
    accept_triangle(s, group, shared ? patch->first + patch->offset[lane] : packet->number[lane], base, t, u, v);
    if (any && s->found) return;
  }
}

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

/* A ray made ready for boxes, in all lanes: by axis, the row that it enters by and the one that it leaves by, as bytes
 * from the node, and the rest as in ready.h. */
typedef struct {
  size_t enter[3], leave[3];
  rt_f8 enter_o[3], leave_o[3], rd[3], tnear;
} slabs;

EACH_WAY void make_slab(slabs *r, int axis, float rd, float enter_o, float leave_o) {
  size_t row = sizeof(float[8]);
  r->enter[axis] = 2 * (size_t)axis * row + (float_bits(rd) >> 31) * row;
  r->leave[axis] = r->enter[axis] ^ row;
  r->rd[axis] = f8_all(rd);
  r->enter_o[axis] = f8_all(enter_o);
  r->leave_o[axis] = f8_all(leave_o);
}

EACH_WAY rt_f8 meet_plane(const rt_node *node, size_t row, rt_f8 o, rt_f8 rd) {
  return f8_plane(f8_load((const float *)((const char *)node->box + row)), o, rd);
}

/* The children of a node whose boxes the ray meets up to its best t, at nears. */
EACH_WAY unsigned meet_boxes(const rt_node *node, const slabs *r, float best, rt_f8 *nears) {
  rt_f8 near[3], far[3];
  for (int i = 0; i < 3; i++) {
    near[i] = meet_plane(node, r->enter[i], r->enter_o[i], r->rd[i]);
    far[i] = meet_plane(node, r->leave[i], r->leave_o[i], r->rd[i]);
  }
  *nears = f8_max(f8_max(near[0], near[1]), f8_max(near[2], r->tnear));
  return f8_le(*nears, f8_min(f8_min(far[0], far[1]), f8_min(far[2], f8_all(best)))) & node->lanes;
}

/* A child that waits: its near as bits, which are in order of the nears as these are not negative, above its index. */
typedef uint64_t entry;

EACH_WAY entry entry_of(const rt_node *node, const float nears[8], unsigned mask) {
  int lane = __builtin_ctz(mask);
  return (entry)float_bits(nears[lane]) << 32 | node->child[lane];
}
/* Without branches: nobody can guess the order. */
EACH_WAY void put_in_order(entry *far, entry *near) {
  entry a = *far, b = *near;
  *far = a > b ? a : b;
  *near = a > b ? b : a;
}

/* Puts the children of `mask`, two at least, on the stack but for the nearest, which it returns; the nearest last. */
EACH_WAY uint32_t push_sorted(entry *stack, size_t *n, const rt_node *node, unsigned mask, const float nears[8]) {
  entry first = entry_of(node, nears, mask);
  mask &= mask - 1;
  entry second = entry_of(node, nears, mask);
  mask &= mask - 1;
  put_in_order(&second, &first);
  if (mask == 0) {
    stack[(*n)++] = second;
    return (uint32_t)first;
  }
  entry third = entry_of(node, nears, mask);
  mask &= mask - 1;
  put_in_order(&third, &first);
  put_in_order(&third, &second);
  size_t begin = *n;
  stack[begin] = third;
  stack[begin + 1] = second;
  *n += 2;
  for (; mask; mask &= mask - 1) {
    entry e = entry_of(node, nears, mask);
    put_in_order(&e, &first);
    size_t i = (*n)++;
    for (; i > begin && stack[i - 1] < e; i--) stack[i] = stack[i - 1];
    stack[i] = e;
  }
  return (uint32_t)first;
}

/* Goes down from a node to the nearest leaf that it leads to, and leaves the others on the stack: false when there is
 * none. */
EACH_WAY bool descend(const search *s, const rt_tree *tree, const slabs *r, uint32_t *child, entry *stack, size_t *n) {
  while (*child < RT_CHILD_ITEM) {
    const rt_node *node = &tree->nodes[*child];
    rt_f8 near;
    unsigned mask = meet_boxes(node, r, s->hit->t, &near);
    if (mask == 0) return false;
    if ((mask & (mask - 1)) == 0) {
      *child = node->child[__builtin_ctz(mask)];
      continue;
    }
    _Alignas(32) float nears[8];
    f8_store(nears, near);
    *child = push_sorted(stack, n, node, mask, nears);
  }
  return true;
}

EACH_WAY void test_leaf_item(search *s, const rt_group *group, uint32_t index, const line *ray, uint64_t base,
                             bool any) {
  uint32_t which = 0;
  if (index & RT_CHILD_OF_MANY) {
    uint32_t number = index & ~RT_CHILD_OF_MANY;
    index = rt_tree_item(&group->tree, number);
    which = number - group->tree.start[index];
  }
  test_item(s, &group->items[index], which, ray, base, any);
}

EACH_WAY void walk_tree(search *s, const rt_group *group, const line *ray, const ready *made, uint64_t base, bool any) {
  const rt_tree *tree = &group->tree;
  const rt_shear shear = made->shear;
  slabs r = {.tnear = f8_all(s->tnear)};
  make_slab(&r, 0, made->rd.x, made->enter_o.x, made->leave_o.x);
  make_slab(&r, 1, made->rd.y, made->enter_o.y, made->leave_o.y);
  make_slab(&r, 2, made->rd.z, made->enter_o.z, made->leave_o.z);
  entry stack[STACK];
  size_t n = 0;
  uint32_t child = 0;
  for (;;) {
    if (descend(s, tree, &r, &child, stack, &n)) {
      uint32_t index = child & RT_CHILD_INDEX;
      if (child >= RT_CHILD_PATCH)
        test_leaf(s, group, index, &shear, base, true, any);
      else if (child >= RT_CHILD_PACKET)
        test_leaf(s, group, index, &shear, base, false, any);
      else
        test_leaf_item(s, group, index, ray, base, any);
      if (any && s->found) return;
    }
    uint32_t best = float_bits(s->hit->t);
    do {
      if (n == 0) return;
      n--;
    } while (stack[n] >> 32 > best);
    child = (uint32_t)stack[n];
  }
}

/* Items that have no bounds. */
EACH_WAY void test_always(search *s, const rt_group *group, const line *ray, uint64_t base, bool any) {
  for (size_t i = 0; i < group->n_always; i++) {
    const rt_item *item = &group->items[group->always[i]];
    size_t n = item->is_instance ? rt_instance_count(&s->geometry->instances[item->index]) : 1;
    for (uint32_t which = 0; which < n; which++) {
      test_item(s, item, which, ray, base, any);
      if (any && s->found) return;
    }
  }
}

EACH_WAY void walk_group(search *s, const rt_group *group, const line *ray, uint64_t base, bool any) {
  test_always(s, group, ray, base, any);
  if (!group->tree.nodes || (any && s->found)) return;
  ready made = ready_of(group, v3_from(ray->o), v3_from(ray->d));
  walk_tree(s, group, ray, &made, base, any);
}

/* ---- Instances and entry ----------------------------------------------------------------------------------------- */

EACH_WAY void visit(search *s, const rt_item *item, uint32_t which, const line *ray, uint64_t base, bool any) {
  line local;
  const rt_group *group = search_enter(s, item, which, ray, &local, &base);
  if (!group) return;
  walk_group(s, group, &local, base, any);
  s->depth--;
}

static void visit_nearest(search *s, const rt_item *item, uint32_t which, const line *ray, uint64_t base) {
  visit(s, item, which, ray, base, false);
}
static void visit_any(search *s, const rt_item *item, uint32_t which, const line *ray, uint64_t base) {
  visit(s, item, which, ray, base, true);
}

/* Ray i of eight; one that is not plain is made ready once more, scaled. */
EACH_WAY bool trace_lane(const rt_geometry *geometry, const rt_ray_lanes *rays, const ready_lanes *all, int i,
                         bool camera, uint64_t target, rt_hit *hit, bool any) {
  const rt_group *group = &geometry->groups[0];
  search s;
  line l = {f4_from(v3_get(&rays->o, i)), f4_from(v3_get(&rays->d, i))};
  search_open(&s, geometry, rays->tnear[i], rays->tfar[i], camera, target, hit);
  if (all->plain[i]) {
    test_always(&s, group, &l, 0, any);
    if (!group->tree.nodes || (any && s.found)) return s.found;
    ready made = ready_get(all, i);
    walk_tree(&s, group, &l, &made, 0, any);
    return s.found;
  }
  int exponent;
  if (!search_scale(&s, &l, &exponent)) return false;
  walk_group(&s, group, &l, 0, any);
  return search_end(&s, exponent);
}

static int intersect(const rt_geometry *geometry, const rt_ray_lanes *rays, const int32_t wanted[RT_LANES], bool camera,
                     rt_hit hits[], int32_t found[RT_LANES]) {
  ready_lanes all;
  int n = 0;
  ready_all(&all, &geometry->groups[0], rays);
  RT_EACH_LANE(i) {
    found[i] = wanted[i] && trace_lane(geometry, rays, &all, i, camera, RT_NO_TARGET, &hits[n], false);
    n += found[i];
  }
  return n;
}

static void occluded(const rt_geometry *geometry, const rt_ray_lanes *rays, const uint64_t targets[RT_LANES],
                     const int32_t wanted[RT_LANES], int32_t found[RT_LANES]) {
  ready_lanes all;
  ready_all(&all, &geometry->groups[0], rays);
  RT_EACH_LANE(i) {
    rt_hit hit;
    found[i] = wanted[i] && trace_lane(geometry, rays, &all, i, false, targets[i], &hit, true);
  }
}

const rt_kernel RT_KERNEL = {intersect, occluded};
