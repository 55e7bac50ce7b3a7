/* Files that are never half written.
 *
 * A file is written under a temporary name in its own folder and renamed when it is whole and on the disk; whoever
 * reads the final name sees the old file or the new one. A symbolic link stays: what it points to is replaced. What is
 * no regular file (/dev/null, a FIFO) cannot be replaced and is written to directly. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

struct rt_file {
  FILE *stream;
  char *path; /* as the caller gave it, for messages */
  char *target;
  char *temporary; /* NULL: written to directly */
  bool private;    /* 0600, and the folder has to be synchronized */
};

static rt_status cant_write(rt_error *err, const char *path, int reason) {
  const char *remedy = "name another output file";
  switch (reason) {
  case ENOSPC:
  case EDQUOT: remedy = "free some space or write to another disk"; break;
  case EFBIG: remedy = "raise the file size limit or write to another disk"; break;
  case ENOENT:
  case ENOTDIR: remedy = "make its folder first or name another"; break;
  case EISDIR: remedy = "name a file, not a folder"; break;
  case EACCES:
  case EPERM:
  case EROFS: remedy = "name a place that you may write to"; break;
  case EMFILE:
  case ENFILE: remedy = "raise the limit of open files (ulimit -n)"; break;
  default: break;
  }
  return rt_fail(err, RT_CANT_WRITE, "%s: cannot be written: %s: %s", path, strerror(reason), remedy);
}

static void release(rt_file *file) {
  rt_free(file->path);
  rt_free(file->target);
  rt_free(file->temporary);
  rt_free(file);
}

/* Length of the folder in `path`, with its slash; 0: the working directory. */
static size_t folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Opens a new file next to file->target. The name is short, so that it fits wherever the final one does. */
static int open_temporary(rt_file *file, rt_error *err) {
  static atomic_uint counter;
  size_t folder = folder_length(file->target), size = folder + 64;
  file->temporary = rt_alloc(size, 1, err);
  if (!file->temporary) return -1;
  memcpy(file->temporary, file->target, folder);
  for (int tries = 0; tries < 10000; tries++) {
    snprintf(file->temporary + folder, size - folder, ".rtlua-%ld-%u.tmp", (long)getpid(),
             atomic_fetch_add(&counter, 1));
    int fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->private ? 0600 : 0666);
    if (fd >= 0) return fd;
    if (errno != EEXIST) break;
  }
  cant_write(err, file->path, errno);
  return -1;
}

/* Finds what `path` names and opens what is to be written; -1 and *err when it cannot. */
static int open_output(rt_file *file, rt_error *err) {
  struct stat link, status;
  const char *path = file->path;
  size_t length = strlen(path);
  bool exists = stat(path, &status) == 0;
  int missing = exists ? 0 : errno;
  int reason = 0;
  if (length == 0)
    reason = ENOENT;
  else if (exists && S_ISDIR(status.st_mode))
    reason = EISDIR;
  else if (path[length - 1] == '/')
    reason = EISDIR;
  else if (missing && missing != ENOENT)
    reason = missing;
  else if (exists && access(path, W_OK) != 0)
    reason = errno; /* a read-only file is meant to stay */
  if (reason) {
    cant_write(err, path, reason);
    return -1;
  }
  if (exists && !S_ISREG(status.st_mode)) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) cant_write(err, path, errno);
    return fd;
  }
  if (exists && lstat(path, &link) == 0 && S_ISLNK(link.st_mode)) {
    char resolved[PATH_MAX];
    if (!realpath(path, resolved)) {
      cant_write(err, path, errno);
      return -1;
    }
    file->target = rt_strdup(resolved, err);
  } else
    file->target = rt_strdup(path, err);
  return file->target ? open_temporary(file, err) : -1;
}

static rt_status create(rt_file **out, const char *path, bool private, rt_error *err) {
  rt_file *file = rt_alloc(1, sizeof *file, err);
  if (!file) return RT_NO_MEMORY;
  file->private = private;
  rt_error reason = {RT_NO_MEMORY, ""};
  file->path = rt_strdup(path, &reason);
  int fd = file->path ? open_output(file, &reason) : -1;
  if (fd >= 0) {
    file->stream = fdopen(fd, "wb");
    if (file->stream) {
      *out = file;
      return RT_OK;
    }
    cant_write(&reason, path, errno);
    close(fd);
    if (file->temporary) unlink(file->temporary);
  }
  release(file);
  if (err) *err = reason;
  return reason.code;
}

rt_status rt_file_create(rt_file **out, const char *path, rt_error *err) { return create(out, path, false, err); }
rt_status rt_file_create_private(rt_file **out, const char *path, rt_error *err) {
  return create(out, path, true, err);
}

FILE *rt_file_stream(rt_file *file) { return file->stream; }

/* Why writing to `file` failed, when only the stream's error flag is left of it: by writing once more. */
static int reason_of_failure(const rt_file *file) {
  static const char block[4096];
  if (file->temporary && write(fileno(file->stream), block, sizeof block) < 0) return errno;
  return EIO;
}

/* Everything on the disk, under the temporary name. 0 or errno. */
static int finish_stream(rt_file *file) {
  int reason = 0;
  if (fflush(file->stream) != 0)
    reason = errno;
  else if (ferror(file->stream))
    reason = reason_of_failure(file);
  /* A pipe or device cannot be synchronized. */
  else if (fsync(fileno(file->stream)) != 0 && file->temporary)
    reason = errno;
  if (fclose(file->stream) != 0 && !reason) reason = errno;
  return reason;
}

