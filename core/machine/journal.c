/* A journal of entries that survive a crash at any instruction.
 *
 * An entry is written as base/file.h writes: a temporary name, fsync, rename, fsync of the folder. So a reader needs no
 * lock. Writers have one, flock on the file `lock`, so that reading, changing and writing are one, and so that whoever
 * has it knows that a temporary file is a dead writer's. The lock's file is never removed: two processes would lock two
 * files. It holds its holder's number, for a message alone.
 *
 * Invariants. depth > 0 where lock_fd is open and locked. Nothing here removes what it does not know. */
#include "machine/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#define SUFFIX ".json"
#define LONGEST_ID 200
#define LARGEST ((size_t)1 << 24) /* bytes of an entry; real ones are a thousandth of that */

struct rt_journal {
  char *folder; /* with a slash at its end */
  int lock_fd;
  int depth;
};

static rt_status failed(rt_error *err, const char *path, const char *what) {
  return rt_fail(err, RT_CANT_WRITE, "%s: cannot be %s: %s: make its folder yours and writable, or set RTLUA_STATE",
                 path, what, strerror(errno));
}

/* ---- The folder -------------------------------------------------------------------------------------------------- */

/* Makes the folder whose path is the first n bytes, and notes it in the one above. */
static rt_status make_folder(char *path, size_t n, rt_error *err) {
  char end = path[n];
  rt_status status = RT_OK;
  path[n] = '\0';
  if (mkdir(path, 0700) == 0) {
    const char *slash = strrchr(path, '/');
    size_t above = slash ? (size_t)(slash - path) : 0;
    char *parent = rt_alloc(n + 2, 1, err);
    if (parent) {
      memcpy(parent, slash && above == 0 ? "/" : slash ? path : ".", slash && above > 0 ? above : 1);
      status = rt_file_sync_folder(parent, err);
    } else
      status = RT_NO_MEMORY;
    rt_free(parent);
  } else if (errno != EEXIST && errno != EISDIR && errno != EROFS && errno != EACCES) {
    status = failed(err, path, "made");
  } /* what is not there after all is found when it is used */
  path[n] = end;
  return status;
}

static rt_status make_folders(char *path, rt_error *err) {
  rt_status status = RT_OK;
  size_t length = strlen(path);
  for (size_t i = 1; i < length && status == RT_OK; i++)
    if (path[i] == '/' && path[i - 1] != '/') status = make_folder(path, i, err);
  return status;
}

/* Ours alone: what an entry says is believed, and names keys. */
static rt_status check_folder(const char *folder, rt_error *err) {
  struct stat about;
  if (stat(folder, &about) != 0) return failed(err, folder, "made");
  if (!S_ISDIR(about.st_mode)) return rt_fail(err, RT_CANT_WRITE, "%s: is no folder: move it away", folder);
  if (about.st_uid != geteuid())
    return rt_fail(err, RT_CANT_WRITE, "%s: belongs to another user: set RTLUA_STATE to a folder of yours", folder);
  if ((about.st_mode & 077) && chmod(folder, 0700) != 0) return failed(err, folder, "made private");
  return RT_OK;
}

rt_status rt_journal_open(rt_journal **out, const char *folder, rt_error *err) {
  size_t length = strlen(folder);
  if (length == 0) return rt_fail(err, RT_BAD_USAGE, "the journal's folder has no name");
  rt_journal *journal = rt_alloc(1, sizeof *journal, err);
  if (!journal) return RT_NO_MEMORY;
  journal->lock_fd = -1;
  journal->folder = rt_alloc(length + 2, 1, err);
  rt_status status = journal->folder ? RT_OK : RT_NO_MEMORY;
  if (status == RT_OK) {
    memcpy(journal->folder, folder, length);
    if (folder[length - 1] != '/') journal->folder[length] = '/';
    status = make_folders(journal->folder, err);
  }
  if (status == RT_OK) status = check_folder(journal->folder, err);
  if (status == RT_OK)
    *out = journal;
  else
    rt_journal_close(journal);
  return status;
}

