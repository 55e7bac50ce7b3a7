/* A render job: threads take work items (a pass of samples over a tile) from an atomic counter and merge what they
 * made into the film. With a noise to stop at (adaptive.h), a pixel takes part in the samples from n to 2 n, n a power
 * of two, when it was not clean with the n before: an item waits until these are merged.
 *
 * The picture does not depend on who does what when, since the film's sums do not depend on order. Invariant: an item
 * takes those of its samples that the film did not have when the job began, and is merged whole, with the note which
 * samples they were; one that is interrupted leaves nothing. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pool.h"
#include "render/adaptive.h"
#include "render/film.h"
#include "render/integrator.h"

#define TILE RT_FILM_TILE /* an item of 16 samples is some milliseconds of work */
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
  rt_film *film;
  bool resumed; /* the film may have had samples when the job began */
  uint64_t had; /* so many of the job's */
  uint64_t items;
  pthread_mutex_t locks[LOCKS];
  atomic_uint_fast64_t next_item, samples, spared, rays, not_finite, overflow;
  atomic_bool stop;

  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t ended, merged;
  int running;           /* threads */
  uint32_t *passes_done; /* of each tile; NULL without a noise */
  noise noise;           /* of all items so far */
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

/* One pass over one tile. A pass has at most ITEM_SAMPLES samples: those to take are bits, from `begin` on. */
typedef struct {
  int tile;
  rt_film_rect rect; /* in the crop */
  uint32_t begin, end;
  uint16_t wanted[TILE * TILE];
  rt_film_cells cells; /* TILE * TILE of them, as the film's are */
  uint64_t samples, spared, rays, not_finite, overflow;
  noise noise;
} item;
_Static_assert(ITEM_SAMPLES <= 16, "wanted has 16 bits");

/* Waits until all samples before the item's round are merged; false when the job was stopped. */
static bool wait_for_round(rt_job *job, const item *item) {
  uint32_t round = RT_ADAPTIVE_START;
  while (2 * round <= item->begin) round *= 2;
  uint32_t passes = 4 + round / ITEM_SAMPLES; /* of pass_range, up to there */
  pthread_mutex_lock(&job->lock);
  while (job->passes_done[item->tile] < passes && !atomic_load(&job->stop)) pthread_cond_wait(&job->merged, &job->lock);
  pthread_mutex_unlock(&job->lock);
  return !atomic_load(&job->stop);
}
_Static_assert(RT_ADAPTIVE_START == ITEM_SAMPLES, "passes before the first look are those of pass_range");

/* Which samples the item has to take: all, but what the film had already, and those of pixels that are clean. */
static bool find_wanted(rt_job *job, item *item) {
  uint16_t all = (uint16_t)((1u << (item->end - item->begin)) - 1u), *wanted = item->wanted;
  bool looks = job->settings.noise > 0.0f && item->begin >= RT_ADAPTIVE_START;
  item->spared = 0;
  if (!job->resumed && !looks) {
    for (int i = 0; i < TILE * TILE; i++) wanted[i] = all;
    return true;
  }
  if (looks && !wait_for_round(job, item)) return false;
  pthread_mutex_t *lock = &job->locks[item->tile % LOCKS];
  uint32_t set = 0;
  uint16_t bits = all;
  pthread_mutex_lock(lock);
  for (int y = item->rect.y0; y < item->rect.y1; y++) {
    for (int x = item->rect.x0; x < item->rect.x1; x++) {
      size_t i = rt_film_index(job->film, x, y);
      uint32_t taken = job->film->cells.pixels[i].taken;
      if (taken != set) {
        set = taken;
        bits = 0;
        for (uint32_t s = item->begin; s < item->end; s++)
          if (rt_ranges_count(job->film->sets, set, (rt_range){s, s + 1}) == 0)
            bits |= (uint16_t)(1u << (s - item->begin));
      }
      bool clean = looks && rt_film_may_stop(job->film, i);
      *wanted++ = clean ? 0 : bits;
      if (clean) item->spared += item->end - item->begin;
    }
  }
  pthread_mutex_unlock(lock);
  return true;
}

