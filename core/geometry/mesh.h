/* Triangle meshes: arrays that several shapes may share. Readers are obj.c and ply.c. */
#ifndef RT_GEOMETRY_MESH_H
#define RT_GEOMETRY_MESH_H

#include <stdatomic.h>

#include "rt.h"

struct rt_mesh {
  atomic_int references;
  float *vertices;          /* 3 n_vertices */
  float *normals;           /* 3 n_vertices or NULL */
  float *uvs;               /* 2 n_vertices or NULL */
  uint32_t *indices;        /* 3 n_triangles */
  uint32_t *material_slots; /* n_triangles or NULL */
  size_t n_vertices, n_triangles;
  char **slot_names; /* NULL: all "" */
  uint32_t n_slots;  /* at least 1 */
  rt_bounds bounds;
};

#endif
