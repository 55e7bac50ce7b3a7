/* Part files: a film on the disk, whole, so that parts join to the bytes that one render would have given. The format
 * is described in docs/parts.md; its numbers are little-endian.
 *
 *   header    magic, format, the key, the crop
 *   tiles     in order: runs of pixels with the same set of samples; then each pixel's counts and sums
 *   SHA-256   of all before
 *
 * What is read is believed in nothing: every count is checked against what it counts before it is used, and a film is
 * handed out only when the checksum fits. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "render/film.h"

static const char MAGIC[8] = {'r', 't', 'l', 'p', 'a', 'r', 't', '\n'};
#define FORMAT 2u
#define MAX_RUN (RT_FILM_TILE * RT_FILM_TILE)

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct {
  FILE *stream;
  rt_sha256 sha;
} writer;

/* What fails is remembered by the stream, and reported when the file is committed. */
static void put(writer *w, const void *data, size_t n) {
  rt_sha256_add(&w->sha, data, n);
  fwrite(data, 1, n, w->stream);
}

static void put_u32(writer *w, uint32_t v) {
  uint8_t bytes[4];
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(v >> 8 * i);
  put(w, bytes, sizeof bytes);
}

static void put_matrix(writer *w, const float m[4][4]) {
  for (int i = 0; i < 16; i++) {
    uint32_t bits;
    memcpy(&bits, &m[i / 4][i % 4], sizeof bits);
    put_u32(w, bits);
  }
}

static void put_header(writer *w, const rt_film *film) {
  const rt_film_key *key = &film->key;
  uint32_t clamp, noise;
  memcpy(&clamp, &key->clamp_indirect, sizeof clamp);
  memcpy(&noise, &key->noise, sizeof noise);
  put(w, MAGIC, sizeof MAGIC);
  put_u32(w, FORMAT);
  put(w, key->version, sizeof key->version);
  put(w, key->scene, 64);
  const uint32_t fields[] = {(uint32_t)key->width,
                             (uint32_t)key->height,
                             key->seed,
                             key->max_depth,
                             (uint32_t)key->filter,
                             clamp,
                             key->transparent,
                             key->aovs,
                             noise};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) put_u32(w, fields[i]);
  for (int i = 0; i < 4; i++) put_u32(w, (uint32_t)film->crop[i]);
  put_matrix(w, key->camera.world_to_camera);
  put_matrix(w, key->camera.world_to_ndc);
}

/* Sums have zeros at both ends: how many are left out below, how many bytes follow, and these. */
static void put_sum(writer *w, rt_fixed sum) {
  uint8_t bytes[17];
  for (int i = 0; i < 8; i++) {
    bytes[1 + i] = (uint8_t)(sum.low >> 8 * i);
    bytes[9 + i] = (uint8_t)(sum.high >> 8 * i);
  }
  int end = 16, begin = 0;
  while (end > 0 && bytes[end] == 0) end--;
  while (begin < end && bytes[1 + begin] == 0) begin++;
  uint8_t *from = bytes + begin;
  from[0] = end > begin ? (uint8_t)(begin << 4 | (end - begin - 1)) : 0xff; /* 15 below and 16 more is no number */
  put(w, from, (size_t)(1 + end - begin));
}

static rt_status put_set(writer *w, const rt_film *film, uint32_t set, rt_error *err) {
  size_t n = rt_ranges_size(film->sets, set);
  rt_range *ranges = rt_alloc(n, sizeof *ranges, err);
  if (!ranges) return RT_NO_MEMORY;
  rt_ranges_get(film->sets, set, ranges);
  put_u32(w, (uint32_t)n);
  for (size_t i = 0; i < n; i++) {
    put_u32(w, ranges[i].begin);
    put_u32(w, ranges[i].end);
  }
  rt_free(ranges);
  return RT_OK;
}

/* The tile's cells, in the order of the file, which is that of reading. Returns how many. */
static size_t copy_tile(rt_film_cells *out, const rt_film *film, int tile) {
  rt_film_rect r = rt_film_tile(film, tile);
  size_t n = 0;
  for (int y = r.y0; y < r.y1; y++)
    for (int x = r.x0; x < r.x1; x++) rt_film_cells_copy(out, n++, &film->cells, rt_film_index(film, x, y));
  return n;
}

