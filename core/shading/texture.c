/* Textures: constants, images by bilinear interpolation, checkers of other textures.
 *
 * u goes right and v up, origin at the bottom left, while an image's rows go from top to bottom; texel (x, row y) has
 * its centre at u = (x + 1/2) / width, v = 1 - (y + 1/2) / height. Both repeat. A checker's square is the pair of
 * whole parts of u and v, scaled; it is even when their sum is. An image is multiplied by the texture's value.
 * Coordinates that are not finite count as 0, and whatever is turned into an integer has been clamped before. */
#include "base/error.h"
#include "base/memory.h"
#include "shading/material.h"

/* ---- Look-up ---- */

static float scaled(float x, float scale) {
  float s = x * scale;
  return isfinite(s) ? s : 0.0f;
}

/* Two neighbouring texels along an axis of n, and the weight of the second. */
typedef struct {
  size_t i, j;
  float w;
} texel_pair;
static texel_pair texels(float turn, int n) {
  float x = f_clamp((turn - floorf(turn)) * (float)n - 0.5f, -0.5f, (float)n - 0.5f), low = floorf(x);
  int i = (int)low; /* -1 .. n - 1 */
  return (texel_pair){(size_t)(i < 0 ? n - 1 : i), (size_t)(i + 1 < n ? i + 1 : 0), x - low};
}

static rt_rgb texel(const texture *t, size_t x, size_t y) {
  const float *p = t->pixels + (y * (size_t)t->width + x) * (size_t)t->channels;
  return t->channels < 3 ? v3_all(p[0]) : v3(p[0], p[1], p[2]);
}

static rt_rgb lerp(rt_rgb a, rt_rgb b, float w) { return v3_add(v3_scale(a, 1.0f - w), v3_scale(b, w)); }

static rt_rgb image_at(const texture *t, float u, float v) {
  texel_pair x = texels(u, t->width), y = texels(-v, t->height);
  rt_rgb above = lerp(texel(t, x.i, y.i), texel(t, x.j, y.i), x.w);
  rt_rgb below = lerp(texel(t, x.i, y.j), texel(t, x.j, y.j), x.w);
  return v3_mul(t->value, lerp(above, below, y.w));
}

static bool is_odd(float whole) { return whole - 2.0f * floorf(0.5f * whole) != 0.0f; }

rt_rgb rt_texture_at(const rt_materials *materials, uint32_t id, float u, float v) {
  const texture *t = &materials->textures[id];
  while (t->kind == RT_TEXTURE_CHECKER) { /* at most RT_SHADING_NESTING times */
    bool odd = is_odd(floorf(scaled(u, t->scale[0]))) != is_odd(floorf(scaled(v, t->scale[1])));
    t = &materials->textures[odd ? t->b : t->a];
  }
  if (t->kind == RT_TEXTURE_CONSTANT) return t->value;
  return image_at(t, scaled(u, t->scale[0]), scaled(v, t->scale[1]));
}

/* ---- Building ---- */

static rt_status add_image(const rt_materials *materials, const rt_texture_desc *desc, texture *t, rt_error *err) {
  if (!desc->image) return rt_fail(err, RT_BAD_DATA, "image texture without an image: load one first");
  t->width = rt_image_width(desc->image);
  t->height = rt_image_height(desc->image);
  t->channels = rt_image_channels(desc->image);
  t->pixels = rt_image_view(desc->image);
  t->value = desc->value;
  if (!v3_is_finite(t->value))
    return rt_fail(err, RT_BAD_DATA, "an image texture's factor must be finite: give numbers");
  t->first_use = materials->n_textures;
  for (uint32_t i = 0; i < materials->n_textures; i++) {
    if (materials->textures[i].image != desc->image) continue;
    t->first_use = i;
    return RT_OK;
  }
  size_t row = (size_t)t->width * (size_t)t->channels, n = row * (size_t)t->height;
  for (size_t i = 0; i < n; i++) {
    if (isfinite(t->pixels[i])) continue;
    return rt_fail(err, RT_BAD_DATA, "image texture: pixel (%zu, %zu) is not finite: repair the image",
                   i % row / (size_t)t->channels, i / row);
  }
  return RT_OK;
}

