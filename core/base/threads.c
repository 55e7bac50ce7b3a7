/* How many threads this process may use: the affinity mask, and the cgroup's quota of CPU time, the tightest one on the
 * way from this process's cgroup to the root. Elsewhere than on Linux: the processors that are online. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt.h"

static int online(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n > 65536 ? 65536 : (int)n;
}

#ifdef __linux__

#include <sched.h>

#define PATH_SIZE 4096

static int affinity(void) {
  /* The kernel refuses a mask shorter than its own, whose size no call tells. */
  for (int size = 1024; size <= 1 << 20; size *= 2) {
    cpu_set_t *set = CPU_ALLOC(size);
    if (!set) break;
    int n = sched_getaffinity(0, CPU_ALLOC_SIZE(size), set) == 0 ? CPU_COUNT_S(CPU_ALLOC_SIZE(size), set) : 0;
    CPU_FREE(set);
    if (n > 0) return n;
  }
  return online();
}

/* The file's first line; false when there is none. */
static bool first_line(char *line, int size, const char *folder, const char *name) {
  char path[PATH_SIZE];
  int n = snprintf(path, sizeof path, "%s/%s", folder, name);
  if (n < 0 || n >= (int)sizeof path) return false;
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool found = fgets(line, size, file) != NULL;
  fclose(file);
  return found;
}

/* Threads that `quota` microseconds in each `period` keep busy, rounded up; `limit` when there is no quota. */
static int quota_threads(long long quota, long long period, int limit) {
  if (quota <= 0 || period <= 0) return limit; /* v1 writes -1 for no quota */
  long long n = quota / period + (quota % period != 0);
  return n < limit ? (int)n : limit;
}

static int folder_quota(const char *folder, int limit) {
  char line[128], second[128];
  if (first_line(line, sizeof line, folder, "cpu.max")) { /* v2: "max 100000" or "150000 100000" */
    char *end;
    long long quota = strtoll(line, &end, 10);
    return end == line ? limit : quota_threads(quota, strtoll(end, NULL, 10), limit);
  }
  if (first_line(line, sizeof line, folder, "cpu.cfs_quota_us") &&
      first_line(second, sizeof second, folder, "cpu.cfs_period_us"))
    return quota_threads(strtoll(line, NULL, 10), strtoll(second, NULL, 10), limit);
  return limit;
}

/* The cgroup and all above it. In a container the path may be the host's, of which nothing is seen below `mount`: what
 * is not there sets no limit, and `mount` itself is then the container's cgroup. */
static int hierarchy_quota(const char *mount, const char *cgroup, int limit) {
  char folder[PATH_SIZE];
  size_t root = strlen(mount);
  int n = snprintf(folder, sizeof folder, "%s%s", mount, strstr(cgroup, "..") ? "" : cgroup);
  if (n < 0 || n >= (int)sizeof folder) return limit;
  for (;;) {
    limit = folder_quota(folder, limit);
    char *slash = strrchr(folder, '/');
    if (strlen(folder) <= root || !slash || slash < folder + root) return limit;
    *slash = '\0';
  }
}

static bool has_controller(const char *list, const char *name) {
  size_t n = strlen(name);
  for (;;) {
    if (strncmp(list, name, n) == 0 && (list[n] == ',' || list[n] == '\0')) return true;
    list = strchr(list, ',');
    if (!list) return false;
    list++;
  }
}

/* Lines "ID:CONTROLLERS:PATH"; v2's is "0::PATH". */
static int cgroup_quota(int limit) {
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (!file) return limit;
  char line[PATH_SIZE];
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *path++ = '\0';
    controllers++;
    if (*controllers == '\0')
      limit = hierarchy_quota("/sys/fs/cgroup", path, limit);
    else if (has_controller(controllers, "cpu"))
      limit = hierarchy_quota("/sys/fs/cgroup/cpu", path, limit);
  }
  fclose(file);
  return limit;
}

int rt_threads_available(void) { return cgroup_quota(affinity()); }

#else

int rt_threads_available(void) { return online(); }

#endif
