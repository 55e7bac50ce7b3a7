/* Geometry: shapes in groups, groups placed in groups, trees over them, and rays against all of it.
 *
 * A group holds items: shapes of its own and instances of other groups. Every primitive (a triangle, a sphere, ...)
 * as a ray may meet it has an ordinal: its number in depth-first order of the placed scene, items in order of
 * addition. The hit is defined without the tree (ARCHITECTURE.md): the least (t, ordinal) among all that the exact
 * test accepts.
 *
 * Stands on base alone. Knows materials as numbers only. */
#ifndef RT_GEOMETRY_H
#define RT_GEOMETRY_H

#include "base/lanes.h"
#include "base/pool.h"
#include "base/sha256.h"
#include "base/vec.h"
#include "rt.h"

#define RT_MAX_NESTING 8

typedef struct rt_geometry rt_geometry;

rt_status rt_geometry_new(rt_geometry **out, rt_error *err); /* with group 0, empty */
void rt_geometry_free(rt_geometry *geometry);
rt_status rt_geometry_add_group(rt_geometry *geometry, uint32_t *id, rt_error *err);
/* Shape ids count from 0 in order of addition over all groups. Validates (radius > 0, finite, normal not 0, ...). */
rt_status rt_geometry_add_shape(rt_geometry *geometry, uint32_t group, const rt_shape_desc *desc, uint32_t *id,
                                rt_error *err);
rt_status rt_geometry_add_instance(rt_geometry *geometry, uint32_t group, const rt_instance_desc *desc, rt_error *err);
rt_status rt_geometry_build(rt_geometry *geometry, rt_pool *pool, rt_error *err);
rt_bounds rt_geometry_bounds(const rt_geometry *geometry);                  /* of the world; infinite planes left out */
void rt_geometry_describe(const rt_geometry *geometry, rt_scene_info *out); /* the fields that are geometry's */
void rt_geometry_hash(const rt_geometry *geometry, rt_sha256 *sha);         /* shapes, placements and material ids */

/* ---- Rays ---- */

typedef struct {
  rt_vec3 o;
  float tnear; /* at least 0; a hit has tnear < t <= tfar */
  rt_vec3 d;   /* any finite length but 0 */
  float tfar;
  bool camera; /* does not see hidden shapes */
} rt_ray;

typedef struct {
  uint32_t instance, which; /* its id, and, where it stands for many, which one */
} rt_place;

typedef struct {
  float t;
  float u, v; /* triangle: barycentric weights of vertices 1 and 2; other shapes: what their own code wants */
  uint32_t shape, primitive; /* primitive: triangle of a mesh; face of a cylinder; 0 elsewhere */
  uint32_t depth;            /* how many instances were entered */
  uint64_t ordinal;
  rt_place path[RT_MAX_NESTING]; /* these, outermost first */
} rt_hit;

bool rt_intersect(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit);

/* Eight rays. */
typedef struct {
  rt_vec3_lanes o, d;
  float tnear[RT_LANES], tfar[RT_LANES];
} rt_ray_lanes;
static inline void rt_ray_put(rt_ray_lanes *rays, int i, const rt_ray *ray) {
  v3_put(&rays->o, i, ray->o);
  v3_put(&rays->d, i, ray->d);
  rays->tnear[i] = ray->tnear;
  rays->tfar[i] = ray->tfar;
}
/* Of those that are wanted, which of them hit something, and how many; their hits one behind the other, in room for
 * as many as are wanted. */
int rt_intersect_lanes(const rt_geometry *geometry, const rt_ray_lanes *rays, const int32_t wanted[RT_LANES],
                       bool camera, rt_hit hits[], int32_t found[RT_LANES]);

/* Is there any hit? A ray to a sampled point of a light, which has t = 1 there, names the primitive that the point is
 * on: of that one, hits behind RT_TARGET_FROM do not count, since the ray's direction is rounded, so that it meets
 * the light's surface a little before or behind the point, more so where it grazes it. All else that is in the way
 * counts up to tfar. */
bool rt_occluded(const rt_geometry *geometry, const rt_ray *ray, uint64_t target);
void rt_occluded_lanes(const rt_geometry *geometry, const rt_ray_lanes *rays, const uint64_t targets[RT_LANES],
                       const int32_t wanted[RT_LANES], int32_t found[RT_LANES]);
#define RT_NO_TARGET UINT64_MAX
#define RT_TARGET_FROM (1.0f - 0x1p-12f)
/* The definition of a hit: every primitive by the exact test, no tree. For the specs. */
bool rt_intersect_brute(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit);

/* What shading wants to know of a hit, in world space. */
typedef struct {
  rt_vec3 p;
  rt_vec3 p_error; /* bound of |p - true point| per axis: rays leave from outside of it, see rt_offset */
  rt_vec3 ng, ns;  /* unit, outward (the side of the normal); ns is on ng's side */
  float u, v;      /* texture coordinates */
  uint32_t material;
  uint32_t shape;
  uint32_t primitive;
  uint64_t placement; /* ordinal of the placed shape's first primitive: names this copy of the shape */
} rt_surface;
void rt_surface_at(const rt_geometry *geometry, const rt_ray *ray, const rt_hit *hit, rt_surface *surface);

