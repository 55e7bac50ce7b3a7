/* Starting a program: fork, the child's setting up, exec, and what went wrong. Stands on base. */
#ifndef RT_MACHINE_SPAWN_H
#define RT_MACHINE_SPAWN_H

#include "machine/process.h"

/* ends[i] becomes this process's end of stream i, non-blocking, or -1 where it has none. */
rt_status rt_spawn(int *pid, int ends[3], const rt_process_options *options, rt_error *err);
/* A pipe that closes on exec, its descriptors above the standard three. False and errno. */
bool rt_pipe(int ends[2]);
/* The same file, closed on exec, above the standard three; `fd` is closed. -1 stays -1, errno is kept. */
int rt_fd_above_stdio(int fd);
/* Is the other end of the pipe closed everywhere? Waits at most this long for it. Nothing is read. */
bool rt_pipe_hung_up(int fd, double seconds);

#endif
