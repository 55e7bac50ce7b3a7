/* Owns how a range of primitives is cut in two: by the surface area heuristic over bins (Wald 2007, "On fast
 * Construction of SAH-based Bounding Volume Hierarchies"). Stands on bvh_build.h.
 *
 * A long range is looked at and reordered chunk by chunk, by several threads. What it is cut into does not depend on
 * them: chunks are always the same, and so is the order in which what they found is put together. */
#include <float.h>

#include "geometry/bvh_build.h"

#define MAX_BINS 16
#define FEW_PRIMITIVES 16 /* below it half the bins do */
#define SAH_DEPTH 48
#define MAX_CHUNKS 64 /* of a long range */
#define LONG_RANGE (4 * CHUNK_PRIMITIVES)

static box ref_box(const ref *r) {
  const rt_i4 xyz = {-1, -1, -1, 0}; /* a number in lane 3 would be a subnormal float */
  return (box){(rt_f4)((rt_i4)f4_load(r->lo) & xyz), (rt_f4)((rt_i4)f4_load(r->hi) & xyz)};
}

static range range_of(const builder *b, size_t begin, size_t end) {
  range r = {begin, end, EMPTY_BOX, EMPTY_BOX};
  for (size_t i = begin; i < end; i++) range_add(&r, ref_box(&b->refs[i]));
  return r;
}

static void halve(const builder *b, const range *r, range *left, range *right) {
  size_t middle = r->begin + (r->end - r->begin) / 2;
  *left = range_of(b, r->begin, middle);
  *right = range_of(b, middle, r->end);
}

/* ---- Bins -------------------------------------------------------------------------------------------------------- */

typedef struct {
  box bounds;
  size_t n;
} bin;
typedef bin bins[3][MAX_BINS];

typedef struct {
  rt_f4 origin, scale, last;
  int n; /* bins */
} binning;

static binning binning_of(const range *r) {
  int n = r->end - r->begin < FEW_PRIMITIVES ? MAX_BINS / 2 : MAX_BINS;
  binning by = {r->centroids.lo, f4_all(0.0f), f4_all((float)(n - 1)), n};
  by.origin[3] = 0.0f;
  for (int axis = 0; axis < 3; axis++) {
    float scale = (float)n / (r->centroids.hi[axis] - r->centroids.lo[axis]);
    if (scale < FLT_MAX) by.scale[axis] = scale; /* else too flat to be told apart: all in bin 0 */
  }
  return by;
}

static rt_i4 bin_indices(const binning *by, box b) {
  rt_f4 at = (box_centroid(b) - by->origin) * by->scale;
  return __builtin_convertvector(f4_min(f4_max(at, f4_all(0.0f)), by->last), rt_i4);
}

static void fill_bins(const builder *b, const binning *by, size_t begin, size_t end, bins out) {
  for (int axis = 0; axis < 3; axis++)
    for (int i = 0; i < by->n; i++) out[axis][i] = (bin){EMPTY_BOX, 0};
  for (size_t i = begin; i < end; i++) {
    box bounds = ref_box(&b->refs[i]);
    rt_i4 index = bin_indices(by, bounds);
    for (int axis = 0; axis < 3; axis++) {
      bin *to = &out[axis][index[axis]];
      to->bounds = box_union(to->bounds, bounds);
      to->n++;
    }
  }
}

/* How many primitives a patch will hold is not known: each costs the same. A packet is tested whole. */
static double test_cost(const builder *b, size_t n) {
  size_t tests = b->in_packets ? (n + WIDTH - 1) / WIDTH : n;
  return (double)tests;
}

