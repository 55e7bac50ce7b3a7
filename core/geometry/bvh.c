/* Owns the making of trees: the references to what is in one, and the rounds in which ranges of them become nodes. How
 * a range is cut, and what it becomes, is bvh_split.c's and bvh_nodes.c's. Stands on bvh_build.h.
 *
 * In parallel: work goes in rounds over a list of ranges. A large range becomes one node, by splitting the child of the
 * largest area again (Wald, Benthin, Boulos 2008, "Getting Rid of Packets"), and its children go on the next round's
 * list; a small one becomes a whole subtree. Each has arrays of its own, which are joined in the order of the list, some
 * hundred at a time, so that what they hold is hardly ever there twice.
 * What a range becomes depends on its content alone, so that the tree is the same for every number of threads.
 *
 * Always true: every primitive is in one leaf, and every box holds the boxes below it. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "geometry/bvh_build.h"

#define SUBTREE_PRIMITIVES 16384 /* a range of so many is one thread's: 128 of them in 2 million, 5 ms each */
#define ROUND_TASKS 128          /* are made before they are joined: up to 100 MB of subtrees */

typedef struct {
  range work;
  int depth;
  size_t parent; /* task whose node has this one as a child */
  int slot;
  bool whole; /* made into a subtree; else one node, with children: */
  range child[WIDTH];
  int children;
  uint32_t top; /* what it is to its parent, by its own indices */
  bool failed;
  part result;
  size_t node_base, patch_base, packet_base;
} task;

/* ---- References -------------------------------------------------------------------------------------------------- */

