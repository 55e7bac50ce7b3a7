/* Owns transforms that place a group: which ones may, and many of them, packed. Stands on base and linear.h.
 *
 * Of ten million placements the maps to the parent alone take a gigabyte. So up to KEPT_INVERSES have their inverses
 * beside them; of more, a ray inverts the map that it enters by, to the same bits, in about the time that it waits for
 * that map to come from memory. */
#include "geometry/placements.h"

#include "base/error.h"
#include "base/memory.h"
#include "geometry/linear.h"

#define KEPT_INVERSES ((size_t)1 << 20) /* 96 MB of them */
#define MAX_PLACEMENTS ((1u << 29) - 2) /* what a leaf of a tree can name: see bvh.h */
#define MAX_CONDITION 0x1p24            /* beyond, floats in the child's space say nothing about the parent's */

rt_status rt_transform_check(const rt_affine *to_parent, rt_affine *to_child, rt_stretch *stretch, rt_error *err) {
  if (!affine_invert(to_child, to_parent))
    return rt_fail(err, RT_BAD_DATA, "a transform is singular or not finite: give scales other than 0");
  double up = rt_norm_bound(to_parent), down = rt_norm_bound(to_child), condition = up * down;
  if (!(condition <= MAX_CONDITION))
    return rt_fail(err, RT_BAD_DATA, "a transform is all but singular (condition %.3g): make its scales more alike",
                   condition);
  stretch->up = d_max(stretch->up, up);
  stretch->down = d_max(stretch->down, down);
  stretch->condition = d_max(stretch->condition, condition);
  double moved = d3_length(d3(to_parent->m[0][3], to_parent->m[1][3], to_parent->m[2][3]));
  stretch->drift = d_max(stretch->drift, condition * moved);
  return RT_OK;
}

rt_status rt_placements_new(rt_placements **out, size_t count, rt_error *err) {
  *out = NULL;
  if (count > MAX_PLACEMENTS)
    return rt_fail(err, RT_BAD_DATA, "%zu placements are more than the %u that a tree holds: place groups of them",
                   count, MAX_PLACEMENTS);
  rt_placements *p = rt_alloc(1, sizeof *p, err);
  if (!p) return RT_NO_MEMORY;
  atomic_init(&p->references, 1);
  p->capacity = count;
  p->to_parent = rt_alloc(count, sizeof *p->to_parent, err);
  bool kept = count <= KEPT_INVERSES;
  if (p->to_parent && kept) p->to_child = rt_alloc(count, sizeof *p->to_child, err);
  if (!p->to_parent || (kept && !p->to_child)) {
    rt_placements_free(p);
    return RT_NO_MEMORY;
  }
  *out = p;
  return RT_OK;
}

rt_status rt_placements_add(rt_placements *p, const rt_affine *transform, rt_error *err) {
  rt_affine to_child;
  if (p->n == p->capacity) return rt_fail(err, RT_BAD_USAGE, "there is room for %zu placements: ask for more", p->n);
  rt_status status = rt_transform_check(transform, &to_child, &p->stretch, err);
  if (status != RT_OK) return status;
  p->to_parent[p->n] = *transform;
  if (p->to_child) p->to_child[p->n] = to_child;
  p->n++;
  return RT_OK;
}

rt_placements *rt_placements_ref(rt_placements *p) {
  atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
  return p;
}

void rt_placements_free(rt_placements *p) {
  if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) > 1) return;
  rt_free(p->to_parent);
  rt_free(p->to_child);
  rt_free(p);
}

size_t rt_placements_count(const rt_placements *p) { return p->n; }

size_t rt_placements_bytes(const rt_placements *p) {
  return sizeof *p + p->capacity * (sizeof *p->to_parent + (p->to_child ? sizeof *p->to_child : 0));
}
