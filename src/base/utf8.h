/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef LARDER_BASE_UTF8_H
#define LARDER_BASE_UTF8_H

#include "base/span.h"

/* The length of the well-formed character at the start of `text`, 1 to 4, or 0 if there is none. */
size_t utf8_character(struct span text);

bool utf8_valid(struct span text);

/* How many characters a valid text holds. */
size_t utf8_count(struct span text);

#endif
