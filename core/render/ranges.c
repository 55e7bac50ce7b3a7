/* The ranges of all sets lie in one array, a set's after another's; a hash table of set numbers finds a list again. */
#include "render/ranges.h"

#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

typedef struct {
  size_t first, n; /* in `ranges` */
} set_place;

struct rt_ranges {
  pthread_mutex_t lock;
  rt_range *ranges;
  size_t n_ranges, range_capacity;
  set_place *sets;
  size_t n_sets, set_capacity;
  uint32_t *slots; /* of a power of two; the set's number + 1, or 0 */
  size_t n_slots;
  rt_range *scratch;
  size_t scratch_capacity;
  struct {
    uint32_t set, result;
    rt_range range;
  } last; /* of rt_ranges_add: neighbours ask the same */
};

static uint64_t hash_of(const rt_range *ranges, size_t n) {
  uint64_t h = UINT64_C(0x9E3779B97F4A7C15) ^ n;
  for (size_t i = 0; i < n; i++) {
    h = (h ^ ((uint64_t)ranges[i].begin << 32 | ranges[i].end)) * UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 29;
  }
  return h;
}

static bool same(const rt_ranges *table, uint32_t set, const rt_range *ranges, size_t n) {
  const set_place *place = &table->sets[set];
  return place->n == n && (n == 0 || memcmp(table->ranges + place->first, ranges, n * sizeof *ranges) == 0);
}

/* The slot of a list: its own, or the free one where it belongs. */
static uint32_t *find(const rt_ranges *table, const rt_range *ranges, size_t n) {
  size_t i = hash_of(ranges, n) & (table->n_slots - 1);
  while (table->slots[i] != 0 && !same(table, table->slots[i] - 1, ranges, n)) i = (i + 1) & (table->n_slots - 1);
  return &table->slots[i];
}

/* Half of the slots are free at least. */
static bool make_room(rt_ranges *table, rt_error *err) {
  if ((table->n_sets + 1) * 2 <= table->n_slots) return true;
  size_t n = table->n_slots ? table->n_slots * 2 : 64;
  uint32_t *slots = rt_alloc(n, sizeof *slots, err);
  if (!slots) return false;
  rt_free(table->slots);
  table->slots = slots;
  table->n_slots = n;
  for (uint32_t set = 0; set < table->n_sets; set++)
    *find(table, table->ranges + table->sets[set].first, table->sets[set].n) = set + 1;
  return true;
}

static rt_status intern(uint32_t *out, rt_ranges *table, const rt_range *ranges, size_t n, rt_error *err) {
  if (!make_room(table, err)) return RT_NO_MEMORY;
  uint32_t *slot = find(table, ranges, n);
  if (*slot == 0) {
    if (table->n_sets == UINT32_MAX - 1)
      return rt_fail(err, RT_NO_MEMORY, "too many different sets of samples: merge fewer parts at once");
    if (!rt_grow((void **)&table->sets, &table->set_capacity, table->n_sets + 1, sizeof *table->sets, err) ||
        !rt_grow((void **)&table->ranges, &table->range_capacity, table->n_ranges + n, sizeof *table->ranges, err))
      return RT_NO_MEMORY;
    if (n) memcpy(table->ranges + table->n_ranges, ranges, n * sizeof *ranges);
    table->sets[table->n_sets] = (set_place){table->n_ranges, n};
    table->n_ranges += n;
    *slot = (uint32_t)++table->n_sets;
  }
  *out = *slot - 1;
  return RT_OK;
}

rt_status rt_ranges_new(rt_ranges **out, rt_error *err) {
  rt_ranges *table = rt_alloc(1, sizeof *table, err);
  if (!table) return RT_NO_MEMORY;
  pthread_mutex_init(&table->lock, NULL);
  uint32_t empty;
  rt_status status = intern(&empty, table, NULL, 0, err);
  if (status == RT_OK)
    *out = table;
  else
    rt_ranges_free(table);
  return status;
}

void rt_ranges_free(rt_ranges *table) {
  if (!table) return;
  pthread_mutex_destroy(&table->lock);
  rt_free(table->ranges);
  rt_free(table->sets);
  rt_free(table->slots);
  rt_free(table->scratch);
  rt_free(table);
}

/* Appends a range that begins no earlier than the last one of the n in scratch; returns how many there are then. */
static size_t append(rt_range *scratch, size_t n, rt_range range) {
  if (n > 0 && range.begin <= scratch[n - 1].end) {
    if (range.end > scratch[n - 1].end) scratch[n - 1].end = range.end;
    return n;
  }
  scratch[n] = range;
  return n + 1;
}

rt_status rt_ranges_intern(uint32_t *out, rt_ranges *table, const rt_range *ranges, size_t n, rt_error *err) {
  rt_status status = RT_NO_MEMORY;
  pthread_mutex_lock(&table->lock);
  if (rt_grow((void **)&table->scratch, &table->scratch_capacity, n + 1, sizeof *table->scratch, err)) {
    size_t joined = 0;
    for (size_t i = 0; i < n; i++) joined = append(table->scratch, joined, ranges[i]);
    status = intern(out, table, table->scratch, joined, err);
  }
  pthread_mutex_unlock(&table->lock);
  return status;
}

static rt_status add(uint32_t *out, rt_ranges *table, uint32_t set, rt_range range, rt_error *err) {
  set_place place = table->sets[set];
  if (!rt_grow((void **)&table->scratch, &table->scratch_capacity, place.n + 1, sizeof *table->scratch, err))
    return RT_NO_MEMORY;
  const rt_range *old = table->ranges + place.first;
  size_t n = 0, i = 0;
  for (; i < place.n && old[i].begin <= range.begin; i++) n = append(table->scratch, n, old[i]);
  n = append(table->scratch, n, range);
  for (; i < place.n; i++) n = append(table->scratch, n, old[i]);
  return intern(out, table, table->scratch, n, err);
}

rt_status rt_ranges_add(uint32_t *out, rt_ranges *table, uint32_t set, rt_range range, rt_error *err) {
  rt_status status = RT_OK;
  pthread_mutex_lock(&table->lock);
  if (table->last.range.end != 0 && table->last.set == set && table->last.range.begin == range.begin &&
      table->last.range.end == range.end) {
    *out = table->last.result;
  } else {
    status = add(out, table, set, range, err);
    if (status == RT_OK) {
      table->last.set = set;
      table->last.range = range;
      table->last.result = *out;
    }
  }
  pthread_mutex_unlock(&table->lock);
  return status;
}

size_t rt_ranges_size(rt_ranges *table, uint32_t set) {
  pthread_mutex_lock(&table->lock);
  size_t n = table->sets[set].n;
  pthread_mutex_unlock(&table->lock);
  return n;
}

void rt_ranges_get(rt_ranges *table, uint32_t set, rt_range *out) {
  pthread_mutex_lock(&table->lock);
  const set_place *place = &table->sets[set];
  if (place->n) memcpy(out, table->ranges + place->first, place->n * sizeof *out);
  pthread_mutex_unlock(&table->lock);
}

uint32_t rt_ranges_count(rt_ranges *table, uint32_t set, rt_range range) {
  uint32_t count = 0;
  pthread_mutex_lock(&table->lock);
  const set_place *place = &table->sets[set];
  for (size_t i = 0; i < place->n; i++) {
    rt_range r = table->ranges[place->first + i];
    uint32_t begin = r.begin > range.begin ? r.begin : range.begin, end = r.end < range.end ? r.end : range.end;
    if (begin < end) count += end - begin;
  }
  pthread_mutex_unlock(&table->lock);
  return count;
}
