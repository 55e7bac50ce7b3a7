/* rtlua.core.guard: ends Lua code at a time limit or on a signal, whatever it does.
 *
 * How it works. A watchdog thread waits for the limit or for the signals' self-pipe. Then it notes the reason and,
 * until the guard ends, sends SIGURG to the thread that runs Lua; the handler sets a count hook on the state that
 * runs, as lua.c does for SIGINT, and the hook raises. A hook that is always there would cost a third of Lua's speed;
 * this costs nothing until it is needed. Which state runs is known because coroutine.resume, wrap and close are ours.
 * A stop sticks: our pcall, xpcall and resume raise it again. When the hook has not run after a while, or a strict
 * guard has not ended, a long C call has the thread (a pathological string.find): one line on standard error, and the
 * process ends.
 *
 * A strict guard (sandboxes) stops everything. Else cleaning up is sacred: code in a __close handler is not stopped,
 * neither one that the stop, or an error, runs while it unwinds the stack nor one that was running before; the stop
 * waits for its end.
 *
 * Invariants. guard->activation is the chain of states that run on this thread, guard->running its first. Only the
 * thread `runner` touches the chain. The handler and the watchdog read atomics alone. SIGURG because its default is
 * to be ignored: one that comes late does no harm. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pool.h"
#include "bind.h"
#include "machine/process.h"

#define PROD_MS 10 /* between the first two SIGURGs; doubles, for setting the hook on a deep stack takes longer */
#define PROD_MAX_MS 250
#define SIGNAL_GRACE_MS 600 /* until the process ends: Ctrl-C is answered within a second */
#define TIME_GRACE_MS 1000

/* Frames of a stack that are looked at: lua_getstack takes time in proportion to the level. */
#define MAX_LEVELS 5000

static _Atomic(rtl_guard *) top;

static const char SOURCES = 0; /* its address is a key of the registry */

/* ---- Reasons ---- */

static int wanted(rtl_guard *guard) {
  for (; guard; guard = guard->parent) {
    int reason = atomic_load(&guard->reason);
    if (reason) return reason;
  }
  return 0;
}

bool rtl_guard_wants_end(void) { return wanted(atomic_load(&top)) != 0; }

static int exit_code(int reason) { return reason == RTL_TIME ? RT_BAD_DATA : 128 + reason; }

static void describe(char *out, size_t size, int reason) {
  if (reason != RTL_TIME)
    snprintf(out, size, "stopped by SIG%s", rtl_signal_name(reason));
  else
    snprintf(out, size, "still running at the time limit: look for an endless loop, or raise --time-limit");
}

/* Notes the place of the innermost frame of a file that the loader named by guard.sources, once. */
static void note_place(lua_State *L, rtl_guard *guard) {
  if (guard->place[0] || lua_rawgetp(L, LUA_REGISTRYINDEX, &SOURCES) != LUA_TTABLE) return;
  for (const rtl_activation *a = guard->activation; a; a = a->previous) {
    lua_Debug ar;
    for (int level = 0; level < MAX_LEVELS && lua_getstack(a->L, level, &ar); level++) {
      lua_getinfo(a->L, "Sl", &ar);
      lua_pushstring(L, ar.source);
      bool known = lua_rawget(L, -2) != LUA_TNIL;
      lua_pop(L, 1);
      if (!known || ar.currentline <= 0) continue;
      snprintf(guard->place, sizeof guard->place, "%s:%d", ar.source + 1, ar.currentline);
      return;
    }
  }
}

void rtl_guard_push_error(lua_State *L, const rtl_guard *guard, int reason) {
  char what[256];
  describe(what, sizeof what, reason);
  lua_createtable(L, 0, 2);
  rtl_set_integer(L, "code", exit_code(reason));
  lua_pushfstring(L, "%s: %s", guard->place[0] ? guard->place : guard->name, what);
  lua_setfield(L, -2, "message");
}

/* ---- Stopping ---- */

static int stop(lua_State *L, rtl_guard *guard, int reason) {
  for (rtl_activation *a = guard->activation; a; a = a->previous) a->unwinding = true;
  note_place(L, guard);
  rtl_guard_push_error(L, guard, reason);
  return lua_error(L);
}

/* An error is on its way through it: what runs in it now are __close handlers. Kept with the state and not with the
 * activation, since such a handler may yield. */
static bool *failing(lua_State *L) { return lua_getextraspace(L); }

/* The message handler of protected calls: runs before the first __close handler does. */
static int note_failing(lua_State *L) {
  *failing(L) = true;
  return 1;
}