/* The cheapest cut of one axis before a bin; false when all primitives are in one bin. */
static bool best_cut(const builder *b, const bin *of, int n_bins, double *cost, int *cut) {
  double right_cost[MAX_BINS];
  box side = EMPTY_BOX;
  size_t n = 0;
  for (int i = n_bins - 1; i > 0; i--) {
    side = box_union(side, of[i].bounds);
    n += of[i].n;
    right_cost[i] = n ? box_area(side) * test_cost(b, n) : -1.0;
  }
  side = EMPTY_BOX;
  n = 0;
  bool found = false;
  for (int i = 1; i < n_bins; i++) {
    side = box_union(side, of[i - 1].bounds);
    n += of[i - 1].n;
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

typedef struct {
  binning by;
  int axis, cut;
} decision;

static int side_of(const decision *d, box bounds) { return bin_indices(&d->by, bounds)[d->axis] >= d->cut; }

/* False when there is no cut that leaves something on both sides. */
static bool decide(const builder *b, bins of, decision *d) {
  double cost = INFINITY;
  d->axis = -1;
  for (int axis = 0; axis < 3; axis++)
    if (best_cut(b, of[axis], d->by.n, &cost, &d->cut)) d->axis = axis;
  return d->axis >= 0;
}

/* ---- Ranges in two ----------------------------------------------------------------------------------------------- */

/* In place and without branches, since nobody can guess the side. */
static void partition(const builder *b, const decision *d, size_t begin, size_t end, range side[2]) {
  size_t left = begin;
  for (size_t i = begin; i < end; i++) {
    ref r = b->refs[i];
    size_t is_left = !side_of(d, ref_box(&r));
    b->refs[i] = b->refs[left];
    b->refs[left] = r;
    left += is_left;
  }
  side[0] = range_of(b, begin, left);
  side[1] = range_of(b, left, end);
}

static bool split_short(const builder *b, const range *r, range side[2]) {
  bins of;
  decision d = {.by = binning_of(r)};
  fill_bins(b, &d.by, r->begin, r->end, of);
  if (!decide(b, of, &d)) return false;
  partition(b, &d, r->begin, r->end, side);
  return true;
}

/* ---- Long ranges -------------------------------------------------------------------------------------------------
 *
 * Each chunk is cut in two by itself. What of it is then on the wrong side of the range is one run; the runs of both
 * sides, each taken as one list, are as long, and are exchanged element by element. */

typedef struct {
  size_t begin, rank; /* rank: of its first in the list of all runs */
} run;

typedef struct {
  const builder *builder;
  const range *range;
  size_t n, length; /* of chunks */
  decision decision;
  bins *bins;                    /* by chunk */
  range (*sides)[2];             /* by chunk */
  run strays[2][MAX_CHUNKS + 1]; /* by side of the range on which they are, and chunk; the last is the list's end */
} long_split;

static size_t chunk_begin(const long_split *s, size_t chunk) {
  size_t begin = s->range->begin + chunk * s->length;
  return begin < s->range->end ? begin : s->range->end;
}

static void bin_chunk(void *context, size_t chunk, int worker) {
  (void)worker;
  const long_split *s = context;
  fill_bins(s->builder, &s->decision.by, chunk_begin(s, chunk), chunk_begin(s, chunk + 1), s->bins[chunk]);
}

static void partition_chunk(void *context, size_t chunk, int worker) {
  (void)worker;
  const long_split *s = context;
  partition(s->builder, &s->decision, chunk_begin(s, chunk), chunk_begin(s, chunk + 1), s->sides[chunk]);
}

/* Notes what is on a side of `middle` and belongs to the other. */
static void find_strays(long_split *s, size_t middle) {
  size_t rank[2] = {0, 0};
  for (size_t chunk = 0; chunk < s->n; chunk++) {
    const range *left = &s->sides[chunk][0], *right = &s->sides[chunk][1];
    size_t from = left->begin > middle ? left->begin : middle, to = right->end < middle ? right->end : middle;
    s->strays[0][chunk] = (run){right->begin, rank[0]};
    s->strays[1][chunk] = (run){from, rank[1]};
    if (to > right->begin) rank[0] += to - right->begin;
    if (left->end > from) rank[1] += left->end - from;
  }
  for (int side = 0; side < 2; side++) s->strays[side][s->n].rank = rank[side];
}

static void exchange_strays(void *context, size_t part, int worker) {
  (void)worker;
  const long_split *s = context;
  const run *strays[2] = {s->strays[0], s->strays[1]};
  size_t end = strays[0][s->n].rank, begin = part * CHUNK_PRIMITIVES;
  if (end > begin + CHUNK_PRIMITIVES) end = begin + CHUNK_PRIMITIVES;
  for (size_t rank = begin; rank < end; rank++) {
    ref *at[2];
    for (int side = 0; side < 2; side++) {
      while (strays[side][1].rank <= rank) strays[side]++;
      at[side] = &s->builder->refs[strays[side]->begin + (rank - strays[side]->rank)];
    }
    ref moved = *at[0];
    *at[0] = *at[1];
    *at[1] = moved;
  }
}

static void partition_long(long_split *s, range side[2]) {
  rt_pool *pool = s->builder->pool;
  rt_pool_for(pool, s->n, partition_chunk, s);
  size_t at = s->range->begin;
  for (int right = 0; right < 2; right++) {
    side[right] = (range){at, at, EMPTY_BOX, EMPTY_BOX};
    for (size_t chunk = 0; chunk < s->n; chunk++) {
      const range *part = &s->sides[chunk][right];
      at += part->end - part->begin;
      side[right] = range_union(side[right], *part);
    }
    side[right].end = at;
  }
  find_strays(s, side[1].begin);
  rt_pool_for(pool, s->strays[0][s->n].rank / CHUNK_PRIMITIVES + 1, exchange_strays, s);
}

static bool split_long(const builder *b, const range *r, range side[2]) {
  size_t length = r->end - r->begin;
  bins bins_of[MAX_CHUNKS];
  range sides[MAX_CHUNKS][2];
  long_split s = {.builder = b, .range = r, .decision = {.by = binning_of(r)}, .bins = bins_of, .sides = sides};
  s.length = length / MAX_CHUNKS + 1 > CHUNK_PRIMITIVES ? length / MAX_CHUNKS + 1 : CHUNK_PRIMITIVES;
  s.n = (length + s.length - 1) / s.length;
  rt_pool_for(b->pool, s.n, bin_chunk, &s);
  for (size_t chunk = 1; chunk < s.n; chunk++)
    for (int axis = 0; axis < 3; axis++)
      for (int i = 0; i < s.decision.by.n; i++) {
        bin *to = &bins_of[0][axis][i];
        to->bounds = box_union(to->bounds, bins_of[chunk][axis][i].bounds);
        to->n += bins_of[chunk][axis][i].n;
      }
  if (!decide(b, bins_of[0], &s.decision)) return false;
  partition_long(&s, side);
  return true;
}

void rt_range_split(const builder *b, const range *r, int depth, range *left, range *right) {
  range side[2];
  bool found = depth < SAH_DEPTH && (r->end - r->begin < LONG_RANGE ? split_short : split_long)(b, r, side);
  if (found) {
    *left = side[0];
    *right = side[1];
  } else {
    halve(b, r, left, right);
  }
}
