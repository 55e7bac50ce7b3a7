/* Diffuse BSDFs for processors with AVX2; the Makefile compiles it for them. */
#ifdef __AVX2__
#define RT_BSDFS rt_bsdfs_avx2
#include "shading/bsdf_loops.h"
#endif
