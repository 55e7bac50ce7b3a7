/* Points on shapes for every processor. */
#define RT_POINTS rt_points_base
#include "geometry/points_loops.h"