/* Is a __close handler running in it, called by the end of its block? */
static bool in_close(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; level < MAX_LEVELS && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "n", &ar);
    if (ar.name && strcmp(ar.namewhat, "metamethod") == 0 && strcmp(ar.name, "close") == 0) return true;
  }
  return false;
}

static bool deferred(const rtl_guard *guard) {
  for (const rtl_activation *a = guard->activation; a; a = a->previous)
    if (a->unwinding || a->closing || *failing(a->L) || in_close(a->L)) return true;
  return false;
}

bool rtl_guard_interrupts(void) {
  const rtl_guard *guard = atomic_load(&top);
  return rtl_guard_wants_end() && (guard->strict || !deferred(guard));
}

static void hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  rtl_guard *guard = atomic_load(&top);
  int reason = wanted(guard);
  lua_sethook(L, NULL, 0, 0); /* the next SIGURG sets it again */
  if (!reason) return;
  for (rtl_guard *g = guard; g; g = g->parent) atomic_store(&g->responsive, true);
  if (guard->strict || !deferred(guard)) stop(L, guard, reason);
}

/* Lets a stop through that a protected call has caught, or that waited for its end. `before`: the activation was
 * unwinding when the call began. */
static void let_through(lua_State *L, bool before) {
  rtl_guard *guard = atomic_load(&top);
  int reason = wanted(guard);
  if (!reason) return;
  if (guard->strict || (guard->activation->unwinding && !before) || !deferred(guard)) stop(L, guard, reason);
}

static bool is_unwinding(void) {
  const rtl_guard *guard = atomic_load(&top);
  return guard && guard->activation->unwinding;
}

/* ---- Protected calls, with the manual's behaviour ---- */

/* What was the case when the call began, as the context of its continuation. */
#define WAS_UNWINDING 1
#define WAS_FAILING 2

static lua_KContext before_call(lua_State *L) {
  return (is_unwinding() ? WAS_UNWINDING : 0) | (*failing(L) ? WAS_FAILING : 0);
}

/* The stack is { handler, true, results... }, or ends with the error. */
static int finish_call(lua_State *L, int status, lua_KContext before) {
  *failing(L) = before & WAS_FAILING;
  let_through(L, before & WAS_UNWINDING);
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

static int l_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushcfunction(L, note_failing);
  lua_pushboolean(L, true);
  lua_rotate(L, 1, 2); /* handler, true, f, arguments... */
  lua_KContext before = before_call(L);
  return finish_call(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, before, finish_call), before);
}

/* Calls the message handler that is upvalue 1, but not for a stop: it runs inside the hook, where nothing could stop
 * it. Upvalue 2: the activation was unwinding when the call began, so that the error is not the stop's. */
static int handle_message(lua_State *L) {
  const rtl_guard *guard = atomic_load(&top);
  *failing(L) = true;
  if (wanted(atomic_load(&top)) && (guard->strict || (is_unwinding() && !lua_toboolean(L, lua_upvalueindex(2)))))
    return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int l_xpcall(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_KContext before = before_call(L);
  if (atomic_load(&top)) {
    lua_pushvalue(L, 2);
    lua_pushboolean(L, before & WAS_UNWINDING);
    lua_pushcclosure(L, handle_message, 2);
    lua_replace(L, 2);
  }
  int n = lua_gettop(L) - 2;
  lua_pushboolean(L, true);
  lua_pushvalue(L, 1); /* f, handler, arguments..., true, f */
  lua_rotate(L, 3, 2); /* f, handler, true, f, arguments... */
  lua_remove(L, 1);    /* handler, true, f, arguments... */
  return finish_call(L, lua_pcallk(L, n, LUA_MULTRET, 1, before, finish_call), before);
}

/* ---- Coroutines ---- */

static void enter(rtl_guard *guard, rtl_activation *a, lua_State *co, bool closing) {
  if (!guard) return;
  *a = (rtl_activation){.L = co, .previous = guard->activation, .closing = closing};
  guard->activation = a;
  atomic_store(&guard->running, co);
}

static void leave(rtl_guard *guard, const rtl_activation *a) {
  if (!guard) return;
  guard->activation = a->previous;
  atomic_store(&guard->running, a->previous->L);
}

/* Runs its __close handlers. Unless LUA_OK, an error is on its stack. */
static int close_coroutine(lua_State *co, lua_State *from) {
  rtl_guard *guard = atomic_load(&top);
  rtl_activation activation;
  enter(guard, &activation, co, true);
#if LUA_VERSION_RELEASE_NUM >= 50406
  int status = lua_closethread(co, from);
#else
  (void)from;
  int status = lua_resetthread(co);
#endif
  leave(guard, &activation);
  return status;
}

/* Moves `n` arguments to the coroutine and runs it. The number of its results, which are then on the stack of L; -1:
 * an error is there. */
static int resume(lua_State *L, lua_State *co, int n) {
  rtl_guard *guard = atomic_load(&top);
  rtl_activation activation;
  int results = 0;
  if (!lua_checkstack(co, n)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, n);
  if (lua_status(co) == LUA_OK) *failing(co) = false; /* a new state has its creator's */
  enter(guard, &activation, co, false);
  int status = lua_resume(co, L, n, &results);
  leave(guard, &activation);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    results = -1;
  } else if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    results = -1;
  } else {
    lua_xmove(co, L, results);
  }
  return results;
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "thread");
  return co;
}

