/* Triangle meshes: checking, sharing, releasing, and loading by content.
 *
 * What always holds: at least one triangle; every index is in range; vertices, normals and uvs are finite; normals
 * have length 1, or there are none; every material slot is below n_slots. The bounds are those of the triangles: a
 * vertex that none uses does not count. */
#include "geometry/mesh.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/vec.h"
#include "geometry/mesh_read.h"

/* A guard against endless special files. */
#define FILE_LIMIT ((size_t)(SIZE_MAX >> 1 < UINT64_C(1) << 36 ? SIZE_MAX >> 1 : UINT64_C(1) << 36))

void rt_mesh_parts_free(rt_mesh_parts *parts) {
  for (uint32_t i = 0; parts->slot_names && i < parts->n_slots; i++) rt_free(parts->slot_names[i]);
  rt_free(parts->slot_names);
  rt_free(parts->vertices);
  rt_free(parts->normals);
  rt_free(parts->uvs);
  rt_free(parts->indices);
  rt_free(parts->material_slots);
  *parts = (rt_mesh_parts){0};
}

static rt_vec3 load(const float *v, size_t i) { return v3(v[3 * i], v[3 * i + 1], v[3 * i + 2]); }
static void store(float *v, size_t i, rt_vec3 a) {
  v[3 * i] = a.x;
  v[3 * i + 1] = a.y;
  v[3 * i + 2] = a.z;
}

/* The first of n tuples of `size` floats that holds NaN or infinity; n when none does. */
static size_t find_not_finite(const float *v, size_t n, size_t size) {
  for (size_t i = 0; i < n * size; i++)
    if (!isfinite(v[i])) return i / size;
  return n;
}

/* Errors count vertices and triangles from 1: "the fifth". */
static rt_status check(const rt_mesh_parts *m, const char *name, rt_error *err) {
  if (m->n_triangles == 0)
    return rt_fail(err, RT_BAD_DATA, "%s: the mesh has no faces: a surface needs at least one", name);
  if (m->n_triangles > RT_MAX_TRIANGLES || m->n_vertices >= RT_NONE)
    return rt_fail(err, RT_BAD_DATA, "%s: a mesh of %zu triangles and %zu vertices is too large: cut it into several",
                   name, m->n_triangles, m->n_vertices);
  for (size_t i = 0; i < 3 * m->n_triangles; i++)
    if (m->indices[i] >= m->n_vertices)
      return rt_fail(err, RT_BAD_DATA, "%s: triangle %zu names vertex %llu, but there are %zu: correct the index", name,
                     i / 3 + 1, (unsigned long long)m->indices[i] + 1, m->n_vertices);
  size_t i = find_not_finite(m->vertices, m->n_vertices, 3);
  if (i < m->n_vertices) return rt_fail(err, RT_BAD_DATA, "%s: vertex %zu is not finite: correct it", name, i + 1);
  i = m->normals ? find_not_finite(m->normals, m->n_vertices, 3) : m->n_vertices;
  if (i < m->n_vertices)
    return rt_fail(err, RT_BAD_DATA, "%s: the normal of vertex %zu is not finite: correct it", name, i + 1);
  i = m->uvs ? find_not_finite(m->uvs, m->n_vertices, 2) : m->n_vertices;
  if (i < m->n_vertices)
    return rt_fail(err, RT_BAD_DATA, "%s: the uv of vertex %zu is not finite: correct it", name, i + 1);
  for (i = 0; m->material_slots && i < m->n_triangles; i++)
    if (m->material_slots[i] >= m->n_slots)
      return rt_fail(err, RT_BAD_DATA, "%s: triangle %zu has material slot %u: there can be %d", name, i + 1,
                     m->material_slots[i], RT_MAX_SLOTS);
  return RT_OK;
}

/* Unit normals; one of length 0 becomes the mean of its triangles' by area, and any direction where that is 0 too
 * (the vertex is then of triangles without area, or of none). */
static rt_status make_normals_unit(rt_mesh_parts *m, rt_error *err) {
  size_t missing = 0;
  for (size_t i = 0; i < m->n_vertices; i++) {
    rt_vec3 n = v3_normalize(load(m->normals, i));
    missing += v3_is_zero(n);
    store(m->normals, i, n);
  }
  if (missing == 0) return RT_OK;
  double *sum = rt_alloc(m->n_vertices, 3 * sizeof *sum, err);
  if (!sum) return RT_NO_MEMORY;
  for (size_t t = 0; t < m->n_triangles; t++) {
    const uint32_t *v = m->indices + 3 * t;
    const float *a = m->vertices + 3 * (size_t)v[0], *b = m->vertices + 3 * (size_t)v[1],
                *c = m->vertices + 3 * (size_t)v[2];
    double e[3], f[3];
    for (int k = 0; k < 3; k++) {
      e[k] = (double)b[k] - a[k];
      f[k] = (double)c[k] - a[k];
    }
    const double n[3] = {e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]};
    for (int corner = 0; corner < 3; corner++)
      for (int k = 0; k < 3; k++) sum[3 * (size_t)v[corner] + k] += n[k];
  }
  for (size_t i = 0; i < m->n_vertices; i++) {
    if (!v3_is_zero(load(m->normals, i))) continue;
    const double *s = sum + 3 * i, length = sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);
    bool known = length > 0.0 && isfinite(length);
    store(m->normals, i,
          known ? v3((float)(s[0] / length), (float)(s[1] / length), (float)(s[2] / length)) : v3(0, 1, 0));
  }
  rt_free(sum);
  return RT_OK;
}

