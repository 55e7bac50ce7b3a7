/* Arbitrary output variables: what a film may keep of its samples besides their radiance, and what becomes of it. */
#ifndef RT_RENDER_AOV_H
#define RT_RENDER_AOV_H

#include "base/fixed.h"
#include "rt.h"

/* What one sample says. Zero where its camera ray met nothing. */
typedef struct {
  rt_rgb albedo; /* of the first vertex that is not purely specular, times the weights on the way to it */
  rt_rgb emission, direct, indirect; /* radiance: seen directly, scattered once, scattered more often */
  rt_vec3 normal, position;          /* of the first vertex: on the viewer's side, unit; in the world */
  float depth;                       /* along the camera's axis */
  float u, v;
  uint32_t shape, material; /* their numbers, from 1 on in order of addition */
} rt_features;

/* How many sums a pixel keeps for a set of AOVs (RT_AOV_BIT); does it keep ids? */
int rt_aov_sums(uint32_t aovs);
bool rt_aov_has_ids(uint32_t aovs);
/* The first of an AOV's sums among them. */
int rt_aov_first_sum(uint32_t aovs, rt_aov aov);
/* What a film keeps for a set of AOVs: errors are those of other AOVs. */
uint32_t rt_aov_kept(uint32_t aovs);
/* One sample of a pixel. */
typedef struct {
  uint32_t index;
  rt_rgb radiance;
  bool covered;
  const rt_features *features; /* may be NULL where no AOVs are kept */
} rt_film_sample;
/* Adds a sample's to a pixel's sums. */
void rt_aov_add(uint32_t aovs, rt_fixed *sums, const rt_film_sample *sample);
/* The variance of the mean of `samples` luminances, whose mean and whose sum of squares these are; 0 below two. */
double rt_aov_variance(double mean, rt_fixed squares, uint32_t samples);

#endif
