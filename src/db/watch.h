/*
 * A watch: a table, the columns of it that some route reads, and perhaps up to three columns by
 * whose values together the route's interest is narrowed. It is what a route depends on, what
 * `larder install` makes triggers for, and what the tags in Redis are called after.
 *
 * The texts of tags and the SQL that makes them are here and nowhere else, so that a trigger and a
 * fill can't disagree. Pure.
 */
#ifndef LARDER_DB_WATCH_H
#define LARDER_DB_WATCH_H

#include "base/arena.h"
#include "base/bytes.h"

/* The most columns that narrow together. */
#define WATCH_NARROW_MAX 3

/* Names are as PostgreSQL has them, unquoted, terminated. */
struct watch {
    const char *schema;
    const char *table;
    const char *const *columns; /* those read, sorted by name, without duplicates */
    size_t column_count;        /* 0: only how many rows there are matters */
    const char *const *narrow;  /* the narrowing columns, in the order of their values in a tag */
    size_t narrow_count;        /* 0: the whole table */
    /* Updates that change `columns`, and nothing else: no row that comes or goes. */
    bool updates;
};

/* An SQL expression of a narrowing column's own type. */
struct watch_value {
    const char *sql;
    bool brief; /* its texts are short and of plain characters: see each function */
};

/* A tag's column list is replaced by a hash past this many bytes of the table tag. */
#define WATCH_TAG_MAX 120

/* Appends `schema.table(col,col)`, identifiers as quote_ident writes them; `(for col,col)`:
 * updates.
 */
void watch_append_tag(const struct watch *watch, struct bytes *out);

/* Appends what the tags of a narrowed watch begin with: `schema.table(col,col).column`. */
void watch_append_narrowed(const struct watch *watch, struct bytes *out);

/* Appends the bulk tag of a narrowed watch: `schema.table(col,col).column=*`, or
 * `.column,column=*`.
 */
void watch_append_bulk_tag(const struct watch *watch, struct bytes *out);

/*
 * Appends the tag that every answer by this watch has, and by which larder.watch knows it: the bulk
 * tag of a narrowed one, watch_append_tag's of another.
 */
void watch_append_own_tag(const struct watch *watch, struct bytes *out);

/*
 * Appends an SQL expression (text, never null) of a narrowed watch's tag for the values of its
 * columns, one each: `schema.table(cols).column=value`, or `… is null`; of several columns
 * `schema.table(cols).column,column=value,value` with `null` for NULL. Values over 64 bytes or with
 * control characters, and those beyond ASCII in a database that is not in UTF-8, are replaced by
 * '#' and their md5. Everything in it is qualified with pg_catalog, so that no search_path can
 * change it. Brief are integers, uuid and bool: quicker, and the same tags.
 *
 * A value may hold what parts values: two tags may be the same text then, which strikes too much.
 */
void watch_append_value_sql(const struct watch *watch, const struct watch_value *values,
                            struct bytes *out);

/*
 * Appends an SQL aggregate (text, never null) over rows: the same tags for all their values, each
 * once, newline between them; where there is no row, or more than `most` values (of one column:
 * that are not null), the table tag instead. Brief are integers and uuid alone.
 */
void watch_append_values_sql(const struct watch *watch, const struct watch_value *values,
                             unsigned most, struct bytes *out);

/* Appends an identifier, quoted where PostgreSQL's quote_ident would (lower-case words are not). */
void watch_append_identifier(const char *name, struct bytes *out);

/* Appends a text as an SQL string literal, whatever standard_conforming_strings says. */
void watch_append_literal(const char *text, struct bytes *out);

/* Appends watch_append_tag's text as such a literal. */
void watch_append_tag_literal(const struct watch *watch, struct bytes *out);

/* Is it one of these names? */
bool watch_has_name(const char *const *names, size_t count, const char *name);

/* By schema, table, columns, narrowing columns; 0: the same watch. For qsort and merging. */
int watch_compare(const struct watch *left, const struct watch *right);

#endif
