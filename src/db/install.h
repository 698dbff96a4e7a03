/*
 * `larder install`: the schema `larder` and the triggers that leave word of changes in it.
 *
 * What is wanted and what is there are lists of things with names; a thing's name has a hash of its
 * whole text in it, so that a thing of the same name is the same and is left alone. The plan is
 * what makes the one of the other. Pure: install_survey.h asks PostgreSQL.
 */
#ifndef LARDER_DB_INSTALL_H
#define LARDER_DB_INSTALL_H

#include "base/arena.h"
#include "base/bytes.h"
#include "db/watch.h"

/* Of the schema's text, sql/larder/schema.sql; another one in the database is made anew. */
#define INSTALL_VERSION 11

enum install_kind {
    INSTALL_FUNCTION,
    INSTALL_TRIGGER,
    INSTALL_EVENT_TRIGGER,
    INSTALL_WATCH, /* a row of larder.watch; its name is the tag */
    INSTALL_KIND_COUNT,
};

/* Texts are terminated and live in the arena that the maker was given. */
struct install_thing {
    enum install_kind kind;
    const char *schema; /* of the table, for triggers and watches; "" otherwise */
    const char *table;
    const char *name;
    const char *sql; /* what makes it; null for what is there */
    bool unsound; /* there, but no longer what its name says: switched off, or of other columns */
};

struct install_things {
    struct install_thing *items;
    size_t count;
};

/* A column of a watched table. */
struct install_column {
    const char *name;
    bool plain; /* values that `=` takes for equal have the same text: integers, text, uuid, … */
    const char *brief; /* the built-in type, where its texts are short and of plain characters:
                          integers, uuid, bool; null otherwise */
};

/* A watched table, or one of its partitions. */
struct install_table {
    const char *schema;
    const char *table;
    char kind;         /* pg_class.relkind */
    bool allowed;      /* the role has the TRIGGER privilege */
    bool rewrites;     /* a BEFORE trigger may change columns that an UPDATE does not name */
    const char *owner; /* role */
    const struct install_column *columns; /* of the table itself; none for a partition */
    size_t column_count;
    const struct install_table *partitions; /* at any depth; all take a TRUNCATE of their own */
    size_t partition_count;
};

struct install_settings {
    bool always;        /* triggers fire for replicated changes too */
    bool event_trigger; /* the role may make them: DDL and REFRESH are heard of at once */
    bool module;        /* row triggers are those of Larder's module for PostgreSQL */
    const char *daemon; /* the role to be granted what larderd needs; null: none */
};

/*
 * What the watches of one table need: triggers, functions, the rows of larder.watch. They are
 * sorted and without duplicates, of this table alone. Appends struct install_thing to `things`.
 * A foreign table needs nothing, for it can't be watched. False: memory.
 */
MUST_CHECK bool install_want_table(const struct install_table *table, const struct watch *watches,
                                   size_t count, const struct install_settings *settings,
                                   struct arena *arena, struct bytes *things);

/* The event trigger, where settings->event_trigger. False: memory. */
MUST_CHECK bool install_want_event_trigger(const struct install_settings *settings,
                                           struct bytes *things);

struct install_step {
    const char *sql;   /* one or more statements, terminated */
    const char *table; /* `schema.table` it needs a lock of; null: none */
    bool alone;        /* with not even readers beside */
};

struct install_change {
    const struct install_thing *thing;
    enum install_verb { INSTALL_KEEP, INSTALL_ADD, INSTALL_DROP } verb;
};

struct install_plan {
    struct install_step *steps; /* in order, between the transaction's begin and end; none: done */
    size_t step_count;
    struct install_change *changes; /* of every thing wanted or there */
    size_t change_count;
};

/* What the database holds of an earlier install. */
struct install_state {
    int version;           /* 0: no schema */
    const char *daemon;    /* null: none, or no role any more */
    bool granted;          /* the daemon's role has what it was granted */
    bool closed;           /* not everybody may call what everybody's writes call */
    bool unknown_children; /* of watched tables, by inheritance */
    struct install_things things;
};

/*
 * With another version than INSTALL_VERSION all goes and comes anew; what larderd has not taken by
 * then is made up for by the missing marker. Null: memory.
 */
const struct install_plan *install_plan(const struct install_state *state,
                                        const struct install_things *wanted,
                                        const struct install_settings *settings,
                                        struct arena *arena) MUST_CHECK;

/* Everything goes. Null: memory. */
const struct install_plan *install_plan_remove(const struct install_state *state,
                                               struct arena *arena) MUST_CHECK;

/* What opens the transaction of a plan (and of its survey), and what ends it. */
extern const char install_begin[];
extern const char install_commit[];

#endif