rt_status rt_file_sync_folder(const char *folder, rt_error *err) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return cant_write(err, folder, errno);
  int reason = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  /* EINVAL: a file system that has nothing to synchronize. */
  return reason && reason != EINVAL ? cant_write(err, folder, reason) : RT_OK;
}

/* So that the new name in the folder of `path` survives a power loss. */
static rt_status sync_folder_of(const char *path, rt_error *err) {
  size_t n = folder_length(path);
  char *folder = rt_alloc(n + 2, 1, err);
  if (!folder) return RT_NO_MEMORY;
  if (n)
    memcpy(folder, path, n);
  else
    folder[0] = '.';
  rt_status status = rt_file_sync_folder(folder, err);
  rt_free(folder);
  return status;
}

rt_status rt_file_commit(rt_file *file, rt_error *err) {
  int reason = finish_stream(file);
  if (!reason && file->temporary && rename(file->temporary, file->target) != 0) reason = errno;
  rt_status status = RT_OK;
  if (reason) {
    if (file->temporary) unlink(file->temporary);
    status = cant_write(err, file->path, reason);
  } else if (file->temporary) {
    rt_error unsynced; /* some file systems cannot do it: a picture is safe enough then */
    status = sync_folder_of(file->target, &unsynced);
    if (status != RT_OK && file->private && err) *err = unsynced;
    if (!file->private) status = RT_OK;
  }
  release(file);
  return status;
}

void rt_file_abandon(rt_file *file) {
  if (!file) return;
  fclose(file->stream);
  if (file->temporary) unlink(file->temporary);
  release(file);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static rt_status cant_read(rt_error *err, const char *path, int reason) {
  const char *remedy = reason == ENOENT || reason == ENOTDIR ? "check the path"
                       : reason == EISDIR                    ? "name a file, not a folder"
                       : reason == EACCES                    ? "make it readable"
                                                             : "try again or use another copy";
  return rt_fail(err, RT_NO_INPUT, "%s: cannot be read: %s: %s", path, strerror(reason), remedy);
}

static rt_status too_large(rt_error *err, const char *path, size_t limit) {
  return rt_fail(err, RT_BAD_DATA, "%s: is larger than %zu bytes: use a smaller file", path, limit);
}

/* Reads to the end of `fd`, whatever size it was said to have. */
static rt_status read_all(char **out, size_t *size, int fd, size_t expected, const char *path, size_t limit,
                          rt_error *err) {
  char *data = NULL;
  size_t capacity = 0, n = 0;
  rt_status status = RT_OK;
  if (!rt_grow((void **)&data, &capacity, expected + 2, 1, err)) return RT_NO_MEMORY;
  for (;;) {
    ssize_t got = read(fd, data + n, capacity - 1 - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = cant_read(err, path, errno);
    if (got <= 0) break;
    n += (size_t)got;
    if (n > limit) {
      status = too_large(err, path, limit);
      break;
    }
    if (n + 1 == capacity && !rt_grow((void **)&data, &capacity, capacity + 1, 1, err)) {
      status = RT_NO_MEMORY;
      break;
    }
  }
  if (status != RT_OK) {
    rt_free(data);
    return status;
  }
  data[n] = '\0';
  *out = data;
  *size = n;
  return RT_OK;
}

rt_status rt_file_read(char **out, size_t *size, const char *path, size_t limit, rt_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return cant_read(err, path, errno);
  struct stat about;
  rt_status status;
  if (fstat(fd, &about) != 0)
    status = cant_read(err, path, errno);
  else if (S_ISDIR(about.st_mode))
    status = cant_read(err, path, EISDIR);
  else if (S_ISREG(about.st_mode) && (uint64_t)about.st_size > limit)
    status = too_large(err, path, limit);
  else
    status = read_all(out, size, fd, S_ISREG(about.st_mode) ? (size_t)about.st_size : 0, path, limit, err);
  close(fd);
  return status;
}

rt_status rt_file_open(FILE **out, const char *path, rt_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return cant_read(err, path, errno);
  struct stat about;
  int reason = fstat(fd, &about) != 0 ? errno : S_ISDIR(about.st_mode) ? EISDIR : 0;
  *out = reason ? NULL : fdopen(fd, "rb");
  if (*out) return RT_OK;
  if (!reason) reason = errno;
  close(fd);
  return cant_read(err, path, reason);
}

rt_status rt_file_sha256(char hex[65], const char *path, bool (*stop)(void *context), void *context, rt_error *err) {
  unsigned char block[1 << 18];
  bool stopped = false;
  rt_sha256 sha;
  rt_sha256_init(&sha);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cant_read(err, path, errno);
  ssize_t got;
  while ((got = read(fd, block, sizeof block)) > 0 || (got < 0 && errno == EINTR)) {
    if (got > 0) rt_sha256_add(&sha, block, (size_t)got);
    stopped = stop && stop(context);
    if (stopped) break;
  }
  int reason = errno;
  close(fd);
  if (stopped) return rt_fail(err, RT_TRY_AGAIN, "%s: its hash was stopped", path);
  if (got < 0) return cant_read(err, path, reason);
  rt_sha256_hex(&sha, hex);
  return RT_OK;
}
