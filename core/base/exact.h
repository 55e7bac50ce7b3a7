/* What exactness asks of the compiler (ARCHITECTURE.md, "The same picture to the bit"). Included by all arithmetic. */
#ifndef RT_BASE_EXACT_H
#define RT_BASE_EXACT_H

#include <float.h>

#ifdef __FAST_MATH__
#error "rtlua's pictures are exact: build without -ffast-math"
#endif
#if FLT_EVAL_METHOD != 0
#error "rtlua needs float arithmetic in float (FLT_EVAL_METHOD 0): on 32-bit x86 build with -msse2 -mfpmath=sse"
#endif

/* u: the unit roundoff of float. gamma(n) bounds the relative error of n operations: Higham 2002, lemma 3.1. */
#define RT_U 0x1p-24f
#define RT_GAMMA(n) ((n)*RT_U / (1.0f - (n)*RT_U))

#endif
