/*
 * The words of an annotation's line: plain ones and name=value.
 *
 * Words are parted by spaces and tabs. A value, and each item of a value with commas, may stand in
 * "…" or '…' to hold spaces, commas and the other quote; there are no escapes. All spans point into
 * the line.
 */
#ifndef LARDER_ROUTE_WORDS_H
#define LARDER_ROUTE_WORDS_H

#include "base/arena.h"
#include "base/span.h"

struct word {
    struct span text;  /* as written */
    struct span name;  /* before the '='; data null: there is none */
    struct span value; /* behind it, as written */
    bool open;         /* a quote has no end */
};

/* Takes the next word off *rest; false when there is none. */
bool word_next(struct span *rest, struct word *ret_word);

/* The rest of the line without its blanks. */
struct span words_rest(struct span rest);

/* A value without its quotes; false when text follows the closing quote. */
MUST_CHECK bool value_unquote(struct span value, struct span *ret_text);

/* Takes the next item of a value with commas off *rest (null data: was the last), unquoted. */
MUST_CHECK bool value_item(struct span *rest, struct span *ret_text);

#endif
