/* The sampler's numbers on every processor of an architecture. */
#define RT_SETS rt_sampler_pairs_base
#include "render/sets.h"
