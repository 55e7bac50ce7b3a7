/* The background: light from all directions at infinity. Constant, a gradient in y, or a latitude-longitude image.
 * Immutable once made; the radiance and the density at a direction come from one function, so that whoever samples and
 * whoever meets the background by chance see the same numbers. */
#ifndef RT_SHADING_ENVIRONMENT_H
#define RT_SHADING_ENVIRONMENT_H

#include "base/sha256.h"
#include "base/vec.h"
#include "rt.h"

typedef struct rt_environment rt_environment;

/* Validates, and retains the image. */
rt_status rt_environment_new(rt_environment **out, const rt_background_desc *desc, rt_error *err);
void rt_environment_free(rt_environment *environment);
/* Of the luminance, over the sphere. 0: the background is black, and must not be sampled. */
double rt_environment_mean(const rt_environment *environment);
/* Is there more light from some directions than from others? Sampling a constant background finds nothing that BSDF
 * sampling does not find better. */
bool rt_environment_varies(const rt_environment *environment);
/* A direction (unit) from two uniform numbers in [0, 1), of one that varies. */
rt_vec3 rt_environment_sample(const rt_environment *environment, float u0, float u1);
/* Radiance in direction w (unit), and the density over solid angle with which rt_environment_sample makes w: above 0
 * wherever there is radiance; 0 where it does not vary. */
rt_rgb rt_environment_at(const rt_environment *environment, rt_vec3 w, float *pdf);
size_t rt_environment_bytes(const rt_environment *environment);
void rt_environment_hash(const rt_environment *environment, rt_sha256 *sha);

#endif
