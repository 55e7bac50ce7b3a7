/* Allocation with checked sizes, growing arrays, and the arena: memory of one life. */
#ifndef RT_BASE_MEMORY_H
#define RT_BASE_MEMORY_H

#include <stddef.h>

#include "rt.h"

/* n * size bytes, zeroed, aligned to 64; NULL and *err when the product overflows or memory is refused. n may be 0. */
void *rt_alloc(size_t n, size_t size, rt_error *err);
void rt_free(void *p);
/* Makes room for `n` elements in *array of capacity *capacity (grows by half at least); false and *err when it
 * cannot. The array is one that began as NULL with capacity 0, and is released by rt_free. */
bool rt_grow(void **array, size_t *capacity, size_t n, size_t size, rt_error *err);
char *rt_strdup(const char *s, rt_error *err); /* NULL for NULL, without an error */

#endif
