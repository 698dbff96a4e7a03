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
#include "db/watch.h"

enum db_shape {
    DB_SHAPE_ROWS,  /* one row: the array of all rows, "[]" for none */
    DB_SHAPE_ROW,   /* at most two rows: the objects (two: one too many) */
    DB_SHAPE_VALUE, /* at most two rows: the only column as JSON */
    DB_SHAPE_JSON,  /* at most two rows: the only column as it is */
    DB_SHAPE_NONE,  /* no rows wanted */
};

/* A narrowed watch whose tags the statement tells along with the body. */
struct db_shape_tag {
    const struct watch *watch;
    unsigned parameter; /* n of the $n that has the value; 0: the column has */
    bool optional;      /* the parameter may be NULL; then the tag is the whole table's */
    const char *column; /* of the result, whose every value gives a tag … */
    unsigned most;      /* … or, when these are more, or no row is there, the whole table's tag */
};

/*
 * Returns the terminated SQL in `arena` (null: memory); *ret_offset is how many characters stand
 * before the statement in it. The first column of a row is the body.
 *
 * With `count` tags there is a second column: the tags' texts, newline between them, never null.
 * Then there is always a row: where without tags there would be none, the body is NULL, which it
 * never is otherwise.
 */
const char *db_shape_wrap(enum db_shape shape, struct span statement,
                          const struct db_shape_tag *tags, size_t count, struct arena *arena,
                          size_t *ret_offset) MUST_CHECK;

#endif
