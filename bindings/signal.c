/* rtlua.signal: SIGINT, SIGTERM and SIGHUP as a number to look at and a pipe to poll.
 *
 * The handler does what is safe in one: it stores the number and writes a byte to the self-pipe (Bernstein's trick).
 * What was asked for sticks until `clear`. A second signal ends the process at once. SIGHUP stays ignored where it
 * was (nohup). SA_RESTART is off, so that reads and waits return. SIGPIPE does nothing: a write to a closed pipe fails
 * instead, and the picture is still written. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "guard.h"
#include "machine/process.h"

static atomic_int pending;
static int ends[2] = {-1, -1}; /* of the pipe; set once, before the handlers */

static const struct {
  int number;
  const char *name;
} signals[] = {{SIGINT, "INT"}, {SIGTERM, "TERM"}, {SIGHUP, "HUP"}};
#define N_SIGNALS (sizeof signals / sizeof *signals)

int rtl_signal_pending(void) { return atomic_load(&pending); }
int rtl_signal_fd(void) { return ends[0]; }

const char *rtl_signal_name(int number) {
  for (size_t i = 0; i < N_SIGNALS; i++)
    if (signals[i].number == number) return signals[i].name;
  return "?";
}

static void on_signal(int number) {
  int before = errno, none = 0;
  if (!atomic_compare_exchange_strong(&pending, &none, number)) {
    rt_process_kill_all();
    _exit(128 + number);
  }
  ssize_t written = write(ends[1], "", 1);
  (void)written; /* a full pipe is readable, too */
  errno = before;
}

/* Not SIG_IGN, which a program that the script starts would inherit. */
static void on_pipe(int number) { (void)number; }

static int l_install(lua_State *L) {
  if (ends[0] < 0) {
    int fds[2];
    if (pipe(fds) < 0) return rtl_failure(L, RT_NO_MEMORY, "cannot make a pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
      fcntl(fds[i], F_SETFD, FD_CLOEXEC);
      fcntl(fds[i], F_SETFL, O_NONBLOCK);
      ends[i] = fds[i];
    }
  }
  for (size_t i = 0; i < N_SIGNALS; i++) {
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigemptyset(&action.sa_mask);
    if (signals[i].number == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    sigaction(signals[i].number, &action, NULL);
  }
  struct sigaction action = {.sa_handler = on_pipe, .sa_flags = SA_RESTART}, old;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGPIPE, NULL, &old) < 0 || old.sa_handler != SIG_IGN) sigaction(SIGPIPE, &action, NULL);
  lua_pushboolean(L, true);
  return 1;
}

/* pending(): "INT", "TERM", "HUP" or nil. */
static int l_pending(lua_State *L) {
  int number = rtl_signal_pending();
  lua_pushstring(L, number ? rtl_signal_name(number) : NULL);
  return 1;
}

/* number(): of the pending signal, or nil. The process should end with 128 + number. */
static int l_number(lua_State *L) {
  int number = rtl_signal_pending();
  if (!number) return 0;
  lua_pushinteger(L, number);
  return 1;
}

/* fd(): becomes readable with the first signal; nil before install. */
static int l_fd(lua_State *L) {
  if (ends[0] < 0) return 0;
  lua_pushinteger(L, ends[0]);
  return 1;
}

/* clear(): forgets the signal, for a prompt that goes on after Ctrl-C. */
static int l_clear(lua_State *L) {
  (void)L;
  char byte;
  if (ends[0] < 0) return 0;
  while (read(ends[0], &byte, 1) > 0) continue;
  atomic_store(&pending, 0);
  return 0;
}

RTL_OPEN luaopen_rtlua_signal(lua_State *L) {
  static const luaL_Reg functions[] = {{"install", l_install}, {"pending", l_pending}, {"number", l_number},
                                       {"fd", l_fd},           {"clear", l_clear},     {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
