/* Shapes as they are stored, and what each kind knows of itself in its own space. Internal to this room.
 *
 * Triangles, quads and boxes are small meshes, so that one triangle test serves them all; spheres, disks, planes and
 * cylinders are "round" shapes: their roots are found in double from float inputs and rounded once. */
#ifndef RT_GEOMETRY_SHAPE_H
#define RT_GEOMETRY_SHAPE_H

#include "geometry/linear.h"
#include "geometry/mesh.h"

/* Faces of a cylinder: rt_hit.primitive. */
enum { RT_FACE_SIDE = 0, RT_FACE_FROM = 1, RT_FACE_TO = 2 };

typedef struct {
  rt_shape_kind kind;
  bool hidden;
  char *name;          /* or NULL */
  uint32_t *materials; /* by slot */
  uint32_t n_materials;
  uint32_t *distinct; /* the same, sorted, each once */
  uint32_t n_distinct;
  rt_mesh *mesh;    /* NULL for round shapes */
  uint32_t mesh_id; /* of the geometry's distinct meshes */
  rt_d3 center;     /* sphere and disk: centre; plane: point; cylinder: `from` */
  rt_d3 axis;       /* disk and plane: unit normal; cylinder: to - from, exact */
  double radius;
  bool caps;
  rt_d3 tangent, bitangent; /* unit, with the axis a right-handed frame: texture coordinates */
} rt_shape;

/* Checks `desc` and fills *shape but for mesh_id. Release by rt_shape_release, on failure too. */
rt_status rt_shape_init(rt_shape *shape, const rt_shape_desc *desc, rt_error *err);
void rt_shape_release(rt_shape *shape);
/* Primitives as a ray meets them: triangles, or 1. */
static inline uint64_t rt_shape_primitives(const rt_shape *s) { return s->mesh ? s->mesh->n_triangles : 1; }
/* Rounded outward; empty for a plane. */
rt_bounds rt_shape_bounds(const rt_shape *shape);
static inline rt_vec3 rt_mesh_vertex(const rt_mesh *m, uint32_t i) {
  const float *v = m->vertices + 3 * (size_t)i;
  return v3(v[0], v[1], v[2]);
}
static inline uint32_t rt_shape_material(const rt_shape *s, uint32_t primitive) {
  return s->materials[s->mesh && s->mesh->material_slots ? s->mesh->material_slots[primitive] : 0];
}

/* The parameters at which the line o + t d meets a round shape, ascending: at most 2, in double. The hit is the first
 * that, rounded to float, lies in the ray's range. d is not 0. */
int rt_shape_roots(const rt_shape *shape, rt_vec3 o, rt_vec3 d, double t[2], uint32_t face[2]);

/* A point on a shape and what shading wants of it, in some space. Those of triangles are made in points.h. */
typedef struct {
  rt_d3 p;
  rt_d3 n, ns; /* outward, not normalized; ns may be 0 */
  rt_d3 error; /* how far p is off the surface as rays from p find it, per axis, but for the rounding of p to float */
  float u, v;
} rt_point;

/* The point of a round shape that is nearest to p (which is almost on it), on the face that is named. */
void rt_point_on_round(const rt_shape *shape, uint32_t face, rt_d3 p, rt_point *out);
/* From a child's space to its parent's: `inverse` is the inverse of `map`. */
void rt_point_map(rt_point *point, const rt_affine *map, const rt_affine *inverse);

#endif
