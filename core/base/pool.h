/* The thread pool: parallel loops whose result does not depend on the number of threads. */
#ifndef RT_BASE_POOL_H
#define RT_BASE_POOL_H

#include <stddef.h>

#include "rt.h"

typedef struct rt_pool rt_pool;

/* `threads` counts the caller: 1 starts none. All signals are blocked in the threads that it starts. */
rt_status rt_pool_new(rt_pool **out, int threads, rt_error *err);
void rt_pool_free(rt_pool *pool);
/* Calls body(context, i, worker) for each i in [0, n), from an atomic counter, on all threads and the caller; returns
 * when all are done. worker is in [0, threads). Nested calls run on the calling thread alone, unless the outer loop
 * has a single item. A NULL pool: the caller alone. */
void rt_pool_for(rt_pool *pool, size_t n, void (*body)(void *context, size_t i, int worker), void *context);

/* A thread of our own with all signals blocked. joined by pthread_join. */
#include <pthread.h>
rt_status rt_thread_start(pthread_t *out, void *(*body)(void *), void *context, rt_error *err);

/* Floating point as exactness wants it (round to nearest, subnormals kept) until the matching restore. */
typedef struct {
  unsigned char opaque[64];
} rt_float_mode;
void rt_float_mode_set(rt_float_mode *saved);
void rt_float_mode_restore(const rt_float_mode *saved);

#endif
