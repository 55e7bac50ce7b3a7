/* Diffuse BSDFs for every processor. */
#define RT_BSDFS rt_bsdfs_base
#include "shading/bsdf_loops.h"
