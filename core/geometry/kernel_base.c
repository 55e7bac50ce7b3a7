/* The kernel that every processor of an architecture runs: SSE2 on x86-64, NEON on AArch64. */
#ifdef __x86_64__
#define RT_KERNEL rt_kernel_sse2
#define RT_KERNEL_NAME "sse2"
#elif defined(__aarch64__)
#define RT_KERNEL rt_kernel_base
#define RT_KERNEL_NAME "neon"
#else
#define RT_KERNEL rt_kernel_base
#define RT_KERNEL_NAME "base"
#endif
#include "geometry/walk.h"
