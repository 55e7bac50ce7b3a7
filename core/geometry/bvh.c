/* Owns the making of trees: a top-down sweep that splits by the surface area heuristic over bins (Wald 2007, "On fast
 * Construction of SAH-based Bounding Volume Hierarchies"), and fills nodes of eight by splitting the child of the
 * largest area again (Wald, Benthin, Boulos 2008, "Getting Rid of Packets"). Stands on base, shape.h and internal.h.
 *
 * In parallel: work goes in rounds over a list of ranges. A large range becomes one node, and its children go on the
 * next round's list; a small one becomes a whole subtree. Each has arrays of its own, which are joined in the order
 * of the list. What a range becomes depends on its content alone, so that the tree is the same for every number of
 * threads.
 *
 * Depth: below SAH_DEPTH nodes ranges are halved by count whatever their boxes, which takes at most 31 nodes more (a
 * range has less than 2^30 primitives): 48 + 31 < RT_TREE_DEPTH. A range whose centroids are all equal is halved at
 * once.
 *
 * Always true: every primitive is in one leaf, and every box holds the boxes below it. */
#include "geometry/bvh.h"

#include <float.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "geometry/f4.h"
#include "geometry/internal.h"

#define MAX_BINS 16
#define FEW_PRIMITIVES 16 /* below it half the bins do */
#define WIDTH 8           /* children of a node */
#define PACKET 8
#define SAH_DEPTH 48
#define SUBTREE_PRIMITIVES 32768 /* a range of so many is one thread's: 64 of them in 2 million, 10 ms each */
#define CHUNK_PRIMITIVES 16384   /* primitives whose boxes one call makes */

_Static_assert(sizeof(rt_node) == 256 && sizeof(rt_packet) == 320, "whole cache lines");

typedef struct {
  float lo[3];
  uint32_t item;
  float hi[3];
  uint32_t primitive;
} ref;

typedef struct {
  rt_f4 lo, hi;
} box; /* lane 3 is 0 or unused */
static const box empty_box = {{INFINITY, INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY, -INFINITY}};

typedef struct {
  size_t begin, end;
  box bounds, centroids;
} range;

typedef struct {
  const rt_geometry *geometry;
  const rt_group *group;
  ref *refs;
  size_t n_refs;
  size_t *start; /* by item: its first ref; n_items + 1 of them */
  bool triangles_only;
} builder;

/* A node or a subtree, with indices of its own. */
typedef struct {
  rt_node *nodes;
  rt_packet *packets;
  size_t n_nodes, nodes_capacity, n_packets, packets_capacity;
  bool failed;
} part;

typedef struct {
  range work;
  int depth;
  size_t parent; /* task whose node has this one as a child */
  int slot;
  bool whole; /* made into a subtree; else one node, with children: */
  range child[WIDTH];
  unsigned open; /* bit i: child i is a task of its own */
  part result;
  size_t node_base, packet_base;
} task;

/* ---- Boxes ------------------------------------------------------------------------------------------------------- */

static box box_union(box a, box b) { return (box){f4_min(a.lo, b.lo), f4_max(a.hi, b.hi)}; }

static box ref_box(const ref *r) { return (box){{r->lo[0], r->lo[1], r->lo[2], 0}, {r->hi[0], r->hi[1], r->hi[2], 0}}; }

/* Half the centroid: no finite box overflows, nor does the distance of two. */
static rt_f4 box_centroid(box b) { return f4_all(0.25f) * b.lo + f4_all(0.25f) * b.hi; }

/* In double: no finite box overflows. Half the surface; 0 for an empty box. */
static double box_area(box b) {
  double x = (double)b.hi[0] - b.lo[0], y = (double)b.hi[1] - b.lo[1], z = (double)b.hi[2] - b.lo[2];
  return x >= 0.0 ? x * y + y * z + z * x : 0.0;
}

/* ---- References -------------------------------------------------------------------------------------------------- */

static bool is_triangles(const builder *b, uint32_t item) {
  const rt_item *it = &b->group->items[item];
  return !it->is_instance && b->geometry->shapes[it->index].mesh;
}

