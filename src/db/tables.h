/*
 * Tables and their columns as PostgreSQL's catalogues have them.
 */
#ifndef LARDER_DB_TABLES_H
#define LARDER_DB_TABLES_H

#include "base/arena.h"
#include "db/connection.h"

/* How long one question may take, µs. */
#define TABLES_TIMEOUT (5 * INT64_C(1000000))

struct read_column {
    const char *name;
    const char *type_name; /* as PostgreSQL writes it */
    uint32_t type;
    bool is_enum;
    bool exact; /* equal values have equal texts: no collation that takes others for equal */
    bool read;
};

struct read_table {
    uint32_t oid;
    uint32_t root; /* the table that the statement names; oid itself, unless only that was named */
    const char *schema;
    const char *name;
    char kind;                   /* pg_class.relkind: r, p, m, f, S */
    bool system;                 /* in a schema of PostgreSQL's own */
    struct read_column *columns; /* all it has, sorted by name */
    size_t column_count;
};

struct tables_question {
    const char *roots;    /* OIDs of relations, as an array's text */
    const char *children; /* booleans to them: whether those who inherit from it count too */
    bool (*is_read)(const void *reader, uint32_t root, long number); /* by pg_attribute.attnum */
    const void *reader;
};

/*
 * Gives the tables among the relations (no views), and their children by inheritance. Of a
 * partitioned table's partitions only the foreign ones, whose changes its triggers don't see.
 */
MUST_CHECK bool tables_ask(struct db_connection *connection, const struct tables_question *question,
                           struct arena *arena, struct read_table **ret_tables, size_t *ret_count,
                           struct db_failure *failure);

/*
 * Looks a table up by its name as SQL has it, all columns read; *ret_table is null when there is
 * none of this name.
 */
MUST_CHECK bool tables_find(struct db_connection *connection, const char *name, struct arena *arena,
                            struct read_table **ret_table, struct db_failure *failure);

/* `schema.table`, quoted as SQL needs it; null: memory. */
const char *tables_name(const struct read_table *table, struct arena *arena) MUST_CHECK;

#endif
