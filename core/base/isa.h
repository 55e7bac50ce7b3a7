/* Which instruction set the files that are compiled for several of them run by. What they compute does not depend on
 * it. */
#ifndef RT_BASE_ISA_H
#define RT_BASE_ISA_H

/* BASE: what every processor of the architecture has, SSE2 on x86-64, NEON on AArch64. Of the others each has those
 * before it: code that has nothing for one takes what it has for the one before. */
typedef enum { RT_ISA_BASE, RT_ISA_AVX2, RT_ISA_AVX512, RT_ISAS } rt_isa_level;

/* The best that this processor has, until rt_isa_select (rt.h) has chosen another. */
rt_isa_level rt_isa_now(void);

/* Of what is compiled for every processor, as NAME_base, and for AVX2, as NAME_avx2, the address of the one to use. */
#ifdef __x86_64__
#define RT_BY_ISA(name) (rt_isa_now() >= RT_ISA_AVX2 ? &name##_avx2 : &name##_base)
#else
#define RT_BY_ISA(name) (&name##_base)
#endif

#endif
