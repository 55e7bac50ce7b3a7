/* Owns the scene as groups of items: adding, numbering, what is known of each group before rays come, description and
 * hash. Stands on base, shape.h, bvh.h and internal.h.
 *
 * Numbering: an item's first primitive has the sum of the primitives of the items before it, counted with all
 * placements below. The number of a primitive in the world is the sum of these along its path plus its number in its
 * shape, so that comparing (instance path, primitive) in depth-first order is comparing two integers.
 *
 * Always true after rt_geometry_build: no group holds itself, ways down are at most RT_MAX_NESTING instances long, and
 * numbers fit into 63 bits. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "geometry/internal.h"

#define LARGE_GROUP                                                                                                    \
  65536 /* items' primitives above which a tree is worth all threads; smaller trees are made side by side */
#define MAX_STRETCH 0x1p48 /* of all transforms on a way together: rays stay normal floats */

/* ---- Making ------------------------------------------------------------------------------------------------------ */

rt_status rt_geometry_new(rt_geometry **out, rt_error *err) {
  uint32_t world;
  *out = NULL;
  rt_geometry *g = rt_alloc(1, sizeof *g, err);
  if (!g) return RT_NO_MEMORY;
  rt_status status = rt_geometry_add_group(g, &world, err);
  if (status != RT_OK) {
    rt_geometry_free(g);
    return status;
  }
  *out = g;
  return RT_OK;
}

void rt_geometry_free(rt_geometry *g) {
  if (!g) return;
  for (size_t i = 0; i < g->n_shapes; i++) rt_shape_release(&g->shapes[i]);
  for (size_t i = 0; i < g->n_instances; i++) {
    rt_placements_free(g->instances[i].many);
    rt_free(g->instances[i].name);
  }
  for (size_t i = 0; i < g->n_groups; i++) {
    rt_free(g->groups[i].items);
    rt_free(g->groups[i].always);
    rt_tree_free(&g->groups[i].tree);
  }
  rt_free(g->shapes);
  rt_free(g->instances);
  rt_free(g->groups);
  rt_free(g->meshes);
  rt_free(g->mesh_slots);
  rt_free(g);
}

static rt_status check_open(const rt_geometry *g, rt_error *err) {
  return g->built ? rt_fail(err, RT_BAD_USAGE, "the scene is committed: add to it before") : RT_OK;
}

static rt_status too_many(const char *what, rt_error *err) {
  return rt_fail(err, RT_BAD_DATA, "the scene has 2^32 %s or more: make it of fewer", what);
}

rt_status rt_geometry_add_group(rt_geometry *g, uint32_t *id, rt_error *err) {
  rt_status status = check_open(g, err);
  if (status != RT_OK) return status;
  if (g->n_groups >= RT_NONE) return too_many("groups", err);
  if (!rt_grow((void **)&g->groups, &g->groups_capacity, g->n_groups + 1, sizeof *g->groups, err)) return RT_NO_MEMORY;
  g->groups[g->n_groups] = (rt_group){.bounds = RT_BOUNDS_EMPTY};
  *id = (uint32_t)g->n_groups++;
  return RT_OK;
}

static rt_status find_group(rt_geometry *g, uint32_t id, rt_group **out, rt_error *err) {
  rt_status status = check_open(g, err);
  if (status != RT_OK) return status;
  if (id >= g->n_groups) status = rt_fail(err, RT_BAD_USAGE, "there is no group %u: make it first", (unsigned)id);
  if (status == RT_OK) *out = &g->groups[id];
  return status;
}

/* Room for one item, so that adding it cannot fail. */
static bool reserve_item(rt_group *group, rt_error *err) {
  return rt_grow((void **)&group->items, &group->capacity, group->n_items + 1, sizeof *group->items, err);
}

/* ---- Distinct meshes --------------------------------------------------------------------------------------------- */

static size_t mesh_slot(const rt_geometry *g, const rt_mesh *mesh) {
  uint64_t address = (uintptr_t)mesh;
  size_t mask = g->n_mesh_slots - 1, slot = hash_combine((uint32_t)(address >> 32), (uint32_t)address) & mask;
  while (g->mesh_slots[slot] && g->meshes[g->mesh_slots[slot] - 1] != mesh) slot = (slot + 1) & mask;
  return slot;
}

