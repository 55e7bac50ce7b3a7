/* The kernel for processors with AVX-512; the Makefile compiles it for them. */
#ifdef __AVX512VL__
#define RT_KERNEL rt_kernel_avx512
#include "geometry/walk.h"
#endif
