/*
 * Decimal numbers as text, exactly, of any size.
 *
 * The plain form: an optional '-', digits without needless zeros in front, perhaps '.' and digits.
 * Zero has no sign. Zeros at the end count, as PostgreSQL's numeric keeps them.
 */
#ifndef LARDER_ROUTE_DECIMAL_H
#define LARDER_ROUTE_DECIMAL_H

#include "base/compiler.h"
#include "base/span.h"

/* Digits a plain form may have. */
#define DECIMAL_DIGITS_MAX 1000

/* The pieces of "-12.5e3": all spans into the text. */
struct decimal {
    bool negative;
    struct span whole;    /* without leading zeros; may be empty */
    struct span fraction; /* may be empty */
    int exponent;         /* cut to ±100000 */
};

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
MUST_CHECK bool decimal_parse(struct span text, struct decimal *ret_decimal);

/* Whether the plain form has no more than DECIMAL_DIGITS_MAX digits. */
bool decimal_is_bounded(const struct decimal *decimal);

/* The same for integers: [+-] digits alone. */
MUST_CHECK bool decimal_parse_whole(struct span text, struct decimal *ret_decimal);

/* Writes a bounded decimal's plain form, terminated, and returns its length. */
#define DECIMAL_TEXT_MAX (DECIMAL_DIGITS_MAX + 4)
size_t decimal_write(const struct decimal *decimal, char ret_text[static DECIMAL_TEXT_MAX]);

/* The order of two plain forms: below, at or above 0. */
int decimal_compare(struct span a, struct span b);

#endif
