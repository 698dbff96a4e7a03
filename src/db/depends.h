/*
 * What a route reads, as PostgreSQL knows it: a temporary view over the statement, made in a
 * transaction that is rolled back, has rows in pg_depend for each table and column, through views,
 * CTEs, partitions and inheritance, whatever the plan.
 */
#ifndef LARDER_DB_DEPENDS_H
#define LARDER_DB_DEPENDS_H

#include "db/connection.h"
#include "db/watch.h"
#include "route/route.h"

/* What makes a route's answer change without a watched table changing; `larder check` notes it. */
enum hazard {
    HAZARD_FUNCTION,  /* a function whose body PostgreSQL can't look into may read tables */
    HAZARD_CLOCK,     /* the statement depends on the time (now(), CURRENT_DATE, …) */
    HAZARD_RANDOM,    /* … or on a volatile function such as random() */
    HAZARD_FOREIGN,   /* a foreign table: its changes are made elsewhere */
    HAZARD_SETTING,   /* current_setting and the like */
    HAZARD_UNWATCHED, /* no triggers of `larder install` on the table, or not for these columns */
    HAZARD_CATALOG,   /* a system catalogue or view: no triggers are possible */
};

struct hazard_note {
    enum hazard kind;
    const char *name; /* of the function or table */
};

/* One dependency of a route. */
struct dependency {
    struct watch watch;
    char kind;         /* pg_class.relkind: r, p, f, m */
    const char *note;  /* for `larder routes --depends`: how it is narrowed, as written; null: not */
};

struct depends {
    struct dependency *items;
    size_t count;
    struct hazard_note *hazards;
    size_t hazard_count;
    bool watched; /* every dependency has its triggers: changes will be heard of */
    /*
     * The tags known without the fill: `*`, each whole-table tag, each bulk tag. The narrowed ones
     * come with the fill, in the shaped statement's second column, newline between them (null or
     * empty: none); see learned->sql.
     */
    struct span *tags;
    size_t tag_count;
};

#endif
