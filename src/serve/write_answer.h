/*
 * What the rows of a committed write mean: the status, the body, Location.
 */
#ifndef LARDER_SERVE_WRITE_ANSWER_H
#define LARDER_SERVE_WRITE_ANSWER_H

#include "serve/exchange.h"

/* Settles the exchange by its result, which it keeps. */
void write_answer(struct exchange *exchange);

/* Settles it as one whose row there is none of: 404. */
void write_answer_missing(struct exchange *exchange);

/*
 * Appends a path with its places filled, each percent-encoded: by the first row's column of that
 * name, or else by the parameter. False: one has no value, or a segment is "." or "..".
 */
MUST_CHECK bool write_path(const struct exchange *exchange, struct span path, struct bytes *out);

/* Appends one segment of a path, percent-encoded. */
void write_path_segment(struct span text, struct bytes *out);

#endif
