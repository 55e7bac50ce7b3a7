/* The retry policy of HTTP: http.c's questions about replies and failures. */
#ifndef RT_MACHINE_HTTP_POLICY_H
#define RT_MACHINE_HTTP_POLICY_H

#include <curl/curl.h>

#include "rt.h"

/* May the same request succeed later? */
bool rt_http_is_passing_status(long status);
bool rt_http_is_passing_failure(CURLcode code);
/* Seconds that the header lines ask to wait; 0: they do not say. */
double rt_http_retry_after(const char *head, size_t size);

#endif
