/*
 * The SQL around a route's statement that makes PostgreSQL render the body, once.
 *
 * The statement stands unchanged inside, so a position in PostgreSQL's complaint maps back by a
 * subtraction. The newline after it ends a comment the statement may close with.
 */
#ifndef LARDER_DB_SHAPE_H
#define LARDER_DB_SHAPE_H

#include "base/arena.h"
#include "base/span.h"

enum db_shape {
    DB_SHAPE_ROWS,  /* one row: the array of all rows, "[]" for none */
    DB_SHAPE_ROW,   /* at most two rows: the objects (two: one too many) */
    DB_SHAPE_VALUE, /* at most two rows: the only column as JSON */
    DB_SHAPE_JSON,  /* at most two rows: the only column as it is */
    DB_SHAPE_NONE,  /* no rows wanted */
};

/*
 * Returns the terminated SQL in `arena` (null: memory); *ret_offset is how many characters stand
 * before the statement in it. The first column of a row is the body.
 */
const char *db_shape_wrap(enum db_shape shape, struct span statement, struct arena *arena,
                          size_t *ret_offset) MUST_CHECK;

#endif