/* Eight of them. */
typedef struct {
  rt_vec3_lanes p, p_error, ng, ns;
  float u[RT_LANES], v[RT_LANES];
  uint32_t material[RT_LANES], shape[RT_LANES], primitive[RT_LANES];
  uint64_t placement[RT_LANES];
} rt_surface_lanes;
/* Of the first n lanes; the others get what means nothing. */
void rt_surfaces_at(const rt_geometry *geometry, int n, const rt_ray_lanes *rays, const rt_hit hits[],
                    rt_surface_lanes *out);
rt_surface rt_surface_get(const rt_surface_lanes *surfaces, int i);
/* Fetch what rt_surfaces_at will read: a triangle's indices, then by them its corners. */
void rt_surface_prefetch(const rt_geometry *geometry, const rt_hit *hit);
void rt_surface_prefetch_corners(const rt_geometry *geometry, const rt_hit *hit);
/* The name of the hit shape, or of its nearest named ancestor; NULL. */
const char *rt_hit_name(const rt_geometry *geometry, const rt_hit *hit);

/* Where a ray in direction w leaves from, so that it does not meet its own surface: p moved along +-ng beyond
 * p_error, as in Pharr, Jakob, Humphreys 2023, section 6.8.6. The new coordinates are rounded, by u |p| each and a
 * little more: 2 u |p| is added to the error instead of going to the next float, whose direction no branch predictor
 * guesses; 1 + 8 u is for the sums here. */
static inline rt_vec3 rt_offset(rt_vec3 p, rt_vec3 p_error, rt_vec3 ng, rt_vec3 w) {
  const float two_u = 2.0f * RT_U;
  float d = fabsf(ng.x) * (p_error.x + two_u * fabsf(p.x)) + fabsf(ng.y) * (p_error.y + two_u * fabsf(p.y)) +
            fabsf(ng.z) * (p_error.z + two_u * fabsf(p.z));
  return v3_mad(p, ng, copysignf(d * (1.0f + 8.0f * RT_U), v3_dot(ng, w)));
}

/* ---- Placed shapes as emitters ---- */

/* Walks every placement of every shape that has a material for which wanted(context, material) is true, in order of
 * ordinals. Subtrees without one are not entered. visit gets the shape's id, the placement's ordinal, and the map to
 * the world; it returns a status. */
rt_status rt_geometry_each_placed(const rt_geometry *geometry, bool (*wanted)(void *context, uint32_t material),
                                  rt_status (*visit)(void *context, uint32_t shape, uint64_t placement,
                                                     const rt_affine *to_world, rt_error *err),
                                  void *context, rt_error *err);
/* The placements of group `group` in the world: same for lights that live in groups. */
rt_status rt_geometry_each_group(const rt_geometry *geometry, uint32_t group,
                                 rt_status (*visit)(void *context, const rt_affine *to_world, rt_error *err),
                                 void *context, rt_error *err);
/* The distinct materials of a shape. */
void rt_shape_materials(const rt_geometry *geometry, uint32_t shape, const uint32_t **materials, uint32_t *n);

/* The part of one placed shape that has one material, ready to be sampled by its area in the world. */
typedef struct rt_emitter rt_emitter;
/* RT_BAD_DATA for a shape that cannot be sampled: an infinite plane. *out is NULL with RT_OK when no part has this
 * material or its area is 0. */
rt_status rt_emitter_new(rt_emitter **out, const rt_geometry *geometry, uint32_t shape, uint32_t material,
                         const rt_affine *to_world, rt_error *err);
void rt_emitter_free(rt_emitter *emitter);
double rt_emitter_area(const rt_emitter *emitter); /* in the world, one side, relative error below 1e-6 */

/* Eight points of emitters. */
typedef struct {
  rt_vec3_lanes p, p_error, n;    /* n: unit, outward */
  float u[RT_LANES], v[RT_LANES]; /* texture coordinates */
  rt_vec3_lanes wi;               /* unit, from the reference point to p; not finite where the two are one */
  float pdf[RT_LANES];            /* density over solid angle at the reference point; 0: there is none */
  uint32_t primitive[RT_LANES];   /* that p is on: its ordinal is the placement's plus this */
} rt_emitter_lanes;
/* Points of emitters as seen from `refs`, from two uniform numbers in [0, 1) each; the first, which also chooses among
 * a mesh's triangles, has a double's digits. Where `emitters` is NULL the lane gets what means nothing.
 * Spheres that are still spheres in the world and do not hold the reference are sampled by solid angle (a cone);
 * everything else by area. */
void rt_emitters_sample(const rt_emitter *const emitters[RT_LANES], const rt_vec3_lanes *refs,
                        const double u0[RT_LANES], const float u1[RT_LANES], rt_emitter_lanes *out);
/* The density with which rt_emitters_sample makes the direction from `ref` to `surface` (a hit on this emitter). */
float rt_emitter_pdf(const rt_emitter *emitter, rt_vec3 ref, const rt_surface *surface);

#endif
