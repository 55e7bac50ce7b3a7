/* The tree of one group: its layout, which bvh.c makes and walk.h walks. Internal to this room.
 *
 * Nodes have up to eight children, whose boxes lie side by side, so that a ray meets eight at once. A leaf is a patch
 * or a packet of up to eight triangles, with their vertices, or one item that is not a mesh. Infinite planes are not in
 * it. */
#ifndef RT_GEOMETRY_BVH_H
#define RT_GEOMETRY_BVH_H

#include "base/pool.h"
#include "rt.h"

typedef struct rt_geometry rt_geometry;
typedef struct rt_group rt_group;

/* What a child is: a node's index below RT_CHILD_ITEM, else a tag with the index of an item of the group, a packet or a
 * patch. */
#define RT_CHILD_ITEM 0x40000000u
#define RT_CHILD_PACKET 0x80000000u
#define RT_CHILD_PATCH 0xc0000000u
#define RT_CHILD_INDEX 0x3fffffffu
/* Beside RT_CHILD_ITEM: what follows is not an item's index but the number of one of the many instances of an item, as
 * `start` counts. */
#define RT_CHILD_OF_MANY 0x20000000u

typedef struct {   /* four cache lines */
  float box[6][8]; /* rows: min x, max x, min y, max y, min z, max z; lanes: children; an unused lane is (inf, -inf) */
  uint32_t child[8];
  uint32_t lanes; /* bit i: lane i is used */
  uint32_t unused[7];
} rt_node;

/* Triangles that share vertices, of which there are eight at most. A triangle's number is that of the tree. */
typedef struct {      /* two cache lines */
  float v[3][8];      /* axis, vertex */
  uint32_t corner[3]; /* by vertex: bits 3 i to 3 i + 2 say which one triangle i has; above them, in the first: */
  uint32_t first;
  uint16_t offset[8]; /* triangle i has the number first + offset[i] */
} rt_patch;
#define RT_PATCH_LANES 24 /* bit 24 + i of the first corner: there is a triangle i */

typedef struct {      /* five cache lines */
  float v[3][3][8];   /* vertex, axis, lane; an unused lane repeats the first */
  uint32_t number[8]; /* of the triangles */
} rt_packet;

typedef struct {
  rt_node *nodes; /* the root is the first; NULL: nothing is in it */
  rt_patch *patches;
  rt_packet *packets;
  uint32_t *start; /* by item: the number of its first triangle, or instance */
  size_t n_nodes, n_patches, n_packets, n_items;
} rt_tree;

/* A way down the tree is at most RT_TREE_DEPTH nodes: see bvh_build.h. */
#define RT_TREE_DEPTH 80

/* The item whose triangle or instance has a number. Items without any have the start of their next. */
static inline uint32_t rt_tree_item(const rt_tree *tree, uint32_t number) {
  size_t item = 0; /* start[item] <= number < start[item + n]; without branches that nobody can guess */
  for (size_t n = tree->n_items; n > 1;) {
    size_t half = n / 2;
    item = tree->start[item + half] <= number ? item + half : item;
    n -= half;
  }
  return (uint32_t)item;
}

/* Needs the items and bounds of `group` and of the groups placed in it. The tree is the same for every number of
 * threads. */
rt_status rt_tree_build(rt_tree *out, const rt_geometry *geometry, const rt_group *group, rt_pool *pool, rt_error *err);
void rt_tree_free(rt_tree *tree);
size_t rt_tree_bytes(const rt_tree *tree);

#endif
