/* A ray's search for its hit: what the walk through trees (walk.h) and the walk through everything (trace.c) share.
 * Internal to this room. */
#ifndef RT_GEOMETRY_SEARCH_H
#define RT_GEOMETRY_SEARCH_H

#include <float.h>

#include "geometry/f4.h"
#include "geometry/internal.h"
#include "geometry/triangle.h"

typedef struct {
  const rt_geometry *geometry;
  float tnear;
  bool camera;
  uint64_t target;   /* of this primitive, */
  float target_from; /* hits behind this t do not count */
  bool found;
  rt_hit *hit; /* the caller's: the best so far; t is tfar and ordinal the largest while there is none */
  uint32_t depth;
  rt_place path[RT_MAX_NESTING];
} search;

/* Whole registers: vectors of three would be copied in pieces that are not those in which the caller has just stored
 * them, which waits for the stores. */
typedef struct {
  rt_f4 o, d; /* lane 3 is 0 */
} line;

static inline rt_f4 f4_from(rt_vec3 v) { return (rt_f4){v.x, v.y, v.z, 0.0f}; }
static inline rt_vec3 v3_from(rt_f4 v) { return v3(v[0], v[1], v[2]); }

/* t <= the best t. */
static inline void search_accept(search *s, const rt_item *item, uint64_t ordinal, uint32_t primitive, float t, float u,
                                 float v) {
  if (!(t < s->hit->t || ordinal < s->hit->ordinal)) return;
  if (ordinal == s->target && t > s->target_from) return;
  s->found = true;
  s->hit->t = t;
  s->hit->u = u;
  s->hit->v = v;
  s->hit->shape = item->index;
  s->hit->primitive = primitive;
  s->hit->ordinal = ordinal;
  s->hit->depth = s->depth;
  for (uint32_t i = 0; i < s->depth; i++) s->hit->path[i] = s->path[i];
}

static inline void search_round(search *s, const rt_item *item, const line *ray, uint64_t base) {
  const rt_shape *shape = rt_item_shape(s->geometry, item);
  if (s->camera && shape->hidden) return;
  double t[2];
  uint32_t face[2];
  int n = rt_shape_roots(shape, v3_from(ray->o), v3_from(ray->d), t, face);
  for (int i = 0; i < n; i++) {
    float at = (float)t[i];
    if (!(at > s->tnear)) continue;
    if (at <= s->hit->t && at < INFINITY) search_accept(s, item, base + item->first, face[i], at, 0.0f, 0.0f);
    return;
  }
}

/* The ray in the space of an instance's group, which is returned; NULL where it meets nothing there. The caller goes a
 * level up again after it. *base is the group's ordinal: of the parent before, of this instance's own after. */
static inline const rt_group *search_enter(search *s, const rt_item *item, uint32_t which, const line *ray, line *local,
                                           uint64_t *base) {
  const rt_instance *instance = &s->geometry->instances[item->index];
  const rt_group *group = &s->geometry->groups[instance->group];
  if (s->camera && instance->hidden) return NULL;
  rt_vec3 o = v3_from(ray->o), d = v3_from(ray->d);
  rt_affine room;
  if (!rt_instance_ray(rt_instance_to_child(instance, which, &room), &o, &d)) return NULL;
  *local = (line){f4_from(o), f4_from(d)};
  s->path[s->depth++] = (rt_place){item->index, which};
  *base += item->first + which * group->primitives;
  return group;
}

/* A search between tnear and tfar. Until something is found, *hit is of no use to the caller. */
static inline void search_open(search *s, const rt_geometry *geometry, float tnear, float tfar, bool camera,
                               uint64_t target, rt_hit *hit) {
  s->geometry = geometry;
  s->tnear = tnear + 0.0f; /* -0 is 0 */
  s->camera = camera;
  s->target = target;
  s->target_from = RT_TARGET_FROM;
  s->found = false;
  s->hit = hit;
  s->hit->t = tfar;
  s->hit->ordinal = UINT64_MAX;
  s->depth = 0;
}

/* Scales what needs it; false where there is nothing to look for. *exponent is for search_end. */
static inline bool search_scale(search *s, line *l, int *exponent) {
  if (i4_mask(f4_is_finite(l->o) & f4_is_finite(l->d)) != 0xf || !i4_mask(l->d != f4_all(0.0f))) return false;
  *exponent = rt_ray_exponent(v3_from(l->d));
  if (*exponent != 0) {
    l->d = f4_from(rt_scale_by(v3_from(l->d), *exponent));
    s->tnear = ldexpf(s->tnear, -*exponent);
    s->hit->t = ldexpf(f_min(s->hit->t, FLT_MAX), -*exponent);
    s->target_from = ldexpf(s->target_from, -*exponent);
  }
  return true;
}

static inline bool search_end(search *s, int exponent) {
  if (exponent != 0) s->hit->t = ldexpf(s->hit->t, exponent);
  return s->found;
}

#endif
