/*
 * The triggers of one watched table, as SQL.
 *
 * All are AFTER … FOR EACH ROW (but for TRUNCATE), and their WHEN lets through what is worth a row
 * in the outbox alone; that of a narrowed watch strikes itself and lets nothing through
 * (db/install_value.h). PostgreSQL evaluates a WHEN as it queues the row's event, in order, so a
 * statement of a hundred thousand rows queues one. What the transaction has struck already stands
 * in settings that are local to it: they end with it, and are undone with a savepoint as the rows
 * in the outbox are. What else undoes them only costs a second row.
 *
 *   larder.t…  table tags: '1' once they are in the outbox
 *   larder.v…  narrowed ones: ',' after the first row, then the values', '*' past a hundred
 */
#ifndef LARDER_DB_INSTALL_TRIGGER_H
#define LARDER_DB_INSTALL_TRIGGER_H

#include "db/install.h"

/* Of a column that is not there nothing good is assumed. */
const struct install_column *install_column_find(const struct install_table *table,
                                                 const char *name);

/* Appends `schema.table`, as SQL needs it. */
void install_append_table(const char *schema, const char *table, struct bytes *out);

/* Twelve digits that stand for a text in names; `ret_key` is terminated. False: failure. */
#define INSTALL_KEY_SIZE 13
MUST_CHECK bool install_key(struct span text, char ret_key[static INSTALL_KEY_SIZE]);

struct install_making {
    const struct install_table *table;
    const struct watch *watches;
    size_t count;
    const struct install_settings *settings;
    struct arena *arena;
    struct bytes *things; /* struct install_thing */
};

/* Appends the table's triggers and functions. False: memory. */
MUST_CHECK bool install_want_triggers(const struct install_making *making);

struct install_trigger {
    const char *event;
    const char *when; /* null: for each statement, but of the module for each row */
    const char *call; /* of a function in the schema `larder` … */
    bool module;      /* … or of the module's, `larder_ring` */
};

/* Names and keeps a trigger on the table or a partition of it. False: memory. */
MUST_CHECK bool install_want_trigger(const struct install_making *making,
                                     const struct install_table *table,
                                     const struct install_trigger *trigger);

/*
 * Appends `UPDATE OF columns`, which spares all other updates the WHEN, or a mere `UPDATE` where a
 * BEFORE trigger may change what the statement doesn't name.
 */
void install_append_update(const struct install_making *making, const struct watch *watch,
                           struct bytes *out);

/* Appends whether an UPDATE changed what the watch reads; it reads something. */
void install_append_changed(const struct install_making *making, const struct watch *watch,
                            struct bytes *out);

/* Keeps a thing of the table with these texts. False: memory. */
MUST_CHECK bool install_want(const struct install_making *making, enum install_kind kind,
                             const struct install_table *table, const char *name,
                             const struct bytes *sql);

#endif
