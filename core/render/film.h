/* The film: exact sums of samples per pixel (cells.h), for a rectangle of the picture, and which samples they are. */
#ifndef RT_RENDER_FILM_H
#define RT_RENDER_FILM_H

#include "render/cells.h"
#include "render/ranges.h"

#define RT_FILM_TILE 16 /* pixels: what is locked, and stored, as one */

/* What the sums depend on besides the samples: two films with the same key may be joined. */
typedef struct {
  char version[16], scene[65]; /* of rtlua; the scene's hash */
  int width, height;           /* of the picture */
  uint32_t seed, max_depth;
  rt_filter filter;
  float clamp_indirect;
  bool transparent;
  uint32_t aovs; /* bits */
  float noise;
  rt_camera_matrices camera; /* follows from the scene and the size */
} rt_film_key;

struct rt_film {
  rt_film_key key;
  int crop[4];                         /* of the picture, half open */
  int width, height, tiles_x, tiles_y; /* of the crop, whose tiles begin at its corner */
  rt_film_cells cells;                 /* row by row; the variance is kept for a noise, too */
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
static inline size_t rt_film_index(const rt_film *film, int x, int y) {
  return (size_t)y * (size_t)film->width + (size_t)x;
}
static inline rt_film_pixel *rt_film_at(const rt_film *film, int x, int y) {
  return film->cells.pixels + rt_film_index(film, x, y);
}

/* May pixel i stop at the samples that it has? False where it has others than 0 to a power of two from 16 on. */
bool rt_film_may_stop(const rt_film *film, size_t i);

/* Another thread may be changing tiles: `hold` is called before a tile is read and `release` after. */
typedef struct {
  void (*hold)(void *context, int tile);
  void (*release)(void *context, int tile);
  void *context;
} rt_film_access;
/* The film as it is, tile by tile; access may be NULL. */
rt_status rt_film_to_image(const rt_film *film, const rt_film_access *access, rt_image **out, rt_error *err);
rt_status rt_film_to_aov(const rt_film *film, const rt_film_access *access, rt_aov aov, rt_image **out, rt_error *err);
rt_status rt_film_write(const rt_film *film, const rt_film_access *access, const char *path,
                        rt_error *err); /* part.c */

#endif
