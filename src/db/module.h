/*
 * Larder's module for PostgreSQL, as it is found in a database: optional, made by a superuser's or
 * the database owner's CREATE EXTENSION (sql/larder/module.sql).
 */
#ifndef LARDER_DB_MODULE_H
#define LARDER_DB_MODULE_H

#include "base/arena.h"
#include "db/connection.h"

enum module_state {
    MODULE_UNASKED,
    MODULE_ABSENT,
    MODULE_FOREIGN,  /* there are functions of its names, but not in C: somebody else's */
    MODULE_DENIED,   /* the role may not make triggers with it, or larderd's not take from it */
    MODULE_BROKEN,   /* it can't be loaded */
    MODULE_UNLOADED, /* it is not in shared_preload_libraries */
    MODULE_PREPARED, /* beside max_prepared_transactions it takes nothing */
    MODULE_READY,
};

struct module {
    enum module_state state;
    const char *reason; /* DENIED: who may not, and what to grant; BROKEN: PostgreSQL's words */
};

/*
 * Within a transaction, which lives on. `daemon` is the role that larderd connects as; null: the
 * session's own.
 */
MUST_CHECK bool module_survey(struct db_connection *connection, const char *daemon,
                              struct arena *arena, struct module *ret_module,
                              struct db_failure *failure);

enum module_use {
    MODULE_USE_NONE, /* the database has no module, or no triggers, or it can't be told */
    MODULE_USED,
    MODULE_UNUSED,
};

/* Are the row triggers that `larder install` made the module's? */
enum module_use module_use(struct db_connection *connection);

#endif