static rt_bounds item_bounds(const builder *b, const rt_item *item, uint32_t primitive) {
  if (item->is_instance) {
    const rt_instance *instance = &b->geometry->instances[item->index];
    return rt_bounds_map(rt_instance_to_parent(instance, primitive), &b->geometry->groups[instance->group].bounds);
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
  builder *b = context;
  size_t begin = chunk * CHUNK_PRIMITIVES,
         end = begin + CHUNK_PRIMITIVES < b->n_refs ? begin + CHUNK_PRIMITIVES : b->n_refs;
  const rt_tree by_start = {.start = b->start, .n_items = b->group->n_items};
  size_t item = rt_tree_item(&by_start, (uint32_t)begin);
  range all = {begin, end, EMPTY_BOX, EMPTY_BOX};
  for (size_t i = begin; i < end; i++) {
    while (b->start[item + 1] <= i) item++;
    uint32_t primitive = (uint32_t)(i - b->start[item]);
    rt_bounds bounds = item_bounds(b, &b->group->items[item], primitive);
    b->refs[i] = (ref){{bounds.min.x, bounds.min.y, bounds.min.z},
                       (uint32_t)item,
                       {bounds.max.x, bounds.max.y, bounds.max.z},
                       primitive};
    range_add(&all, (box){{bounds.min.x, bounds.min.y, bounds.min.z, 0.0f},
                          {bounds.max.x, bounds.max.y, bounds.max.z, 0.0f}});
  }
  b->chunks[chunk] = all;
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
  const rt_instance *instance = &b->geometry->instances[it->index];
  return b->geometry->groups[instance->group].primitives > 0 ? rt_instance_count(instance) : 0;
}

static rt_status collect(builder *b, range *all, rt_error *err) {
  size_t n_items = b->group->n_items, next_always = 0;
  b->start = rt_alloc(n_items + 1, sizeof *b->start, err);
  if (!b->start) return RT_NO_MEMORY;
  size_t vertices = 0;
  bool only_triangles = true;
  for (size_t i = 0; i < n_items; i++) {
    size_t n = item_refs(b, i, &next_always);
    size_t end = b->start[i] + n;
    if (i >= RT_CHILD_OF_MANY || end > (item_is_many(b, i) ? RT_CHILD_OF_MANY : RT_CHILD_ITEM - 1))
      return rt_fail(
          err, RT_BAD_DATA,
          "a group holds 2^30 triangles, or 2^29 instances, or more: put parts of it into groups of their own");
    b->start[i + 1] = (uint32_t)end;
    if (n == 0) continue;
    if (item_is_triangles(b, (uint32_t)i))
      vertices += b->geometry->shapes[b->group->items[i].index].mesh->n_vertices;
    else
      only_triangles = false;
  }
  b->n_refs = b->start[n_items];
  b->in_packets = only_triangles && vertices / 2 > b->n_refs;
  size_t n = (b->n_refs + CHUNK_PRIMITIVES - 1) / CHUNK_PRIMITIVES;
  b->refs = rt_alloc(b->n_refs, sizeof *b->refs, err);
  b->chunks = rt_alloc(n, sizeof *b->chunks, err);
  if (!b->refs || !b->chunks) return RT_NO_MEMORY;
  rt_pool_for(b->pool, n, make_refs, b);
  for (size_t i = 0; i < n; i++) *all = range_union(*all, b->chunks[i]);
  return RT_OK;
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------ */

typedef struct {
  size_t used, capacity;
} room;

typedef struct {
  const builder *builder;
  task *tasks;
  size_t first, n, n_tasks, capacity; /* n tasks from the first are this round's */
  size_t done;                        /* references that are in subtrees */
  rt_tree *out;
  room nodes, patches, packets; /* of out */
} rounds;

static void run_task(void *context, size_t i, int worker) {
  (void)worker;
  const rounds *all = context;
  task *t = &all->tasks[all->first + i];
  bool is_root = t == all->tasks; /* the root is a node, even above a single leaf */
  t->whole =
      t->work.end - t->work.begin <= SUBTREE_PRIMITIVES && !(is_root && rt_range_is_leaf(all->builder, &t->work));
  if (t->whole) {
    t->failed = !rt_part_subtree(all->builder, &t->result, &t->work, t->depth, &t->top);
  } else {
    t->children = rt_range_children(all->builder, &t->work, t->depth, t->child);
    t->failed = !rt_part_node(&t->result, t->child, t->children);
  }
}

/* A child's index becomes the whole tree's. */
static uint32_t rebase(const task *t, uint32_t child) {
  size_t base[] = {t->node_base, 0, t->packet_base, t->patch_base}; /* by its tag: bvh.h */
  return child + (uint32_t)base[child / RT_CHILD_ITEM];
}

static void join_task(void *context, size_t i, int worker) {
  (void)worker;
  const rounds *all = context;
  task *t = &all->tasks[all->first + i];
  part *from = &t->result;
  for (size_t k = 0; k < from->n_nodes; k++) {
    rt_node *node = &all->out->nodes[t->node_base + k];
    *node = from->nodes[k];
    for (int lane = 0; lane < WIDTH; lane++) node->child[lane] = rebase(t, node->child[lane]);
  }
  if (from->n_patches)
    memcpy(all->out->patches + t->patch_base, from->patches, from->n_patches * sizeof *from->patches);
  if (from->n_packets)
    memcpy(all->out->packets + t->packet_base, from->packets, from->n_packets * sizeof *from->packets);
  rt_part_free(from);
}

/* Makes room for n elements in an array of the tree. As many more as the references that are left will want by the
 * mean of those before, and then some, are asked for at once: what is never touched is only an address, while an array
 * that grows is there twice. */
static bool reserve(const rounds *all, void **array, room *has, size_t n, size_t size, rt_error *err) {
  if (n > has->capacity) {
    size_t all_refs = all->builder->n_refs, likely = n;
    if (all->done > 0 && all->done < all_refs)
      likely = (size_t)(1.25 * (double)n * (double)all_refs / (double)all->done);
    void *block = rt_alloc(likely, size, NULL);
    if (!block) block = rt_alloc(likely = n, size, err);
    if (!block) return false;
    if (has->used) memcpy(block, *array, has->used * size);
    rt_free(*array);
    *array = block;
    has->capacity = likely;
  }
  has->used = n;
  return true;
}

/* Appends what the round's tasks made to the tree. */
static rt_status join(rounds *all, rt_error *err) {
  rt_tree *out = all->out;
  task *round = all->tasks + all->first;
  for (size_t i = 0; i < all->n; i++) {
    task *t = &round[i];
    if (t->failed) return rt_fail_memory(err, "a tree");
    t->node_base = out->n_nodes;
    t->patch_base = out->n_patches;
    t->packet_base = out->n_packets;
    out->n_nodes += t->result.n_nodes;
    out->n_patches += t->result.n_patches;
    out->n_packets += t->result.n_packets;
    if (t->whole) all->done += t->work.end - t->work.begin;
  }
  if (!reserve(all, (void **)&out->nodes, &all->nodes, out->n_nodes, sizeof *out->nodes, err) ||
      !reserve(all, (void **)&out->patches, &all->patches, out->n_patches, sizeof *out->patches, err) ||
      !reserve(all, (void **)&out->packets, &all->packets, out->n_packets, sizeof *out->packets, err))
    return RT_NO_MEMORY;
  rt_pool_for(all->builder->pool, all->n, join_task, all);
  for (size_t i = 0; i < all->n; i++) {
    const task *t = &round[i];
    bool is_root = t == all->tasks;
    if (!is_root) out->nodes[all->tasks[t->parent].node_base].child[t->slot] = rebase(t, t->top);
  }
  return RT_OK;
}

/* Adds the children of the round's tasks that are no subtrees. */
static bool add_children(rounds *all, rt_error *err) {
  for (size_t i = all->first; i < all->first + all->n; i++) {
    if (all->tasks[i].whole) continue;
    if (!rt_grow((void **)&all->tasks, &all->capacity, all->n_tasks + WIDTH, sizeof *all->tasks, err)) return false;
    const task *from = &all->tasks[i];
    for (int slot = 0; slot < from->children; slot++)
      all->tasks[all->n_tasks++] =
          (task){.work = from->child[slot], .depth = from->depth + 1, .parent = i, .slot = slot};
  }
  return true;
}

static rt_status build(builder *b, const range *everything, rt_tree *out, rt_error *err) {
  rounds all = {.builder = b, .out = out};
  if (!rt_grow((void **)&all.tasks, &all.capacity, 1, sizeof *all.tasks, err)) return RT_NO_MEMORY;
  all.tasks[all.n_tasks++] = (task){.work = *everything};
  rt_status status = RT_OK;
  for (; status == RT_OK && all.first < all.n_tasks; all.first += all.n) {
    size_t left = all.n_tasks - all.first;
    all.n = left < ROUND_TASKS ? left : ROUND_TASKS;
    rt_pool_for(b->pool, all.n, run_task, &all);
    status = join(&all, err);
    if (status == RT_OK && !add_children(&all, err)) status = RT_NO_MEMORY;
  }
  for (size_t i = 0; i < all.n_tasks; i++) rt_part_free(&all.tasks[i].result);
  rt_free(all.tasks);
  return status;
}

rt_status rt_tree_build(rt_tree *out, const rt_geometry *geometry, const rt_group *group, rt_pool *pool,
                        rt_error *err) {
  *out = (rt_tree){0};
  builder b = {.geometry = geometry, .group = group, .pool = pool};
  range everything = {0, 0, EMPTY_BOX, EMPTY_BOX};
  rt_status status = collect(&b, &everything, err);
  if (status == RT_OK && b.n_refs > 0) status = build(&b, &everything, out, err);
  rt_free(b.refs);
  rt_free(b.chunks);
  out->start = b.start;
  out->n_items = group->n_items;
  if (status != RT_OK) rt_tree_free(out);
  return status;
}

void rt_tree_free(rt_tree *tree) {
  rt_free(tree->nodes);
  rt_free(tree->patches);
  rt_free(tree->packets);
  rt_free(tree->start);
  *tree = (rt_tree){0};
}

size_t rt_tree_bytes(const rt_tree *tree) {
  return tree->n_nodes * sizeof *tree->nodes + tree->n_patches * sizeof *tree->patches +
         tree->n_packets * sizeof *tree->packets + tree->n_items * sizeof *tree->start;
}