static bool grow_mesh_slots(rt_geometry *g, rt_error *err) {
  if (2 * (g->n_meshes + 1) <= g->n_mesh_slots) return true;
  size_t n = g->n_mesh_slots ? 2 * g->n_mesh_slots : 64;
  uint32_t *slots = rt_alloc(n, sizeof *slots, err);
  if (!slots) return false;
  rt_free(g->mesh_slots);
  g->mesh_slots = slots;
  g->n_mesh_slots = n;
  for (size_t i = 0; i < g->n_meshes; i++) g->mesh_slots[mesh_slot(g, g->meshes[i])] = (uint32_t)i + 1;
  return true;
}

static rt_status register_mesh(rt_geometry *g, rt_shape *shape, rt_error *err) {
  if (!shape->mesh) return RT_OK;
  if (!grow_mesh_slots(g, err)) return RT_NO_MEMORY;
  if (!rt_grow((void **)&g->meshes, &g->meshes_capacity, g->n_meshes + 1, sizeof *g->meshes, err)) return RT_NO_MEMORY;
  size_t slot = mesh_slot(g, shape->mesh);
  if (!g->mesh_slots[slot]) {
    g->meshes[g->n_meshes++] = shape->mesh;
    g->mesh_slots[slot] = (uint32_t)g->n_meshes;
  }
  shape->mesh_id = g->mesh_slots[slot] - 1;
  return RT_OK;
}

/* ---- Adding ------------------------------------------------------------------------------------------------------ */

rt_status rt_geometry_add_shape(rt_geometry *g, uint32_t group_id, const rt_shape_desc *desc, uint32_t *id,
                                rt_error *err) {
  rt_group *group;
  rt_status status = find_group(g, group_id, &group, err);
  if (status != RT_OK) return status;
  if (g->n_shapes >= RT_NONE) return too_many("shapes", err);
  if (!reserve_item(group, err) ||
      !rt_grow((void **)&g->shapes, &g->shapes_capacity, g->n_shapes + 1, sizeof *g->shapes, err))
    return RT_NO_MEMORY;
  rt_shape shape;
  status = rt_shape_init(&shape, desc, err);
  if (status == RT_OK) status = register_mesh(g, &shape, err);
  if (status != RT_OK) {
    rt_shape_release(&shape);
    return status;
  }
  g->shapes[g->n_shapes] = shape;
  group->items[group->n_items++] = (rt_item){.index = (uint32_t)g->n_shapes};
  *id = (uint32_t)g->n_shapes++;
  return RT_OK;
}

rt_status rt_geometry_add_instance(rt_geometry *g, uint32_t group_id, const rt_instance_desc *desc, rt_error *err) {
  rt_group *group;
  rt_status status = find_group(g, group_id, &group, err);
  if (status != RT_OK) return status;
  if (desc->group >= g->n_groups)
    return rt_fail(err, RT_BAD_USAGE, "there is no group %u: make it first", (unsigned)desc->group);
  if (desc->group == 0) return rt_fail(err, RT_BAD_DATA, "the world cannot be placed: place a group");
  if (desc->group == group_id) return rt_fail(err, RT_BAD_DATA, "a group is placed in itself: take it out");
  if (g->n_instances >= RT_NONE) return too_many("instances", err);
  rt_instance instance = {.group = desc->group, .hidden = desc->hidden};
  if (desc->placements) {
    instance.stretch = desc->placements->stretch;
  } else {
    instance.to_parent = desc->transform;
    status = rt_transform_check(&instance.to_parent, &instance.to_child, &instance.stretch, err);
    if (status != RT_OK) return status;
  }
  if (!reserve_item(group, err) ||
      !rt_grow((void **)&g->instances, &g->instances_capacity, g->n_instances + 1, sizeof *g->instances, err) ||
      (desc->name && !(instance.name = rt_strdup(desc->name, err))))
    return RT_NO_MEMORY;
  if (desc->placements) instance.many = rt_placements_ref(desc->placements);
  group->items[group->n_items++] = (rt_item){.index = (uint32_t)g->n_instances, .is_instance = true};
  g->instances[g->n_instances++] = instance;
  return RT_OK;
}