/* Of one pixel's samples within an item, for measure_noise. */
typedef struct {
  double sum, squares;
  uint32_t kept;
} luminances;

/* Samples that wait to be made together. */
typedef struct {
  size_t n;
  rt_path_start starts[RT_BATCH];
  uint8_t pixels[RT_BATCH]; /* of the item */
} waiting;
_Static_assert(TILE *TILE <= 256, "pixels has 8 bits");

static void make_samples(rt_job *job, item *item, waiting *w, luminances *of) {
  rt_path_sample made[RT_BATCH];
  rt_features features[RT_BATCH];
  bool kept = item->cells.aovs != 0;
  rt_integrator_samples(&job->integrator, w->starts, w->n, made, kept ? features : NULL);
  for (size_t i = 0; i < w->n; i++) {
    rt_film_sample sample = {w->starts[i].sample, made[i].radiance, made[i].covered, kept ? &features[i] : NULL};
    rt_sample_fate fate = rt_film_cells_add(&item->cells, w->pixels[i], &sample);
    item->rays += made[i].rays;
    item->not_finite += fate == RT_SAMPLE_NOT_FINITE;
    item->overflow += fate == RT_SAMPLE_OVERFLOW;
    if (fate != RT_SAMPLE_KEPT) continue;
    double luminance = (double)rgb_luminance(sample.radiance);
    luminances *l = &of[w->pixels[i]];
    l->sum += luminance;
    l->squares += luminance * luminance;
    l->kept++;
  }
  item->samples += w->n;
  w->n = 0;
}

/* False when the job was stopped on the way. */
static bool render_item(rt_job *job, item *item) {
  const int *crop = job->settings.crop;
  const uint16_t *wanted = item->wanted;
  luminances of[TILE * TILE] = {0};
  waiting w = {.n = 0};
  size_t i = 0;
  rt_film_cells_clear(&item->cells);
  item->samples = item->rays = item->not_finite = item->overflow = 0;
  item->noise = (noise){0};
  for (int y = item->rect.y0; y < item->rect.y1; y++) {
    for (int x = item->rect.x0; x < item->rect.x1; x++, i++, wanted++) {
      for (uint32_t s = item->begin; s < item->end; s++) {
        if (!(*wanted >> (s - item->begin) & 1u)) continue;
        w.starts[w.n] = (rt_path_start){x + crop[0], y + crop[1], s};
        w.pixels[w.n++] = (uint8_t)i;
        if (w.n < RT_BATCH) continue;
        if (atomic_load_explicit(&job->stop, memory_order_relaxed)) return false;
        make_samples(job, item, &w, of);
      }
    }
  }
  if (w.n > 0) make_samples(job, item, &w, of);
  for (size_t j = 0; j < i; j++) measure_noise(&item->noise, of[j].sum, of[j].squares, of[j].kept);
  return true;
}

/* Notes the samples of `wanted` in the pixel: all or none. */
static rt_status note_taken(rt_film *film, rt_film_pixel *pixel, uint32_t begin, uint16_t wanted, rt_error *err) {
  rt_status status = RT_OK;
  uint32_t taken = pixel->taken;
  for (uint32_t i = 0, end; i < ITEM_SAMPLES && status == RT_OK; i = end + 1) {
    for (; i < ITEM_SAMPLES && !(wanted >> i & 1u); i++) {
    }
    for (end = i; end < ITEM_SAMPLES && (wanted >> end & 1u); end++) {
    }
    if (i < end) status = rt_ranges_add(&taken, film->sets, taken, (rt_range){begin + i, begin + end}, err);
  }
  if (status == RT_OK) pixel->taken = taken;
  return status;
}

