/* Lamps: lights without a surface in the scene. Point, spot and sun, placed in the world. */
#ifndef RT_SHADING_LAMPS_H
#define RT_SHADING_LAMPS_H

#include "base/sha256.h"
#include "shading/shading.h"

typedef struct {
  rt_light_kind kind;
  bool disk;        /* sun: it has an extent, and is part of the background */
  rt_rgb intensity; /* W/sr; sun: irradiance */
  rt_rgb radiance;  /* sun with a disk */
  rt_vec3 position;
  double x[3], y[3], axis[3];    /* orthonormal; axis: where a spot points, towards a sun */
  double versine_inner, versine; /* 1 - cos of the half angles: spot's full light and its edge; sun's disk */
} rt_lamp;

/* Validates; clears the fields that the kind does not read, so that they don't get into a hash. */
rt_status rt_lamp_check(rt_light_desc *desc, rt_error *err);
/* Places a checked lamp by a map to the world: positions as points, directions as vectors. Intensity and cone stay as
 * they are. */
rt_status rt_lamp_place(rt_lamp *out, const rt_light_desc *desc, const rt_affine *to_world, rt_error *err);
void rt_lamp_hash(const rt_light_desc *desc, rt_sha256 *sha);
/* Luminance of the flux. Of a sun: what passes the cross-section of a ball of radius `radius`. */
double rt_lamp_power(const rt_lamp *lamp, double radius);
/* A direction of light as seen from a reference point: see rt_light_lanes. */
typedef struct {
  rt_vec3 wi, p;
  bool infinite, delta;
  rt_rgb radiance;
  float pdf;
} rt_light_sample;
/* Point, spot, and sun without a disk: what reaches `ref`, with pdf 1. False for nothing. */
bool rt_lamp_light(const rt_lamp *lamp, rt_vec3 ref, rt_light_sample *out);
/* Sun with a disk: a direction within it, uniformly by solid angle; and the density of direction w (unit), 0 outside.
 * */
rt_vec3 rt_sun_sample(const rt_lamp *sun, float u0, float u1);
double rt_sun_density(const rt_lamp *sun, rt_vec3 w);

#endif