/* ---- What is known of a group ------------------------------------------------------------------------------------ */

#define MAX_CHUNKS 64 /* that the instances of an item are looked at in, by several threads */

typedef struct {
  const rt_instance *instance;
  const rt_bounds *child;
  size_t length; /* of a chunk */
  rt_bounds bounds[MAX_CHUNKS];
  bool finite[MAX_CHUNKS];
} placed_bounds;

static void bound_chunk(void *context, size_t chunk, int worker) {
  (void)worker;
  placed_bounds *p = context;
  size_t n = rt_instance_count(p->instance), end = (chunk + 1) * p->length;
  p->bounds[chunk] = RT_BOUNDS_EMPTY;
  p->finite[chunk] = true;
  for (size_t i = chunk * p->length; i < n && i < end; i++) {
    rt_bounds bounds = rt_bounds_map(rt_instance_to_parent(p->instance, i), p->child);
    if (v3_is_finite(bounds.min) && v3_is_finite(bounds.max))
      p->bounds[chunk] = bounds_union(p->bounds[chunk], bounds);
    else
      p->finite[chunk] = false;
  }
}

/* The bounds of what is finite of an item, empty for none; false when something of it is not: it stays out of the
 * tree. */
static bool item_bounds(const rt_geometry *g, const rt_item *item, rt_pool *pool, rt_bounds *out) {
  if (!item->is_instance) {
    *out = rt_shape_bounds(&g->shapes[item->index]);
    return g->shapes[item->index].kind != RT_SHAPE_PLANE;
  }
  const rt_instance *instance = &g->instances[item->index];
  const rt_group *child = &g->groups[instance->group];
  bool finite = !child->unbounded;
  *out = RT_BOUNDS_EMPTY;
  if (child->bounds.min.x > child->bounds.max.x) return finite;
  size_t n = rt_instance_count(instance), chunks = n < MAX_CHUNKS ? n : MAX_CHUNKS;
  placed_bounds placed = {.instance = instance, .child = &child->bounds, .length = n / MAX_CHUNKS + 1};
  rt_pool_for(pool, chunks, bound_chunk, &placed);
  for (size_t i = 0; i < chunks; i++) {
    *out = bounds_union(*out, placed.bounds[i]);
    finite = finite && placed.finite[i];
  }
  return finite;
}

static double bounds_reach(const rt_bounds *b) {
  return b->min.x <= b->max.x ? (double)f_max(v3_abs_max(b->min), v3_abs_max(b->max)) : 0.0;
}

/* Takes an instance into its group's error bounds: derived in trace.c. */
static void add_instance_error(const rt_geometry *g, rt_group *group, const rt_instance *instance) {
  const rt_group *child = &g->groups[instance->group];
  const rt_stretch *by = &instance->stretch;
  const double u = RT_U, error_o = child->error_o + 2.01 * u;
  double error_s = child->error_s + 2.0 * u * bounds_reach(&child->bounds);
  group->error_o = d_max(group->error_o, error_o * by->condition);
  group->error_s = d_max(group->error_s, error_o * by->drift + by->up * error_s);
  group->stretch = d_max(group->stretch, by->up * d_max(child->stretch, 1.0));
  group->shrink = d_max(group->shrink, by->down * d_max(child->shrink, 1.0));
}

static void set_pads(rt_group *group, double reach, bool has_instances) {
  const double u = RT_U, root3 = 1.7320508075688773;
  double o = has_instances ? 2.0 * root3 * group->error_o : 32.0 * u,
         s = has_instances ? 2.0 * group->error_s : 32.0 * u * reach;
  group->pad_o = rt_round_up(o * 1.01);
  group->pad_s = rt_round_up(s * 1.01 + (double)FLT_MIN);
}

