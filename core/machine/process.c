/* The life of a child: its pipes, its end, and the list of those that are left.
 *
 * How it works. A step polls the pipes and, where the kernel has one, a pidfd, so that it wakes for bytes and for the
 * end alike. The end is noticed by waitid with WNOWAIT: while the child is a zombie its number is its own, so that the
 * rest of its group can be killed without hitting a stranger; then it is reaped.
 *
 * Invariants. A process is in one of two lists from start to free: `living`, which the end of this process ends, or,
 * when its handle went before its end (detached ones, or a child that SIGKILL does not end), `orphans`, which is looked
 * through at each start, so that no zombie stays. pid is 0 once reaped. `groups` has what is to be killed when this
 * process ends at once; a number leaves it before its process is reaped. */
#include "machine/process.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "machine/spawn.h"

#define LINGER 0.1      /* seconds that a pipe is read after the end, which a daemon may keep open */
#define EXIT_GRACE 2.0  /* seconds between SIGTERM and SIGKILL when this process ends */
#define KILL_PATIENCE 5 /* seconds that SIGKILL may take: a process in a disk's driver does not answer */
#define STEP_MS 10      /* between looks at a child without a pidfd */
#define CHUNK 65536     /* bytes a read; a pipe holds as many */

typedef struct {
  char *data;
  size_t begin, end, capacity, dropped;
} queue_t;

struct rt_process {
  rt_process *next;
  int pid, group; /* pid: 0 once reaped; group: what kill gets */
  pid_t owner;    /* a fork of this process must not end what is not its own */
  int pidfd, fds[3];
  bool detached, ended, close_input;
  size_t limit;
  double started, over;
  rt_process_exit result;
  queue_t queues[3]; /* what is to be sent, and what came */
};

static rt_process *living, *orphans;

/* For signal handlers and other threads: atomic, and never moved. Who starts more at once has the kernel alone to end
 * the rest (spawn.c). */
#define MAX_GROUPS 1024
static atomic_int groups[MAX_GROUPS];

static void replace_group(int from, int to) {
  for (int i = 0; i < MAX_GROUPS; i++) {
    int expected = from;
    if (atomic_compare_exchange_strong(&groups[i], &expected, to)) return;
  }
}

void rt_process_kill_all(void) {
  for (int i = 0; i < MAX_GROUPS; i++) {
    int group = atomic_load(&groups[i]);
    if (group) kill(group, SIGKILL);
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void unlink_from(rt_process **list, const rt_process *process) {
  while (*list && *list != process) list = &(*list)->next;
  if (*list) *list = process->next;
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static void note_end(rt_process *p, int code, int signal) {
  p->over = now();
  p->result = (rt_process_exit){code, signal, p->over - p->started};
  p->ended = true;
  p->pid = 0;
  close_fd(&p->pidfd);
  close_fd(&p->fds[0]);
}

/* Has it ended by now? */
static bool look(rt_process *p) {
  siginfo_t info = {0};
  if (p->ended) return true;
  if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
    if (errno != ECHILD) return false;
    if (!p->detached) replace_group(p->group, 0);
    note_end(p, RT_BUG, 0); /* somebody else reaped it: nobody knows how it ended, and its number may be another's */
    return true;
  }
  if (info.si_pid == 0) return false;
  if (!p->detached) replace_group(p->group, 0);
  if (p->group < 0 && !p->detached) kill(p->group, SIGKILL);
  while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) continue;
  bool exited = info.si_code == CLD_EXITED;
  note_end(p, exited ? info.si_status : 128 + info.si_status, exited ? 0 : info.si_status);
  return true;
}

static void signal_child(const rt_process *p, int number) {
  if (p->ended || p->pid <= 0) return;
  kill(p->group, number);
  if (number != SIGKILL && number != SIGSTOP) kill(p->group, SIGCONT); /* a stopped one hears nothing */
}

static void release(rt_process *p) {
  for (int i = 0; i < 3; i++) {
    close_fd(&p->fds[i]);
    rt_free(p->queues[i].data);
  }
  close_fd(&p->pidfd);
  rt_free(p);
}

static void reap_orphans(void) {
  for (rt_process **link = &orphans; *link;) {
    rt_process *p = *link;
    if (!look(p)) {
      link = &p->next;
      continue;
    }
    *link = p->next;
    release(p);
  }
}

/* All children at once: they share the grace. */
static void end_living(void) {
  for (rt_process *p = living; p; p = p->next)
    if (p->owner == getpid() && !p->detached) signal_child(p, SIGTERM);
  for (int killing = 0; killing < 2; killing++) {
    double deadline = now() + EXIT_GRACE;
    bool left = true;
    while (left && now() < deadline) {
      left = false;
      for (rt_process *p = living; p; p = p->next)
        if (p->owner == getpid() && !p->detached && !rt_process_ended(p, NULL)) {
          rt_process_step(p, STEP_MS * 1e-3);
          left = true;
        }
    }
    if (!left) return;
    for (rt_process *p = living; p; p = p->next)
      if (p->owner == getpid() && !p->detached) signal_child(p, SIGKILL);
  }
}

/* At exit, or when a Lua state that is closed unloads the module. No atexit: TSan's runs after the unloading. */
__attribute__((destructor)) static void finish(void) {
  end_living();
  while (orphans) {
    rt_process *p = orphans;
    orphans = p->next;
    release(p);
  }
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static void keep_exit_codes(void) {
  struct sigaction action;
  /* Where SIGCHLD is ignored, as some parents leave it, the kernel reaps and no exit code is ever seen. */
  if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
    action.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &action, NULL);
  }
}