static rt_status add_checker(const rt_materials *materials, const rt_texture_desc *desc, texture *t, rt_error *err) {
  if (desc->a >= materials->n_textures || desc->b >= materials->n_textures)
    return rt_fail(err, RT_BAD_DATA, "checker: its textures must be added before it, and there are %u so far",
                   materials->n_textures);
  const texture *a = &materials->textures[desc->a], *b = &materials->textures[desc->b];
  t->a = desc->a;
  t->b = desc->b;
  t->depth = 1 + (a->depth > b->depth ? a->depth : b->depth);
  t->range = bounds_union(a->range, b->range);
  if (t->depth > RT_SHADING_NESTING)
    return rt_fail(err, RT_BAD_DATA, "checkers are nested more than %d deep: nest fewer", RT_SHADING_NESTING);
  return RT_OK;
}

static rt_status describe(const rt_materials *materials, const rt_texture_desc *desc, texture *t, rt_error *err) {
  *t = (texture){.kind = desc->kind, .a = RT_NONE, .b = RT_NONE, .first_use = RT_NONE, .range = RT_BOUNDS_EMPTY};
  if (desc->kind == RT_TEXTURE_CONSTANT) {
    if (!v3_is_finite(desc->value)) return rt_fail(err, RT_BAD_DATA, "a constant texture must be finite: give numbers");
    t->value = desc->value;
    t->range = (rt_bounds){desc->value, desc->value};
    return RT_OK;
  }
  if (desc->kind != RT_TEXTURE_IMAGE && desc->kind != RT_TEXTURE_CHECKER)
    return rt_fail(err, RT_BAD_DATA, "unknown kind of texture %d: use one of rt_texture_kind", (int)desc->kind);
  for (int axis = 0; axis < 2; axis++) {
    t->scale[axis] = desc->scale[axis];
    if (!isfinite(desc->scale[axis]))
      return rt_fail(err, RT_BAD_DATA, "a texture's scale must be finite: give numbers");
  }
  return desc->kind == RT_TEXTURE_IMAGE ? add_image(materials, desc, t, err) : add_checker(materials, desc, t, err);
}

rt_status rt_materials_add_texture(rt_materials *materials, const rt_texture_desc *desc, uint32_t *id, rt_error *err) {
  texture t;
  rt_status status = describe(materials, desc, &t, err);
  if (status != RT_OK) return status;
  if (materials->n_textures == RT_NONE - 1) return rt_fail(err, RT_BAD_DATA, "too many textures: use fewer");
  void *array = materials->textures;
  if (!rt_grow(&array, &materials->texture_capacity, (size_t)materials->n_textures + 1, sizeof t, err))
    return RT_NO_MEMORY;
  materials->textures = array;
  if (t.kind == RT_TEXTURE_IMAGE) t.image = rt_image_ref(desc->image);
  materials->textures[materials->n_textures] = t;
  *id = materials->n_textures++;
  return RT_OK;
}

void textures_free(rt_materials *materials) {
  for (uint32_t i = 0; i < materials->n_textures; i++) rt_image_free(materials->textures[i].image);
  rt_free(materials->textures);
}

static size_t image_floats(const texture *t) { return (size_t)t->width * (size_t)t->height * (size_t)t->channels; }

size_t textures_bytes(const rt_materials *materials) {
  size_t bytes = materials->texture_capacity * sizeof(texture);
  for (uint32_t i = 0; i < materials->n_textures; i++)
    if (materials->textures[i].first_use == i) bytes += image_floats(&materials->textures[i]) * sizeof(float);
  return bytes;
}

void textures_hash(const rt_materials *materials, rt_sha256 *sha) {
  rt_sha256_u32(sha, materials->n_textures);
  for (uint32_t i = 0; i < materials->n_textures; i++) {
    const texture *t = &materials->textures[i];
    const uint32_t numbers[] = {(uint32_t)t->kind,     t->a,        t->b, (uint32_t)t->width, (uint32_t)t->height,
                                (uint32_t)t->channels, t->first_use};
    const float floats[] = {t->value.x, t->value.y, t->value.z, t->scale[0], t->scale[1]};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) rt_sha256_u32(sha, numbers[k]);
    rt_sha256_floats(sha, floats, sizeof floats / sizeof *floats);
    if (t->first_use == i) rt_sha256_floats(sha, t->pixels, image_floats(t));
  }
}