static rt_status know_item(const rt_geometry *g, rt_group *group, size_t i, rt_pool *pool, rt_error *err) {
  rt_item *item = &group->items[i];
  const rt_instance *instance = item->is_instance ? &g->instances[item->index] : NULL;
  const rt_group *child = instance ? &g->groups[instance->group] : NULL;
  const rt_shape *shape = instance ? NULL : &g->shapes[item->index];
  uint64_t each = child ? child->primitives : rt_shape_primitives(shape),
           times = child ? rt_instance_count(instance) : 1;
  if (each > 0 && times > ((uint64_t)INT64_MAX - group->primitives) / each)
    return rt_fail(err, RT_BAD_DATA, "the scene places 2^63 primitives or more: place fewer copies");
  item->first = group->primitives;
  group->primitives += times * each;
  group->triangles += child ? times * child->triangles : shape->mesh ? each : 0;
  rt_bounds bounds;
  if (!item_bounds(g, item, pool, &bounds)) {
    if (!rt_grow((void **)&group->always, &group->always_capacity, group->n_always + 1, sizeof *group->always, err))
      return RT_NO_MEMORY;
    group->always[group->n_always++] = (uint32_t)i;
    group->unbounded = true;
  }
  group->bounds = bounds_union(group->bounds, bounds);
  if (child) {
    if (child->height + 1 > group->height) group->height = child->height + 1;
    add_instance_error(g, group, instance);
  }
  return RT_OK;
}

/* The groups below `id` are known. */
static rt_status know_group(rt_geometry *g, uint32_t id, rt_pool *pool, rt_error *err) {
  rt_group *group = &g->groups[id];
  group->stretch = group->shrink = 1.0;
  group->error_o = 14.0 * RT_U;
  for (size_t i = 0; i < group->n_items; i++) {
    rt_status status = know_item(g, group, i, pool, err);
    if (status != RT_OK) return status;
  }
  if (group->height > RT_MAX_NESTING)
    return rt_fail(err, RT_BAD_DATA, "groups are nested %u deep, more than %d: merge some", (unsigned)group->height,
                   RT_MAX_NESTING);
  if (!(group->stretch <= MAX_STRETCH && group->shrink <= MAX_STRETCH))
    return rt_fail(err, RT_BAD_DATA, "nested transforms scale by more than 2^48 in all: use moderate units");
  double reach = bounds_reach(&group->bounds);
  group->error_s = d_max(group->error_s, 14.0 * RT_U * reach);
  set_pads(group, reach, group->height > 0);
  return RT_OK;
}

enum { UNSEEN, ON_THE_WAY, KNOWN };

/* Depth first, children before parents; `level` instances lead here. */
static rt_status visit_group(rt_geometry *g, uint32_t id, uint8_t *state, int level, rt_pool *pool, rt_error *err) {
  if (state[id] == KNOWN) return RT_OK;
  if (state[id] == ON_THE_WAY)
    return rt_fail(err, RT_BAD_DATA, "a group is placed in itself, by way of others: take one out");
  if (level > RT_MAX_NESTING)
    return rt_fail(err, RT_BAD_DATA, "groups are nested more than %d deep, or in themselves: merge some",
                   RT_MAX_NESTING);
  state[id] = ON_THE_WAY;
  for (size_t i = 0; i < g->groups[id].n_items; i++) {
    const rt_item *item = &g->groups[id].items[i];
    if (!item->is_instance) continue;
    rt_status status = visit_group(g, g->instances[item->index].group, state, level + 1, pool, err);
    if (status != RT_OK) return status;
  }
  state[id] = KNOWN;
  return know_group(g, id, pool, err);
}

/* ---- Building ---------------------------------------------------------------------------------------------------- */

static bool is_large(const rt_geometry *g, const rt_group *group) {
  uint64_t n = 0;
  for (size_t i = 0; i < group->n_items && n <= LARGE_GROUP; i++) {
    const rt_item *item = &group->items[i];
    n +=
        item->is_instance ? rt_instance_count(&g->instances[item->index]) : rt_shape_primitives(rt_item_shape(g, item));
  }
  return n > LARGE_GROUP;
}