static int open_pidfd(int pid) {
#ifdef SYS_pidfd_open
  return rt_fd_above_stdio((int)syscall(SYS_pidfd_open, pid, 0)); /* closes on exec by itself */
#else
  (void)pid;
  return -1;
#endif
}

rt_status rt_process_start(rt_process **out, const rt_process_options *options, rt_error *err) {
  if (!options->arguments[0] || !options->arguments[0][0])
    return rt_fail(err, RT_BAD_USAGE, "no program to run: give its name first");
  for (int i = 0; options->detached && i < 3; i++)
    if (options->streams[i].kind == RT_STREAM_PIPE)
      return rt_fail(err, RT_BAD_USAGE, "%s: a detached program outlives pipes: give it files", options->arguments[0]);
  reap_orphans();
  rt_process *p = rt_alloc(1, sizeof *p, err);
  if (!p) return RT_NO_MEMORY;
  keep_exit_codes();
  p->detached = options->detached;
  p->limit = options->limit;
  p->owner = getpid();
  p->started = now();
  p->pidfd = -1;
  rt_status status = rt_spawn(&p->pid, p->fds, options, err);
  if (status != RT_OK) {
    rt_free(p);
    return status;
  }
  p->group = options->foreground && !options->detached ? p->pid : -p->pid;
  if (!p->detached) replace_group(0, p->group);
  p->pidfd = open_pidfd(p->pid);
  p->next = living;
  living = p;
  *out = p;
  return RT_OK;
}

void rt_process_free(rt_process *p) {
  if (!p) return;
  bool ours = p->owner == getpid();
  if (ours && !p->detached) rt_process_end(p, EXIT_GRACE);
  unlink_from(&living, p);
  if (ours && !look(p)) {
    for (int i = 0; i < 3; i++) close_fd(&p->fds[i]);
    p->next = orphans;
    orphans = p;
    return;
  }
  release(p);
}

int rt_process_pid(const rt_process *p) { return abs(p->group); }

/* ---- Pipes ------------------------------------------------------------------------------------------------------- */

/* write, without the SIGPIPE of a reader that is gone: it is blocked, and taken back when it came from here. */
static ssize_t write_quietly(int fd, const void *data, size_t size) {
  sigset_t pipe_signal, before, waiting;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&waiting);
  bool was_pending = sigismember(&waiting, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  ssize_t written = write(fd, data, size);
  int reason = errno, taken;
  if (written < 0 && reason == EPIPE && !was_pending) {
    sigpending(&waiting);
    if (sigismember(&waiting, SIGPIPE) == 1) sigwait(&pipe_signal, &taken);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = reason;
  return written;
}

static void send_input(rt_process *p) {
  queue_t *q = &p->queues[0];
  while (p->fds[0] >= 0 && q->begin < q->end) {
    ssize_t sent = write_quietly(p->fds[0], q->data + q->begin, q->end - q->begin);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0)
      close_fd(&p->fds[0]);
    else
      q->begin += (size_t)sent;
  }
  if (p->close_input && q->begin == q->end) close_fd(&p->fds[0]);
}

/* Room for `size` more bytes at the end of the queue. */
static bool reserve(queue_t *q, size_t size, rt_error *err) {
  if (q->begin > 0) { /* what was consumed makes room first */
    memmove(q->data, q->data + q->begin, q->end - q->begin);
    q->end -= q->begin;
    q->begin = 0;
  }
  return rt_grow((void **)&q->data, &q->capacity, q->end + size, 1, err);
}

