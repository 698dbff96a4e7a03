/*
 * Durations and sizes as configuration and route files write them: a number and its unit.
 */
#ifndef LARDER_BASE_DURATION_H
#define LARDER_BASE_DURATION_H

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

#define MILLISECOND INT64_C(1000)
#define SECOND (1000 * MILLISECOND)

/*
 * Reads "250ms", "5s", "10m", "1h", "7d" into microseconds (also "us"). A bare "0" needs no unit.
 * ERROR_INVALID names the value and the units; overflow is an error.
 */
MUST_CHECK bool duration_parse(struct span text, int64_t *ret_microseconds, struct error *error);

/* Reads "512B", "64KB", "1MB", "1GB" (powers of 1024) into bytes. */
MUST_CHECK bool size_parse(struct span text, int64_t *ret_bytes, struct error *error);

/* Writes a duration with the largest unit that divides it ("90s", "2m"); buffer of 32 bytes. */
const char *duration_format(int64_t microseconds, char buffer[static 32]);

/* Writes a size the same way ("1MB", "1500B"). */
const char *size_format(int64_t bytes, char buffer[static 32]);

#endif
