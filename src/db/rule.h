/*
 * What stands in a stored query: the text of pg_rewrite.ev_action, pg_policy.polqual and
 * pg_proc.prosqlbody (PostgreSQL's src/backend/nodes/outfuncs.c).
 *
 * pg_depend tells much of it, but neither reads of whole rows, nor ONLY, nor the built-in
 * functions. Only node and field names are relied on that are the same from PostgreSQL 13 on; all
 * else is passed over. Pure.
 */
#ifndef LARDER_DB_RULE_H
#define LARDER_DB_RULE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

/* Each is called as often as the thing stands in the text. */
struct rule_visitor {
    void *to; /* the first argument of all */
    void (*relation)(void *to, uint32_t relation, bool with_children);
    /* number: pg_attribute.attnum; 0: the whole row */
    void (*column)(void *to, uint32_t relation, int number);
    void (*function)(void *to, uint32_t function);
    void (*clock)(void *to);  /* CURRENT_DATE and its like */
    void (*sample)(void *to); /* TABLESAMPLE */
};

/* False: memory. Never reads past the text, whatever it holds. */
MUST_CHECK bool rule_read(struct span text, const struct rule_visitor *visitor);

#endif
