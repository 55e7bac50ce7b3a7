#include "geometry/points.h"

#include "base/isa.h"

const rt_point_kernel *rt_points(void) { return RT_BY_ISA(rt_points); }

rt_point rt_point_get(const rt_point_lanes *points, int i) {
  return (rt_point){.p = d3_get(&points->p, i),
                    .n = d3_get(&points->n, i),
                    .ns = d3_get(&points->ns, i),
                    .error = d3_get(&points->error, i),
                    .u = points->u[i],
                    .v = points->v[i]};
}

void rt_point_put(rt_point_lanes *points, int i, const rt_point *point) {
  d3_put(&points->p, i, point->p);
  d3_put(&points->n, i, point->n);
  d3_put(&points->ns, i, point->ns);
  d3_put(&points->error, i, point->error);
  points->u[i] = point->u;
  points->v[i] = point->v;
}

static rt_vec3 load(const float *p) { return v3(p[0], p[1], p[2]); }

void rt_corners_none(rt_corner_lanes *out, int i) {
  for (int k = 0; k < 3; k++) {
    v3_put(&out->corner[k].p, i, v3_all(0.0f));
    v3_put(&out->corner[k].n, i, v3_all(0.0f));
    out->corner[k].u[i] = out->corner[k].v[i] = 0.0f;
  }
  out->b1[i] = out->b2[i] = 0.0;
}

void rt_corners_of(const rt_shape *shape, uint32_t primitive, double b1, double b2, rt_corner_lanes *out, int i) {
  static const float corner_uv[3][2] = {{0.0f, 0.0f}, {1.0f, 0.0f}, {0.0f, 1.0f}};
  const rt_mesh *mesh = shape->mesh;
  for (int k = 0; k < 3; k++) {
    size_t index = mesh->indices[3 * (size_t)primitive + (size_t)k];
    const float *uv = mesh->uvs ? mesh->uvs + 2 * index : corner_uv[k];
    v3_put(&out->corner[k].p, i, load(mesh->vertices + 3 * index));
    v3_put(&out->corner[k].n, i, mesh->normals ? load(mesh->normals + 3 * index) : v3_all(0.0f));
    out->corner[k].u[i] = uv[0];
    out->corner[k].v[i] = uv[1];
  }
  out->b1[i] = b1;
  out->b2[i] = b2;
}
