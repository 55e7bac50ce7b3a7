/* Vertices of paths for processors with AVX2; the Makefile compiles it for them. */
#ifdef __AVX2__
#define RT_VERTICES rt_vertices_avx2
#include "render/vertices_loops.h"
#endif
