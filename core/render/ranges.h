/* Sets of sample indices, each kept once: a pixel holds a set's number, and most pixels share a few sets.
 *
 * A set is a sorted list of ranges with gaps between them; number 0 is the empty one. Sets never change or go; all
 * calls may come from any thread. */
#ifndef RT_RENDER_RANGES_H
#define RT_RENDER_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "rt.h"

typedef struct {
  uint32_t begin, end; /* half open */
} rt_range;

typedef struct rt_ranges rt_ranges;
rt_status rt_ranges_new(rt_ranges **out, rt_error *err);
void rt_ranges_free(rt_ranges *table); /* NULL is fine */

/* The number of the set of these ranges, which are sorted and not empty; ranges that touch are joined. */
rt_status rt_ranges_intern(uint32_t *out, rt_ranges *table, const rt_range *ranges, size_t n, rt_error *err);
/* The union of a set with a range. */
rt_status rt_ranges_add(uint32_t *out, rt_ranges *table, uint32_t set, rt_range range, rt_error *err);
size_t rt_ranges_size(rt_ranges *table, uint32_t set); /* how many ranges it has */
void rt_ranges_get(rt_ranges *table, uint32_t set, rt_range *out);
/* How many indices of the range are in the set. */
uint32_t rt_ranges_count(rt_ranges *table, uint32_t set, rt_range range);

#endif
