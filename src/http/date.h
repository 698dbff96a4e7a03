/*
 * HTTP dates (RFC 9110, section 5.6.7) and Unix seconds. No locale, no time zone, no clock.
 */
#ifndef LARDER_HTTP_DATE_H
#define LARDER_HTTP_DATE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL */

/*
 * Reads the three forms: IMF-fixdate, RFC 850 and asctime. Case counts. The name of the day must
 * be one, but need not fit the date. A leap second (":60") is the second after it. RFC 850's two
 * digits mean 1970 to 2069. False: not a date, *ret_seconds is untouched.
 */
MUST_CHECK bool http_date_parse(struct span text, int64_t *ret_seconds);

/* Writes an IMF-fixdate; seconds outside the years 1970 to 9999 are brought to the nearer end. */
void http_date_format(int64_t seconds, char buffer[static HTTP_DATE_SIZE]);

#endif
