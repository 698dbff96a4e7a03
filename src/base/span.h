/*
 * A view of bytes that somebody else owns.
 *
 * data may be null only when size is 0; the bytes are not terminated and may hold NUL. Whoever
 * hands a span out says how long the bytes live.
 */
#ifndef LARDER_BASE_SPAN_H
#define LARDER_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *data;
    size_t size;
};

#define SPAN_LITERAL(text) ((struct span){.data = (text), .size = sizeof(text) - 1})

/* For printf's "%.*s"; cuts at INT_MAX, which no text here reaches. */
#define SPAN_PRINTF(span) (int)(span).size, (span).data ? (span).data : ""

static inline struct span span_of(const char *text)
{
    return (struct span){.data = text, .size = text ? strlen(text) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_is(struct span span, const char *text)
{
    return span_equal(span, span_of(text));
}

/* ASCII letters compared without their case. */
static inline bool span_is_nocase(struct span span, const char *text)
{
    return span.size == strlen(text) &&
           (span.size == 0 || strncasecmp(span.data, text, span.size) == 0);
}

static inline bool span_starts(struct span span, const char *text)
{
    size_t length = strlen(text);
    return span.size >= length && (length == 0 || memcmp(span.data, text, length) == 0);
}

/* The bytes from `start` on (start <= size). */
static inline struct span span_from(struct span span, size_t start)
{
    return (struct span){.data = start ? span.data + start : span.data, .size = span.size - start};
}

/* The first `size` bytes (size <= span.size). */
static inline struct span span_first(struct span span, size_t size)
{
    return (struct span){.data = span.data, .size = size};
}

/* Without the spaces and tabs at both ends. */
struct span span_trim(struct span span);

/* Where `byte` first stands, or span.size. */
size_t span_find(struct span span, char byte);

/*
 * Takes the part before the next `separator` off *rest and returns it; *rest keeps what follows.
 * The last part leaves *rest with null data: loop with `while (rest.data)`.
 */
struct span span_split(struct span *rest, char separator);

/* How many parts span_split would give; 0 where the data is null. */
size_t span_parts(struct span text, char separator);

/* The decimal digits it is made of as a number; false: something else, none, or more than `most`.
 */
bool span_number(struct span text, uint64_t most, uint64_t *ret_number);

/* Takes so many decimal digits, at most 9, off *rest; false: it begins with fewer. */
bool span_digits_take(struct span *rest, size_t count, int *ret_number);

#endif
