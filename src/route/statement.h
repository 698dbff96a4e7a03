/*
 * The SQL of a route file: where its parameters stand, told apart from everything that looks like
 * one, and the text PostgreSQL gets.
 *
 * Invariant: a parameter is bound as $n, never spliced. Outside of placeholders no byte of the
 * statement changes, so a position in PostgreSQL's complaint maps back to the file.
 */
#ifndef LARDER_ROUTE_STATEMENT_H
#define LARDER_ROUTE_STATEMENT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/span.h"
#include "route/fault.h"

/* At most this many distinct names in one statement, and statements in one file. */
#define STATEMENT_PARAMETERS_MAX 1000
#define STATEMENTS_MAX 64

/* One :name in the file's text. */
struct placeholder {
    struct span name; /* without the colon; "auth.sub" for a claim */
    size_t offset;    /* of the colon, in the file */
    size_t length;    /* of ":name" */
    unsigned line;
    unsigned column;
    unsigned number; /* n of $n, from 1; the same for the same name */
};

struct statement {
    struct span sql; /* the statement with $n, without a final ';' or trailing space; empty: none */
    size_t file_offset;               /* where the statement begins in the file */
    struct placeholder *placeholders; /* in order of the text */
    size_t placeholder_count;
    unsigned parameter_count; /* distinct names: the highest $n */
    unsigned *param_of; /* param_of[n-1]: index into route.params of $n; filled by route_parse */
    unsigned line;      /* where the statement begins */
};

/*
 * Finds the placeholders of the SQL that starts at `start` in `text` and writes the statement with
 * $1, $2 … (one number a name). Knows '…' with '' (and E'…' with backslashes), "…", $tag$…$tag$,
 * -- and nested comments, ::, :=, array slices a[1:2], and positional $n (a fault: use :name).
 * A ';' ends the statement: anything but comments after it is a fault. Unterminated strings and
 * comments, and brackets that don't pair, are faults at the place they begin. So are comments that
 * look like annotations (-- @word): those stand before the statement.
 *
 * A colon is no placeholder in ::, := and before anything but a letter or '_'. Directly inside of
 * […] a colon may also part the bounds of a slice; it does when an operand stands right before it
 * (a[1:n], a[lo:hi], a[:lo:hi]) or when it follows a number, a string or a closing bracket
 * (a[1 :n]). So ARRAY[1, :x], ARRAY[CASE WHEN b THEN :x END] and a[:n] have placeholders, and a
 * slice between parameters is written a[:low : :high].
 *
 * standard_conforming_strings is taken to be on (db_connect takes no session without it): a
 * backslash is an ordinary character in '…'.
 */
MUST_CHECK bool statement_parse(const char *file, struct span text, size_t start,
                                struct arena *arena, struct fault_list *faults,
                                struct statement *ret_statement);

/*
 * The same for a write, which may have several statements parted by ';': each has its own $1, $2 …
 * What would end or leave the transaction that they all run in (COMMIT, COPY, SET …) is a fault.
 * *ret_count is 0 when there is none.
 */
MUST_CHECK bool statement_parse_all(const char *file, struct span text, size_t start,
                                    struct arena *arena, struct fault_list *faults,
                                    struct statement **ret_statements, size_t *ret_count);

/*
 * `text` is the file's, as given to statement_parse. Turns a 1-based character position in
 * statement.sql (as PostgreSQL reports it, in characters) into the file's line and column.
 */
void statement_locate(const struct statement *statement, struct span text, size_t position,
                      unsigned *ret_line, unsigned *ret_column);

/* Appends the statement with values[n-1], terminated SQL, in place of each $n. */
void statement_write(const struct statement *statement, const char *const *values,
                     struct bytes *out);

#endif
