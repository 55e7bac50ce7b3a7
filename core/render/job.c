/* A render job: threads take work items (a pass of samples over a tile) from an atomic counter and merge what they
 * made into the film.
 *
 * The picture does not depend on who does what when, since the film's sums do not depend on order. Invariant: a
 * tile's pixels all hold the samples of the same items; an item that is interrupted leaves nothing. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pool.h"
#include "render/film.h"
#include "render/integrator.h"

#define TILE 16 /* pixels: an item of 16 samples is some milliseconds of work */
/* Samples a pixel of an item, once the picture has its first few: enough to make the counter and the merge cost
 * nothing, few enough to stop soon. */
#define ITEM_SAMPLES 16
#define LOCKS 64 /* tiles share locks by number: two threads rarely meet */
#define MAX_THREADS 1024

/* Over pixels of items of two samples or more: the sums of their samples' variance and mean of luminance, and how
 * many there were. */
typedef struct {
  double variance, luminance;
  uint64_t pixels;
} noise;

struct rt_job {
  rt_scene *scene;
  rt_render_settings settings;
  rt_integrator integrator;
  int width, height, tiles_x, tiles_y;
  rt_film_pixel *film; /* of the crop */
  uint64_t items;
  pthread_mutex_t locks[LOCKS];
  atomic_uint_fast64_t next_item, samples, rays, not_finite, overflow;
  atomic_bool stop;

  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t ended;
  int running; /* threads */
  noise noise; /* of all items so far */
  struct timespec start;
  double seconds; /* of the whole job, once it ended */

  pthread_t *threads;
  int n_threads;
};

/* Samples of pass i: 1, 1, 2, 4, 8, then ITEM_SAMPLES each, so that a picture is there soon. */
static void pass_range(const rt_render_settings *s, uint64_t pass, uint32_t *begin, uint32_t *end) {
  uint64_t from = pass == 0 ? 0 : pass <= 5 ? UINT64_C(1) << (pass - 1) : (pass - 4) * ITEM_SAMPLES;
  uint64_t to = pass <= 4 ? UINT64_C(1) << pass : (pass - 3) * ITEM_SAMPLES;
  uint64_t total = s->sample_end - s->sample_begin;
  *begin = s->sample_begin + (uint32_t)(from < total ? from : total);
  *end = s->sample_begin + (uint32_t)(to < total ? to : total);
}

static uint64_t pass_count(const rt_render_settings *s) {
  uint64_t total = s->sample_end - s->sample_begin, passes = 0;
  for (; passes < 5 && (UINT64_C(1) << passes) < total; passes++) {
  }
  return total <= ITEM_SAMPLES ? passes + 1 : 4 + (total + ITEM_SAMPLES - 1) / ITEM_SAMPLES;
}

static double seconds_since(const struct timespec *start) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)(t.tv_sec - start->tv_sec) + 1e-9 * (double)(t.tv_nsec - start->tv_nsec);
}

/* For the progress line alone, never for the picture: the spread of one pixel's samples within an item. */
static void measure_noise(noise *n, double sum, double squares, uint32_t count) {
  if (count < 2) return;
  double mean = sum / count, variance = (squares - sum * mean) / (count - 1);
  n->variance += variance > 0.0 ? variance : 0.0;
  n->luminance += mean;
  n->pixels++;
}

typedef struct {
  rt_film_pixel pixels[TILE * TILE];
  uint64_t rays, not_finite, overflow;
  noise noise;
} item_result;

/* False when the job was stopped on the way. */
static bool render_item(rt_job *job, int x0, int y0, int x1, int y1, uint32_t begin, uint32_t end,
                        item_result *result) {
  memset(result, 0, sizeof *result);
  rt_film_pixel *pixel = result->pixels;
  for (int y = y0; y < y1; y++) {
    for (int x = x0; x < x1; x++, pixel++) {
      if (atomic_load_explicit(&job->stop, memory_order_relaxed)) return false;
      double sum = 0.0, squares = 0.0;
      for (uint32_t s = begin; s < end; s++) {
        rt_path_sample sample = rt_integrator_sample(&job->integrator, x, y, s);
        rt_sample_fate fate = rt_film_add(pixel, sample.radiance, sample.covered);
        result->rays += sample.rays;
        result->not_finite += fate == RT_SAMPLE_NOT_FINITE;
        result->overflow += fate == RT_SAMPLE_OVERFLOW;
        if (fate != RT_SAMPLE_KEPT) continue;
        double luminance = (double)rgb_luminance(sample.radiance);
        sum += luminance;
        squares += luminance * luminance;
      }
      measure_noise(&result->noise, sum, squares, end - begin);
    }
  }
  return true;
}