static int l_resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  bool before = is_unwinding();
  int results = resume(L, co, lua_gettop(L) - 1);
  let_through(L, before);
  lua_pushboolean(L, results >= 0);
  if (results < 0) results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

static int call_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  bool before = is_unwinding();
  int results = resume(L, co, lua_gettop(L)), status = lua_status(co);
  if (results < 0 && status != LUA_OK && status != LUA_YIELD) { /* it died of the error: close what it left open */
    status = close_coroutine(co, L);
    if (status != LUA_OK) lua_xmove(co, L, 1);
  }
  let_through(L, before);
  if (results >= 0) return results;
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int l_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 1);
  return 1;
}

static int l_close(lua_State *L) {
  lua_State *co = check_coroutine(L);
  lua_Debug ar;
  if (co == L) return luaL_error(L, "cannot close a running coroutine");
  if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar)) return luaL_error(L, "cannot close a normal coroutine");
  bool before = is_unwinding();
  int status = close_coroutine(co, L);
  let_through(L, before);
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(co, L, 1);
  return 2;
}

/* ---- The watchdog ---- */

/* ThreadSanitizer runs a handler when its thread next calls libc, which a loop of Lua never does. Under it the
 * watchdog, which sits in poll, takes the signals, and SIGURG comes to nothing, so that every stop is the hard one.
 * Else the runner takes them: what it starts inherits its mask. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define WATCHDOG_TAKES_SIGNALS true
#else
#define WATCHDOG_TAKES_SIGNALS false
#endif

static void mask_signals(int how) {
  sigset_t set;
  if (!WATCHDOG_TAKES_SIGNALS) return;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(how, &set, NULL);
}

static void on_prod(int number) {
  (void)number;
  rtl_guard *guard = atomic_load(&top);
  if (!guard || !pthread_equal(guard->runner, pthread_self()) || !wanted(guard)) return;
  lua_State *running = atomic_load(&guard->running);
  if (running) lua_sethook(running, hook, LUA_MASKCOUNT, 1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void end_process(const rtl_guard *guard, int reason) {
  char what[256], line[1024];
  describe(what, sizeof what, reason);
  snprintf(line, sizeof line, "rtlua: %s: %s\n", guard->name, what);
  ssize_t written = write(STDERR_FILENO, line, strlen(line));
  (void)written; /* there is no one else to tell */
  rt_process_kill_all();
  _exit(exit_code(reason));
}

/* Waits at most `ms` (-1: for ever) for the guard's end, which gives true, or for a signal while `signals` is a
 * descriptor. */