static rt_bounds item_bounds(const builder *b, const rt_item *item, uint32_t primitive) {
  if (item->is_instance) {
    const rt_instance *instance = &b->geometry->instances[item->index];
    return rt_bounds_map(&instance->to_parent, &b->geometry->groups[instance->group].bounds);
  }
  const rt_shape *shape = rt_item_shape(b->geometry, item);
  if (!shape->mesh) return rt_shape_bounds(shape);
  const uint32_t *i = shape->mesh->indices + 3 * (size_t)primitive;
  rt_vec3 v = rt_mesh_vertex(shape->mesh, i[0]);
  rt_bounds bounds = bounds_add((rt_bounds){v, v}, rt_mesh_vertex(shape->mesh, i[1]));
  return bounds_add(bounds, rt_mesh_vertex(shape->mesh, i[2]));
}

static void make_refs(void *context, size_t chunk, int worker) {
  (void)worker;
  const builder *b = context;
  size_t begin = chunk * CHUNK_PRIMITIVES,
         end = begin + CHUNK_PRIMITIVES < b->n_refs ? begin + CHUNK_PRIMITIVES : b->n_refs;
  size_t item = 0, above = b->group->n_items; /* start[item] <= begin < start[above] */
  while (above - item > 1) {
    size_t middle = item + (above - item) / 2;
    if (b->start[middle] <= begin)
      item = middle;
    else
      above = middle;
  }
  for (size_t i = begin; i < end; i++) {
    while (b->start[item + 1] <= i) item++;
    uint32_t primitive = (uint32_t)(i - b->start[item]);
    rt_bounds bounds = item_bounds(b, &b->group->items[item], primitive);
    b->refs[i] = (ref){{bounds.min.x, bounds.min.y, bounds.min.z},
                       (uint32_t)item,
                       {bounds.max.x, bounds.max.y, bounds.max.z},
                       primitive};
  }
}

/* How many leaves' worth of primitives an item puts into the tree. */
static size_t item_refs(const builder *b, size_t item, size_t *next_always) {
  const rt_group *group = b->group;
  if (*next_always < group->n_always && group->always[*next_always] == item) {
    (*next_always)++;
    return 0;
  }
  const rt_item *it = &group->items[item];
  if (!it->is_instance) return (size_t)rt_shape_primitives(&b->geometry->shapes[it->index]);
  return b->geometry->groups[b->geometry->instances[it->index].group].primitives > 0;
}

static rt_status collect(builder *b, rt_pool *pool, rt_error *err) {
  size_t n_items = b->group->n_items, next_always = 0;
  b->start = rt_alloc(n_items + 1, sizeof *b->start, err);
  if (!b->start) return RT_NO_MEMORY;
  b->triangles_only = true;
  for (size_t i = 0; i < n_items; i++) {
    size_t n = item_refs(b, i, &next_always);
    if (i >= RT_CHILD_ITEM - 1 || n >= RT_CHILD_ITEM - b->start[i])
      return rt_fail(err, RT_BAD_DATA,
                     "a group holds 2^30 primitives or more: put parts of it into groups of their own");
    b->start[i + 1] = b->start[i] + n;
    if (n > 0 && !is_triangles(b, (uint32_t)i)) b->triangles_only = false;
  }
  b->n_refs = b->start[n_items];
  b->refs = rt_alloc(b->n_refs, sizeof *b->refs, err);
  if (!b->refs) return RT_NO_MEMORY;
  rt_pool_for(pool, (b->n_refs + CHUNK_PRIMITIVES - 1) / CHUNK_PRIMITIVES, make_refs, b);
  return RT_OK;
}

/* ---- Splitting --------------------------------------------------------------------------------------------------- */

static range range_of(const builder *b, size_t begin, size_t end) {
  range r = {begin, end, empty_box, empty_box};
  for (size_t i = begin; i < end; i++) {
    box bounds = ref_box(&b->refs[i]);
    rt_f4 c = box_centroid(bounds);
    r.bounds = box_union(r.bounds, bounds);
    r.centroids = box_union(r.centroids, (box){c, c});
  }
  return r;
}

static void halve(const builder *b, const range *r, range *left, range *right) {
  size_t middle = r->begin + (r->end - r->begin) / 2;
  *left = range_of(b, r->begin, middle);
  *right = range_of(b, middle, r->end);
}

typedef struct {
  box bounds;
  size_t n;
} bin;

typedef struct {
  rt_f4 origin, scale;
  int n; /* bins */
} binning;

static int bin_index(const binning *by, float x) {
  int i = (int)(x < 0.0f ? 0.0f : x > MAX_BINS ? MAX_BINS : x);
  return i < by->n ? i : by->n - 1;
}

static rt_f4 bin_position(const binning *by, rt_f4 centroid) { return (centroid - by->origin) * by->scale; }

