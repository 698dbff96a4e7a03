/*
 * The functions of narrowed watches, which the WHEN of their triggers calls with a row's values:
 * they strike the tags of OLD's and NEW's, and never let the event through.
 *
 * So the values are found by the columns' places, as all of a WHEN is, and to rename a column fails
 * nobody's write. A trigger that was let through would cost a second function, which by PL/pgSQL's
 * ways finds them by name.
 */
#ifndef LARDER_DB_INSTALL_VALUE_H
#define LARDER_DB_INSTALL_VALUE_H

#include "db/install_trigger.h"

/*
 * Watches of one table narrowed by the same columns, or by fewer of them from the first on: what is
 * new by all of them is struck by the fewer too. Rows that come and go strike the tags of all of
 * them; for an UPDATE each watch, with those by fewer columns that the same updates strike, is a
 * group of its own.
 */
struct install_group {
    const struct install_table *table;
    const struct watch *const *watches;
    size_t count;
    const struct watch *lead;           /* the one by the most columns */
    const struct watch *const *carried; /* not narrowed: their tags go into the outbox with these */
    size_t carried_count;
};

/*
 * Is the function `p` of pg_proc, in the schema larder, one of these? By its whole name, for a
 * migration may have put a value_added_tax() there.
 */
#define INSTALL_VALUE_FUNCTION "p.proname ~ '^value_[0-9a-f]{12}$'"

/* What a trigger is for, and the rows whose values it strikes. */
struct install_event {
    const char *name; /* null: UPDATE, of the columns that matter */
    const char *before, *after;
};

/* Both OLD and NEW? */
bool install_event_has_two(const struct install_event *event);

/* Of the lead's narrowing columns. */
const struct install_column *install_group_column(const struct install_group *group, size_t column);

void install_append_bulk(const struct watch *watch, struct bytes *out);

/*
 * Keeps the function; *ret_name is `value_<key of its text>`, `key` what the group's settings end
 * in. Its parameters are the lead's narrowing columns, each before and after where the event has
 * both: the values of brief types, the texts of others. False: memory.
 */
MUST_CHECK bool install_want_value(const struct install_making *making,
                                   const struct install_group *group, const char *key,
                                   const struct install_event *event, const char **ret_name);

#endif
