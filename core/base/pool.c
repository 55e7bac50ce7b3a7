/* The thread pool, and threads of our own.
 *
 * One loop runs at a time. It is published under the mutex with a new number; every worker wakes, takes items from an
 * atomic counter until none is left, and reports back; the caller takes items too and returns when all workers have
 * reported. So the mutex orders everything before the loop, in it and behind it, and the counter may be relaxed.
 * Which thread runs which item is open: bodies write only what belongs to their item or their worker. */
#include "base/pool.h"

#include <fenv.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

typedef struct {
  rt_pool *pool;
  int index;
  pthread_t thread;
} worker;

struct rt_pool {
  int threads;          /* with the caller */
  int started;          /* workers that have a thread */
  worker *workers;      /* threads - 1 */
  pthread_mutex_t turn; /* held by the thread that loops */
  pthread_mutex_t mutex;
  pthread_cond_t work, idle;
  /* Under `mutex`. */
  uint64_t loop; /* number of the current or latest loop */
  int busy;      /* workers that have not reported yet */
  bool quit;
  /* The loop; written before it is published. */
  size_t n;
  void (*body)(void *, size_t, int);
  void *context;
  atomic_size_t next;
};

/* The loop that the current thread is in: NULL outside. */
static _Thread_local const rt_pool *current_pool;
static _Thread_local bool looping;
static _Thread_local int current_worker;

/* ---- Floating point ---------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(fenv_t) <= sizeof(rt_float_mode), "fenv_t must fit");

/* FE_DFL_ENV is what a program starts with: to nearest, subnormals kept, no traps. */
void rt_float_mode_set(rt_float_mode *saved) {
  fenv_t environment;
  fegetenv(&environment);
  memcpy(saved->opaque, &environment, sizeof environment);
  fesetenv(FE_DFL_ENV);
}

void rt_float_mode_restore(const rt_float_mode *saved) {
  fenv_t environment;
  memcpy(&environment, saved->opaque, sizeof environment);
  fesetenv(&environment);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

rt_status rt_thread_start(pthread_t *out, void *(*body)(void *), void *context, rt_error *err) {
  /* A thread inherits the mask: no signal slips in between. A fault's own signals stay, for whoever reports it. */
  static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  sigset_t all, before;
  sigfillset(&all);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(out, NULL, body, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed)
    return rt_fail(err, RT_NO_MEMORY, "cannot start a thread: %s: use fewer threads or raise the limit (ulimit -u)",
                   strerror(failed));
  return RT_OK;
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

static void take_items(rt_pool *pool, int index) {
  current_pool = pool;
  current_worker = index;
  looping = true;
  size_t i;
  while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->n)
    pool->body(pool->context, i, index);
  looping = false;
}

static void *work(void *context) {
  worker *self = context;
  rt_pool *pool = self->pool;
  rt_float_mode saved;
  rt_float_mode_set(&saved);
  uint64_t seen = 0;
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    while (!pool->quit && pool->loop == seen) pthread_cond_wait(&pool->work, &pool->mutex);
    if (pool->quit) break;
    seen = pool->loop;
    pthread_mutex_unlock(&pool->mutex);
    take_items(pool, self->index);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->busy == 0) pthread_cond_signal(&pool->idle);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

rt_status rt_pool_new(rt_pool **out, int threads, rt_error *err) {
  if (threads < 1) return rt_fail(err, RT_BAD_USAGE, "%d threads: use at least 1", threads);
  rt_pool *pool = rt_alloc(1, sizeof *pool, err);
  worker *workers = pool ? rt_alloc((size_t)threads - 1, sizeof *workers, err) : NULL;
  if (!workers) {
    rt_free(pool);
    return RT_NO_MEMORY;
  }
  pool->threads = threads;
  pool->workers = workers;
  pthread_mutex_init(&pool->turn, NULL);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->idle, NULL);
  for (; pool->started < threads - 1; pool->started++) {
    worker *w = &workers[pool->started];
    *w = (worker){.pool = pool, .index = pool->started + 1};
    rt_status status = rt_thread_start(&w->thread, work, w, err);
    if (status != RT_OK) {
      rt_pool_free(pool);
      return status;
    }
  }
  *out = pool;
  return RT_OK;
}

void rt_pool_free(rt_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  pool->quit = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->idle);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  pthread_mutex_destroy(&pool->turn);
  rt_free(pool->workers);
  rt_free(pool);
}

void rt_pool_for(rt_pool *pool, size_t n, void (*body)(void *context, size_t i, int worker), void *context) {
  if (looping || !pool || pool->threads == 1 || n <= 1) {
    /* A nested loop keeps its thread's number, so that scratch by worker stays its own. A loop of one item does not
     * count as one: what its body calls may run on all threads. */
    int index = looping && pool == current_pool ? current_worker : 0;
    rt_float_mode saved;
    rt_float_mode_set(&saved);
    for (size_t i = 0; i < n; i++) body(context, i, index);
    rt_float_mode_restore(&saved);
    return;
  }
  pthread_mutex_lock(&pool->turn);
  rt_float_mode saved;
  rt_float_mode_set(&saved);
  pthread_mutex_lock(&pool->mutex);
  pool->n = n;
  pool->body = body;
  pool->context = context;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  pool->busy = pool->started;
  pool->loop++;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);

  take_items(pool, 0);

  pthread_mutex_lock(&pool->mutex);
  while (pool->busy > 0) pthread_cond_wait(&pool->idle, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
  rt_float_mode_restore(&saved);
  pthread_mutex_unlock(&pool->turn);
}
