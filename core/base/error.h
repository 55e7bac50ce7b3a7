/* Errors: one line, a code, and no allocation. */
#ifndef RT_BASE_ERROR_H
#define RT_BASE_ERROR_H

#include "rt.h"

/* Fills *err (which may be NULL) by printf's rules, newlines turned into spaces, and returns `code`. */
rt_status rt_fail(rt_error *err, rt_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
rt_status rt_fail_memory(rt_error *err, const char *what); /* RT_NO_MEMORY: "out of memory for WHAT" */

#endif