typedef struct {
  rt_geometry *geometry;
  rt_status *status; /* by group */
} tree_jobs;

static void build_small(void *context, size_t id, int worker) {
  (void)worker;
  tree_jobs *jobs = context;
  rt_group *group = &jobs->geometry->groups[id];
  if (is_large(jobs->geometry, group)) return;
  jobs->status[id] = rt_tree_build(&group->tree, jobs->geometry, group, NULL, NULL);
}

static rt_status build_trees(rt_geometry *g, rt_pool *pool, rt_error *err) {
  tree_jobs jobs = {g, rt_alloc(g->n_groups, sizeof *jobs.status, err)};
  rt_status status = jobs.status ? RT_OK : RT_NO_MEMORY;
  if (status == RT_OK) rt_pool_for(pool, g->n_groups, build_small, &jobs);
  for (size_t i = 0; status == RT_OK && i < g->n_groups; i++) {
    if (jobs.status[i] != RT_OK)
      status = rt_fail_memory(err, "a tree"); /* the only failure of a group that is not large */
    else if (is_large(g, &g->groups[i]))
      status = rt_tree_build(&g->groups[i].tree, g, &g->groups[i], pool, err);
  }
  rt_free(jobs.status);
  return status;
}

rt_status rt_geometry_build(rt_geometry *g, rt_pool *pool, rt_error *err) {
  rt_status status = check_open(g, err);
  if (status != RT_OK) return status;
  uint8_t *state = rt_alloc(g->n_groups, sizeof *state, err);
  if (!state) return RT_NO_MEMORY;
  g->built = true; /* a failure leaves it half known: nothing more may be added either way */
  for (size_t i = 0; status == RT_OK && i < g->n_groups; i++) status = visit_group(g, (uint32_t)i, state, 0, pool, err);
  rt_free(state);
  return status == RT_OK ? build_trees(g, pool, err) : status;
}

/* ---- Description ------------------------------------------------------------------------------------------------- */

rt_bounds rt_geometry_bounds(const rt_geometry *g) { return g->groups[0].bounds; }

static size_t mesh_bytes(const rt_mesh *m) {
  size_t per_vertex = 3 * sizeof(float) + (m->normals ? 3 * sizeof(float) : 0) + (m->uvs ? 2 * sizeof(float) : 0);
  size_t per_triangle = 3 * sizeof(uint32_t) + (m->material_slots ? sizeof(uint32_t) : 0);
  return sizeof *m + m->n_vertices * per_vertex + m->n_triangles * per_triangle;
}

void rt_geometry_describe(const rt_geometry *g, rt_scene_info *out) {
  const rt_group *world = &g->groups[0];
  out->shapes = g->n_shapes;
  out->groups = g->n_groups - 1; /* the world is there unasked */
  out->placed_triangles = world->triangles;
  out->placed_primitives = world->primitives;
  out->bounds = world->bounds;
  out->triangles = 0;
  out->bytes = sizeof *g + g->shapes_capacity * sizeof *g->shapes + g->instances_capacity * sizeof *g->instances +
               g->groups_capacity * sizeof *g->groups;
  for (size_t i = 0; i < g->n_meshes; i++) {
    out->triangles += g->meshes[i]->n_triangles;
    out->bytes += mesh_bytes(g->meshes[i]);
  }
  out->instances = 0;
  for (size_t i = 0; i < g->n_instances; i++) {
    out->instances += rt_instance_count(&g->instances[i]);
    if (g->instances[i].many) out->bytes += rt_placements_bytes(g->instances[i].many);
  }
  for (size_t i = 0; i < g->n_groups; i++) {
    const rt_group *group = &g->groups[i];
    out->tree_bytes += rt_tree_bytes(&group->tree);
    out->bytes += group->capacity * sizeof *group->items;
  }
  out->bytes += out->tree_bytes;
}

void rt_shape_materials(const rt_geometry *g, uint32_t shape, const uint32_t **materials, uint32_t *n) {
  *materials = g->shapes[shape].distinct;
  *n = g->shapes[shape].n_distinct;
}