static void put_cell(writer *w, const rt_film_cells *cells, size_t i) {
  const rt_film_pixel *pixel = &cells->pixels[i];
  put_u32(w, pixel->samples);
  put_u32(w, pixel->covered);
  for (int c = 0; c < 3; c++) put_sum(w, pixel->sum[c]);
  for (int s = 0; s < cells->n_sums; s++) put_sum(w, cells->sums[i * (size_t)cells->n_sums + (size_t)s]);
  if (!cells->ids) return;
  put_u32(w, cells->ids[i].sample);
  put_u32(w, cells->ids[i].shape);
  put_u32(w, cells->ids[i].material);
}

static rt_status put_tile(writer *w, const rt_film *film, const rt_film_cells *cells, size_t n, rt_error *err) {
  const rt_film_pixel *pixels = cells->pixels;
  for (size_t i = 0, end; i < n; i = end) {
    for (end = i + 1; end < n && pixels[end].taken == pixels[i].taken; end++) {
    }
    put_u32(w, (uint32_t)(end - i));
    rt_status status = put_set(w, film, pixels[i].taken, err);
    if (status != RT_OK) return status;
  }
  for (size_t i = 0; i < n; i++)
    if (pixels[i].taken != 0) put_cell(w, cells, i);
  return RT_OK;
}

rt_status rt_film_write(const rt_film *film, const rt_film_access *access, const char *path, rt_error *err) {
  rt_film_cells cells;
  rt_status status = rt_film_cells_init(&cells, film->cells.aovs, MAX_RUN, err);
  if (status != RT_OK) return status;
  rt_file *file;
  status = rt_file_create(&file, path, err);
  if (status != RT_OK) {
    rt_film_cells_free(&cells);
    return status;
  }
  writer w = {.stream = rt_file_stream(file)};
  rt_sha256_init(&w.sha);
  put_header(&w, film);
  for (int tile = 0; tile < rt_film_tiles(film) && status == RT_OK; tile++) {
    if (access) access->hold(access->context, tile);
    size_t n = copy_tile(&cells, film, tile);
    if (access) access->release(access->context, tile);
    status = put_tile(&w, film, &cells, n, err);
  }
  rt_film_cells_free(&cells);
  if (status != RT_OK) {
    rt_file_abandon(file);
    return status;
  }
  uint8_t digest[32];
  rt_sha256_end(&w.sha, digest);
  fwrite(digest, 1, sizeof digest, w.stream);
  return rt_file_commit(file, err);
}

rt_status rt_film_save(const rt_film *film, const char *path, rt_error *err) {
  return rt_film_write(film, NULL, path, err);
}

