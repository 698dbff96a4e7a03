/*
 * What the argument of a trigger says: the watches of its table. See sql/larder/module.sql, and
 * db/watch.h for what a watch is.
 */
#ifndef LARDER_POSTGRES_WATCHES_H
#define LARDER_POSTGRES_WATCHES_H

#include <postgres.h>

#include <commands/trigger.h>

#include "postgres/value.h"

struct narrow {
    AttrNumber place; /* 0: there is no such column */
    struct value_way way;
};

struct tag_text {
    char *text;
    Size size;
    uint32 hash;
};

struct watch {
    bool rows; /* rows that come and go count, and changes of the narrowing columns */
    struct tag_text stem, own; /* what tags begin with; that of the table, or of all values */
    int column_count, narrow_count;
    AttrNumber *columns;
    struct narrow *narrow;
    uint64 transaction; /* in which … */
    int values;         /* … so many values were struck */
};

struct watches {
    int count;
    struct watch *items;
};

/* From _PG_init. */
void watches_prepare(void);

/*
 * The trigger's. They are kept for the session, and made anew when a table was altered; what was
 * made before stays until the transaction's end.
 */
struct watches watches_of(const TriggerData *data);

#endif
