/* Numbers out of text: fast, correctly rounded, the same in every locale. For readers of files. */
#ifndef RT_BASE_TEXT_H
#define RT_BASE_TEXT_H

#include <stdint.h>

/* Text ends with a zero byte. Both return the first byte after the number, or NULL where none begins at `p` (no
 * blanks are skipped) and leave *out alone then. */

/* Decimal with optional sign, fraction and exponent, rounded to the nearest float (ties to even); too large gives
 * infinity. "nan", "inf" and "infinity" in any case are numbers too, as are MSVC's "1.#QNAN" and "1.#INF": the
 * caller tells what is wrong. */
const char *rt_text_float(const char *p, float *out);
/* Digits only; UINT64_MAX when larger than that. */
const char *rt_text_uint(const char *p, uint64_t *out);

#endif
