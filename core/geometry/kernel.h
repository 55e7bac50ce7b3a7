/* Kernels: walk.h compiled for an instruction set each. The hits do not depend on which one runs. Internal to this
 * room; trace.c chooses. */
#ifndef RT_GEOMETRY_KERNEL_H
#define RT_GEOMETRY_KERNEL_H

#include "geometry/geometry.h"

typedef struct {
  bool (*intersect)(const rt_geometry *geometry, const rt_ray *ray, rt_hit *hit);
  bool (*occluded)(const rt_geometry *geometry, const rt_ray *ray, uint64_t target);
} rt_kernel;

extern const rt_kernel rt_kernel_base; /* of every processor: SSE2 on x86-64, NEON on AArch64 */
#ifdef __x86_64__
extern const rt_kernel rt_kernel_avx2, rt_kernel_avx512;
#endif

#endif
