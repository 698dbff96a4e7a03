/*
 * Where PostgreSQL's lexemes end: comments, strings, quoted and plain identifiers, numbers.
 *
 * As PostgreSQL's own scanner (src/backend/parser/scan.l) has them, with
 * standard_conforming_strings on. Each function is given the offset where the thing begins and
 * returns the offset just past it, or SCAN_OPEN when the text ends first.
 */
#ifndef LARDER_ROUTE_SQL_SCAN_H
#define LARDER_ROUTE_SQL_SCAN_H

#include <stdint.h>

#include "base/span.h"

#define SCAN_OPEN SIZE_MAX

/* The byte at `at`, or NUL at the end. */
char sql_byte(struct span text, size_t at);

bool sql_is_space(char byte);
bool sql_is_word_start(char byte);
bool sql_is_word(char byte);

/* "-- …": up to the line's end, which is not part of it. */
size_t sql_scan_line_comment(struct span text, size_t at);

/* Comments between slash-star and star-slash nest. */
size_t sql_scan_block_comment(struct span text, size_t at);

/* '…' or "…", where the doubled quote stands for itself. */
size_t sql_scan_quoted(struct span text, size_t at);

/* The string behind an E, from its quote: backslashes escape, also in what continues it. */
size_t sql_scan_escaped(struct span text, size_t at);

/* $tag$…$tag$; `at` itself when no such quote begins there. */
size_t sql_scan_dollar(struct span text, size_t at);

size_t sql_scan_word(struct span text, size_t at);
size_t sql_scan_number(struct span text, size_t at);

#endif