static binning binning_of(const range *r) {
  binning by = {r->centroids.lo, f4_all(0.0f), r->end - r->begin < FEW_PRIMITIVES ? MAX_BINS / 2 : MAX_BINS};
  by.origin[3] = 0.0f;
  for (int axis = 0; axis < 3; axis++) {
    float scale = (float)by.n / (r->centroids.hi[axis] - r->centroids.lo[axis]);
    if (scale < FLT_MAX) by.scale[axis] = scale; /* else too flat to be told apart: all in bin 0 */
  }
  return by;
}

/* Packets are tested whole. */
static double test_cost(const builder *b, size_t n) {
  size_t tests = b->triangles_only ? (n + PACKET - 1) / PACKET : n;
  return (double)tests;
}

/* The cheapest cut of one axis before a bin; false when all primitives are in one bin. */
static bool best_cut(const builder *b, const bin *bins, int n_bins, double *cost, int *cut) {
  double right_cost[MAX_BINS];
  box side = empty_box;
  size_t n = 0;
  for (int i = n_bins - 1; i > 0; i--) {
    side = box_union(side, bins[i].bounds);
    n += bins[i].n;
    right_cost[i] = n ? box_area(side) * test_cost(b, n) : -1.0;
  }
  side = empty_box;
  n = 0;
  bool found = false;
  for (int i = 1; i < n_bins; i++) {
    side = box_union(side, bins[i - 1].bounds);
    n += bins[i - 1].n;
    if (n == 0 || right_cost[i] < 0.0) continue;
    double c = box_area(side) * test_cost(b, n) + right_cost[i];
    if (c < *cost) {
      *cost = c;
      *cut = i;
      found = true;
    }
  }
  return found;
}

static void partition(const builder *b, const range *r, const binning *by, int axis, int cut, range *left,
                      range *right) {
  ref *refs = b->refs;
  size_t i = r->begin, j = r->end;
  box bounds[2] = {empty_box, empty_box}, centroids[2] = {empty_box, empty_box};
  while (i < j) {
    box bb = ref_box(&refs[i]);
    rt_f4 c = box_centroid(bb);
    int side = bin_index(by, bin_position(by, c)[axis]) >= cut;
    bounds[side] = box_union(bounds[side], bb);
    centroids[side] = box_union(centroids[side], (box){c, c});
    if (!side) {
      i++;
    } else {
      ref swap = refs[--j];
      refs[j] = refs[i];
      refs[i] = swap;
    }
  }
  *left = (range){r->begin, i, bounds[0], centroids[0]};
  *right = (range){i, r->end, bounds[1], centroids[1]};
}

