/* Vertices of paths, eight at a time: what is computed of them alike whatever the shape, the material and the light.
 * Internal to this room.
 *
 * The loops (vertices_loops.h) are compiled for an instruction set each; what comes out does not depend on it. */
#ifndef RT_RENDER_VERTICES_H
#define RT_RENDER_VERTICES_H

#include "shading/shading.h"

/* A path whose throughput is below this goes on with a probability that brings it up to this. Roulette at 1 ends so
 * many paths, and makes so much of the others, that those which come upon a caustic speckle the picture: at 1/2
 * scenes/bench_cornell.lua takes a quarter less time for the same noise, rays for rays, and at 1/3 it is no better. */
#define ROULETTE_BELOW 0.5f
/* From this bounce on a path may be ended whatever its throughput: light trapped in loss-free glass would go round for
 * ever. */
#define ROULETTE_CERTAIN 256
#define ROULETTE_CERTAIN_SURVIVAL 0.99f

/* From this bounce on shading normals are left aside: by them light can be caught inside of a smooth mesh of glass
 * that the mesh itself would let out, since refraction by another normal than the surface's cannot be reversed. */
#define SHADING_NORMALS_END 64

/* Shadow rays end this far before the light, relative to their length: what the rounding of their direction and of t
 * takes. */
#define SHADOW_END (1.0f - 4.0f * RT_U)

typedef struct {
  rt_vec3_lanes x, y, z;
} rt_frame_lanes;
static inline rt_frame frame_get(const rt_frame_lanes *f, int i) {
  return (rt_frame){v3_get(&f->x, i), v3_get(&f->y, i), v3_get(&f->z, i)};
}

typedef struct {
  rt_surface_lanes surface;
  rt_bsdf_lanes bsdf;
  int32_t transmissive[RT_LANES];
  rt_vec3_lanes wo;       /* world, towards where the path came from */
  rt_vec3_lanes local_wo; /* in the frame */
  rt_vec3_lanes side;     /* geometric normal on the side of wo */
  rt_frame_lanes frame;
} rt_vertices;

/* Paths between two vertices. Invariant: `throughput` is the product of BSDF weights from the camera to the ray's
 * origin, so that radiance L arriving along the ray adds throughput * L; `pdf` is the density over solid angle with which the
 * last vertex chose the ray, and `delta` says that no other technique could have found it. */
typedef struct {
  rt_ray_lanes ray;
  rt_vec3_lanes from; /* the last vertex */
  rt_vec3_lanes throughput;
  float pdf[RT_LANES], eta_scale[RT_LANES];
  int32_t delta[RT_LANES];
  int32_t going[RT_LANES]; /* not ended */
} rt_paths;

/* Rays to sampled points of lights, and what arrives along them if nothing is in the way. */
typedef struct {
  rt_ray_lanes ray;
  rt_vec3_lanes radiance;
  int32_t wanted[RT_LANES];
} rt_shadows;

/* Of opaque materials, which reflect on both sides, the frame is turned to the viewer; glass needs to know which side
 * is outside. */
static inline rt_vec3 oriented(rt_vec3 normal, bool transmissive, rt_vec3 ng, rt_vec3 wo) {
  return v3_pick(!transmissive & (v3_dot(ng, wo) < 0.0f), normal, v3_neg(normal));
}

/* The direction in the world of one in a frame. */
static inline rt_vec3 out_of_frame(const rt_frame *frame, rt_vec3 local) {
  return v3_renormalize(frame_to_world(frame, local));
}

/* A direction by the shading normal may lie on the wrong side of the surface. */
static inline bool leaves(rt_vec3 side, rt_vec3 wi, bool transmission) {
  float cosine = v3_dot(side, wi);
  return (transmission & (cosine < 0.0f)) | (!transmission & (cosine > 0.0f));
}

static inline float power_heuristic(float a, float b) {
  float ratio = b / a; /* of densities whose squares might overflow */
  return f_pick(b > 0.0f, 1.0f, 1.0f / (1.0f + ratio * ratio));
}

typedef struct {
  /* The frames of vertices that have all but local_wo, side and frame. `shaded`: by shading normals, but for those that
   * put the viewer behind the surface. */
  void (*frames)(rt_vertices *v, bool shaded);
  /* Sampled light in the frames, and `wanted` where it can be reflected. */
  void (*see_lights)(const rt_vertices *v, const rt_light_lanes *lights, rt_vec3_lanes *local_wi,
                     int32_t wanted[RT_LANES]);
  /* Rays to the lights, with what BSDFs make of them; `wanted` is narrowed. */
  void (*make_shadows)(const rt_vertices *v, const rt_light_lanes *lights, const rt_vec3_lanes *throughput,
                       const rt_vec3_lanes *f, const float pdf[RT_LANES], rt_shadows *out);
  /* Directions of BSDF samples in the world; `left` where they are on the side that they should be. */
  void (*directions)(const rt_vertices *v, const rt_bsdf_sample_lanes *samples, rt_vec3_lanes *wi,
                     int32_t left[RT_LANES]);
  /* Roulette with the numbers u, and the next rays. `broken` where a throughput is not finite. */
  void (*go_on)(rt_paths *paths, const rt_vertices *v, const rt_bsdf_sample_lanes *samples, const rt_vec3_lanes *wi,
                const float u[RT_LANES], float most_survival, int32_t broken[RT_LANES]);
} rt_vertex_kernel;

extern const rt_vertex_kernel rt_vertices_base, rt_vertices_avx2;

#endif
