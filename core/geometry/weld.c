/* Welding: triangles whose corners name position, uv and normal apart become triangles of whole vertices.
 *
 * A hash table (open addressing, linear probing, at most half full) holds each vertex once, by its position's number
 * and the values of its uv and normal; vertices are numbered by first use, so that the result depends on the file
 * alone. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/vec.h"
#include "geometry/mesh_read.h"

typedef struct {
  uint32_t hash, vertex;
} slot; /* vertex RT_NONE: empty */

typedef struct {
  const rt_soup *soup;
  bool uvs, normals; /* whether vertices have them */
  slot *slots;
  size_t n_slots;         /* a power of two */
  uint32_t *first_corner; /* of each vertex */
  size_t n_vertices, capacity;
} welder;

typedef struct {
  uint32_t position;
  float uv[2];
  rt_vec3 normal;
} vertex;

static rt_vec3 load(const float *v, size_t i) { return v3(v[3 * i], v[3 * i + 1], v[3 * i + 2]); }

/* Unit; 0 for a triangle without area. In double, where no product of float differences over- or underflows. */
static rt_vec3 triangle_normal(const rt_soup *soup, size_t triangle) {
  const rt_corner *c = soup->corners + 3 * triangle;
  const float *p = soup->positions + 3 * (size_t)c[0].position, *q = soup->positions + 3 * (size_t)c[1].position,
              *r = soup->positions + 3 * (size_t)c[2].position;
  double e[3], f[3];
  for (int k = 0; k < 3; k++) {
    e[k] = (double)q[k] - p[k];
    f[k] = (double)r[k] - p[k];
  }
  double x = e[1] * f[2] - e[2] * f[1], y = e[2] * f[0] - e[0] * f[2], z = e[0] * f[1] - e[1] * f[0];
  double length = sqrt(x * x + y * y + z * z);
  if (!(length > 0.0) || !isfinite(length)) return v3(0, 0, 0);
  return v3((float)(x / length), (float)(y / length), (float)(z / length));
}

static bool has_normal(const rt_soup *soup, rt_corner c) {
  return c.normal != RT_NONE && !v3_is_zero(load(soup->normals, c.normal));
}

static vertex vertex_at(const welder *w, size_t corner) {
  const rt_soup *soup = w->soup;
  rt_corner c = soup->corners[corner];
  vertex v = {.position = c.position};
  if (w->uvs && c.uv != RT_NONE) {
    v.uv[0] = soup->uvs[2 * (size_t)c.uv];
    v.uv[1] = soup->uvs[2 * (size_t)c.uv + 1];
  }
  if (w->normals) v.normal = has_normal(soup, c) ? load(soup->normals, c.normal) : triangle_normal(soup, corner / 3);
  return v;
}

static uint32_t float_bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

static uint32_t hash_vertex(const welder *w, const vertex *v) {
  uint32_t h = hash_u32(v->position);
  if (w->uvs) h = hash_combine(hash_combine(h, float_bits(v->uv[0])), float_bits(v->uv[1]));
  if (w->normals)
    h = hash_combine(hash_combine(hash_combine(h, float_bits(v->normal.x)), float_bits(v->normal.y)),
                     float_bits(v->normal.z));
  return h;
}

/* By bits, as they are hashed: 0 is not -0. */
static bool same_float(float a, float b) { return float_bits(a) == float_bits(b); }
static bool same(const vertex *a, const vertex *b) {
  return a->position == b->position && same_float(a->uv[0], b->uv[0]) && same_float(a->uv[1], b->uv[1]) &&
         same_float(a->normal.x, b->normal.x) && same_float(a->normal.y, b->normal.y) &&
         same_float(a->normal.z, b->normal.z);
}

static bool resize(welder *w, size_t n, rt_error *err) {
  slot *slots = rt_alloc(n, sizeof *slots, err);
  if (!slots) return false;
  for (size_t i = 0; i < n; i++) slots[i].vertex = RT_NONE;
  for (size_t i = 0; i < w->n_slots; i++) {
    if (w->slots[i].vertex == RT_NONE) continue;
    size_t at = w->slots[i].hash & (n - 1);
    while (slots[at].vertex != RT_NONE) at = (at + 1) & (n - 1);
    slots[at] = w->slots[i];
  }
  rt_free(w->slots);
  w->slots = slots;
  w->n_slots = n;
  return true;
}

