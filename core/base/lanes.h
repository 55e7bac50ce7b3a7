/* Eight vectors at once, one component beside the other. Work on them is written as a plain loop over the lanes, whose
 * body computes one from one by the functions that everyone uses, without branches and calls; compilers make of it
 * whatever the instruction set has, two, four or eight lanes an instruction. Each lane is by itself and every operation
 * IEEE's, so that what comes out depends neither on the set nor on the other lanes. */
#ifndef RT_BASE_LANES_H
#define RT_BASE_LANES_H

#include <float.h>

#include "base/vec.h"

#define RT_LANES 8
#define RT_EACH_LANE(i) for (int i = 0; i < RT_LANES; i++)

typedef struct {
  _Alignas(32) float x[RT_LANES], y[RT_LANES], z[RT_LANES];
} rt_vec3_lanes;

static inline rt_vec3 v3_get(const rt_vec3_lanes *v, int i) { return v3(v->x[i], v->y[i], v->z[i]); }
static inline void v3_put(rt_vec3_lanes *v, int i, rt_vec3 a) {
  v->x[i] = a.x;
  v->y[i] = a.y;
  v->z[i] = a.z;
}

/* Choices without branches. */
static inline float f_pick(bool second, float a, float b) { return second ? b : a; }
static inline rt_vec3 v3_pick(bool second, rt_vec3 a, rt_vec3 b) {
  return v3(f_pick(second, a.x, b.x), f_pick(second, a.y, b.y), f_pick(second, a.z, b.z));
}
static inline bool v3_is_bounded(rt_vec3 a) {
  return (fabsf(a.x) <= FLT_MAX) & (fabsf(a.y) <= FLT_MAX) & (fabsf(a.z) <= FLT_MAX);
}

#endif
