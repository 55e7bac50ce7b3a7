/* Waits that a signal and the guard can end: see guard.h. */
#include <poll.h>
#include <time.h>

#include "bind.h"
#include "guard.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

rtl_wait rtl_wait_begin(double seconds) { return (rtl_wait){now() + seconds, rtl_signal_pending()}; }

bool rtl_wait_interrupted(const rtl_wait *wait) {
  return rtl_signal_pending() != wait->signal || rtl_guard_interrupts();
}

double rtl_wait_slice(const rtl_wait *wait) {
  double left = wait->deadline - now();
  if (!(left > 0.0) || rtl_wait_interrupted(wait)) return 0.0;
  return left < RTL_WAIT_SLICE ? left : RTL_WAIT_SLICE;
}

void rtl_sleep(double seconds) {
  struct pollfd fd = {.fd = rtl_signal_pending() ? -1 : rtl_signal_fd(), .events = POLLIN};
  poll(&fd, 1, (int)(seconds * 1e3));
}

int rtl_wait_failure(lua_State *L, const rtl_wait *wait, const char *what) {
  int number = rtl_signal_pending();
  if (!rtl_wait_interrupted(wait)) return rtl_failure(L, RT_TRY_AGAIN, "%s", what);
  if (!number) return rtl_failure(L, RT_BAD_DATA, "stopped at the time limit");
  lua_pushnil(L);
  lua_pushfstring(L, "stopped by SIG%s", rtl_signal_name(number));
  lua_pushinteger(L, 128 + number);
  return 3;
}
