/* The kernel for processors with AVX2; the Makefile compiles it for them. */
#ifdef __AVX2__
#define RT_KERNEL rt_kernel_avx2
#include "geometry/walk.h"
#endif
