/* Points on shapes for processors with AVX2; the Makefile compiles it for them. */
#ifdef __AVX2__
#define RT_POINTS rt_points_avx2
#include "geometry/points_loops.h"
#endif
