/*
 * What a route reads, as PostgreSQL knows it: a temporary view over the statement, made in a
 * transaction that is rolled back, has rows in pg_depend for each table and column, through views,
 * CTEs, partitions and inheritance, whatever the plan.
 *
 * A view that the statement reads counts with all it reads itself, whichever of its columns are
 * used. A materialized view is a table of its own: it changes by REFRESH alone.
 */
#ifndef LARDER_DB_DEPENDS_H
#define LARDER_DB_DEPENDS_H

#include "db/connection.h"
#include "db/shape.h"
#include "db/watch.h"
#include "route/route.h"

/* What makes a route's answer change without a watched table changing; `larder check` notes it. */
enum hazard {
    HAZARD_FUNCTION,  /* a function whose body PostgreSQL can't look into may read tables */
    HAZARD_CLOCK,     /* the statement depends on the time (now(), CURRENT_DATE, …) */
    HAZARD_LITERAL,   /* … of when it was prepared ('today'::date) */
    HAZARD_RANDOM,    /* … or on a volatile function such as random() */
    HAZARD_FOREIGN,   /* a foreign table: its changes are made elsewhere */
    HAZARD_SETTING,   /* current_setting and the like */
    HAZARD_UNWATCHED, /* no triggers of `larder install` on the table, or not for these columns */
    HAZARD_CATALOG,   /* a system catalogue or a sequence: no triggers are possible */
    HAZARD_REFUSED,   /* nothing is known of what is read: `name` is PostgreSQL's reason */
};

struct hazard_note {
    enum hazard kind;
    const char *name; /* of the function or table, as SQL has it */
};

/* What a dependency is to its route; of several the least. */
enum dependency_part {
    DEPENDENCY_OWN,
    /* By fewer columns than its line, for a parameter that is NULL: each answer has its bulk tag,
     * and the fill gives this watch's tag in place of the narrower one. */
    DEPENDENCY_PREFIX,
    /* The whole beside a narrowed watch: the fill gives its tag in place of the narrowed ones where
     * these are too many, or where there is no value to narrow by. */
    DEPENDENCY_SPARE,
};

/* One dependency of a route. */
struct dependency {
    struct watch watch;
    char kind;        /* pg_class.relkind: r, p, f, m */
    const char *note; /* for `larder routes --depends`: how it is narrowed, as written; null: not */
    enum dependency_part part;
};

struct depends {
    struct dependency *items; /* sorted by watch, each watch once */
    size_t count;
    struct hazard_note *hazards;
    size_t hazard_count;
    bool watched; /* every dependency has its triggers: changes will be heard of */
    /*
     * The tags known without the fill: `*`, each whole-table tag that is not spare, each bulk tag.
     * The narrowed ones come with the fill, in the shaped statement's second column, as
     * db_shape_wrap has it there.
     */
    struct span *tags;
    size_t tag_count;
    struct db_shape_tag *narrowed; /* what that column is made of; none: there is no column */
    size_t narrowed_count;
};

/*
 * Asks PostgreSQL what `route`, a GET with a statement, reads, and narrows it by the route's
 * @depends. `types` are the parameters' OIDs, `description` is the bare statement's. What is wrong
 * with a @depends is added to `faults`. A statement that PostgreSQL makes no view of has one
 * HAZARD_REFUSED and is not watched. False only when PostgreSQL could not be asked.
 */
MUST_CHECK bool depends_ask(struct db_connection *connection, const struct route *route,
                            const uint32_t *types, const struct db_description *description,
                            struct arena *arena, struct fault_list *faults,
                            const struct depends **ret_depends, struct db_failure *failure);

#endif
