/* What the makers of a tree share: bvh.c (references, rounds), bvh_split.c (ranges and how they are cut) and
 * bvh_nodes.c (leaves, nodes, subtrees). Internal to these.
 *
 * Depth: below SAH_DEPTH cuts ranges are halved by count whatever their boxes, which takes at most 31 cuts more (a
 * range has less than 2^30 primitives): 48 + 31 < RT_TREE_DEPTH. A range whose centroids are all equal is halved at
 * once. */
#ifndef RT_GEOMETRY_BVH_BUILD_H
#define RT_GEOMETRY_BVH_BUILD_H

#include "geometry/bvh.h"
#include "geometry/f4.h"
#include "geometry/internal.h"

#define WIDTH 8                /* children of a node, triangles of a leaf, vertices of a patch */
#define CHUNK_PRIMITIVES 16384 /* references that one call looks at, where several may at once */

typedef struct {
  float lo[3];
  uint32_t item;
  float hi[3];
  uint32_t primitive;
} ref;

typedef struct {
  rt_f4 lo, hi;
} box; /* lane 3 is 0 or unused */
#define EMPTY_BOX ((box){{INFINITY, INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY, -INFINITY}})

typedef struct {
  size_t begin, end;
  box bounds, centroids;
} range;

typedef struct {
  const rt_geometry *geometry;
  const rt_group *group;
  rt_pool *pool;
  ref *refs;
  size_t n_refs;
  range *chunks;   /* bounds of each CHUNK_PRIMITIVES of refs, before they are reordered */
  uint32_t *start; /* by item: its first ref; n_items + 1 of them */
  bool in_packets; /* all are triangles, and share so few vertices that eight make a leaf */
} builder;

/* Nodes and leaves with indices of their own. */
typedef struct {
  rt_node *nodes;
  rt_patch *patches;
  rt_packet *packets;
  size_t n_nodes, nodes_capacity, n_patches, patches_capacity, n_packets, packets_capacity;
} part;

static inline box box_union(box a, box b) { return (box){f4_min(a.lo, b.lo), f4_max(a.hi, b.hi)}; }

/* Half the centroid: no finite box overflows, nor does the distance of two. */
static inline rt_f4 box_centroid(box b) { return f4_all(0.25f) * b.lo + f4_all(0.25f) * b.hi; }

/* In double: no finite box overflows. Half the surface; 0 for an empty box. */
static inline double box_area(box b) {
  double x = (double)b.hi[0] - b.lo[0], y = (double)b.hi[1] - b.lo[1], z = (double)b.hi[2] - b.lo[2];
  return x >= 0.0 ? x * y + y * z + z * x : 0.0;
}

static inline void range_add(range *r, box bounds) {
  rt_f4 c = box_centroid(bounds);
  r->bounds = box_union(r->bounds, bounds);
  r->centroids = box_union(r->centroids, (box){c, c});
}
static inline range range_union(range a, range b) {
  return (range){a.begin, b.end, box_union(a.bounds, b.bounds), box_union(a.centroids, b.centroids)};
}

static inline bool item_is_triangles(const builder *b, uint32_t index) {
  const rt_item *item = &b->group->items[index];
  return !item->is_instance && b->geometry->shapes[item->index].mesh;
}

static inline bool item_is_many(const builder *b, size_t index) {
  const rt_item *item = &b->group->items[index];
  return item->is_instance && b->geometry->instances[item->index].many;
}

/* Cuts a range that lies below `depth` cuts. Reorders its references. */
void rt_range_split(const builder *b, const range *r, int depth, range *left, range *right);

/* Cuts a range into the up to eight children of a node, the largest first; returns how many. */
int rt_range_children(const builder *b, const range *r, int depth, range child[WIDTH]);
/* Is the range a leaf, whatever else it might be cut into? */
bool rt_range_is_leaf(const builder *b, const range *r);
/* Add a node, whose children are still to be set, or all that a range becomes: false when out of memory. */
bool rt_part_node(part *out, const range child[], int n);
bool rt_part_subtree(const builder *b, part *out, const range *r, int depth, uint32_t *child);
void rt_part_free(part *out);

#endif
