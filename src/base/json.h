/*
 * JSON texts (RFC 8259), read where they lie.
 *
 * A text is checked once, wholly (json_read): UTF-8, no lone surrogate, no \u0000 (no text of
 * PostgreSQL can hold it), no name twice in an object, nested at most so deep. From then on a value
 * is a view of its own text, so the digits of a number stay as they came. Nothing is allocated but
 * by json_string.
 */
#ifndef LARDER_BASE_JSON_H
#define LARDER_BASE_JSON_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/span.h"

enum json_kind {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json {
    enum json_kind kind;
    struct span text; /* from the first to the last byte of the value */
};

/* How deep arrays and objects may lie within each other, where nothing else says so. */
#define JSON_DEPTH_MAX 64

/*
 * Digits that a number may have, its exponent counted in (RFC 8259, section 6, leaves the bound to
 * us): PostgreSQL's jsonb writes 1e131000 with all its zeros.
 */
#define JSON_DIGITS_MAX 1000

/*
 * Checks the text, which must be one value with nothing but white space around it. ERROR_INVALID
 * otherwise; its text says what is wrong and at which byte, counted from 1. The memory it needs for
 * finding double names is the arena's.
 */
MUST_CHECK bool json_read(struct span text, unsigned depth_max, struct arena *arena,
                          struct json *ret_value, struct error *error);

/* The value that a text which json_read has checked begins with; the text has no blanks around it.
 */
struct json json_of(struct span text);

/* Walks an array or object: `at` is 0 at first. False at the end. */
struct json_place {
    size_t at;
};
MUST_CHECK bool json_next_element(const struct json *array, struct json_place *place,
                                  struct json *ret_element);
/* *ret_name is a JSON_STRING. */
MUST_CHECK bool json_next_member(const struct json *object, struct json_place *place,
                                 struct json *ret_name, struct json *ret_value);

/* The member of this name; false: none, or no object. */
MUST_CHECK bool json_member(const struct json *object, struct span name, struct json *ret_value);

/* Is the string, unescaped, this text? */
bool json_string_is(const struct json *string, struct span text);

/* The order of two strings' characters, unescaped, as their bytes in UTF-8: below, at or above 0.
 */
int json_string_compare(const struct json *a, const struct json *b);

/* The string's characters, unescaped, terminated. False: memory. */
MUST_CHECK bool json_string(const struct json *string, struct arena *arena, struct span *ret_text);

/* Appends text as a JSON string, with its quotes; what is no UTF-8 becomes U+FFFD. */
void json_write_string(struct span text, struct bytes *out);

/* Appends the value in one canonical form: no white space, names sorted by their bytes. */
void json_write_canonical(const struct json *value, struct bytes *out);

#endif
