/* Vertices of paths for every processor. */
#define RT_VERTICES rt_vertices_base
#include "render/vertices_loops.h"