static void merge_item(rt_job *job, int tile, int x0, int y0, int x1, int y1, const item_result *result) {
  pthread_mutex_t *lock = &job->locks[tile % LOCKS];
  const rt_film_pixel *from = result->pixels;
  pthread_mutex_lock(lock);
  for (int y = y0; y < y1; y++) {
    rt_film_pixel *row = job->film + (size_t)(y - job->settings.crop[1]) * (size_t)job->width - job->settings.crop[0];
    for (int x = x0; x < x1; x++) rt_film_merge(&row[x], from++);
  }
  pthread_mutex_unlock(lock);
  atomic_fetch_add(&job->rays, result->rays);
  atomic_fetch_add(&job->not_finite, result->not_finite);
  atomic_fetch_add(&job->overflow, result->overflow);
  pthread_mutex_lock(&job->lock);
  job->noise.variance += result->noise.variance;
  job->noise.luminance += result->noise.luminance;
  job->noise.pixels += result->noise.pixels;
  pthread_mutex_unlock(&job->lock);
}

static int min_int(int a, int b) { return a < b ? a : b; }

static void *work(void *context) {
  rt_job *job = context;
  const int *crop = job->settings.crop;
  uint64_t tiles = (uint64_t)job->tiles_x * (uint64_t)job->tiles_y;
  rt_float_mode saved;
  rt_float_mode_set(&saved);
  item_result result;
  for (;;) {
    uint64_t item = atomic_fetch_add(&job->next_item, 1);
    if (item >= job->items || atomic_load(&job->stop)) break;
    int tile = (int)(item % tiles), tx = tile % job->tiles_x, ty = tile / job->tiles_x;
    int x0 = crop[0] + tx * TILE, y0 = crop[1] + ty * TILE, x1 = min_int(x0 + TILE, crop[2]),
        y1 = min_int(y0 + TILE, crop[3]);
    uint32_t begin, end;
    pass_range(&job->settings, item / tiles, &begin, &end);
    if (!render_item(job, x0, y0, x1, y1, begin, end, &result)) break;
    merge_item(job, tile, x0, y0, x1, y1, &result);
    atomic_fetch_add(&job->samples, (uint64_t)(x1 - x0) * (uint64_t)(y1 - y0) * (end - begin));
  }
  rt_float_mode_restore(&saved);
  pthread_mutex_lock(&job->lock);
  if (--job->running == 0) {
    job->seconds = seconds_since(&job->start);
    pthread_cond_broadcast(&job->ended);
  }
  pthread_mutex_unlock(&job->lock);
  return NULL;
}

static rt_status check_settings(const rt_render_settings *s, rt_error *err) {
  if (s->width < 1 || s->width > RT_MAX_SIDE || s->height < 1 || s->height > RT_MAX_SIDE) {
    return rt_fail(err, RT_BAD_USAGE, "size is %dx%d: sides are 1 to %d", s->width, s->height, RT_MAX_SIDE);
  }
  const int *c = s->crop;
  if (c[0] < 0 || c[1] < 0 || c[2] > s->width || c[3] > s->height || c[0] >= c[2] || c[1] >= c[3]) {
    return rt_fail(err, RT_BAD_USAGE, "crop is %d,%d,%d,%d: it must be a part of %dx%d, not empty", c[0], c[1], c[2],
                   c[3], s->width, s->height);
  }
  if (s->sample_begin >= s->sample_end || s->sample_end > RT_MAX_SPP) {
    return rt_fail(err, RT_BAD_USAGE, "samples are %u to %u: at least one, at most %u", s->sample_begin, s->sample_end,
                   RT_MAX_SPP);
  }
  if (s->threads < 1 || s->threads > MAX_THREADS) {
    return rt_fail(err, RT_BAD_USAGE, "threads is %d: 1 to %d", s->threads, MAX_THREADS);
  }
  if (!(s->clamp_indirect >= 0.0f)) return rt_fail(err, RT_BAD_USAGE, "clamp_indirect must not be negative");
  return RT_OK;
}

static rt_status start_threads(rt_job *job, rt_error *err) {
  for (int i = 0; i < job->settings.threads; i++) {
    pthread_mutex_lock(&job->lock);
    job->running++;
    pthread_mutex_unlock(&job->lock);
    rt_status status = rt_thread_start(&job->threads[i], work, job, err);
    if (status != RT_OK) {
      pthread_mutex_lock(&job->lock);
      job->running--;
      pthread_mutex_unlock(&job->lock);
      return status;
    }
    job->n_threads++;
  }
  return RT_OK;
}

