/*
 * The SQL around a route's statement that makes PostgreSQL render the body, once.
 *
 * The statement stands unchanged inside, so a position in PostgreSQL's complaint maps back by a
 * subtraction. The newline after it ends a comment the statement may close with.
 */
#ifndef LARDER_DB_SHAPE_H
#define LARDER_DB_SHAPE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/span.h"
#include "db/watch.h"

enum db_shape {
    DB_SHAPE_ROWS,  /* one row: the array of all rows, "[]" for none */
    DB_SHAPE_ROW,   /* at most two rows: the objects (two: one too many) */
    DB_SHAPE_VALUE, /* at most two rows: the only column as JSON */
    DB_SHAPE_JSON,  /* at most two rows: the only column as it is */
    DB_SHAPE_NONE,  /* no rows wanted */
};

/* Where the value of a narrowing column comes from. */
struct db_shape_value {
    unsigned parameter; /* n of the $n that has the value; 0: the column has */
    bool optional;      /* the parameter may be NULL; then this column and those behind it don't
                           narrow: of the first the tag is the whole table's */
    const char *column; /* of the result, whose every value gives a tag */
    bool brief;         /* the values are integers or of type uuid */
};

/* A narrowed watch whose tags the statement tells along with the body. */
struct db_shape_tag {
    const struct watch *watch;
    struct db_shape_value values[WATCH_NARROW_MAX]; /* one for each of watch->narrow */
    unsigned
        most; /* values of the result's rows; of more, or no row, the tag is the whole table's */
};

/* Does the result have values of the first `count` columns? */
bool db_shape_by_rows(const struct db_shape_tag *tag, size_t count);

/*
 * Returns the terminated SQL in `arena` (null: memory); *ret_offset is how many characters stand
 * before the statement in it. The first column of a row is the body.
 *
 * With `count` tags there is a second column: the tags' texts, newline between them, never null.
 * What shape_values_expand writes out stands for several of them (db/shape_values.h).
 * Then there is always a row: where without tags there would be none, the body is NULL, which it
 * never is otherwise.
 */
const char *db_shape_wrap(enum db_shape shape, struct span statement,
                          const struct db_shape_tag *tags, size_t count, struct arena *arena,
                          size_t *ret_offset) MUST_CHECK;

/*
 * Appends ", <expression>" for each tag, as an argument of an aggregate query over the rows of
 * `shape`, which are called larder_row.
 */
void db_shape_append_tags(enum db_shape shape, const struct db_shape_tag *tags, size_t count,
                          struct bytes *out);

/* What is asked of a write's last statement. */
struct db_shape_write {
    enum db_shape shape;
    const char *const *columns; /* of the result: their texts in the first row are wanted too */
    size_t column_count;
    bool row_wanted; /* of ROW, VALUE and JSON: without a row the transaction fails, see below */
};

/* What a missing row's failure is called: the SQLSTATE, and words its message has. */
#define DB_SHAPE_NO_ROW_STATE "42704"
#define DB_SHAPE_NO_ROW "larder.no_row"

/* A statement within what is around it: its text in one piece, or with something put into it. */
struct db_shaped {
    const char *sql; /* terminated */
    size_t before;   /* characters before the statement … */
    size_t split;    /* … and characters of it, … */
    size_t inserted; /* … then so many that are not its own */
};

/*
 * The same for a write, whose last statement may change data and so can only stand in a WITH at the
 * top, where a WITH of its own is taken apart (route/statement_kind.h). There is always one row:
 * the body, null where ROW, VALUE and JSON have none, then the columns; of NONE the body is the
 * number of rows. More than one row where one is meant fails the transaction (SQLSTATE 21000).
 */
MUST_CHECK bool db_shape_wrap_write(const struct db_shape_write *wanted, struct span statement,
                                    struct arena *arena, struct db_shaped *ret_shaped);

/* The character of the statement at a 1-based character of the whole; 0: it is none of it. */
size_t db_shape_position(const struct db_shaped *shaped, size_t position);

#endif