/* The vertex of a corner, made when it is new; RT_NONE when memory is refused. */
static uint32_t find(welder *w, size_t corner, rt_error *err) {
  vertex v = vertex_at(w, corner);
  uint32_t hash = hash_vertex(w, &v);
  size_t at = hash & (w->n_slots - 1);
  for (; w->slots[at].vertex != RT_NONE; at = (at + 1) & (w->n_slots - 1)) {
    if (w->slots[at].hash != hash) continue;
    vertex other = vertex_at(w, w->first_corner[w->slots[at].vertex]);
    if (same(&v, &other)) return w->slots[at].vertex;
  }
  if (w->n_vertices == w->capacity &&
      !rt_grow((void **)&w->first_corner, &w->capacity, w->n_vertices + 1, sizeof(uint32_t), err))
    return RT_NONE;
  uint32_t made = (uint32_t)w->n_vertices++;
  w->first_corner[made] = (uint32_t)corner;
  w->slots[at] = (slot){hash, made};
  if (2 * w->n_vertices > w->n_slots && !resize(w, 2 * w->n_slots, err)) return RT_NONE;
  return made;
}

/* All corners have a position alone: positions are the vertices. */
static rt_status copy_positions(rt_mesh_parts *parts, const rt_soup *soup, rt_error *err) {
  parts->vertices = rt_alloc(soup->n_positions, 3 * sizeof(float), err);
  if (!parts->vertices) return RT_NO_MEMORY;
  memcpy(parts->vertices, soup->positions, soup->n_positions * 3 * sizeof(float));
  for (size_t i = 0; i < 3 * soup->n_triangles; i++) parts->indices[i] = soup->corners[i].position;
  parts->n_vertices = soup->n_positions;
  return RT_OK;
}

static rt_status make_vertices(rt_mesh_parts *parts, const welder *w, rt_error *err) {
  size_t n = w->n_vertices;
  parts->vertices = rt_alloc(n, 3 * sizeof(float), err);
  parts->uvs = w->uvs && parts->vertices ? rt_alloc(n, 2 * sizeof(float), err) : NULL;
  parts->normals = w->normals && parts->vertices ? rt_alloc(n, 3 * sizeof(float), err) : NULL;
  if (!parts->vertices || (w->uvs && !parts->uvs) || (w->normals && !parts->normals)) return RT_NO_MEMORY;
  for (size_t i = 0; i < n; i++) {
    vertex v = vertex_at(w, w->first_corner[i]);
    memcpy(parts->vertices + 3 * i, w->soup->positions + 3 * (size_t)v.position, 3 * sizeof(float));
    if (w->uvs) memcpy(parts->uvs + 2 * i, v.uv, sizeof v.uv);
    if (w->normals) memcpy(parts->normals + 3 * i, &v.normal, sizeof v.normal);
  }
  parts->n_vertices = n;
  return RT_OK;
}

static rt_status weld_corners(rt_mesh_parts *parts, welder *w, rt_error *err) {
  size_t n = 16;
  while (n < 2 * w->soup->n_positions && n < 4 * w->soup->n_triangles) n *= 2;
  if (!resize(w, n, err)) return RT_NO_MEMORY;
  for (size_t i = 0; i < 3 * w->soup->n_triangles; i++) {
    parts->indices[i] = find(w, i, err);
    if (parts->indices[i] == RT_NONE) return RT_NO_MEMORY;
  }
  return make_vertices(parts, w, err);
}

rt_status rt_weld(rt_mesh_parts *parts, const rt_soup *soup, rt_error *err) {
  parts->indices = rt_alloc(soup->n_triangles, 3 * sizeof(uint32_t), err);
  if (!parts->indices) return RT_NO_MEMORY;
  parts->n_triangles = soup->n_triangles;
  welder w = {.soup = soup};
  for (size_t i = 0; i < 3 * soup->n_triangles && !(w.uvs && w.normals); i++) {
    w.uvs = w.uvs || soup->corners[i].uv != RT_NONE;
    w.normals = w.normals || has_normal(soup, soup->corners[i]);
  }
  if (!w.uvs && !w.normals) return copy_positions(parts, soup, err);
  rt_status status = weld_corners(parts, &w, err);
  rt_free(w.slots);
  rt_free(w.first_corner);
  return status;
}
