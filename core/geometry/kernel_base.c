/* The kernel that every processor of an architecture runs. */
#define RT_KERNEL rt_kernel_base
#include "geometry/walk.h"