static bool ended(const rtl_guard *guard, int signals, int ms) {
  struct pollfd fds[2] = {{.fd = guard->wake[0], .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  while (poll(fds, 2, ms) < 0 && errno == EINTR) continue;
  return fds[0].revents != 0;
}

static void *watch(void *context) {
  rtl_guard *guard = context;
  mask_signals(SIG_UNBLOCK);
  double deadline = guard->time_limit > 0.0 ? now() + guard->time_limit : 0.0;
  while (!rtl_signal_pending() && (deadline == 0.0 || now() < deadline)) {
    double left = deadline == 0.0 ? 0.0 : (deadline - now()) * 1e3;
    int ms = deadline == 0.0 ? -1 : left > 1e6 ? 1000000 : left > 0.0 ? (int)left + 1 : 0;
    if (ended(guard, rtl_signal_fd(), ms)) return NULL;
    if (atomic_load(&guard->unlimited)) deadline = 0.0;
  }
  int reason = rtl_signal_pending();
  if (!reason) reason = RTL_TIME;
  atomic_store(&guard->reason, reason);
  double end = now() + (reason == RTL_TIME ? TIME_GRACE_MS : SIGNAL_GRACE_MS) * 1e-3;
  for (int pause = PROD_MS;; pause = 2 * pause < PROD_MAX_MS ? 2 * pause : PROD_MAX_MS) {
    pthread_kill(guard->runner, SIGURG);
    double left = (end - now()) * 1e3;
    if (left <= 0.0 && (guard->strict || !atomic_load(&guard->responsive))) end_process(guard, reason);
    if (ended(guard, -1, left > 0.0 && left < pause ? (int)left + 1 : pause)) return NULL;
  }
}

static int open_pipe(int fds[2]) {
  if (pipe(fds) < 0) return -1;
  fcntl(fds[0], F_SETFD, FD_CLOEXEC);
  fcntl(fds[1], F_SETFD, FD_CLOEXEC);
  return 0;
}

rt_status rtl_guard_begin(rtl_guard *guard, lua_State *L, const char *name, double time_limit, bool strict,
                          rt_error *err) {
  *guard = (rtl_guard){.parent = atomic_load(&top),
                       .base = {.L = L},
                       .strict = strict,
                       .time_limit = time_limit,
                       .runner = pthread_self()};
  snprintf(guard->name, sizeof guard->name, "%s", name);
  guard->activation = &guard->base;
  atomic_store(&guard->running, L);
  struct sigaction action = {.sa_handler = on_prod, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGURG, &action, NULL);
  if (open_pipe(guard->wake) < 0) return rt_fail(err, RT_NO_MEMORY, "cannot make a pipe: %s", strerror(errno));
  atomic_store(&top, guard);
  mask_signals(SIG_BLOCK);
  rt_status status = rt_thread_start(&guard->watchdog, watch, guard, err);
  if (status != RT_OK) {
    if (!guard->parent) mask_signals(SIG_UNBLOCK);
    atomic_store(&top, guard->parent);
    close(guard->wake[0]);
    close(guard->wake[1]);
  }
  return status;
}

int rtl_guard_end(rtl_guard *guard) {
  close(guard->wake[1]);
  pthread_join(guard->watchdog, NULL);
  close(guard->wake[0]);
  if (!guard->parent) mask_signals(SIG_UNBLOCK);
  atomic_store(&top, guard->parent);
  /* A wait that a signal ended may have let the code end before the watchdog had its turn. */
  int none = 0;
  atomic_compare_exchange_strong(&guard->reason, &none, rtl_signal_pending());
  int reason = wanted(guard);
  if (reason) lua_sethook(guard->base.L, NULL, 0, 0);
  return reason;
}

/* ---- Lua ---- */

/* call({ name=, time_limit= }, f, ...): true and f's results, or false and the error; a stop is { code, message }. */
static int l_call(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  double time_limit = rtl_number_or(L, 1, "time_limit", 0.0);
  const char *name = rtl_push_string(L, 1, "name");
  lua_replace(L, 1);
  rtl_guard guard;
  rt_error err;
  if (rtl_guard_begin(&guard, L, name ? name : "script", time_limit, false, &err) != RT_OK)
    return rtl_failure(L, RT_NO_MEMORY, "%s", err.message);
  lua_pushcfunction(L, note_failing);
  lua_insert(L, 2);
  bool before = *failing(L);
  int status = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 2);
  *failing(L) = before;
  lua_remove(L, 2);
  int reason = rtl_guard_end(&guard);
  lua_pushboolean(L, status == LUA_OK && !reason);
  if (reason) {
    rtl_guard_push_error(L, &guard, reason);
    return 2;
  }
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* sources{ ["@scene.lua"] = true, ... }: the files that a stop may point at. The table is kept, and may grow. */
static int l_sources(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &SOURCES);
  return 0;
}

/* lift(): the script that runs has no time limit of its own: it hands it on. */
static int l_lift(lua_State *L) {
  (void)L;
  rtl_guard *guard = atomic_load(&top);
  if (guard && !guard->strict) atomic_store(&guard->unlimited, true);
  return 0;
}

/* Puts the protected calls that let stops through in place of this state's own. */
static int l_install(lua_State *L) {
  static const luaL_Reg basic[] = {{"pcall", l_pcall}, {"xpcall", l_xpcall}, {NULL, NULL}};
  static const luaL_Reg coroutines[] = {{"resume", l_resume}, {"wrap", l_wrap}, {"close", l_close}, {NULL, NULL}};
  lua_pushglobaltable(L);
  luaL_setfuncs(L, basic, 0);
  lua_getfield(L, -1, LUA_COLIBNAME);
  luaL_setfuncs(L, coroutines, 0);
  return 0;
}

RTL_OPEN luaopen_rtlua_core_guard(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"call", l_call}, {"sources", l_sources}, {"install", l_install}, {"lift", l_lift}, {NULL, NULL}};
  *failing(L) = false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  *failing(lua_tothread(L, -1)) = false; /* Lua leaves it undefined, and new states have a copy */
  luaL_newlib(L, functions);
  return 1;
}
