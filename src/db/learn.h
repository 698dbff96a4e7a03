/*
 * What only PostgreSQL knows of a route: the types of its parameters, what it reads, and whether
 * the statement is one at all.
 */
#ifndef LARDER_DB_LEARN_H
#define LARDER_DB_LEARN_H

#include "db/connection.h"
#include "db/depends.h"
#include "db/page.h"
#include "db/session.h"
#include "db/shape.h"
#include "route/route.h"

/* One of a write's statements before the last. */
struct learned_before {
    uint64_t id; /* as learned.id */
    const char *sql;
    uint32_t *types; /* OID of its $n at n-1 */
};

/* What only a write has. */
struct learned_write {
    bool known;                    /* PostgreSQL was asked: until then it can't be run */
    bool refused;                  /* … and complained: it never can */
    struct learned_before *before; /* of each of route.before */
    enum db_shape shape; /* NONE where the statement gives no rows, whatever @result says */
    bool shaped;         /* learned.sql is db_shape_wrap_write's, else as in the file */
    /*
     * The columns that the places of @location and @refreshes name: their texts in the first row
     * stand behind the body, in this order. A place that no column has the name of is a
     * parameter's.
     */
    const char **columns;
    size_t column_count;
};

/*
 * What only a download has; texts are null until PostgreSQL was asked. A COPY takes no parameters:
 * their values are bound to $1, $2, … of `settings`, and read by the others where $n stood.
 */
struct learned_stream {
    const char *settings; /* null too where the statement has no parameters */
    const char *table;    /* COPY … TO STDOUT as CSV with a header line */
    const char *objects;  /* … as JSON, an object a row, see LEARNED_OBJECT_QUOTE */
};

/*
 * A row of `objects` is a JSON text as it is, unless it has line breaks, between its values; then
 * it begins and ends with this, which no JSON text has.
 */
#define LEARNED_OBJECT_QUOTE '\x02'

/* A learned route; never changes once made. */
struct learned {
    uint64_t id; /* of this text and these types: names the prepared statement; never 0 */
    /*
     * The shaped statement, terminated. Its first column is the body. Where depends->narrowed_count
     * is above 0 there is a second: the narrowed tags of this very answer, as db_shape_wrap has
     * them; then a missing row is one with a null body.
     */
    const char *sql;
    size_t sql_offset;    /* characters before the route's own SQL in it */
    uint32_t *types;      /* OID of $n at n-1 */
    struct param *params; /* the route's, with the types PostgreSQL told where it has none */
    const struct depends *depends; /* null: not asked, or no GET */
    bool plain; /* its statements leave nothing in a session, as definitions were when it was asked
                 */
    struct learned_write write;
    struct learned_stream stream;
    struct learned_page page; /* of a route with @page; `sql` is its first page's then */
};

enum db_shape learn_shape(enum route_result result);

/*
 * The shaped statement with the types the file itself declares; the rest is 0 and TYPE_UNKNOWN.
 * Serves while PostgreSQL is away. Null: memory.
 */
struct learned *learn_unasked(const struct route *route, struct arena *arena) MUST_CHECK;

/*
 * Asks PostgreSQL, of a write about each statement. When it complains, or the columns don't fit
 * @result (one column for value and json, no two of one name for rows and row), or a @depends does
 * not fit, the complaint is in `faults` with file, line and column, and *ret_learned is null. False
 * only when PostgreSQL could not be asked. `look` is shared by the routes asked about in one go
 * (db/session.h).
 */
MUST_CHECK bool learn_route(struct db_connection *connection, const struct route *route,
                            struct session_look *look, struct arena *arena,
                            struct fault_list *faults, struct learned **ret_learned,
                            struct db_failure *failure);

#endif