const char *rt_hit_name(const rt_geometry *g, const rt_hit *hit) {
  const char *name = g->shapes[hit->shape].name;
  for (uint32_t i = hit->depth; !name && i > 0; i--) name = g->instances[hit->path[i - 1].instance].name;
  return name;
}

/* ---- Hash -------------------------------------------------------------------------------------------------------- */

static void hash_u64(rt_sha256 *sha, uint64_t v) {
  rt_sha256_u32(sha, (uint32_t)v);
  rt_sha256_u32(sha, (uint32_t)(v >> 32));
}

static void hash_double(rt_sha256 *sha, double v) {
  uint64_t bits;
  v = v == 0.0 ? 0.0 : v; /* -0 counts as 0 */
  memcpy(&bits, &v, sizeof bits);
  hash_u64(sha, bits);
}

static void hash_d3(rt_sha256 *sha, rt_d3 v) {
  hash_double(sha, v.x);
  hash_double(sha, v.y);
  hash_double(sha, v.z);
}

static void hash_mesh(rt_sha256 *sha, const rt_mesh *m) {
  hash_u64(sha, m->n_vertices);
  hash_u64(sha, m->n_triangles);
  rt_sha256_u32(sha, (m->normals ? 1u : 0u) | (m->uvs ? 2u : 0u) | (m->material_slots ? 4u : 0u));
  rt_sha256_floats(sha, m->vertices, 3 * m->n_vertices);
  if (m->normals) rt_sha256_floats(sha, m->normals, 3 * m->n_vertices);
  if (m->uvs) rt_sha256_floats(sha, m->uvs, 2 * m->n_vertices);
  rt_sha256_u32s(sha, m->indices, 3 * m->n_triangles);
  if (m->material_slots) rt_sha256_u32s(sha, m->material_slots, m->n_triangles);
}

static void hash_shape(rt_sha256 *sha, const rt_shape *s) {
  rt_sha256_u32(sha, (uint32_t)s->kind);
  rt_sha256_u32(sha, s->hidden ? 1 : 0);
  rt_sha256_u32(sha, s->n_materials);
  for (uint32_t i = 0; i < s->n_materials; i++) rt_sha256_u32(sha, s->materials[i]);
  if (s->mesh) {
    rt_sha256_u32(sha, s->mesh_id);
    return;
  }
  hash_d3(sha, s->center);
  hash_d3(sha, s->axis);
  hash_double(sha, s->radius);
  rt_sha256_u32(sha, s->caps ? 1 : 0);
}

static void hash_instances(rt_sha256 *sha, const rt_instance *instance) {
  for (size_t which = 0; which < rt_instance_count(instance); which++) {
    const uint32_t of[] = {1, instance->group, instance->hidden ? 1 : 0};
    rt_sha256_u32s(sha, of, 3);
    rt_sha256_doubles(sha, rt_instance_to_parent(instance, which)->m[0], 12);
  }
}

/* Each mesh once, in order of first use; then the groups. Many instances count as each alone would. Names are no
 * geometry. */
void rt_geometry_hash(const rt_geometry *g, rt_sha256 *sha) {
  hash_u64(sha, g->n_meshes);
  for (size_t i = 0; i < g->n_meshes; i++) hash_mesh(sha, g->meshes[i]);
  hash_u64(sha, g->n_groups);
  for (size_t i = 0; i < g->n_groups; i++) {
    const rt_group *group = &g->groups[i];
    size_t n = group->n_items;
    for (size_t k = 0; k < group->n_items; k++)
      if (group->items[k].is_instance) n += rt_instance_count(&g->instances[group->items[k].index]) - 1;
    hash_u64(sha, n);
    for (size_t k = 0; k < group->n_items; k++) {
      const rt_item *item = &group->items[k];
      if (item->is_instance) {
        hash_instances(sha, &g->instances[item->index]);
      } else {
        rt_sha256_u32(sha, 0);
        hash_shape(sha, &g->shapes[item->index]);
      }
    }
  }
}
