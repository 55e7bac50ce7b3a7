/* Processes: a program with an argument list, its pipes, its end.
 *
 * No shell is ever involved. A child has a process group of its own, and ends with its handle or with this process; a
 * detached one has a session of its own and survives both. Nothing but its three streams and what `keep` names is open
 * in it. Calls are for one thread, the one that runs the script. */
#ifndef RT_MACHINE_PROCESS_H
#define RT_MACHINE_PROCESS_H

#include "rt.h"

typedef struct rt_process rt_process;

typedef enum {
  RT_STREAM_NULL,   /* /dev/null */
  RT_STREAM_PIPE,   /* to or from this process */
  RT_STREAM_FILE,   /* `path`, made with mode 0600 for output */
  RT_STREAM_FD,     /* `fd`, which stays open here */
  RT_STREAM_STDOUT, /* standard error: where standard output goes */
} rt_stream_kind;

typedef struct {
  rt_stream_kind kind;
  const char *path;
  bool append; /* to the file; else it begins empty */
  int fd;
} rt_stream;

typedef struct {
  const char *const *arguments; /* the program first; NULL at the end */
  const char *const
      *environment;     /* "NAME=value", all of it; NULL at the end. Its PATH is where the program is sought */
  const char *cwd;      /* NULL: this process's */
  rt_stream streams[3]; /* standard input, output, error */
  bool detached;        /* no pipes then */
  bool foreground;      /* stays in this process's group, so that it may read the terminal */
  const int *keep;      /* descriptors that stay open in the child, under their numbers */
  size_t n_keep;
  size_t limit; /* bytes that are kept of each output stream; what comes beyond is read and counted */
} rt_process_options;

typedef struct {
  int code;   /* of exit; 128 + signal where a signal ended it */
  int signal; /* 0: none */
  double seconds;
} rt_process_exit;

/* Returns once the program runs. RT_UNAVAILABLE: no such program in PATH; RT_NO_INPUT: none at the path given, or no
 * such folder; RT_BAD_USAGE: it cannot be run. */
rt_status rt_process_start(rt_process **out, const rt_process_options *options, rt_error *err);
/* Ends it as rt_process_end does, unless detached, and releases the handle. */
void rt_process_free(rt_process *process);

int rt_process_pid(const rt_process *process);
/* Moves bytes through the pipes, waiting at most this long for something to do, and notices the end. */
void rt_process_step(rt_process *process, double seconds);
/* Has it ended? The rest of its group ends with it. `out` may be NULL. */
bool rt_process_ended(const rt_process *process, rt_process_exit *out);
/* Has it ended, and is all that it wrote here? A pipe that a daemon of its keeps open is read a little longer. */
bool rt_process_done(const rt_process *process);

/* What came from stream 1 or 2 and was not consumed; valid until the next call. */
const char *rt_process_output(const rt_process *process, int stream, size_t *size);
void rt_process_consume(rt_process *process, int stream, size_t size);
bool rt_process_open(const rt_process *process, int stream); /* may more come; for 0, is it read? */
size_t rt_process_dropped(const rt_process *process, int stream);

/* Queues for its standard input; steps send it. RT_UNAVAILABLE: it reads no more. */
rt_status rt_process_write(rt_process *process, const void *data, size_t size, rt_error *err);
size_t rt_process_unwritten(const rt_process *process);
void rt_process_close_input(rt_process *process); /* once all that is queued is sent */

/* To its group. Nothing where it has ended. */
rt_status rt_process_kill(rt_process *process, int signal, rt_error *err);
/* SIGTERM to its group, SIGKILL after `grace` seconds; it is reaped. */
void rt_process_end(rt_process *process, double grace);
/* SIGKILL to all that are not detached, for a process that is about to call _exit. Safe in signal handlers and on any
 * thread. */
void rt_process_kill_all(void);

#endif
