/*
 * A watch: a table, the columns of it that some route reads, and perhaps one column by whose value
 * the route's interest is narrowed. It is what a route depends on, what `larder install` makes
 * triggers for, and what the tags in Redis are called after.
 *
 * The texts of tags and the SQL that makes them are here and nowhere else, so that a trigger and a
 * fill can't disagree. Pure.
 */
#ifndef LARDER_DB_WATCH_H
#define LARDER_DB_WATCH_H

#include "base/arena.h"
#include "base/bytes.h"

/* Names are as PostgreSQL has them, unquoted, terminated. */
struct watch {
    const char *schema;
    const char *table;
    const char *const *columns; /* those read, sorted by name, without duplicates */
    size_t column_count;        /* 0: only how many rows there are matters */
    const char *narrow;         /* the narrowing column; null: the whole table */
};

/*
 * Struck when what tables, views, functions and triggers are has changed: whoever knows what routes
 * read has to ask again.
 */
#define WATCH_DEFINITIONS_TAG "larder:definitions"

/* A tag's column list is replaced by a hash past this many bytes of the table tag. */
#define WATCH_TAG_MAX 120

/* Appends `schema.table(col,col)`, identifiers as quote_ident writes them. */
void watch_append_tag(const struct watch *watch, struct bytes *out);

/* Appends the bulk tag of a narrowed watch: `schema.table(col,col).column=*`. */
void watch_append_bulk_tag(const struct watch *watch, struct bytes *out);

/*
 * Appends an SQL expression (text, never null) of a narrowed watch's tag for the value of the SQL
 * expression `value`, which must have the column's own type: `schema.table(cols).column=value`,
 * or `… is null`. Values over 64 bytes or with control characters are replaced by '#' and their
 * md5. Everything in it is qualified with pg_catalog, so that no search_path can change it.
 */
void watch_append_value_sql(const struct watch *watch, const char *value, struct bytes *out);

/*
 * The same, and the same tags, for types whose texts are short and of plain characters only:
 * integers, uuid, bool. Quicker.
 */
void watch_append_short_value_sql(const struct watch *watch, const char *value, struct bytes *out);

/* Appends an identifier, quoted where PostgreSQL's quote_ident would (lower-case words are not). */
void watch_append_identifier(const char *name, struct bytes *out);

/* Appends a text as an SQL string literal, whatever standard_conforming_strings says. */
void watch_append_literal(const char *text, struct bytes *out);

/* By schema, table, columns, narrowing column; 0: the same watch. For qsort and merging. */
int watch_compare(const struct watch *left, const struct watch *right);

#endif
