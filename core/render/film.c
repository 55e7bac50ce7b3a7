#include "render/film.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "render/adaptive.h"

/* ---- Films ------------------------------------------------------------------------------------------------------- */

rt_status rt_film_new(rt_film **out, const rt_film_key *key, const int crop[4], rt_error *err) {
  rt_film *film = rt_alloc(1, sizeof *film, err);
  if (!film) return RT_NO_MEMORY;
  film->key = *key;
  memcpy(film->crop, crop, sizeof film->crop);
  film->width = crop[2] - crop[0];
  film->height = crop[3] - crop[1];
  film->tiles_x = (film->width + RT_FILM_TILE - 1) / RT_FILM_TILE;
  film->tiles_y = (film->height + RT_FILM_TILE - 1) / RT_FILM_TILE;
  uint32_t kept = rt_aov_kept(key->aovs) | (key->noise > 0.0f ? RT_AOV_BIT(RT_AOV_VARIANCE) : 0);
  rt_status status = rt_film_cells_init(&film->cells, kept, (size_t)film->width * (size_t)film->height, err);
  if (status == RT_OK) status = rt_ranges_new(&film->sets, err);
  if (status == RT_OK)
    *out = film;
  else
    rt_film_free(film);
  return status;
}

void rt_film_free(rt_film *film) {
  if (!film) return;
  rt_ranges_free(film->sets);
  rt_film_cells_free(&film->cells);
  rt_free(film);
}

static int min_int(int a, int b) { return a < b ? a : b; }

rt_film_rect rt_film_tile(const rt_film *film, int tile) {
  int x0 = tile % film->tiles_x * RT_FILM_TILE, y0 = tile / film->tiles_x * RT_FILM_TILE;
  return (rt_film_rect){x0, y0, min_int(x0 + RT_FILM_TILE, film->width), min_int(y0 + RT_FILM_TILE, film->height)};
}

rt_status rt_film_check_key(const rt_film *film, const rt_film_key *key, const char *what, rt_error *err) {
  const rt_film_key *own = &film->key;
  const char *difference = NULL;
  if (strcmp(own->version, key->version) != 0)
    return rt_fail(err, RT_BAD_DATA, "%s: is of rtlua %s, not %s: its samples may differ: render it again", what,
                   own->version, key->version);
  if (strcmp(own->scene, key->scene) != 0)
    difference = "scene";
  else if (own->width != key->width || own->height != key->height)
    difference = "size";
  else if (own->seed != key->seed)
    difference = "seed";
  else if (own->max_depth != key->max_depth)
    difference = "max_depth";
  else if (own->filter != key->filter)
    difference = "filter";
  else if (own->clamp_indirect != key->clamp_indirect)
    difference = "clamp_indirect";
  else if (own->transparent != key->transparent)
    difference = "transparent";
  else if (own->aovs != key->aovs)
    difference = "aov";
  else if (own->noise != key->noise)
    difference = "noise";
  if (!difference) return RT_OK;
  return rt_fail(err, RT_BAD_DATA, "%s: has another %s: only parts of one scene with the same settings fit together",
                 what, difference);
}

/* Mean radiance, and coverage into channel 4 when channels is 4; zeros for a pixel without samples. */
static void read_radiance(const rt_film_pixel *pixel, int channels, float *out) {
  for (int c = 0; c < 3; c++) out[c] = rt_fixed_mean(pixel->sum[c], pixel->samples);
  if (channels == 4) out[3] = rt_film_coverage(pixel);
}

/* aov: RT_AOVS for radiance. */
static rt_status read_all(const rt_film *film, const rt_film_access *access, rt_aov aov, int channels, rt_image **out,
                          rt_error *err) {
  rt_status status = rt_image_new(out, film->width, film->height, channels, err);
  if (status != RT_OK) return status;
  rt_image_place(*out, (rt_placement){{film->crop[0], film->crop[1]}, {film->key.width, film->key.height}});
  rt_image_set_camera(*out, &film->key.camera);
  float *to = rt_image_pixels(*out);
  for (int tile = 0; tile < rt_film_tiles(film); tile++) {
    rt_film_rect r = rt_film_tile(film, tile);
    if (access) access->hold(access->context, tile);
    for (int y = r.y0; y < r.y1; y++) {
      for (int x = r.x0; x < r.x1; x++) {
        size_t i = rt_film_index(film, x, y);
        if (aov == RT_AOVS)
          read_radiance(&film->cells.pixels[i], channels, to + i * (size_t)channels);
        else
          rt_aov_read(&film->cells, i, aov, to + i * (size_t)channels);
      }
    }
    if (access) access->release(access->context, tile);
  }
  return RT_OK;
}

