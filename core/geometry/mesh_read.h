/* Inside the mesh room: what readers hand over, and how corners become vertices. Only mesh.c, weld.c, obj.c, ply.c
 * include it. */
#ifndef RT_GEOMETRY_MESH_READ_H
#define RT_GEOMETRY_MESH_READ_H

#include "base/error.h"
#include "rt.h"

/* Corners are counted in 32 bits. */
#define RT_MAX_TRIANGLES (UINT32_MAX / 3)
#define RT_MAX_SLOTS 65536

/* Arrays as in struct rt_mesh, each made by rt_alloc or rt_grow and owned by whoever holds the parts. Nothing is
 * checked yet. */
typedef struct {
  float *vertices, *normals, *uvs;
  uint32_t *indices, *material_slots;
  size_t n_vertices, n_triangles;
  char **slot_names; /* NULL: n_slots times "" */
  uint32_t n_slots;
} rt_mesh_parts;

void rt_mesh_parts_free(rt_mesh_parts *parts);
/* Checks the parts, makes normals unit, and makes a mesh of them. Takes the parts, on failure too. `name` is for
 * errors. */
rt_status rt_mesh_from_parts(rt_mesh **out, rt_mesh_parts *parts, const char *name, rt_error *err);

/* A corner of a triangle: which position, uv and normal; RT_NONE where it has no uv or normal of its own. */
typedef struct {
  uint32_t position, uv, normal;
} rt_corner;

typedef struct {
  float *positions, *uvs, *normals; /* 3, 2, 3 floats each */
  size_t n_positions, n_uvs, n_normals;
  rt_corner *corners; /* 3 n_triangles, indices in range */
  size_t n_triangles;
} rt_soup;

/* Sets the vertices, normals, uvs and indices of the parts: corners that agree share a vertex. Where only some
 * corners have a uv the others get (0, 0); where only some have a normal (of a length but 0) the others get their
 * triangle's. */
rt_status rt_weld(rt_mesh_parts *parts, const rt_soup *soup, rt_error *err);

/* `text` has a zero byte behind its `size` bytes. On failure the parts are empty. */
rt_status rt_obj_read(rt_mesh_parts *out, const char *text, size_t size, const char *path, rt_error *err);
rt_status rt_ply_read(rt_mesh_parts *out, const char *text, size_t size, const char *path, rt_error *err);

#endif
