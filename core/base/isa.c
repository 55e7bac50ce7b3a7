#include "base/isa.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

#if defined(__x86_64__)
static const char *const names[RT_ISAS] = {"sse2", "avx2", "avx512"};
#elif defined(__aarch64__)
static const char *const names[RT_ISAS] = {"neon"};
#else
static const char *const names[RT_ISAS] = {"base"};
#endif

static bool runs_here(int level) {
#ifdef __x86_64__
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("fma");
  if (level == RT_ISA_AVX2) return avx2;
  if (level == RT_ISA_AVX512) return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#endif
  return level == RT_ISA_BASE;
}

static int find_best(void) {
  int level = RT_ISAS - 1;
  while (!runs_here(level)) level--;
  return level;
}

static atomic_int chosen = -1; /* -1: none yet */

rt_isa_level rt_isa_now(void) {
  int level = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (level < 0) {
    level = find_best();
    atomic_store_explicit(&chosen, level, memory_order_relaxed);
  }
  return (rt_isa_level)level;
}

rt_status rt_isa_select(const char *name, rt_error *err) {
  const char *best = names[find_best()];
  for (int level = 0; level < RT_ISAS; level++) {
    if (!names[level] || strcmp(names[level], name) != 0) continue;
    if (!runs_here(level))
      return rt_fail(err, RT_BAD_USAGE, "%s: this processor has not got it: the best that it has is %s", name, best);
    atomic_store(&chosen, level);
    return RT_OK;
  }
  return rt_fail(err, RT_BAD_USAGE, "%s: this build has no such kernel: the best that there is here is %s", name, best);
}

const char *rt_isa(void) { return names[rt_isa_now()]; }
