/* Files that are never half written: a temporary name in the same folder, fsync, rename, fsync of the folder. */
#ifndef RT_BASE_FILE_H
#define RT_BASE_FILE_H

#include <stdio.h>

#include "rt.h"

typedef struct rt_file rt_file;
rt_status rt_file_create(rt_file **out, const char *path,
                         rt_error *err); /* RT_CANT_WRITE names the path and the reason */
/* The same with mode 0600, for what only its owner may read; and a folder that cannot be synchronized is an error. */
rt_status rt_file_create_private(rt_file **out, const char *path, rt_error *err);
FILE *rt_file_stream(rt_file *file);
rt_status rt_file_commit(rt_file *file, rt_error *err); /* frees it either way; on failure nothing is left behind */
void rt_file_abandon(rt_file *file);                    /* NULL is fine */
/* Names that were made, changed or removed in it survive a power loss. */
rt_status rt_file_sync_folder(const char *folder, rt_error *err);

/* The whole of a file in memory, one zero byte behind it. RT_NO_INPUT when it is missing or is a folder, RT_BAD_DATA
 * when larger than `limit` bytes. Release by rt_free. */
rt_status rt_file_read(char **out, size_t *size, const char *path, size_t limit, rt_error *err);

/* Opens a file for reading it piece by piece; fclose it. */
rt_status rt_file_open(FILE **out, const char *path, rt_error *err);

/* SHA-256 of what is in a file of any size, as 64 hexadecimal digits. `stop` (may be NULL) is asked every few
 * milliseconds; RT_TRY_AGAIN where it gave true. */
rt_status rt_file_sha256(char hex[65], const char *path, bool (*stop)(void *context), void *context, rt_error *err);

#endif
