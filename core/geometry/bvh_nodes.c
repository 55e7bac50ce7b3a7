/* Owns leaves and nodes, and whole subtrees: a range is cut in two until its parts are leaves, and the binary tree
 * becomes one with nodes of eight at the least expected cost of a ray, which is the surface of each node and leaf times
 * what its test takes. The least cost is found from below: of each binary node, with what lies below it hung into up to
 * i lanes of a node above it, for each i (Ylitie, Karras, Laine 2017, "Efficient Incoherent Ray Traversal on GPUs
 * Through Compressed Wide BVHs"). Stands on bvh_build.h. */
#include "base/memory.h"
#include "geometry/bvh_build.h"

/* Costs of tests, in that of a node's eight boxes. */
#define COST_PATCH 1.0f
#define COST_PACKET 1.5f

_Static_assert(sizeof(rt_node) == 256 && sizeof(rt_patch) == 128 && sizeof(rt_packet) == 320, "whole cache lines");

/* ---- Leaves ------------------------------------------------------------------------------------------------------ */

typedef enum { NO_LEAF, ITEM, PATCH, PACKET } leaf_kind;

static const uint32_t *ref_indices(const builder *b, const ref *r) {
  const rt_mesh *mesh = b->geometry->shapes[b->group->items[r->item].index].mesh;
  return mesh->indices + 3 * (size_t)r->primitive;
}
static const float *ref_vertex(const builder *b, const ref *r, uint32_t index) {
  return b->geometry->shapes[b->group->items[r->item].index].mesh->vertices + 3 * (size_t)index;
}
static uint32_t ref_number(const builder *b, const ref *r) { return b->start[r->item] + r->primitive; }

/* The distinct vertices of up to eight triangles. */
typedef struct {
  int n, corner[WIDTH][3];
  struct {
    uint32_t item, index;
  } vertex[3 * WIDTH];
} vertex_set;

static void find_vertices(const builder *b, const range *r, vertex_set *set) {
  set->n = 0;
  for (size_t i = r->begin; i < r->end; i++) {
    const ref *from = &b->refs[i];
    const uint32_t *indices = ref_indices(b, from);
    for (int k = 0; k < 3; k++) {
      int at = set->n - 1; /* the last ones are the likeliest */
      while (at >= 0 && !(set->vertex[at].index == indices[k] && set->vertex[at].item == from->item)) at--;
      if (at < 0) {
        at = set->n++;
        set->vertex[at].item = from->item;
        set->vertex[at].index = indices[k];
      }
      set->corner[i - r->begin][k] = at;
    }
  }
}

static leaf_kind kind_of(const builder *b, const range *r) {
  size_t n = r->end - r->begin;
  if (n > WIDTH) return NO_LEAF;
  uint32_t least = UINT32_MAX, most = 0;
  for (size_t i = r->begin; i < r->end; i++) {
    if (!item_is_triangles(b, b->refs[i].item)) return n == 1 ? ITEM : NO_LEAF;
    uint32_t number = ref_number(b, &b->refs[i]);
    least = number < least ? number : least;
    most = number > most ? number : most;
  }
  vertex_set set;
  find_vertices(b, r, &set);
  bool fits = most - least <= UINT16_MAX,
       sparse = set.n > 2 * (int)n; /* little to share: a packet holds more of them */
  if (fits && set.n <= WIDTH) return PATCH;
  return sparse || !fits ? PACKET : NO_LEAF;
}

bool rt_range_is_leaf(const builder *b, const range *r) { return kind_of(b, r) != NO_LEAF; }

static bool add_patch(const builder *b, const range *r, part *out, uint32_t *child) {
  if (!rt_grow((void **)&out->patches, &out->patches_capacity, out->n_patches + 1, sizeof *out->patches, NULL))
    return false;
  vertex_set set;
  find_vertices(b, r, &set);
  rt_patch patch = {.first = UINT32_MAX};
  for (int k = 0; k < set.n; k++) {
    const ref of = {.item = set.vertex[k].item};
    const float *v = ref_vertex(b, &of, set.vertex[k].index);
    for (int axis = 0; axis < 3; axis++) patch.v[axis][k] = v[axis];
  }
  for (size_t i = r->begin; i < r->end; i++) {
    uint32_t number = ref_number(b, &b->refs[i]);
    if (number < patch.first) patch.first = number;
  }
  for (size_t i = r->begin; i < r->end; i++) {
    size_t lane = i - r->begin;
    patch.offset[lane] = (uint16_t)(ref_number(b, &b->refs[i]) - patch.first);
    for (int k = 0; k < 3; k++) patch.corner[k] |= (uint32_t)set.corner[lane][k] << 3 * lane;
    patch.corner[0] |= 1u << (RT_PATCH_LANES + lane);
  }
  *child = RT_CHILD_PATCH | (uint32_t)out->n_patches;
  out->patches[out->n_patches++] = patch;
  return true;
}

