/* Kernels: walk.h compiled for an instruction set each. The hits do not depend on which one runs. Internal to this
 * room; trace.c chooses. */
#ifndef RT_GEOMETRY_KERNEL_H
#define RT_GEOMETRY_KERNEL_H

#include "geometry/geometry.h"

typedef struct {
  /* rt_intersect_lanes and rt_occluded_lanes. */
  int (*intersect)(const rt_geometry *geometry, const rt_ray_lanes *rays, const int32_t wanted[RT_LANES], bool camera,
                   rt_hit hits[], int32_t found[RT_LANES]);
  void (*occluded)(const rt_geometry *geometry, const rt_ray_lanes *rays, const uint64_t targets[RT_LANES],
                   const int32_t wanted[RT_LANES], int32_t found[RT_LANES]);
} rt_kernel;

extern const rt_kernel rt_kernel_base; /* of every processor: SSE2 on x86-64, NEON on AArch64 */
#ifdef __x86_64__
extern const rt_kernel rt_kernel_avx2, rt_kernel_avx512;
#endif

#endif
