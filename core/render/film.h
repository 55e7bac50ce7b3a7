/* The film: exact sums of samples per pixel, for a rectangle of the picture, and which samples they are.
 * Invariant: a pixel depends on the set of its samples alone, not on their order, grouping or thread (base/fixed.h). */
#ifndef RT_RENDER_FILM_H
#define RT_RENDER_FILM_H

#include "base/fixed.h"
#include "render/ranges.h"
#include "rt.h"

#define RT_FILM_TILE 16 /* pixels: what is locked, and stored, as one */

typedef struct {
  rt_fixed sum[3];  /* red, green, blue: radiance */
  uint32_t samples; /* in the sums */
  uint32_t covered; /* of them, how many saw something else than the background */
  uint32_t taken;   /* the set of sample indices that were taken (ranges.h), dropped ones too */
} rt_film_pixel;

/* What the sums depend on besides the samples: two films with the same key may be joined. */
typedef struct {
  char version[16], scene[65]; /* of rtlua; the scene's hash */
  int width, height;           /* of the picture */
  uint32_t seed, max_depth;
  rt_filter filter;
  float clamp_indirect;
  bool transparent;
} rt_film_key;

struct rt_film {
  rt_film_key key;
  int crop[4];                         /* of the picture, half open */
  int width, height, tiles_x, tiles_y; /* of the crop, whose tiles begin at its corner */
  rt_film_pixel *pixels;
  rt_ranges *sets;
};

rt_status rt_film_new(rt_film **out, const rt_film_key *key, const int crop[4], rt_error *err);
/* RT_BAD_DATA, with the difference in words, where the keys are not the same. `what` begins the message. */
rt_status rt_film_check_key(const rt_film *film, const rt_film_key *key, const char *what, rt_error *err);

/* Copies all of `from`, which has the same crop; `count` is how many of its samples lie in the range. */
rt_status rt_film_copy(rt_film *into, const rt_film *from, rt_range range, uint64_t *count, rt_error *err);

typedef struct {
  int x0, y0, x1, y1; /* in the crop, half open */
} rt_film_rect;
rt_film_rect rt_film_tile(const rt_film *film, int tile);
static inline int rt_film_tiles(const rt_film *film) { return film->tiles_x * film->tiles_y; }
static inline rt_film_pixel *rt_film_at(const rt_film *film, int x, int y) {
  return film->pixels + (size_t)y * (size_t)film->width + (size_t)x;
}

typedef enum { RT_SAMPLE_KEPT, RT_SAMPLE_NOT_FINITE, RT_SAMPLE_OVERFLOW } rt_sample_fate;

/* Adds one sample. NaN, infinity and negative radiance are dropped: the pixel does not count them. What is too bright
 * for the sums is clamped. */
rt_sample_fate rt_film_add(rt_film_pixel *pixel, rt_rgb radiance, bool covered);
/* Adds the sums of samples that `into` does not have; which ones it has then is the caller's to note. */
void rt_film_add_sums(rt_film_pixel *into, const rt_film_pixel *from);

/* Another thread may be changing tiles: `hold` is called before a tile is read and `release` after. */
typedef struct {
  void (*hold)(void *context, int tile);
  void (*release)(void *context, int tile);
  void *context;
} rt_film_access;
/* The film as it is, tile by tile; access may be NULL. */
rt_status rt_film_to_image(const rt_film *film, const rt_film_access *access, rt_image **out, rt_error *err);
rt_status rt_film_write(const rt_film *film, const rt_film_access *access, const char *path,
                        rt_error *err); /* part.c */

#endif
