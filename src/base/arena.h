/*
 * Memory that is freed all at once: one arena a request, one a route table.
 *
 * What an arena hands out lives until arena_reset or arena_free, never moves, and is aligned for
 * any type. Not safe for two threads at once. Blocks of the usual size (8 KB) are kept by a reset
 * up to ARENA_KEEP bytes, so that a worker's arena stops calling malloc after its first requests;
 * larger ones are freed.
 */
#ifndef LARDER_BASE_ARENA_H
#define LARDER_BASE_ARENA_H

#include "base/compiler.h"
#include "base/span.h"

#define ARENA_KEEP ((size_t)64 * 1024)

struct arena;

/* Null when memory is out. */
struct arena *arena_new(void);

/* Null is allowed. */
void arena_free(struct arena *arena);

/* Forgets everything handed out. */
void arena_reset(struct arena *arena);

/* `size` bytes of zeros; null when memory is out. A size of 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;

/* Zeros for `count` items of `size` bytes; null when memory is out or the product overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size) MUST_CHECK;

/* A terminated copy; null when memory is out. */
char *arena_text(struct arena *arena, struct span span) MUST_CHECK;

/* A formatted, terminated text; null when memory is out. */
char *arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

/* A copy whose data is terminated (the NUL not counted); data is null when memory is out. */
struct span arena_span(struct arena *arena, struct span span) MUST_CHECK;

#endif
