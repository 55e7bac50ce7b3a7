/* Owns the walks over placements: of shapes by their materials, of a group. Stands on base and internal.h.
 * Both mark first, per group, whether there is anything to find in it or below, so that a forest without lamps is
 * never entered. Recursion is as deep as groups are nested. */
#include "base/error.h"
#include "base/memory.h"
#include "geometry/internal.h"

enum { UNKNOWN, NOTHING, SOMETHING }; /* what is known of a group */

typedef struct {
  const rt_geometry *geometry;
  bool (*wanted)(void *context, uint32_t material); /* NULL: looks for `group` */
  uint32_t group;
  rt_status (*visit_shape)(void *context, uint32_t shape, uint64_t placement, const rt_affine *to_world, rt_error *err);
  rt_status (*visit_group)(void *context, const rt_affine *to_world, rt_error *err);
  void *context;
  uint8_t *known; /* by group */
} walk;

static bool has_wanted(const walk *w, const rt_shape *shape) {
  for (uint32_t i = 0; i < shape->n_distinct; i++)
    if (w->wanted(w->context, shape->distinct[i])) return true;
  return false;
}

static bool leads_to_any(walk *w, uint32_t id) {
  if (w->known[id] != UNKNOWN) return w->known[id] == SOMETHING;
  const rt_group *group = &w->geometry->groups[id];
  bool any = !w->wanted && id == w->group;
  for (size_t i = 0; !any && i < group->n_items; i++) {
    const rt_item *item = &group->items[i];
    if (item->is_instance)
      any = leads_to_any(w, w->geometry->instances[item->index].group);
    else
      any = w->wanted && has_wanted(w, &w->geometry->shapes[item->index]);
  }
  w->known[id] = any ? SOMETHING : NOTHING;
  return any;
}

static rt_status enter(walk *w, uint32_t id, const rt_affine *to_world, uint64_t base, rt_error *err) {
  const rt_geometry *g = w->geometry;
  const rt_group *group = &g->groups[id];
  rt_status status = RT_OK;
  if (!w->wanted && id == w->group) return w->visit_group(w->context, to_world, err);
  for (size_t i = 0; status == RT_OK && i < group->n_items; i++) {
    const rt_item *item = &group->items[i];
    if (item->is_instance) {
      const rt_instance *instance = &g->instances[item->index];
      if (!leads_to_any(w, instance->group)) continue;
      uint64_t first = base + item->first, step = g->groups[instance->group].primitives;
      for (size_t which = 0; status == RT_OK && which < rt_instance_count(instance); which++) {
        rt_affine below = affine_mul(to_world, rt_instance_to_parent(instance, which));
        status = enter(w, instance->group, &below, first + which * step, err);
      }
    } else if (w->wanted && has_wanted(w, &g->shapes[item->index])) {
      status = w->visit_shape(w->context, item->index, base + item->first, to_world, err);
    }
  }
  return status;
}

static rt_status walk_world(walk *w, rt_error *err) {
  w->known = rt_alloc(w->geometry->n_groups, sizeof *w->known, err);
  if (!w->known) return RT_NO_MEMORY;
  rt_affine identity = RT_AFFINE_IDENTITY;
  rt_status status = leads_to_any(w, 0) ? enter(w, 0, &identity, 0, err) : RT_OK;
  rt_free(w->known);
  return status;
}

rt_status rt_geometry_each_placed(const rt_geometry *geometry, bool (*wanted)(void *context, uint32_t material),
                                  rt_status (*visit)(void *context, uint32_t shape, uint64_t placement,
                                                     const rt_affine *to_world, rt_error *err),
                                  void *context, rt_error *err) {
  walk w = {.geometry = geometry, .wanted = wanted, .visit_shape = visit, .context = context};
  return walk_world(&w, err);
}

rt_status rt_geometry_each_group(const rt_geometry *geometry, uint32_t group,
                                 rt_status (*visit)(void *context, const rt_affine *to_world, rt_error *err),
                                 void *context, rt_error *err) {
  walk w = {.geometry = geometry, .group = group, .visit_group = visit, .context = context};
  return walk_world(&w, err);
}