rt_status rt_film_can_save(const char *path, rt_error *err) {
  rt_file *file;
  rt_status status = rt_file_create(&file, path, err);
  if (status == RT_OK) rt_file_abandon(file);
  return status;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct {
  FILE *stream;
  const char *path;
  rt_sha256 sha;
  bool failed; /* the file ended, or says what cannot be */
} reader;

static void get(reader *r, void *out, size_t n) {
  memset(out, 0, n);
  if (r->failed) return;
  if (fread(out, 1, n, r->stream) != n) r->failed = true;
  rt_sha256_add(&r->sha, out, n);
}

static uint32_t get_u32(reader *r) {
  uint8_t bytes[4];
  get(r, bytes, sizeof bytes);
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* A number of at most `most`; else the file is damaged. */
static uint32_t get_at_most(reader *r, uint32_t most) {
  uint32_t v = get_u32(r);
  if (v > most) r->failed = true;
  return r->failed ? 0 : v;
}

static rt_status damaged(const reader *r, rt_error *err) {
  return rt_fail(err, RT_BAD_DATA, "%s: is damaged or cut off: use another copy, or render the part again", r->path);
}

static void get_text(reader *r, char *out, size_t n) {
  get(r, out, n);
  for (size_t i = 0; i < n; i++)
    if (out[i] != 0 && (out[i] < 32 || out[i] > 126)) r->failed = true;
}

static void get_matrix(reader *r, float m[4][4]) {
  for (int i = 0; i < 16; i++) {
    uint32_t bits = get_u32(r);
    memcpy(&m[i / 4][i % 4], &bits, sizeof bits);
  }
}

static rt_status get_header(reader *r, rt_film_key *key, int crop[4], rt_error *err) {
  char magic[sizeof MAGIC];
  get(r, magic, sizeof magic);
  if (r->failed || memcmp(magic, MAGIC, sizeof MAGIC) != 0)
    return rt_fail(err, RT_BAD_DATA, "%s: is no part file: give what rtlua wrote by -o NAME.part or --checkpoint",
                   r->path);
  uint32_t format = get_u32(r), clamp, noise;
  if (!r->failed && format != FORMAT)
    return rt_fail(err, RT_BAD_DATA, "%s: is of format %u, this rtlua reads format %u: use the rtlua that wrote it",
                   r->path, format, FORMAT);
  memset(key, 0, sizeof *key);
  get_text(r, key->version, sizeof key->version);
  key->version[sizeof key->version - 1] = '\0';
  get_text(r, key->scene, 64);
  key->width = (int)get_at_most(r, RT_MAX_SIDE);
  key->height = (int)get_at_most(r, RT_MAX_SIDE);
  key->seed = get_u32(r);
  key->max_depth = get_u32(r);
  key->filter = (rt_filter)get_at_most(r, RT_FILTER_BLACKMAN_HARRIS);
  clamp = get_u32(r);
  memcpy(&key->clamp_indirect, &clamp, sizeof clamp);
  key->transparent = get_at_most(r, 1) != 0;
  key->aovs = get_at_most(r, RT_AOV_BIT(RT_AOVS) - 1);
  noise = get_u32(r);
  memcpy(&key->noise, &noise, sizeof noise);
  if (!(key->noise >= 0.0f && key->noise < INFINITY)) r->failed = true;
  for (int i = 0; i < 4; i++) crop[i] = (int)get_at_most(r, RT_MAX_SIDE);
  get_matrix(r, key->camera.world_to_camera);
  get_matrix(r, key->camera.world_to_ndc);
  bool fits = crop[0] < crop[2] && crop[1] < crop[3] && crop[2] <= key->width && crop[3] <= key->height;
  return r->failed || !fits ? damaged(r, err) : RT_OK;
}

static rt_fixed get_sum(reader *r) {
  uint8_t bytes[16] = {0}, head;
  get(r, &head, 1);
  int begin = head >> 4, n = (head & 15) + 1;
  if (head == 0xff) return (rt_fixed){0, 0};
  if (begin + n > 16)
    r->failed = true;
  else
    get(r, bytes + begin, (size_t)n);
  rt_fixed sum = {0, 0};
  for (int i = 0; i < 8; i++) {
    sum.low |= (uint64_t)bytes[i] << 8 * i;
    sum.high |= (uint64_t)bytes[8 + i] << 8 * i;
  }
  return sum;
}

/* The number of a set, and how many samples are in it. */
static rt_status get_set(reader *r, const rt_film *film, uint32_t *set, uint32_t *count, rt_error *err) {
  rt_range *ranges = NULL;
  size_t capacity = 0;
  uint32_t n = get_at_most(r, RT_MAX_SPP / 2), before = 0;
  rt_status status = RT_OK;
  *count = 0;
  /* Grows as ranges come: a damaged count allocates no more than the file has. */
  for (uint32_t i = 0; i < n && !r->failed && status == RT_OK; i++) {
    if (!rt_grow((void **)&ranges, &capacity, i + 1, sizeof *ranges, err)) {
      status = RT_NO_MEMORY;
      break;
    }
    ranges[i].begin = get_u32(r);
    ranges[i].end = get_at_most(r, RT_MAX_SPP);
    if (ranges[i].begin >= ranges[i].end || (i > 0 && ranges[i].begin <= before)) r->failed = true;
    before = ranges[i].end;
    *count += ranges[i].end - ranges[i].begin;
  }
  if (status == RT_OK && r->failed) status = damaged(r, err);
  if (status == RT_OK) status = rt_ranges_intern(set, film->sets, ranges, n, err);
  rt_free(ranges);
  return status;
}

/* What follows the count of samples. */
static void get_cell(reader *r, rt_film_cells *cells, size_t i) {
  rt_film_pixel *pixel = &cells->pixels[i];
  pixel->covered = get_at_most(r, pixel->samples);
  for (int c = 0; c < 3; c++) pixel->sum[c] = get_sum(r);
  for (int s = 0; s < cells->n_sums; s++) cells->sums[i * (size_t)cells->n_sums + (size_t)s] = get_sum(r);
  if (!cells->ids) return;
  cells->ids[i].sample = get_u32(r);
  cells->ids[i].shape = get_u32(r);
  cells->ids[i].material = get_u32(r);
}

static rt_status get_tile(reader *r, rt_film *film, int tile, rt_error *err) {
  rt_film_rect rect = rt_film_tile(film, tile);
  uint32_t counts[MAX_RUN] = {0}, sets[MAX_RUN] = {0};
  uint32_t n = (uint32_t)((rect.x1 - rect.x0) * (rect.y1 - rect.y0));
  for (uint32_t i = 0; i < n;) {
    uint32_t run = get_at_most(r, n - i), set, count;
    if (run == 0) return damaged(r, err);
    rt_status status = get_set(r, film, &set, &count, err);
    if (status != RT_OK) return status;
    for (uint32_t end = i + run; i < end; i++) {
      sets[i] = set;
      counts[i] = count;
    }
  }
  uint32_t i = 0;
  for (int y = rect.y0; y < rect.y1; y++) {
    for (int x = rect.x0; x < rect.x1; x++, i++) {
      rt_film_pixel *pixel = rt_film_at(film, x, y);
      pixel->taken = sets[i];
      if (sets[i] == 0) continue;
      pixel->samples = get_at_most(r, counts[i]);
      get_cell(r, &film->cells, rt_film_index(film, x, y));
    }
  }
  return r->failed ? damaged(r, err) : RT_OK;
}

static rt_status check_end(reader *r, rt_error *err) {
  uint8_t own[32], written[32];
  rt_sha256_end(&r->sha, own);
  bool whole = fread(written, 1, sizeof written, r->stream) == sizeof written && fgetc(r->stream) == EOF;
  return whole && memcmp(own, written, sizeof own) == 0 ? RT_OK : damaged(r, err);
}

/* A tile takes eight bytes at least: a damaged size allocates no more than the file could fill. */
static rt_status check_size(reader *r, const int crop[4], rt_error *err) {
  int64_t tiles_x = (crop[2] - crop[0] + RT_FILM_TILE - 1) / RT_FILM_TILE,
          tiles_y = (crop[3] - crop[1] + RT_FILM_TILE - 1) / RT_FILM_TILE;
  long here = ftell(r->stream);
  bool good = here >= 0 && fseek(r->stream, 0, SEEK_END) == 0;
  int64_t left = good ? ftell(r->stream) - here : 0;
  good = good && fseek(r->stream, here, SEEK_SET) == 0;
  return good && left / 8 >= tiles_x * tiles_y ? RT_OK : damaged(r, err);
}

rt_status rt_film_load(rt_film **out, const char *path, rt_error *err) {
  reader r = {.path = path};
  rt_film_key key;
  int crop[4] = {0};
  rt_film *film = NULL;
  rt_sha256_init(&r.sha);
  rt_status status = rt_file_open(&r.stream, path, err);
  if (status != RT_OK) return status;
  status = get_header(&r, &key, crop, err);
  if (status == RT_OK) status = check_size(&r, crop, err);
  if (status == RT_OK) status = rt_film_new(&film, &key, crop, err);
  for (int tile = 0; status == RT_OK && tile < rt_film_tiles(film); tile++) status = get_tile(&r, film, tile, err);
  if (status == RT_OK) status = check_end(&r, err);
  fclose(r.stream);
  if (status == RT_OK)
    *out = film;
  else
    rt_film_free(film);
  return status;
}