rt_status rt_film_to_image(const rt_film *film, const rt_film_access *access, rt_image **out, rt_error *err) {
  return read_all(film, access, RT_AOVS, film->key.transparent ? 4 : 3, out, err);
}

rt_status rt_film_to_aov(const rt_film *film, const rt_film_access *access, rt_aov aov, rt_image **out, rt_error *err) {
  if (!(film->key.aovs & RT_AOV_BIT(aov)))
    return rt_fail(err, RT_BAD_USAGE, "%s: the film does not keep it: render with --aov %s", rt_aov_name(aov),
                   rt_aov_name(aov));
  return read_all(film, access, aov, rt_aov_image_channels(aov), out, err);
}

rt_status rt_film_image(const rt_film *film, rt_image **out, rt_error *err) {
  return rt_film_to_image(film, NULL, out, err);
}

rt_status rt_film_aov(const rt_film *film, rt_aov aov, rt_image **out, rt_error *err) {
  return rt_film_to_aov(film, NULL, aov, out, err);
}

void rt_film_about(const rt_film *film, rt_film_info *out) {
  *out = (rt_film_info){.width = film->key.width,
                        .height = film->key.height,
                        .seed = film->key.seed,
                        .aovs = film->key.aovs,
                        .noise = film->key.noise,
                        .bytes = rt_film_cells_bytes(&film->cells)};
  memcpy(out->crop, film->crop, sizeof out->crop);
  memcpy(out->scene, film->key.scene, sizeof out->scene);
}

/* ---- Joining ----------------------------------------------------------------------------------------------------- */

/* How the sets of two pixels lie. */
typedef enum { APART, FIRST_HAS_ALL, SECOND_HAS_ALL, CROSSED, NO_MEMORY } relation;

static relation compare(const rt_film *a, uint32_t set_a, const rt_film *b, uint32_t set_b, rt_error *err) {
  size_t n = rt_ranges_size(b->sets, set_b);
  uint64_t common = 0, of_b = 0;
  rt_range *ranges = rt_alloc(n, sizeof *ranges, err);
  if (!ranges) return NO_MEMORY;
  rt_ranges_get(b->sets, set_b, ranges);
  for (size_t i = 0; i < n; i++) {
    common += rt_ranges_count(a->sets, set_a, ranges[i]);
    of_b += ranges[i].end - ranges[i].begin;
  }
  rt_free(ranges);
  if (common == 0) return APART;
  if (common == of_b) return FIRST_HAS_ALL;
  return common == rt_ranges_count(a->sets, set_a, (rt_range){0, RT_MAX_SPP}) ? SECOND_HAS_ALL : CROSSED;
}

/* The union of a's set with b's, as a set of a. */
static rt_status unite(uint32_t *out, const rt_film *a, uint32_t set_a, const rt_film *b, uint32_t set_b,
                       rt_error *err) {
  size_t n = rt_ranges_size(b->sets, set_b);
  rt_range *ranges = rt_alloc(n, sizeof *ranges, err);
  if (!ranges) return RT_NO_MEMORY;
  rt_ranges_get(b->sets, set_b, ranges);
  rt_status status = RT_OK;
  *out = set_a;
  for (size_t i = 0; i < n && status == RT_OK; i++) status = rt_ranges_add(out, a->sets, *out, ranges[i], err);
  rt_free(ranges);
  return status;
}

/* What becomes of pixels with these two sets; the same for all of them, so that it is worked out once for a run. */
typedef struct {
  uint32_t set_a, set_b, result;
  relation how;
  bool known;
} join_rule;

static rt_status find_rule(join_rule *rule, const rt_film *into, uint32_t set_a, const rt_film *from, uint32_t set_b,
                           rt_error *err) {
  if (rule->known && rule->set_a == set_a && rule->set_b == set_b) return RT_OK;
  rule->known = false;
  rule->how = compare(into, set_a, from, set_b, err);
  if (rule->how == NO_MEMORY) return RT_NO_MEMORY;
  rt_status status = unite(&rule->result, into, set_a, from, set_b, err);
  rule->set_a = set_a;
  rule->set_b = set_b;
  rule->known = status == RT_OK;
  return status;
}

