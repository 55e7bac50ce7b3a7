/* The sampler's numbers on processors with AVX2; the Makefile compiles it for them. */
#ifdef __AVX2__
#define RT_SETS rt_sampler_pairs_avx2
#include "render/sets.h"
#endif
