/* What the files of this room share: the scene as it is stored. See geometry.h for the words. */
#ifndef RT_GEOMETRY_INTERNAL_H
#define RT_GEOMETRY_INTERNAL_H

#include "geometry/bvh.h"
#include "geometry/geometry.h"
#include "geometry/placements.h"
#include "geometry/shape.h"

/* A group placed once, or in many places: as many instances that have all but their transforms in common. */
typedef struct {
  rt_affine to_child;  /* of the only one; first what rays read */
  rt_placements *many; /* NULL: there is only one */
  uint32_t group;      /* what is placed */
  bool hidden;
  rt_affine to_parent; /* of the only one */
  rt_stretch stretch;  /* the same */
  char *name;          /* or NULL */
} rt_instance;

typedef struct {
  uint64_t first; /* number of the item's first primitive in its group */
  uint32_t index; /* of the shape or instance */
  bool is_instance;
} rt_item;

struct rt_group {
  rt_item *items; /* in order of addition */
  size_t n_items, capacity;
  /* From here on by rt_geometry_build. */
  uint64_t primitives, triangles; /* with all placements below */
  uint32_t height;                /* instances on the longest way down */
  rt_bounds bounds;               /* of what is finite */
  bool unbounded;                 /* holds an infinite plane, itself or below */
  uint32_t *always;               /* items outside of the tree: they have no bounds */
  size_t n_always, always_capacity;
  double error_o,
      error_s;            /* a hit of a ray from o is off its primitive by error_o |o| + error_s at most: see trace.c */
  float pad_o, pad_s;     /* boxes are widened by pad_o max|o| + pad_s */
  double stretch, shrink; /* the largest norms of the maps below, up from and down to a primitive */
  rt_tree tree;
};

struct rt_geometry {
  rt_shape *shapes;
  size_t n_shapes, shapes_capacity;
  rt_instance *instances;
  size_t n_instances, instances_capacity;
  rt_group *groups;
  size_t n_groups, groups_capacity;
  rt_mesh **meshes; /* distinct ones, by mesh_id; kept alive by their shapes */
  size_t n_meshes, meshes_capacity;
  uint32_t *mesh_slots; /* hash table of mesh ids by address; its order is never seen */
  size_t n_mesh_slots;  /* a power of two */
  bool built;
};

static inline const rt_shape *rt_item_shape(const rt_geometry *g, const rt_item *item) {
  return &g->shapes[item->index];
}

/* How many instances there are, and the maps of one of them; `room` is for an inverse that is not kept. */
static inline size_t rt_instance_count(const rt_instance *instance) { return instance->many ? instance->many->n : 1; }
static inline const rt_affine *rt_instance_to_parent(const rt_instance *instance, size_t which) {
  return instance->many ? &instance->many->to_parent[which] : &instance->to_parent;
}
static inline const rt_affine *rt_instance_to_child(const rt_instance *instance, size_t which, rt_affine *room) {
  if (!instance->many) return &instance->to_child;
  if (instance->many->to_child) return &instance->many->to_child[which];
  (void)affine_invert(room, &instance->many->to_parent[which]); /* as it could when this was added */
  return room;
}

/* A ray in the child's space: mapped in double, rounded once, d not normalized, so that t carries over. False where
 * that has no finite ray: it meets nothing there. */
static inline bool rt_instance_ray(const rt_affine *to_child, rt_vec3 *o, rt_vec3 *d) {
  *o = d3_round(d3_map_point(to_child, d3_from(*o)));
  *d = d3_round(d3_map_vector(to_child, d3_from(*d)));
  return v3_is_finite(*o) && v3_is_finite(*d) && !v3_is_zero(*d);
}

/* A direction beyond 2^+-32 is traced scaled by this power of two, so that nothing inside leaves the normal floats; 0
 * for all others. t is scaled by its inverse. */
#define RT_LEAST_UNSCALED 0x1p-33f
#define RT_MOST_UNSCALED 0x1p31f
static inline int rt_ray_exponent(rt_vec3 d) {
  float largest = v3_abs_max(d);
  if (largest >= RT_LEAST_UNSCALED && largest <= RT_MOST_UNSCALED) return 0; /* nearly always */
  int exponent;
  (void)frexpf(largest, &exponent);
  return exponent >= -32 && exponent <= 32 ? 0 : -exponent;
}
static inline rt_vec3 rt_scale_by(rt_vec3 d, int exponent) {
  return v3(ldexpf(d.x, exponent), ldexpf(d.y, exponent), ldexpf(d.z, exponent));
}

#endif