/* RT_NO_MEMORY: some pixels' samples could not be noted, and were not added. */
static rt_status merge_item(rt_job *job, const item *item, rt_error *err) {
  pthread_mutex_t *lock = &job->locks[item->tile % LOCKS];
  const uint16_t *wanted = item->wanted;
  rt_status status = RT_OK;
  size_t i = 0;
  pthread_mutex_lock(lock);
  for (int y = item->rect.y0; y < item->rect.y1; y++) {
    for (int x = item->rect.x0; x < item->rect.x1 && status == RT_OK; x++, i++, wanted++) {
      status = note_taken(job->film, rt_film_at(job->film, x, y), item->begin, *wanted, err);
      if (status == RT_OK) rt_film_cells_join(&job->film->cells, rt_film_index(job->film, x, y), &item->cells, i);
    }
  }
  pthread_mutex_unlock(lock);
  atomic_fetch_add(&job->samples, item->samples);
  atomic_fetch_add(&job->spared, item->spared);
  atomic_fetch_add(&job->rays, item->rays);
  atomic_fetch_add(&job->not_finite, item->not_finite);
  atomic_fetch_add(&job->overflow, item->overflow);
  pthread_mutex_lock(&job->lock);
  job->noise.variance += item->noise.variance;
  job->noise.luminance += item->noise.luminance;
  job->noise.pixels += item->noise.pixels;
  if (job->passes_done) {
    job->passes_done[item->tile]++;
    pthread_cond_broadcast(&job->merged);
  }
  pthread_mutex_unlock(&job->lock);
  return status;
}