/* Reads a few chunks: a child that never stops writing must not keep us here. */
static void receive(rt_process *p, int stream) {
  queue_t *q = &p->queues[stream];
  for (int i = 0; i < 16; i++) {
    char chunk[CHUNK];
    ssize_t got = read(p->fds[stream], chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      close_fd(&p->fds[stream]);
      return;
    }
    size_t held = q->end - q->begin, room = held < p->limit ? p->limit - held : 0;
    size_t kept = (size_t)got < room ? (size_t)got : room;
    if (kept && !reserve(q, kept, NULL)) kept = 0;
    if (kept) memcpy(q->data + q->end, chunk, kept);
    q->end += kept;
    q->dropped += (size_t)got - kept;
  }
}

void rt_process_step(rt_process *p, double seconds) {
  struct pollfd fds[4];
  for (int i = 0; i < 3; i++) fds[i] = (struct pollfd){.fd = p->fds[i], .events = i == 0 ? POLLOUT : POLLIN};
  if (p->queues[0].begin == p->queues[0].end) fds[0].events = 0; /* POLLERR alone: the reader is gone */
  fds[3] = (struct pollfd){.fd = p->pidfd, .events = POLLIN};
  double ms = ceil(seconds * 1e3);
  if (!(ms < 1e6)) ms = 1e6;
  if (ms < 0.0 || rt_process_done(p)) ms = 0.0;
  if (ms > STEP_MS && p->pidfd < 0) ms = STEP_MS;
  if (ms > LINGER * 1e3 && p->ended) ms = LINGER * 1e3;
  if (poll(fds, 4, (int)ms) < 0) memset(fds, 0, sizeof fds);
  if (fds[0].revents & POLLERR) close_fd(&p->fds[0]);
  send_input(p);
  /* The end first: what was written before it is in the pipes then, so that one more read has it all. */
  if (look(p))
    for (int i = 1; i < 3; i++) fds[i].revents = POLLIN;
  for (int i = 1; i < 3; i++)
    if (p->fds[i] >= 0 && fds[i].revents) receive(p, i);
  if (rt_process_done(p)) {
    close_fd(&p->fds[1]);
    close_fd(&p->fds[2]);
  }
}

const char *rt_process_output(const rt_process *p, int stream, size_t *size) {
  const queue_t *q = &p->queues[stream];
  *size = q->end - q->begin;
  return *size ? q->data + q->begin : "";
}

void rt_process_consume(rt_process *p, int stream, size_t size) { p->queues[stream].begin += size; }
bool rt_process_open(const rt_process *p, int stream) { return p->fds[stream] >= 0; }
size_t rt_process_dropped(const rt_process *p, int stream) { return p->queues[stream].dropped; }
size_t rt_process_unwritten(const rt_process *p) { return p->fds[0] >= 0 ? p->queues[0].end - p->queues[0].begin : 0; }

rt_status rt_process_write(rt_process *p, const void *data, size_t size, rt_error *err) {
  if (p->fds[0] < 0 || p->close_input)
    return rt_fail(err, RT_UNAVAILABLE, "process %d reads no more: see why it ended", rt_process_pid(p));
  if (size == 0) return RT_OK;
  if (!reserve(&p->queues[0], size, err)) return RT_NO_MEMORY;
  memcpy(p->queues[0].data + p->queues[0].end, data, size);
  p->queues[0].end += size;
  return RT_OK;
}

void rt_process_close_input(rt_process *p) {
  p->close_input = true;
  send_input(p);
}

/* ---- The end, as others see it ----------------------------------------------------------------------------------- */

bool rt_process_ended(const rt_process *p, rt_process_exit *out) {
  if (p->ended && out) *out = p->result;
  return p->ended;
}

bool rt_process_done(const rt_process *p) {
  return p->ended && ((p->fds[1] < 0 && p->fds[2] < 0) || now() > p->over + LINGER);
}

rt_status rt_process_kill(rt_process *p, int number, rt_error *err) {
  if (look(p)) return RT_OK;
  if (kill(p->group, number) == 0 || errno == ESRCH) return RT_OK;
  return rt_fail(err, errno == EINVAL ? RT_BAD_USAGE : RT_UNAVAILABLE, "process %d: signal %d: %s", rt_process_pid(p),
                 number, strerror(errno));
}

void rt_process_end(rt_process *p, double grace) {
  if (p->owner != getpid() || look(p)) return;
  rt_process_close_input(p);
  signal_child(p, SIGTERM);
  for (double deadline = now() + grace; !p->ended && now() < deadline;) rt_process_step(p, deadline - now());
  signal_child(p, SIGKILL);
  for (double deadline = now() + KILL_PATIENCE; !p->ended && now() < deadline;) rt_process_step(p, deadline - now());
}
