/* The tree of one group: its layout, which bvh.c makes and walk.h walks. Internal to this room.
 *
 * Nodes have up to eight children, whose boxes lie side by side, so that a ray meets eight at once. A leaf is a packet
 * of up to eight triangles, with their vertices, or one item that is not a mesh. Infinite planes are not in it. */
#ifndef RT_GEOMETRY_BVH_H
#define RT_GEOMETRY_BVH_H

#include "base/pool.h"
#include "rt.h"

typedef struct rt_geometry rt_geometry;
typedef struct rt_group rt_group;

/* What a child is: a node's index below RT_CHILD_ITEM, else a tag with the index of a packet or of an item of the
 * group. */
#define RT_CHILD_ITEM 0x40000000u
#define RT_CHILD_PACKET 0x80000000u
#define RT_CHILD_INDEX 0x3fffffffu

typedef struct {   /* four cache lines */
  float box[6][8]; /* rows: min x, max x, min y, max y, min z, max z; lanes: children; an unused lane is (inf, -inf) */
  uint32_t child[8];
  uint32_t lanes; /* bit i: lane i is used */
  uint32_t unused[7];
} rt_node;

typedef struct {    /* five cache lines */
  float v[3][3][8]; /* vertex, axis, lane; an unused lane is 0 */
  uint32_t first;   /* lane i is the tree's triangle first + i */
  uint32_t lanes;   /* bit i: lane i is used */
  uint32_t unused[6];
} rt_packet;

/* Which triangle a lane of a packet has. */
typedef struct {
  uint32_t item, primitive;
} rt_leaf_triangle;

typedef struct {
  rt_node *nodes; /* the root is the first; NULL: nothing is in it */
  rt_packet *packets;
  rt_leaf_triangle *triangles; /* packet by packet */
  size_t n_nodes, n_packets, n_triangles;
} rt_tree;

/* A way down the tree is at most RT_TREE_DEPTH nodes: see bvh.c. */
#define RT_TREE_DEPTH 80

/* Needs the items and bounds of `group` and of the groups placed in it. The tree is the same for every number of
 * threads. */
rt_status rt_tree_build(rt_tree *out, const rt_geometry *geometry, const rt_group *group, rt_pool *pool, rt_error *err);
void rt_tree_free(rt_tree *tree);
size_t rt_tree_bytes(const rt_tree *tree);

#endif
