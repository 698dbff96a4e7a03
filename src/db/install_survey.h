/*
 * What `larder install` has to know of a database: who it is there, what an earlier install left,
 * and the tables to be watched.
 */
#ifndef LARDER_DB_INSTALL_SURVEY_H
#define LARDER_DB_INSTALL_SURVEY_H

#include "db/connection.h"
#include "db/install.h"
#include "db/module.h"

/* How long one question may take, µs. */
#define INSTALL_TIMEOUT (60 * INT64_C(1000000))

struct install_place {
    const char *role;
    const char *database;
    bool superuser;
    bool may_create;       /* schemas in the database */
    bool foreign;          /* there is a schema `larder` that no install made */
    const char *strangers; /* what else stands in it, comma between; null: nothing */
    struct module module;  /* the caller's to ask for */
    struct install_state state;
};

MUST_CHECK bool install_survey_place(struct db_connection *connection, struct arena *arena,
                                     struct install_place *ret_place, struct db_failure *failure);

/*
 * The tables of the watches, which are sorted (watch_compare) and without duplicates: one a table,
 * in the watches' order. A table that is gone is left out.
 */
MUST_CHECK bool install_survey_tables(struct db_connection *connection, const struct watch *watches,
                                      size_t count, struct arena *arena,
                                      struct install_table **ret_tables, size_t *ret_count,
                                      struct db_failure *failure);

/*
 * Who has used the table (`schema.table`), or a partition of it, for longest in a transaction that
 * is not over: whoever writes to it first, `readers` where they are in the way too, and then who
 * waits for a lock of it. *ret_text is null where nobody does.
 */
MUST_CHECK bool install_survey_holder(struct db_connection *connection, const char *table,
                                      bool readers, struct arena *arena, const char **ret_text,
                                      struct db_failure *failure);

#endif
