/* Starting a program.
 *
 * Everything that may fail or allocate happens before fork, so that the child makes system calls alone: other threads
 * may have held malloc's lock. The child reports what failed, as a stage and errno, through a pipe that closes on exec:
 * end of file means that the program runs. Signals are blocked around fork, so that no handler of ours runs in the
 * child, where it would write into our self-pipe.
 *
 * The child of a script that is killed dies by the kernel's hand (PR_SET_PDEATHSIG, Linux), which is bound to the
 * thread that forks: the script's own. */
#include "machine/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/close_range.h>
#include <sys/prctl.h>
#endif

#include "base/error.h"
#include "base/memory.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin" /* where PATH is not set */

typedef enum { STAGE_SETUP, STAGE_CWD, STAGE_EXEC } stage_t;
typedef struct {
  stage_t stage;
  int reason;
} report_t;

int rt_fd_above_stdio(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3), before = errno;
  close(fd);
  errno = before;
  return moved;
}

bool rt_pipe(int ends[2]) {
#ifdef __linux__
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
#else
  if (pipe(ends) < 0) return false;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#endif
  for (int i = 0; i < 2; i++) ends[i] = rt_fd_above_stdio(ends[i]);
  if (ends[0] >= 0 && ends[1] >= 0) return true;
  int before = errno;
  for (int i = 0; i < 2; i++)
    if (ends[i] >= 0) close(ends[i]);
  errno = before;
  return false;
}