static void *work(void *context) {
  rt_job *job = context;
  uint64_t tiles = (uint64_t)rt_film_tiles(job->film);
  rt_float_mode saved;
  rt_float_mode_set(&saved);
  item item;
  rt_error problem;
  if (rt_film_cells_init(&item.cells, job->film->cells.aovs, TILE * TILE, &problem) != RT_OK) rt_job_stop(job);
  for (;;) {
    uint64_t number = atomic_fetch_add(&job->next_item, 1);
    if (number >= job->items || atomic_load(&job->stop)) break;
    item.tile = (int)(number % tiles);
    item.rect = rt_film_tile(job->film, item.tile);
    pass_range(&job->settings, number / tiles, &item.begin, &item.end);
    if (!find_wanted(job, &item) || !render_item(job, &item)) break;
    if (merge_item(job, &item, &problem) != RT_OK) {
      rt_job_stop(job);
      break;
    }
  }
  rt_film_cells_free(&item.cells);
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
  if (!(s->noise >= 0.0f)) return rt_fail(err, RT_BAD_USAGE, "noise must not be negative");
  if (s->noise > 0.0f && s->sample_begin != 0) {
    return rt_fail(err, RT_BAD_USAGE, "samples begin at %u: with a noise to stop at they begin at 0", s->sample_begin);
  }
  if (s->aovs >= RT_AOV_BIT(RT_AOVS)) return rt_fail(err, RT_BAD_USAGE, "there is no such AOV");
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

static void key_of(rt_film_key *key, const rt_scene *scene, const rt_render_settings *s) {
  *key = (rt_film_key){.version = RT_VERSION,
                       .width = s->width,
                       .height = s->height,
                       .seed = s->seed,
                       .max_depth = s->max_depth,
                       .filter = s->filter,
                       .clamp_indirect = s->clamp_indirect,
                       .transparent = s->transparent,
                       .aovs = s->aovs,
                       .noise = s->noise};
  rt_scene_hash(scene, key->scene);
  rt_camera_get_matrices(&scene->camera, s->width, s->height, &key->camera);
}

/* The film as it is when the job begins, and how many of the job's samples are in it. */
static rt_status begin_film(rt_job *job, const rt_film *before, rt_error *err) {
  rt_film_key key;
  const rt_render_settings *s = &job->settings;
  key_of(&key, job->scene, s);
  rt_status status = rt_film_new(&job->film, &key, s->crop, err);
  if (status != RT_OK || !before) return status;
  status = rt_film_check_key(before, &key, "the film to resume", err);
  if (status != RT_OK) return status;
  if (memcmp(before->crop, s->crop, sizeof s->crop) != 0)
    return rt_fail(err, RT_BAD_DATA, "the film to resume: is of another crop: resume with --crop %d,%d,%d,%d",
                   before->crop[0], before->crop[1], before->crop[2], before->crop[3]);
  job->resumed = true;
  return rt_film_copy(job->film, before, (rt_range){s->sample_begin, s->sample_end}, &job->had, err);
}

rt_status rt_job_start(rt_job **out, rt_scene *scene, const rt_render_settings *settings, const rt_film *before,
                       rt_error *err) {
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
  for (int i = 0; i < LOCKS; i++) pthread_mutex_init(&job->locks[i], NULL);
  pthread_mutex_init(&job->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&job->ended, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_cond_init(&job->merged, NULL);
  clock_gettime(CLOCK_MONOTONIC, &job->start);
  status = begin_film(job, before, err);
  if (status == RT_OK && settings->noise > 0.0f) {
    job->passes_done = rt_alloc((size_t)rt_film_tiles(job->film), sizeof *job->passes_done, err);
    if (!job->passes_done) status = RT_NO_MEMORY;
  }
  if (status == RT_OK) {
    job->items = pass_count(settings) * (uint64_t)rt_film_tiles(job->film);
    job->threads = rt_alloc((size_t)settings->threads, sizeof *job->threads, err);
    status = job->threads == NULL ? RT_NO_MEMORY : start_threads(job, err);
  }
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
  uint64_t pixels = (uint64_t)job->film->width * (uint64_t)job->film->height, made = atomic_load(&job->samples);
  *out = (rt_progress){.samples = made + job->had,
                       .made = made,
                       .total =
                           pixels * (job->settings.sample_end - job->settings.sample_begin) - atomic_load(&job->spared),
                       .rays = atomic_load(&job->rays),
                       .not_finite = atomic_load(&job->not_finite),
                       .overflow = atomic_load(&job->overflow),
                       .noise = -1.0,
                       .film_bytes = rt_film_cells_bytes(&job->film->cells)};
  pthread_mutex_lock(&job->lock);
  out->done = job->running == 0;
  out->seconds = out->done ? job->seconds : seconds_since(&job->start);
  if (job->noise.luminance > 0.0) {
    double spp = (double)out->samples / (double)pixels, measured = (double)job->noise.pixels;
    out->noise = sqrt(job->noise.variance / measured / spp) / (job->noise.luminance / measured);
  }
  pthread_mutex_unlock(&job->lock);
}

void rt_job_stop(rt_job *job) {
  atomic_store(&job->stop, true);
  pthread_mutex_lock(&job->lock);
  pthread_cond_broadcast(&job->merged);
  pthread_mutex_unlock(&job->lock);
}

static void hold_tile(void *context, int tile) { pthread_mutex_lock(&((rt_job *)context)->locks[tile % LOCKS]); }
static void release_tile(void *context, int tile) { pthread_mutex_unlock(&((rt_job *)context)->locks[tile % LOCKS]); }

rt_status rt_job_image(rt_job *job, rt_image **out, rt_error *err) {
  const rt_film_access access = {hold_tile, release_tile, job};
  return rt_film_to_image(job->film, &access, out, err);
}

rt_status rt_job_aov(rt_job *job, rt_aov aov, rt_image **out, rt_error *err) {
  const rt_film_access access = {hold_tile, release_tile, job};
  return rt_film_to_aov(job->film, &access, aov, out, err);
}

rt_status rt_job_save(rt_job *job, const char *path, rt_error *err) {
  const rt_film_access access = {hold_tile, release_tile, job};
  return rt_film_write(job->film, &access, path, err);
}

void rt_job_free(rt_job *job) {
  if (job == NULL) return;
  rt_job_stop(job);
  for (int i = 0; i < job->n_threads; i++) pthread_join(job->threads[i], NULL);
  for (int i = 0; i < LOCKS; i++) pthread_mutex_destroy(&job->locks[i]);
  pthread_mutex_destroy(&job->lock);
  pthread_cond_destroy(&job->ended);
  pthread_cond_destroy(&job->merged);
  rt_scene_free(job->scene);
  rt_film_free(job->film);
  rt_free(job->threads);
  rt_free(job->passes_done);
  rt_free(job);
}