static void split(const builder *b, const range *r, int depth, range *left, range *right) {
  if (depth >= SAH_DEPTH) {
    halve(b, r, left, right);
    return;
  }
  bin bins[3][MAX_BINS];
  binning by = binning_of(r);
  for (int axis = 0; axis < 3; axis++)
    for (int i = 0; i < by.n; i++) bins[axis][i] = (bin){empty_box, 0};
  for (size_t i = r->begin; i < r->end; i++) {
    box bounds = ref_box(&b->refs[i]);
    rt_f4 position = bin_position(&by, box_centroid(bounds));
    for (int axis = 0; axis < 3; axis++) {
      bin *to = &bins[axis][bin_index(&by, position[axis])];
      to->bounds = box_union(to->bounds, bounds);
      to->n++;
    }
  }
  double cost = INFINITY;
  int best_axis = -1, cut = 0;
  for (int axis = 0; axis < 3; axis++)
    if (best_cut(b, bins[axis], by.n, &cost, &cut)) best_axis = axis;
  if (best_axis < 0)
    halve(b, r, left, right);
  else
    partition(b, r, &by, best_axis, cut, left, right);
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

/* May the range be a leaf? */
static bool is_leaf(const builder *b, const range *r) {
  size_t n = r->end - r->begin;
  if (n == 1) return true;
  if (n > PACKET) return false;
  for (size_t i = r->begin; i < r->end; i++)
    if (!is_triangles(b, b->refs[i].item)) return false;
  return true;
}

static bool add_packet(const builder *b, const range *r, part *out, uint32_t *child) {
  if (!rt_grow((void **)&out->packets, &out->packets_capacity, out->n_packets + 1, sizeof *out->packets, NULL))
    return false;
  rt_packet packet = {.first = (uint32_t)r->begin};
  for (size_t i = r->begin; i < r->end; i++) {
    size_t lane = i - r->begin;
    const ref *from = &b->refs[i];
    const rt_mesh *mesh = b->geometry->shapes[b->group->items[from->item].index].mesh;
    for (int vertex = 0; vertex < 3; vertex++) {
      const float *v = mesh->vertices + 3 * (size_t)mesh->indices[3 * (size_t)from->primitive + vertex];
      for (int axis = 0; axis < 3; axis++) packet.v[vertex][axis][lane] = v[axis];
    }
    packet.lanes |= 1u << lane;
  }
  *child = RT_CHILD_PACKET | (uint32_t)out->n_packets;
  out->packets[out->n_packets++] = packet;
  return true;
}

/* Cuts a range into the up to eight children of a node; returns how many. */
static int cut_children(const builder *b, const range *r, int depth, range child[WIDTH]) {
  int n = 1;
  bool leaf[WIDTH] = {is_leaf(b, r)};
  child[0] = *r;
  while (n < WIDTH) {
    int widest = -1;
    double widest_area = -1.0;
    for (int i = 0; i < n; i++) {
      double area = leaf[i] ? -2.0 : box_area(child[i].bounds);
      if (area > widest_area) {
        widest_area = area;
        widest = i;
      }
    }
    if (widest < 0) break;
    range whole = child[widest];
    split(b, &whole, depth, &child[widest], &child[n]);
    leaf[widest] = is_leaf(b, &child[widest]);
    leaf[n] = is_leaf(b, &child[n]);
    n++;
  }
  return n;
}

/* Adds one node with its leaves; children that are not leaves are left open: bit i of *open is child i. */
static bool add_node(const builder *b, const range *r, int depth, part *out, range child[WIDTH], unsigned *open,
                     size_t *index) {
  if (!rt_grow((void **)&out->nodes, &out->nodes_capacity, out->n_nodes + 1, sizeof *out->nodes, NULL)) return false;
  int n = cut_children(b, r, depth, child);
  rt_node node = {.lanes = (1u << n) - 1u};
  *open = 0;
  for (int lane = 0; lane < WIDTH; lane++) {
    box bounds = lane < n ? child[lane].bounds : empty_box;
    for (int axis = 0; axis < 3; axis++) {
      node.box[2 * axis][lane] = bounds.lo[axis];
      node.box[2 * axis + 1][lane] = bounds.hi[axis];
    }
    if (lane >= n) continue;
    if (!is_leaf(b, &child[lane])) {
      *open |= 1u << lane;
    } else if (!is_triangles(b, b->refs[child[lane].begin].item)) {
      node.child[lane] = RT_CHILD_ITEM | b->refs[child[lane].begin].item;
    } else if (!add_packet(b, &child[lane], out, &node.child[lane])) {
      return false;
    }
  }
  *index = out->n_nodes;
  out->nodes[out->n_nodes++] = node;
  return true;
}

static bool add_subtree(const builder *b, const range *r, int depth, part *out, size_t *index) {
  range child[WIDTH];
  unsigned open;
  if (!add_node(b, r, depth, out, child, &open, index)) return false;
  for (int lane = 0; lane < WIDTH; lane++) {
    if (!(open >> lane & 1u)) continue;
    size_t below;
    if (!add_subtree(b, &child[lane], depth + 1, out, &below)) return false;
    out->nodes[*index].child[lane] = (uint32_t)below;
  }
  return true;
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------ */

typedef struct {
  const builder *builder;
  task *tasks;
  size_t first; /* of this round */
  rt_tree *out;
} rounds;

static void run_task(void *context, size_t i, int worker) {
  (void)worker;
  const rounds *all = context;
  task *t = &all->tasks[all->first + i];
  size_t index;
  t->whole = t->work.end - t->work.begin <= SUBTREE_PRIMITIVES;
  if (t->whole)
    t->result.failed = !add_subtree(all->builder, &t->work, t->depth, &t->result, &index);
  else
    t->result.failed = !add_node(all->builder, &t->work, t->depth, &t->result, t->child, &t->open, &index);
}

static void join_task(void *context, size_t i, int worker) {
  (void)worker;
  const rounds *all = context;
  task *t = &all->tasks[i];
  for (size_t k = 0; k < t->result.n_nodes; k++) {
    rt_node node = t->result.nodes[k];
    for (uint32_t lane = 0; node.lanes >> lane; lane++) {
      if (node.child[lane] & RT_CHILD_PACKET)
        node.child[lane] += (uint32_t)t->packet_base;
      else if (!(node.child[lane] & RT_CHILD_ITEM))
        node.child[lane] += (uint32_t)t->node_base;
    }
    all->out->nodes[t->node_base + k] = node;
  }
  if (t->result.n_packets)
    memcpy(all->out->packets + t->packet_base, t->result.packets, t->result.n_packets * sizeof *t->result.packets);
  rt_free(t->result.nodes);
  rt_free(t->result.packets);
  t->result = (part){0};
}

/* Adds a round of tasks: the open children of those from `first` to *n. */
static bool next_round(task **tasks, size_t *capacity, size_t first, size_t *n, rt_error *err) {
  size_t end = *n;
  for (size_t i = first; i < end; i++) {
    if ((*tasks)[i].whole) continue;
    if (!rt_grow((void **)tasks, capacity, *n + WIDTH, sizeof **tasks, err)) return false;
    for (int slot = 0; slot < WIDTH; slot++) {
      const task *from = &(*tasks)[i];
      if (from->open >> slot & 1u)
        (*tasks)[(*n)++] = (task){.work = from->child[slot], .depth = from->depth + 1, .parent = i, .slot = slot};
    }
  }
  return true;
}

static rt_status join(rounds *all, size_t n, rt_pool *pool, rt_error *err) {
  rt_tree *out = all->out;
  for (size_t i = 0; i < n; i++) {
    task *t = &all->tasks[i];
    t->node_base = out->n_nodes;
    t->packet_base = out->n_packets;
    out->n_nodes += t->result.n_nodes;
    out->n_packets += t->result.n_packets;
  }
  out->nodes = rt_alloc(out->n_nodes, sizeof *out->nodes, err);
  out->packets = rt_alloc(out->n_packets, sizeof *out->packets, err);
  out->n_triangles = all->builder->n_refs;
  out->triangles = rt_alloc(out->n_triangles, sizeof *out->triangles, err);
  if (!out->nodes || !out->packets || !out->triangles) return RT_NO_MEMORY;
  for (size_t i = 0; i < out->n_triangles; i++)
    out->triangles[i] = (rt_leaf_triangle){all->builder->refs[i].item, all->builder->refs[i].primitive};
  rt_pool_for(pool, n, join_task, all);
  for (size_t i = 1; i < n; i++) {
    const task *t = &all->tasks[i];
    out->nodes[all->tasks[t->parent].node_base].child[t->slot] = (uint32_t)t->node_base;
  }
  return RT_OK;
}

static rt_status build(const builder *b, rt_tree *out, rt_pool *pool, rt_error *err) {
  rounds all = {b, NULL, 0, out};
  size_t n = 0, capacity = 0;
  rt_status status = RT_OK;
  if (rt_grow((void **)&all.tasks, &capacity, 1, sizeof *all.tasks, err))
    all.tasks[n++] = (task){.work = range_of(b, 0, b->n_refs)};
  else
    status = RT_NO_MEMORY;
  while (status == RT_OK && all.first < n) {
    rt_pool_for(pool, n - all.first, run_task, &all);
    for (size_t i = all.first; i < n; i++)
      if (all.tasks[i].result.failed) status = rt_fail_memory(err, "a tree");
    size_t first = n, done = all.first;
    if (status == RT_OK && !next_round(&all.tasks, &capacity, done, &n, err)) status = RT_NO_MEMORY;
    all.first = first;
  }
  if (status == RT_OK) status = join(&all, n, pool, err);
  for (size_t i = 0; i < n; i++) {
    rt_free(all.tasks[i].result.nodes);
    rt_free(all.tasks[i].result.packets);
  }
  rt_free(all.tasks);
  return status;
}

rt_status rt_tree_build(rt_tree *out, const rt_geometry *geometry, const rt_group *group, rt_pool *pool,
                        rt_error *err) {
  *out = (rt_tree){0};
  builder b = {.geometry = geometry, .group = group};
  rt_status status = collect(&b, pool, err);
  if (status == RT_OK && b.n_refs > 0) status = build(&b, out, pool, err);
  rt_free(b.refs);
  rt_free(b.start);
  if (status != RT_OK) rt_tree_free(out);
  return status;
}

void rt_tree_free(rt_tree *tree) {
  rt_free(tree->nodes);
  rt_free(tree->packets);
  rt_free(tree->triangles);
  *tree = (rt_tree){0};
}

size_t rt_tree_bytes(const rt_tree *tree) {
  return tree->n_nodes * sizeof *tree->nodes + tree->n_packets * sizeof *tree->packets +
         tree->n_triangles * sizeof *tree->triangles;
}
