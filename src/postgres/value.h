/*
 * The text of a column's value as it stands in a tag: what the SQL of watch_append_value_sql
 * (db/watch.h) makes of it, or a trigger and a fill would disagree.
 */
#ifndef LARDER_POSTGRES_VALUE_H
#define LARDER_POSTGRES_VALUE_H

#include <postgres.h>

#include <fmgr.h>
#include <lib/stringinfo.h>

/* How a type's values become texts by a cast (::text). */
struct value_way {
    enum { VALUE_IS_TEXT, VALUE_CAST, VALUE_OUTPUT } kind;
    Oid function; /* of the cast, or the type's output */
    Oid collation;
    int arguments;
    fmNodePtr call; /* by which a function for many types knows of which it is */
    FmgrInfo info;  /* where it is PostgreSQL's own; fn_oid is invalid otherwise */
};

/* `context` is to live as long as *ret_way. */
void value_way(Oid type, Oid collation, MemoryContext context, struct value_way *ret_way);

/* Null: a cast of somebody's made it so. The value is not. */
text *value_text(struct value_way *way, Datum value);

void value_append(text *made, StringInfo out);

#endif
