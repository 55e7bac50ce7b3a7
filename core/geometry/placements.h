/* Transforms that place a group: checking one, and many of them packed. Internal to this room. */
#ifndef RT_GEOMETRY_PLACEMENTS_H
#define RT_GEOMETRY_PLACEMENTS_H

#include <stdatomic.h>

#include "rt.h"

/* What maps A (to the parent) with translation b and M (to the child) do to lengths: the largest over all. */
typedef struct {
  double up, down;  /* |A|, |M| */
  double condition; /* |A||M| */
  double drift;     /* |A||M||b| */
} rt_stretch;

struct rt_placements {
  atomic_int references;
  rt_affine *to_parent;
  rt_affine *to_child; /* NULL: too many to be kept */
  size_t n, capacity;
  rt_stretch stretch;
};

/* The inverse of a transform, and its part in *stretch; RT_BAD_DATA where it is singular, all but singular, or not
 * finite. */
rt_status rt_transform_check(const rt_affine *to_parent, rt_affine *to_child, rt_stretch *stretch, rt_error *err);
rt_placements *rt_placements_ref(rt_placements *placements);
size_t rt_placements_bytes(const rt_placements *placements);

#endif
