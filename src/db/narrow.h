/*
 * The @depends of a route: which column of which table that is read, and whose value narrows it.
 */
#ifndef LARDER_DB_NARROW_H
#define LARDER_DB_NARROW_H

#include "db/connection.h"
#include "db/reads.h"
#include "route/route.h"

/* A column of the table, and where its value comes from. */
struct narrow_term {
    const char *column;
    unsigned parameter;        /* n of $n; 0: a column of the result gives the values */
    bool optional;             /* the parameter may be NULL */
    const char *result_column; /* null: a parameter does */
    bool brief;                /* integers or uuid: see db/watch.h */
};

/* One @depends line that is right. */
struct narrowing {
    uint32_t table; /* read_table.oid */
    struct narrow_term terms[ROUTE_DEPEND_TERMS];
    size_t term_count;
    const char **columns; /* what it is for, sorted; none narrows */
    size_t column_count;  /* 0: for the rows, and all columns that no line is for */
    const char *note;     /* "user_id = :id" */
    const struct route_depend *line;
};

struct narrow_question {
    struct db_connection *connection; /* in the transaction of reads_begin */
    const struct route *route;
    const uint32_t *types;                    /* of the parameters */
    const struct db_description *description; /* of the bare statement: its columns */
    struct arena *arena;
    struct fault_list *faults;
    struct db_failure *failure;
};

/*
 * Resolves every @depends of the route; those that are wrong are added to the faults. Where a
 * function may hide reads a line may name a table that is not among the reads: it is added to
 * them. False only when PostgreSQL could not be asked.
 */
MUST_CHECK bool narrow_all(const struct narrow_question *question, struct reads *reads,
                           struct narrowing **ret_narrowings, size_t *ret_count);

#endif
