/*
 * A growing byte buffer whose failure is sticky.
 *
 * A buffer is all zeros when empty (BYTES_EMPTY). Appending never fails visibly: when memory runs
 * out `failed` is set, later appends do nothing, and the writer checks once at the end. The data
 * is always followed by a NUL that does not count, so that text can be handed to C functions.
 */
#ifndef LARDER_BASE_BYTES_H
#define LARDER_BASE_BYTES_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

struct bytes {
    char *data; /* owned; null while nothing was appended */
    size_t size;
    size_t capacity;
    bool failed;
};

#define BYTES_EMPTY ((struct bytes){0})

/* Frees the memory and makes the buffer empty; a failed buffer is usable again. */
void bytes_free(struct bytes *bytes);

/* Keeps the memory, forgets the content and a failure. */
void bytes_clear(struct bytes *bytes);

/*
 * Makes room for `more` further bytes and a NUL; returns where they go, or null after a failure.
 * Who writes there raises `size` and writes the NUL.
 */
char *bytes_reserve(struct bytes *bytes, size_t more);

/* `data` must not lie in the buffer itself. */
void bytes_append(struct bytes *bytes, const void *data, size_t size);
void bytes_append_span(struct bytes *bytes, struct span span);

/* In line, so that the length of a literal costs nothing. */
static inline void bytes_append_text(struct bytes *bytes, const char *text)
{
    bytes_append(bytes, text, strlen(text));
}

void bytes_append_byte(struct bytes *bytes, char byte);
void bytes_append_number(struct bytes *bytes, int64_t number);
void bytes_append_format(struct bytes *bytes, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * Appends the text as a JSON string, quotes included (RFC 8259, section 7). Bytes that are not
 * UTF-8 become U+FFFD, so that the result is always valid.
 */
void bytes_append_json(struct bytes *bytes, struct span text);

/* The content; valid until the next append. Empty after a failure. */
static inline struct span bytes_span(const struct bytes *bytes)
{
    return (struct span){.data = bytes->data, .size = bytes->failed ? 0 : bytes->size};
}

/* The content as terminated text; "" when there is none. */
static inline const char *bytes_text(const struct bytes *bytes)
{
    return bytes->data && !bytes->failed ? bytes->data : "";
}

#endif