bool rt_pipe_hung_up(int fd, double seconds) {
  struct pollfd end = {.fd = fd}; /* hanging up is told without being asked for */
  return poll(&end, 1, (int)(seconds * 1e3)) > 0 && (end.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* ---- In the child ------------------------------------------------------------------------------------------------ */

typedef struct {
  const rt_process_options *options;
  char **candidates; /* paths to try */
  int streams[3];    /* what becomes 0, 1 and 2 */
  int report;
  pid_t parent;
} child_t;

static _Noreturn void give_up(const child_t *child, stage_t stage, int reason) {
  report_t report = {stage, reason};
  ssize_t written = write(child->report, &report, sizeof report);
  (void)written;
  _exit(127);
}

/* Whoever opened files without O_CLOEXEC, they stay here. */
static void close_on_exec_from(int first) {
#ifdef CLOSE_RANGE_CLOEXEC
  if (close_range((unsigned)first, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
#endif
  long most = sysconf(_SC_OPEN_MAX);
  if (most < 0 || most > 65536) most = 65536; /* a million calls would take longer than the program */
  for (int fd = first; fd < most; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
}

/* What is ignored stays so (nohup), but for SIGPIPE. Handlers do not survive exec, and must not run before it. */
static void reset_signals(void) {
  struct sigaction action;
  for (int i = 1; i < NSIG; i++) {
    if (sigaction(i, NULL, &action) != 0) continue;
    if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && i != SIGPIPE)) continue;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(i, &action, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(const child_t *child) {
  const rt_process_options *o = child->options;
  reset_signals();
  if (o->detached)
    setsid();
  else if (!o->foreground)
    setpgid(0, 0);
#ifdef __linux__
  if (!o->detached) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != child->parent) _exit(127); /* it died before that */
  }
#endif
  for (int i = 0; i < 3; i++)
    if (dup2(child->streams[i], i) < 0) give_up(child, STAGE_SETUP, errno);
  close_on_exec_from(3);
  for (size_t i = 0; i < o->n_keep; i++)
    if (fcntl(o->keep[i], F_SETFD, 0) < 0) give_up(child, STAGE_SETUP, errno);
  if (o->cwd && chdir(o->cwd) < 0) give_up(child, STAGE_CWD, errno);

  int reason = ENOENT;
  for (char **path = child->candidates; *path; path++) {
    execve(*path, (char *const *)o->arguments, (char *const *)o->environment);
    if (errno == EACCES)
      reason = EACCES; /* as execvp does: another folder may have one that may be run */
    else if (errno != ENOENT && errno != ENOTDIR)
      give_up(child, STAGE_EXEC, errno);
  }
  give_up(child, STAGE_EXEC, reason);
}

/* ---- Before and after it ----------------------------------------------------------------------------------------- */

static const char *search_path(const char *const *environment) {
  for (; *environment; environment++)
    if (strncmp(*environment, "PATH=", 5) == 0) return *environment + 5;
  return DEFAULT_PATH;
}

/* The paths at which the program may be: one block, pointers first. Release by rt_free. */
static char **find_candidates(const rt_process_options *options, rt_error *err) {
  const char *name = options->arguments[0], *path = strchr(name, '/') ? NULL : search_path(options->environment);
  size_t n = 1, length = strlen(name);
  for (const char *c = path; c && *c; c++) n += *c == ':';
  size_t table = (n + 1) * sizeof(char *);
  char **list = rt_alloc(1, table + (path ? strlen(path) : 0) + n * (length + 3), err);
  if (!list) return NULL;
  char *text = (char *)list + table;
  size_t count = 0;
  while (path) {
    const char *end = strchrnul(path, ':');
    list[count++] = text;
    /* An empty part is the working directory. */
    text += sprintf(text, "%.*s/%s", end > path ? (int)(end - path) : 1, end > path ? path : ".", name) + 1;
    path = *end ? end + 1 : NULL;
  }
  if (count == 0) list[0] = strcpy(text, name);
  return list;
}

static rt_status no_descriptor(rt_error *err) {
  return rt_fail(err, RT_NO_MEMORY, "cannot make a pipe: %s: close something or raise ulimit -n", strerror(errno));
}

/* The child's side of stream i into *theirs, ours into *ours. */
static rt_status open_stream(int *theirs, int *ours, int i, const rt_stream *stream, int stdout_fd, rt_error *err) {
  int ends[2], flags = i == 0 ? O_RDONLY : O_WRONLY | O_CREAT | (stream->append ? O_APPEND : O_TRUNC);
  const char *path = stream->kind == RT_STREAM_FILE ? stream->path : "/dev/null";
  switch (stream->kind) {
  case RT_STREAM_PIPE:
    if (!rt_pipe(ends)) return no_descriptor(err);
    *theirs = ends[i != 0];
    *ours = ends[i == 0];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return RT_OK;
  case RT_STREAM_FD:
  case RT_STREAM_STDOUT:
    *theirs = fcntl(stream->kind == RT_STREAM_FD ? stream->fd : stdout_fd, F_DUPFD_CLOEXEC, 3);
    if (*theirs < 0) return rt_fail(err, RT_BAD_USAGE, "stream %d: %s: name an open one", i, strerror(errno));
    return RT_OK;
  default:
    *theirs = rt_fd_above_stdio(open(path, flags | O_CLOEXEC | O_NOCTTY, 0600));
    if (*theirs < 0)
      return rt_fail(err, i == 0 ? RT_NO_INPUT : RT_CANT_WRITE, "%s: cannot be opened: %s: check the path", path,
                     strerror(errno));
    return RT_OK;
  }
}

static rt_status explain(const rt_process_options *options, report_t report, rt_error *err) {
  const char *name = options->arguments[0], *reason = strerror(report.reason);
  bool path = strchr(name, '/'), missing = report.reason == ENOENT || report.reason == ENOTDIR;
  if (report.stage == STAGE_CWD) return rt_fail(err, RT_NO_INPUT, "%s: cannot work there: %s", options->cwd, reason);
  if (report.stage == STAGE_SETUP) return rt_fail(err, RT_NO_MEMORY, "%s: cannot be started: %s", name, reason);
  if (missing && path) return rt_fail(err, RT_NO_INPUT, "%s: there is no such program: check the path", name);
  if (missing)
    return rt_fail(err, RT_UNAVAILABLE, "%s: there is no such program in PATH: install it or name its path", name);
  if (report.reason == ENOEXEC)
    return rt_fail(err, RT_BAD_USAGE, "%s: is no program: give a script a first line such as #!/bin/sh", name);
  if (report.reason == E2BIG)
    return rt_fail(err, RT_BAD_USAGE, "%s: its arguments are too long: pass them by a file", name);
  return rt_fail(err, report.reason == EACCES ? RT_BAD_USAGE : RT_UNAVAILABLE, "%s: cannot be run: %s: %s", name,
                 reason, report.reason == EACCES ? "chmod +x it or name another" : "try again");
}

static rt_status fork_child(int *pid, const child_t *child, int report_fd, rt_error *err) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t forked = fork();
  if (forked == 0) become(child);
  int reason = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(child->report); /* the child's is the only one now */
  if (forked < 0)
    return rt_fail(err, RT_NO_MEMORY, "%s: cannot be started: %s: end other programs", child->options->arguments[0],
                   strerror(reason));
  report_t report;
  ssize_t got;
  do got = read(report_fd, &report, sizeof report);
  while (got < 0 && errno == EINTR);
  if (got == (ssize_t)sizeof report) {
    while (waitpid(forked, NULL, 0) < 0 && errno == EINTR) continue;
    return explain(child->options, report, err);
  }
  *pid = forked;
  return RT_OK;
}

rt_status rt_spawn(int *pid, int ends[3], const rt_process_options *options, rt_error *err) {
  child_t child = {.options = options, .streams = {-1, -1, -1}, .report = -1, .parent = getpid()};
  int report[2] = {-1, -1};
  rt_status status = RT_OK;
  *pid = 0;
  for (int i = 0; i < 3; i++) ends[i] = -1;
  child.candidates = find_candidates(options, err);
  if (!child.candidates) return RT_NO_MEMORY;
  for (int i = 0; i < 3 && status == RT_OK; i++)
    status = open_stream(&child.streams[i], &ends[i], i, &options->streams[i], child.streams[1], err);
  if (status == RT_OK && !rt_pipe(report)) status = no_descriptor(err);
  if (status == RT_OK) {
    child.report = report[1];
    status = fork_child(pid, &child, report[0], err);
  }
  if (report[0] >= 0) close(report[0]);
  for (int i = 0; i < 3; i++) {
    if (child.streams[i] >= 0) close(child.streams[i]);
    if (status != RT_OK && ends[i] >= 0) close(ends[i]);
  }
  rt_free(child.candidates);
  return status;
}