void rt_journal_close(rt_journal *journal) {
  if (!journal) return;
  if (journal->lock_fd >= 0) close(journal->lock_fd);
  rt_free(journal->folder);
  rt_free(journal);
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static bool is_id(const char *id, size_t n) {
  if (n == 0 || n > LONGEST_ID || id[0] == '.') return false;
  for (size_t i = 0; i < n; i++) {
    char c = id[i];
    bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-", c);
    if (!c || !fine) return false;
  }
  return true;
}

static bool ends_with(const char *name, const char *suffix) {
  size_t n = strlen(name), m = strlen(suffix);
  return n >= m && strcmp(name + n - m, suffix) == 0;
}

static bool is_temporary(const char *name) { return strncmp(name, ".rtlua-", 7) == 0 && ends_with(name, ".tmp"); }

/* The path of an entry, or of what `rest` makes of it. Release by rt_free. */
static char *path_of(const rt_journal *journal, const char *id, const char *rest, rt_error *err) {
  if (!is_id(id, strlen(id))) {
    rt_fail(err, RT_BAD_USAGE, "'%s' cannot name a journal's entry: use letters, digits, '.', '_' and '-'", id);
    return NULL;
  }
  size_t size = strlen(journal->folder) + strlen(id) + strlen(rest) + 1;
  char *path = rt_alloc(size, 1, err);
  if (path) snprintf(path, size, "%s%s%s", journal->folder, id, rest);
  return path;
}

/* A status for a path that could not be had. */
static rt_status no_path(const rt_error *err) { return err->code; }

/* ---- The lock ---------------------------------------------------------------------------------------------------- */

static rt_status held(rt_journal *journal, int fd, rt_error *err) {
  char holder[32] = "";
  ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
  holder[n > 0 ? n : 0] = '\0';
  holder[strspn(holder, "0123456789")] = '\0';
  return rt_fail(err, RT_TRY_AGAIN, "%slock: another rtlua%s%s has it: wait for it or end it", journal->folder,
                 holder[0] ? ", process " : "", holder);
}

static rt_status remove_leftovers(const rt_journal *journal, rt_error *err) {
  DIR *folder = opendir(journal->folder);
  if (!folder) return failed(err, journal->folder, "read");
  const struct dirent *entry;
  rt_status status = RT_OK;
  while (status == RT_OK && (entry = readdir(folder)))
    if (is_temporary(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0 && errno != ENOENT)
      status = failed(err, journal->folder, "tidied");
  closedir(folder);
  return status;
}

rt_status rt_journal_try_lock(rt_journal *journal, rt_error *err) {
  if (journal->depth > 0) {
    journal->depth++;
    return RT_OK;
  }
  char *path = path_of(journal, "lock", "", err);
  if (!path) return RT_NO_MEMORY;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  rt_status status = fd < 0 ? failed(err, path, "opened") : RT_OK;
  rt_free(path);
  if (status != RT_OK) return status;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    status = errno == EWOULDBLOCK || errno == EINTR ? held(journal, fd, err) : failed(err, journal->folder, "locked");
  if (status == RT_OK) status = remove_leftovers(journal, err);
  if (status != RT_OK) {
    close(fd);
    return status;
  }
  char holder[32];
  int n = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
  /* It helps a reader, and nothing depends on it: a full disk is no reason to fail here. */
  if (ftruncate(fd, 0) == 0) n = (int)pwrite(fd, holder, (size_t)n, 0);
  (void)n;
  journal->lock_fd = fd;
  journal->depth = 1;
  return RT_OK;
}

void rt_journal_unlock(rt_journal *journal) {
  if (journal->depth == 0 || --journal->depth > 0) return;
  close(journal->lock_fd);
  journal->lock_fd = -1;
}

static rt_status check_locked(const rt_journal *journal, rt_error *err) {
  if (journal->depth > 0) return RT_OK;
  return rt_fail(err, RT_BUG, "%s: changed without its lock: report this", journal->folder);
}

/* ---- Entries ----------------------------------------------------------------------------------------------------- */

rt_status rt_journal_read(char **out, size_t *size, rt_journal *journal, const char *id, rt_error *err) {
  rt_error reason;
  char *path = path_of(journal, id, SUFFIX, &reason);
  if (!path) return rt_fail(err, no_path(&reason), "%s", reason.message);
  rt_status status = rt_file_read(out, size, path, LARGEST, err);
  rt_free(path);
  return status;
}

rt_status rt_journal_write(rt_journal *journal, const char *id, const char *text, size_t size, rt_error *err) {
  rt_error reason;
  rt_file *file;
  rt_status status = check_locked(journal, err);
  if (status != RT_OK) return status;
  if (size > LARGEST) return rt_fail(err, RT_BAD_USAGE, "%s: an entry may have %zu bytes", id, LARGEST);
  char *path = path_of(journal, id, SUFFIX, &reason);
  if (!path) return rt_fail(err, no_path(&reason), "%s", reason.message);
  status = rt_file_create_private(&file, path, err);
  if (status == RT_OK) {
    fwrite(text, 1, size, rt_file_stream(file)); /* commit looks at the stream's error flag */
    status = rt_file_commit(file, err);
  }
  rt_free(path);
  return status;
}

rt_status rt_journal_remove(rt_journal *journal, const char *id, rt_error *err) {
  rt_error reason;
  rt_status status = check_locked(journal, err);
  if (status != RT_OK) return status;
  char *path = path_of(journal, id, SUFFIX, &reason);
  if (!path) return rt_fail(err, no_path(&reason), "%s", reason.message);
  if (unlink(path) == 0)
    status = rt_file_sync_folder(journal->folder, err);
  else if (errno == ENOENT)
    status = rt_fail(err, RT_NO_INPUT, "%s: there is no such entry: check the name", path);
  else
    status = failed(err, path, "removed");
  rt_free(path);
  return status;
}

rt_status rt_journal_set_aside(rt_journal *journal, const char *id, rt_error *err) {
  rt_error reason;
  rt_status status = check_locked(journal, err);
  if (status != RT_OK) return status;
  char *from = path_of(journal, id, SUFFIX, &reason), *to = NULL;
  if (!from) return rt_fail(err, no_path(&reason), "%s", reason.message);
  bool done = false;
  for (int i = 1; !done && i < 10000 && status == RT_OK; i++) {
    char rest[48];
    struct stat about;
    snprintf(rest, sizeof rest, SUFFIX ".damaged-%d", i);
    to = path_of(journal, id, rest, err);
    if (!to) status = RT_NO_MEMORY;
    /* Under the lock nobody else takes the name between the look and the rename. */
    if (to && lstat(to, &about) != 0 && errno == ENOENT) {
      done = true;
      status = rename(from, to) == 0 ? rt_file_sync_folder(journal->folder, err) : failed(err, from, "set aside");
    }
    rt_free(to);
  }
  if (status == RT_OK && !done) status = rt_fail(err, RT_CANT_WRITE, "%s: set aside too often: look at them", from);
  rt_free(from);
  return status;
}

static bool append(char **list, size_t *size, size_t *capacity, const char *name, size_t n, rt_error *err) {
  if (!rt_grow((void **)list, capacity, *size + n + 1, 1, err)) return false;
  memcpy(*list + *size, name, n);
  (*list)[*size + n] = '\0';
  *size += n + 1;
  return true;
}

rt_status rt_journal_names(rt_journal_list *out, rt_journal *journal, rt_error *err) {
  rt_journal_list list = {0};
  size_t ids_capacity = 0, strays_capacity = 0;
  DIR *folder = opendir(journal->folder);
  if (!folder) return failed(err, journal->folder, "read");
  bool fine = true;
  const struct dirent *entry;
  errno = 0;
  while (fine && (entry = readdir(folder))) {
    const char *name = entry->d_name;
    size_t n = strlen(name), stem = n - strlen(SUFFIX);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 || is_temporary(name)) continue;
    if (ends_with(name, SUFFIX) && is_id(name, stem))
      fine = append(&list.ids, &list.ids_size, &ids_capacity, name, stem, err);
    else
      fine = append(&list.strays, &list.strays_size, &strays_capacity, name, n, err);
    errno = 0;
  }
  rt_status status = !fine ? RT_NO_MEMORY : errno ? failed(err, journal->folder, "read") : RT_OK;
  closedir(folder);
  if (status == RT_OK)
    *out = list;
  else {
    rt_free(list.ids);
    rt_free(list.strays);
  }
  return status;
}