rt_status rt_mesh_from_parts(rt_mesh **out, rt_mesh_parts *parts, const char *name, rt_error *err) {
  if (parts->n_slots == 0) {
    parts->n_slots = 1;
    for (size_t i = 0; parts->material_slots && i < parts->n_triangles; i++)
      if (parts->material_slots[i] < RT_MAX_SLOTS && parts->material_slots[i] >= parts->n_slots)
        parts->n_slots = parts->material_slots[i] + 1;
  }
  rt_status status = check(parts, name, err);
  if (status == RT_OK && parts->normals) status = make_normals_unit(parts, err);
  rt_mesh *mesh = NULL;
  if (status == RT_OK && !(mesh = rt_alloc(1, sizeof *mesh, err))) status = RT_NO_MEMORY;
  if (status != RT_OK) {
    rt_mesh_parts_free(parts);
    return status;
  }
  atomic_init(&mesh->references, 1);
  mesh->vertices = parts->vertices;
  mesh->normals = parts->normals;
  mesh->uvs = parts->uvs;
  mesh->indices = parts->indices;
  mesh->material_slots = parts->material_slots;
  mesh->n_vertices = parts->n_vertices;
  mesh->n_triangles = parts->n_triangles;
  mesh->slot_names = parts->slot_names;
  mesh->n_slots = parts->n_slots;
  *parts = (rt_mesh_parts){0};
  mesh->bounds = RT_BOUNDS_EMPTY;
  for (size_t i = 0; i < 3 * mesh->n_triangles; i++)
    mesh->bounds = bounds_add(mesh->bounds, load(mesh->vertices, mesh->indices[i]));
  *out = mesh;
  return RT_OK;
}

/* A copy of n elements, or NULL where there is nothing to copy; *status tells when memory is refused. */
static void *copy(const void *from, size_t n, size_t size, rt_status *status, rt_error *err) {
  if (!from || *status != RT_OK) return NULL;
  void *to = rt_alloc(n, size, err);
  if (!to)
    *status = RT_NO_MEMORY;
  else
    memcpy(to, from, n * size);
  return to;
}

rt_status rt_mesh_new(rt_mesh **out, const rt_mesh_data *data, rt_error *err) {
  rt_status status = RT_OK;
  rt_mesh_parts parts = {.n_vertices = data->n_vertices, .n_triangles = data->n_triangles};
  parts.vertices = copy(data->vertices, data->n_vertices, 3 * sizeof(float), &status, err);
  parts.normals = copy(data->normals, data->n_vertices, 3 * sizeof(float), &status, err);
  parts.uvs = copy(data->uvs, data->n_vertices, 2 * sizeof(float), &status, err);
  parts.indices = copy(data->indices, data->n_triangles, 3 * sizeof(uint32_t), &status, err);
  parts.material_slots = copy(data->material_slots, data->n_triangles, sizeof(uint32_t), &status, err);
  if (status == RT_OK) return rt_mesh_from_parts(out, &parts, data->name ? data->name : "mesh", err);
  rt_mesh_parts_free(&parts);
  return status;
}

/* Text may hold any byte but 0; a PLY says what it is. */
static rt_status read_parts(rt_mesh_parts *parts, const char *data, size_t size, const char *path, rt_error *err) {
  if (size == 0) return rt_fail(err, RT_BAD_DATA, "%s: the file is empty: give an OBJ or a PLY", path);
  if (size >= 4 && memcmp(data, "ply", 3) == 0 && (data[3] == '\n' || data[3] == '\r'))
    return rt_ply_read(parts, data, size, path, err);
  if (memchr(data, '\0', size < 1024 ? size : 1024))
    return rt_fail(err, RT_BAD_DATA, "%s: not a mesh that rtlua reads: give an OBJ or a PLY", path);
  return rt_obj_read(parts, data, size, path, err);
}

rt_status rt_mesh_load(rt_mesh **out, const char *path, rt_error *err) {
  char *data;
  size_t size;
  rt_status status = rt_file_read(&data, &size, path, FILE_LIMIT, err);
  if (status != RT_OK) return status;
  rt_mesh_parts parts = {0};
  status = read_parts(&parts, data, size, path, err);
  rt_free(data);
  return status == RT_OK ? rt_mesh_from_parts(out, &parts, path, err) : status;
}

rt_mesh *rt_mesh_ref(rt_mesh *mesh) {
  atomic_fetch_add_explicit(&mesh->references, 1, memory_order_relaxed);
  return mesh;
}

void rt_mesh_free(rt_mesh *mesh) {
  if (!mesh || atomic_fetch_sub_explicit(&mesh->references, 1, memory_order_acq_rel) > 1) return;
  rt_mesh_parts parts = {mesh->vertices,   mesh->normals,     mesh->uvs,        mesh->indices, mesh->material_slots,
                         mesh->n_vertices, mesh->n_triangles, mesh->slot_names, mesh->n_slots};
  rt_mesh_parts_free(&parts);
  rt_free(mesh);
}

size_t rt_mesh_triangles(const rt_mesh *mesh) { return mesh->n_triangles; }
size_t rt_mesh_vertices(const rt_mesh *mesh) { return mesh->n_vertices; }
rt_bounds rt_mesh_bounds(const rt_mesh *mesh) { return mesh->bounds; }
uint32_t rt_mesh_slots(const rt_mesh *mesh) { return mesh->n_slots; }
const char *rt_mesh_slot_name(const rt_mesh *mesh, uint32_t slot) {
  return mesh->slot_names && slot < mesh->n_slots ? mesh->slot_names[slot] : "";
}
