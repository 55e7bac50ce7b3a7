/* The guard over running Lua code (guard.c) and the signals that it obeys (signal.c), as other bindings see them. */
#ifndef RTL_GUARD_H
#define RTL_GUARD_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "rt.h"

/* The signal that asked the process to end: its number, or 0. */
int rtl_signal_pending(void);
/* The read end of the self-pipe: readable once a signal is pending, never drained before it is cleared. -1 until
 * installed. */
int rtl_signal_fd(void);
/* "INT", "TERM" or "HUP". */
const char *rtl_signal_name(int number);

/* A Lua state that runs, and what it is in: a chain from the innermost coroutine outwards. */
typedef struct rtl_activation {
  lua_State *L;
  struct rtl_activation *previous;
  bool unwinding; /* a stop was raised through it: what runs in it now are __close handlers */
  bool closing;   /* coroutine.close runs its __close handlers */
} rtl_activation;

typedef struct rtl_guard {
  struct rtl_guard *parent; /* guards nest: a sandbox is loaded by a guarded script */
  rtl_activation base, *activation;
  _Atomic(lua_State *) running; /* activation->L, for the signal handler */
  atomic_int reason;            /* why it must end: 0, a signal's number, or RTL_TIME */
  atomic_bool responsive;       /* the hook ran since: Lua code is what runs, not an endless C call */
  bool strict;                  /* a sandbox: nothing is deferred, not even in __close */
  double time_limit;            /* seconds; 0: none */
  atomic_bool unlimited;        /* the limit was lifted since */
  pthread_t runner, watchdog;
  int wake[2];      /* a pipe whose closing ends the watchdog */
  char name[512];   /* of what runs, for messages */
  char place[1024]; /* "FILE:LINE" where it was stopped */
} rtl_guard;

#define RTL_TIME (-1)

/* Guards what `L` runs on this thread from now until the end, which must come before the guard's memory goes. */
rt_status rtl_guard_begin(rtl_guard *guard, lua_State *L, const char *name, double time_limit, bool strict,
                          rt_error *err);
/* Returns the reason, 0 when nothing stopped it. */
int rtl_guard_end(rtl_guard *guard);
/* Pushes the error, { code, message }, that says so. */
void rtl_guard_push_error(lua_State *L, const rtl_guard *guard, int reason);
/* Does the innermost guard, or one around it, want its code to end? For waits in C. */
bool rtl_guard_wants_end(void);
/* The same, but false where a stop is deferred: cleaning up may wait for what it does. */
bool rtl_guard_interrupts(void);

/* ---- Waits in C ----
 *
 * A wait goes in slices, and asks between them. It ends for a signal that came after it began, or because the guard
 * wants its code to end; cleaning up that began after the signal may wait. */

#define RTL_WAIT_SLICE 0.05 /* seconds: a stop is felt at once, and costs nothing */

typedef struct {
  double deadline; /* of CLOCK_MONOTONIC; may be infinite */
  int signal;      /* that was pending before */
} rtl_wait;
rtl_wait rtl_wait_begin(double seconds);
double rtl_wait_slice(const rtl_wait *wait); /* how long to wait now; 0: the time is over, or it is interrupted */
void rtl_sleep(double seconds);              /* or until a signal comes */
bool rtl_wait_interrupted(const rtl_wait *wait);
/* nil, message, code: interrupted, or, with `what` ("still running"), out of time. */
int rtl_wait_failure(lua_State *L, const rtl_wait *wait, const char *what);

#endif