static bool add_packet(const builder *b, const range *r, part *out, uint32_t *child) {
  if (!rt_grow((void **)&out->packets, &out->packets_capacity, out->n_packets + 1, sizeof *out->packets, NULL))
    return false;
  rt_packet *packet = &out->packets[out->n_packets];
  for (size_t lane = 0; lane < WIDTH; lane++) {
    const ref *from = &b->refs[r->begin + lane < r->end ? r->begin + lane : r->begin];
    const uint32_t *indices = ref_indices(b, from);
    for (int vertex = 0; vertex < 3; vertex++) {
      const float *v = ref_vertex(b, from, indices[vertex]);
      for (int axis = 0; axis < 3; axis++) packet->v[vertex][axis][lane] = v[axis];
    }
    packet->number[lane] = ref_number(b, from);
  }
  *child = RT_CHILD_PACKET | (uint32_t)out->n_packets++;
  return true;
}

static bool add_leaf(const builder *b, const range *r, leaf_kind kind, part *out, uint32_t *child) {
  if (kind == PATCH) return add_patch(b, r, out, child);
  if (kind == PACKET) return add_packet(b, r, out, child);
  const ref *from = &b->refs[r->begin];
  *child = RT_CHILD_ITEM | (item_is_many(b, from->item) ? RT_CHILD_OF_MANY | ref_number(b, from) : from->item);
  return true;
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

static bool add_node(part *out, size_t *index) {
  if (!rt_grow((void **)&out->nodes, &out->nodes_capacity, out->n_nodes + 1, sizeof *out->nodes, NULL)) return false;
  rt_node node = {.lanes = 0};
  for (int row = 0; row < 6; row++)
    for (int lane = 0; lane < WIDTH; lane++) node.box[row][lane] = row % 2 ? -INFINITY : INFINITY;
  *index = out->n_nodes;
  out->nodes[out->n_nodes++] = node;
  return true;
}

static void set_box(rt_node *node, int lane, box bounds) {
  node->lanes |= 1u << lane;
  for (int axis = 0; axis < 3; axis++) {
    node->box[2 * axis][lane] = bounds.lo[axis];
    node->box[2 * axis + 1][lane] = bounds.hi[axis];
  }
}

bool rt_part_node(part *out, const range child[], int n) {
  size_t index;
  if (!add_node(out, &index)) return false;
  for (int lane = 0; lane < n; lane++) set_box(&out->nodes[index], lane, child[lane].bounds);
  return true;
}

int rt_range_children(const builder *b, const range *r, int depth, range child[WIDTH]) {
  int n = 1;
  child[0] = *r;
  while (n < WIDTH) {
    int widest = -1;
    double widest_area = -1.0;
    for (int i = 0; i < n; i++) {
      double area = box_area(child[i].bounds);
      if (area > widest_area && !rt_range_is_leaf(b, &child[i])) {
        widest_area = area;
        widest = i;
      }
    }
    if (widest < 0) break;
    range whole = child[widest];
    rt_range_split(b, &whole, depth, &child[widest], &child[n++]);
  }
  return n;
}

void rt_part_free(part *out) {
  rt_free(out->nodes);
  rt_free(out->patches);
  rt_free(out->packets);
  *out = (part){0};
}

/* ---- Subtrees ---------------------------------------------------------------------------------------------------- */

typedef struct {
  box bounds;
  uint32_t begin, end; /* of a leaf: its references */
  uint32_t below[2];   /* of no leaf */
  leaf_kind kind;
  uint8_t closed;          /* up to so many lanes above it is best one child itself, else: */
  uint8_t left[WIDTH + 1]; /* [i], i > 1: of i lanes, how many are for below[0]; 0: as of i - 1 */
  double cost[WIDTH + 1];  /* [i], i > 0: the least in up to i lanes */
} binary;

typedef struct {
  const builder *builder;
  part *out;
  binary *nodes;
  size_t n, capacity;
} subtree;

static void cost_leaf(binary *node) {
  double cost = box_area(node->bounds) * (node->kind == PACKET ? COST_PACKET : COST_PATCH);
  for (int i = 1; i <= WIDTH; i++) node->cost[i] = cost;
}

static void cost_inner(binary *node, const binary *a, const binary *b) {
  double least = INFINITY;
  for (int i = 2; i <= WIDTH; i++) {
    for (int k = 1; k < i; k++) {
      double cost = a->cost[k] + b->cost[i - k];
      if (cost >= least) continue;
      least = cost;
      node->left[i] = (uint8_t)k;
    }
    node->cost[i] = least;
  }
  node->cost[1] = box_area(node->bounds) + least;
  node->closed = 1;
  for (int i = 2; i <= WIDTH && node->cost[1] <= node->cost[i]; i++) {
    node->cost[i] = node->cost[1];
    node->closed = (uint8_t)i;
  }
}

static bool add_binary(subtree *s, const range *r, int depth, uint32_t *index) {
  if (!rt_grow((void **)&s->nodes, &s->capacity, s->n + 1, sizeof *s->nodes, NULL)) return false;
  *index = (uint32_t)s->n++;
  binary node = {.bounds = r->bounds, .begin = (uint32_t)r->begin, .end = (uint32_t)r->end};
  node.kind = kind_of(s->builder, r);
  if (node.kind == NO_LEAF) {
    range left, right;
    rt_range_split(s->builder, r, depth, &left, &right);
    if (!add_binary(s, &left, depth + 1, &node.below[0]) || !add_binary(s, &right, depth + 1, &node.below[1]))
      return false;
    cost_inner(&node, &s->nodes[node.below[0]], &s->nodes[node.below[1]]);
  } else {
    cost_leaf(&node);
  }
  s->nodes[*index] = node;
  return true;
}

/* What a binary node puts into up to `lanes` lanes of the node above it. */
static void hang(const subtree *s, uint32_t index, int lanes, uint32_t child[WIDTH], int *n);

static void hang_below(const subtree *s, const binary *node, int lanes, uint32_t child[WIDTH], int *n) {
  while (node->left[lanes] == 0) lanes--;
  hang(s, node->below[0], node->left[lanes], child, n);
  hang(s, node->below[1], lanes - node->left[lanes], child, n);
}

static void hang(const subtree *s, uint32_t index, int lanes, uint32_t child[WIDTH], int *n) {
  const binary *node = &s->nodes[index];
  if (node->kind != NO_LEAF || lanes <= node->closed)
    child[(*n)++] = index;
  else
    hang_below(s, node, lanes, child, n);
}

static bool emit_leaf(subtree *s, const binary *leaf, uint32_t *child) {
  const range r = {.begin = leaf->begin, .end = leaf->end};
  return add_leaf(s->builder, &r, leaf->kind, s->out, child);
}

/* A node with its leaves, then what is below the others: what a ray reads next lies near. */
static bool emit_node(subtree *s, const binary *from, uint32_t *index) {
  uint32_t below[WIDTH];
  int n = 0;
  size_t at;
  hang_below(s, from, WIDTH, below, &n);
  if (!add_node(s->out, &at)) return false;
  *index = (uint32_t)at;
  for (int lane = 0; lane < n; lane++) {
    const binary *node = &s->nodes[below[lane]];
    set_box(&s->out->nodes[at], lane, node->bounds);
    if (node->kind != NO_LEAF && !emit_leaf(s, node, &s->out->nodes[at].child[lane])) return false;
  }
  for (int lane = 0; lane < n; lane++) {
    const binary *node = &s->nodes[below[lane]];
    uint32_t child;
    if (node->kind != NO_LEAF) continue;
    if (!emit_node(s, node, &child)) return false;
    s->out->nodes[at].child[lane] = child;
  }
  return true;
}

bool rt_part_subtree(const builder *b, part *out, const range *r, int depth, uint32_t *child) {
  subtree s = {.builder = b, .out = out};
  uint32_t root;
  bool done = add_binary(&s, r, depth, &root);
  if (done && s.nodes[root].kind != NO_LEAF)
    done = emit_leaf(&s, &s.nodes[root], child);
  else if (done)
    done = emit_node(&s, &s.nodes[root], child);
  rt_free(s.nodes);
  return done;
}
