/* A journal: a folder of small entries, each a file that is the old one or the new one, whole, whenever one looks.
 *
 * Entries are ID.json; what is in them is the caller's. The folder has mode 0700, files 0600. Changes are made under a
 * lock between processes, which the kernel frees when its holder dies. Calls are for one thread. */
#ifndef RT_MACHINE_JOURNAL_H
#define RT_MACHINE_JOURNAL_H

#include "rt.h"

typedef struct rt_journal rt_journal;

/* Makes the folder, and those above it, where they are missing. */
rt_status rt_journal_open(rt_journal **out, const char *folder, rt_error *err);
void rt_journal_close(rt_journal *journal); /* frees the lock */

/* RT_TRY_AGAIN: another process (or journal) has it. A journal that has it gets it again, and frees it with the last
 * unlock. Taking it removes the temporary files of writers that died. */
rt_status rt_journal_try_lock(rt_journal *journal, rt_error *err);
void rt_journal_unlock(rt_journal *journal);

/* Ids are of letters, digits, '.', '_' and '-', at most 200, and begin with no '.'. */
rt_status rt_journal_read(char **out, size_t *size, rt_journal *journal, const char *id, rt_error *err);
/* These want the lock. Once they return RT_OK, it is on the disk. */
rt_status rt_journal_write(rt_journal *journal, const char *id, const char *text, size_t size, rt_error *err);
rt_status rt_journal_remove(rt_journal *journal, const char *id, rt_error *err); /* RT_NO_INPUT: there is none */
/* Renames a damaged entry to ID.json.damaged-N, which no call here ever removes. */
rt_status rt_journal_set_aside(rt_journal *journal, const char *id, rt_error *err);

/* The ids, each ended by a zero byte, and the names of files that were set aside or that nobody knows. Sorted by
 * nothing. Release both by rt_free. */
typedef struct {
  char *ids, *strays;
  size_t ids_size, strays_size;
} rt_journal_list;
rt_status rt_journal_names(rt_journal_list *out, rt_journal *journal, rt_error *err);

#endif