rt_status rt_film_join(rt_film **whole, const rt_film *part, bool allow_overlap, const char *name, rt_error *err) {
  if (!*whole) {
    int all[4] = {0, 0, part->key.width, part->key.height};
    rt_status status = rt_film_new(whole, &part->key, all, err);
    if (status != RT_OK) return status;
  }
  rt_film *into = *whole;
  rt_status status = rt_film_check_key(part, &into->key, name, err);
  join_rule rule = {.known = false};
  for (int y = 0; y < part->height && status == RT_OK; y++) {
    for (int x = 0; x < part->width && status == RT_OK; x++) {
      size_t j = rt_film_index(part, x, y), i = rt_film_index(into, x + part->crop[0], y + part->crop[1]);
      const rt_film_pixel *from = &part->cells.pixels[j];
      rt_film_pixel *to = &into->cells.pixels[i];
      if (from->taken == 0) continue;
      status = find_rule(&rule, into, to->taken, part, from->taken, err);
      if (status != RT_OK) break;
      bool overlap = rule.how != APART;
      if (overlap && (!allow_overlap || rule.how == CROSSED))
        return rt_fail(err, RT_BAD_DATA, "%s: has samples of pixel %d,%d that an earlier part has, too%s", name,
                       x + part->crop[0], y + part->crop[1],
                       rule.how == CROSSED ? " (and each has others): leave one out"
                                           : ": leave one out, or keep one by --allow-overlap");
      if (rule.how == FIRST_HAS_ALL) continue;
      if (rule.how == SECOND_HAS_ALL)
        rt_film_cells_copy(&into->cells, i, &part->cells, j);
      else
        rt_film_cells_join(&into->cells, i, &part->cells, j);
      to->taken = rule.result;
    }
  }
  return status;
}

rt_status rt_film_copy(rt_film *into, const rt_film *from, rt_range range, uint64_t *count, rt_error *err) {
  join_rule rule = {.known = false};
  uint32_t in_range = 0;
  *count = 0;
  for (size_t i = 0; i < from->cells.count; i++) {
    uint32_t taken = from->cells.pixels[i].taken;
    bool new_rule = !rule.known || rule.set_b != taken;
    rt_status status = find_rule(&rule, into, 0, from, taken, err);
    if (status != RT_OK) return status;
    if (new_rule) in_range = rt_ranges_count(into->sets, rule.result, range);
    rt_film_cells_copy(&into->cells, i, &from->cells, i);
    into->cells.pixels[i].taken = rule.result;
    *count += in_range;
  }
  return RT_OK;
}

/* The samples of a pixel that has those from 0 on to some number, and no others; else 0. */
static uint32_t from_zero(const rt_film *film, uint32_t set) {
  rt_range range = {0, 0};
  if (rt_ranges_size(film->sets, set) == 1) rt_ranges_get(film->sets, set, &range);
  return range.begin == 0 ? range.end : 0;
}

bool rt_film_may_stop(const rt_film *film, size_t i) {
  const rt_film_cells *cells = &film->cells;
  uint32_t n = from_zero(film, cells->pixels[i].taken);
  if (!(film->key.noise > 0.0f) || n < RT_ADAPTIVE_START || (n & (n - 1)) != 0) return false;
  return rt_adaptive_is_clean(cells, i, film->key.noise);
}

rt_status rt_film_check_whole(const rt_film *film, uint32_t *spp, double *mean, rt_error *err) {
  uint64_t sum = 0;
  uint32_t set = 0, n = 0; /* of the pixel before */
  *spp = 0;
  for (size_t i = 0; i < film->cells.count; i++) {
    if (i == 0 || film->cells.pixels[i].taken != set) {
      set = film->cells.pixels[i].taken;
      n = from_zero(film, set);
    }
    *spp = n > *spp ? n : *spp;
    sum += n;
  }
  *mean = (double)sum / (double)film->cells.count;
  for (size_t i = 0; i < film->cells.count; i++) {
    set = film->cells.pixels[i].taken;
    n = from_zero(film, set);
    if (n > 0 && (n == *spp || rt_film_may_stop(film, i))) continue;
    int x = (int)(i % (size_t)film->width), y = (int)(i / (size_t)film->width);
    return rt_fail(err, RT_BAD_DATA, "the parts leave out samples: pixel %d,%d has %s: add the part that is missing", x,
                   y,
                   set == 0 ? "none"
                   : n == 0 ? "not those from 0 on"
                            : "fewer than others");
  }
  return RT_OK;
}