rt_status rt_job_start(rt_job **out, rt_scene *scene, const rt_render_settings *settings, rt_error *err) {
  *out = NULL;
  rt_status status = check_settings(settings, err);
  if (status != RT_OK) return status;
  if (!scene->committed) return rt_fail(err, RT_BAD_USAGE, "the scene must be committed before it is rendered");
  rt_job *job = rt_alloc(1, sizeof *job, err);
  if (job == NULL) return RT_NO_MEMORY;
  job->scene = rt_scene_ref(scene);
  job->settings = *settings;
  job->integrator.scene = scene;
  job->integrator.settings = &job->settings;
  rt_filter_prepare(&job->integrator.filter, settings->filter);
  job->width = settings->crop[2] - settings->crop[0];
  job->height = settings->crop[3] - settings->crop[1];
  job->tiles_x = (job->width + TILE - 1) / TILE;
  job->tiles_y = (job->height + TILE - 1) / TILE;
  job->items = pass_count(settings) * (uint64_t)job->tiles_x * (uint64_t)job->tiles_y;
  for (int i = 0; i < LOCKS; i++) pthread_mutex_init(&job->locks[i], NULL);
  pthread_mutex_init(&job->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&job->ended, &monotonic);
  pthread_condattr_destroy(&monotonic);
  clock_gettime(CLOCK_MONOTONIC, &job->start);
  job->film = rt_alloc((size_t)job->width * (size_t)job->height, sizeof *job->film, err);
  job->threads = rt_alloc((size_t)settings->threads, sizeof *job->threads, err);
  status = job->film == NULL || job->threads == NULL ? RT_NO_MEMORY : start_threads(job, err);
  if (status != RT_OK) {
    rt_job_free(job);
    return status;
  }
  *out = job;
  return RT_OK;
}

bool rt_job_wait(rt_job *job, double seconds) {
  double wanted = seconds > 0.0 ? seconds < 1e9 ? seconds : 1e9 : 0.0;
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  time_t whole = (time_t)wanted;
  until.tv_sec += whole;
  until.tv_nsec += (long)((wanted - (double)whole) * 1e9);
  if (until.tv_nsec >= 1000000000L) {
    until.tv_nsec -= 1000000000L;
    until.tv_sec++;
  }
  pthread_mutex_lock(&job->lock);
  while (job->running > 0 && pthread_cond_timedwait(&job->ended, &job->lock, &until) == 0) {
  }
  bool done = job->running == 0;
  pthread_mutex_unlock(&job->lock);
  return done;
}

void rt_job_progress(rt_job *job, rt_progress *out) {
  uint64_t pixels = (uint64_t)job->width * (uint64_t)job->height;
  *out = (rt_progress){.samples = atomic_load(&job->samples),
                       .total = pixels * (job->settings.sample_end - job->settings.sample_begin),
                       .rays = atomic_load(&job->rays),
                       .not_finite = atomic_load(&job->not_finite),
                       .overflow = atomic_load(&job->overflow),
                       .noise = -1.0};
  pthread_mutex_lock(&job->lock);
  out->done = job->running == 0;
  out->seconds = out->done ? job->seconds : seconds_since(&job->start);
  if (job->noise.luminance > 0.0) {
    double spp = (double)out->samples / (double)pixels, measured = (double)job->noise.pixels;
    out->noise = sqrt(job->noise.variance / measured / spp) / (job->noise.luminance / measured);
  }
  pthread_mutex_unlock(&job->lock);
}

void rt_job_stop(rt_job *job) { atomic_store(&job->stop, true); }

rt_status rt_job_image(rt_job *job, rt_image **out, rt_error *err) {
  int channels = job->settings.transparent ? 4 : 3;
  rt_status status = rt_image_new(out, job->width, job->height, channels, err);
  if (status != RT_OK) return status;
  float *to = rt_image_pixels(*out);
  for (int tile = 0; tile < job->tiles_x * job->tiles_y; tile++) {
    int x0 = tile % job->tiles_x * TILE, y0 = tile / job->tiles_x * TILE;
    int x1 = min_int(x0 + TILE, job->width), y1 = min_int(y0 + TILE, job->height);
    pthread_mutex_lock(&job->locks[tile % LOCKS]);
    for (int y = y0; y < y1; y++) {
      for (int x = x0; x < x1; x++) {
        size_t i = (size_t)y * (size_t)job->width + (size_t)x;
        rt_film_read(&job->film[i], channels, to + i * (size_t)channels);
      }
    }
    pthread_mutex_unlock(&job->locks[tile % LOCKS]);
  }
  return RT_OK;
}

void rt_job_free(rt_job *job) {
  if (job == NULL) return;
  rt_job_stop(job);
  for (int i = 0; i < job->n_threads; i++) pthread_join(job->threads[i], NULL);
  for (int i = 0; i < LOCKS; i++) pthread_mutex_destroy(&job->locks[i]);
  pthread_mutex_destroy(&job->lock);
  pthread_cond_destroy(&job->ended);
  rt_scene_free(job->scene);
  rt_free(job->film);
  rt_free(job->threads);
  rt_free(job);
}
