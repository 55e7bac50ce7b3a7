/* Allocation with checked sizes.
 *
 * A block is taken by calloc, so that the pages of a large one are zeroed by the system as they are touched, and
 * rounded up to a multiple of 64 in address; the pointer that calloc gave stands right before it. */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "base/error.h"

#define ALIGNMENT 64 /* a cache line, and the widest vector register */

/* Huge pages, where the system has them: a ray's way through a large tree misses the TLB with every node else. Asked for
 * before the pages are touched; that they are refused is no error. */
static void prefer_huge_pages(char *block, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const size_t page = (size_t)1 << 21;
  if (bytes < 2 * page) return;
  size_t before = (page - (uintptr_t)block % page) % page;
  (void)madvise(block + before, (bytes - before) / page * page, MADV_HUGEPAGE);
#else
  (void)block;
  (void)bytes;
#endif
}

static rt_status too_large(rt_error *err, size_t n, size_t size) {
  return rt_fail(err, RT_NO_MEMORY,
                 "out of memory: %zu elements of %zu bytes are more than there is: make the scene smaller", n, size);
}

void *rt_alloc(size_t n, size_t size, rt_error *err) {
  const size_t extra = sizeof(void *) + ALIGNMENT - 1;
  if (size && n > (PTRDIFF_MAX - extra) / size) {
    too_large(err, n, size);
    return NULL;
  }
  char *base = calloc(1, n * size + extra);
  if (!base) {
    too_large(err, n, size);
    return NULL;
  }
  size_t offset = sizeof(void *) + (ALIGNMENT - ((uintptr_t)base + sizeof(void *)) % ALIGNMENT) % ALIGNMENT;
  char *block = base + offset;
  prefer_huge_pages(block, n * size);
  memcpy(block - sizeof base, &base, sizeof base);
  return block;
}

void rt_free(void *p) {
  if (!p) return;
  void *base;
  memcpy(&base, (char *)p - sizeof base, sizeof base);
  free(base);
}

bool rt_grow(void **array, size_t *capacity, size_t n, size_t size, rt_error *err) {
  if (n <= *capacity) return true;
  size_t grown = *capacity + *capacity / 2; /* cannot overflow: the bytes are fewer than PTRDIFF_MAX */
  if (grown < n) grown = n;
  if (grown < 16) grown = 16;
  /* Where the larger step is refused, what was asked for may still fit. */
  void *block = rt_alloc(grown, size, NULL);
  if (!block) block = rt_alloc(grown = n, size, err);
  if (!block) return false;
  if (*capacity) memcpy(block, *array, *capacity * size);
  rt_free(*array);
  *array = block;
  *capacity = grown;
  return true;
}

char *rt_strdup(const char *s, rt_error *err) {
  if (!s) return NULL;
  size_t n = strlen(s) + 1;
  char *copy = rt_alloc(n, 1, err);
  if (copy) memcpy(copy, s, n);
  return copy;
}
