#include "db/write_known.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#define SECOND INT64_C(1000000)
#define ASK_TIMEOUT SECOND

/* How long a refusal stands. */
#define TAGLESS_TIME SECOND
#define UNSTRUCK_TIME (10 * SECOND)

#define STRUCK_MAX 4096
#define CONSTRAINTS_MAX 256

enum tags { TAGS_UNKNOWN, TAGS_THERE, TAGS_ABSENT };

struct constraint {
    char table[DB_NAME_SIZE], name[DB_NAME_SIZE];
    char columns[DB_FAILURE_COLUMNS][DB_NAME_SIZE];
    size_t column_count;
    bool itself; /* a foreign key to its own table */
};

struct write_known {
    pthread_mutex_t lock;
    enum tags tags;
    bool leave;
    int64_t tags_until; /* TAGS_ABSENT: monotonic µs */
    uint64_t struck[STRUCK_MAX];
    size_t struck_count;
    bool telling;
    int64_t untold_until; /* monotonic µs */
    struct constraint constraints[CONSTRAINTS_MAX];
    size_t constraint_count;
};

struct write_known *write_known_new(void)
{
    struct write_known *known = calloc(1, sizeof *known);
    if (known)
        pthread_mutex_init(&known->lock, NULL);
    return known;
}

void write_known_free(struct write_known *known)
{
    if (!known)
        return;
    pthread_mutex_destroy(&known->lock);
    free(known);
}

static const char tags_sql[] =
    "SELECT count(*), (SELECT pg_catalog.has_table_privilege(c.oid, 'INSERT')"
    "  FROM pg_catalog.pg_class AS c"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = 'larder' AND c.relname = 'outbox')"
    " FROM pg_catalog.pg_proc AS p"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
    " WHERE n.nspname = 'larder' AND p.proname = 'note'";

static void tags_set(struct write_known *known, bool there, bool leave)
{
    pthread_mutex_lock(&known->lock);
    known->leave = leave;
    known->tags = there ? TAGS_THERE : TAGS_ABSENT;
    known->tags_until = clock_monotonic() + TAGLESS_TIME;
    pthread_mutex_unlock(&known->lock);
}

/* What is known; false: it is to be asked. */
static bool tags_get(struct write_known *known, bool *ret_tags, bool *ret_leave)
{
    pthread_mutex_lock(&known->lock);
    bool ask = known->tags == TAGS_UNKNOWN ||
               (known->tags == TAGS_ABSENT && clock_monotonic() >= known->tags_until);
    *ret_tags = known->tags == TAGS_THERE;
    *ret_leave = *ret_tags && known->leave;
    pthread_mutex_unlock(&known->lock);
    return !ask;
}

void write_known_tags(struct write_known *known, struct db_connection *connection, bool *ret_tags,
                      bool *ret_leave)
{
    struct db_result *result;
    if (tags_get(known, ret_tags, ret_leave) ||
        !db_execute(connection, tags_sql, NULL, 0, ASK_TIMEOUT, &result, NULL))
        return;
    *ret_tags = span_is(db_result_value(result, 0, 0), "1");
    *ret_leave = *ret_tags && span_is(db_result_value(result, 0, 1), "t");
    db_result_free(result);
    tags_set(known, *ret_tags, *ret_leave);
}

void write_known_tagless(struct write_known *known)
{
    tags_set(known, false, false);
}

void write_known_struck(struct write_known *known, const uint64_t *transactions, size_t count)
{
    pthread_mutex_lock(&known->lock);
    for (size_t i = 0; i < count && known->struck_count < STRUCK_MAX; i++)
        if (transactions[i])
            known->struck[known->struck_count++] = transactions[i];
    pthread_mutex_unlock(&known->lock);
}

static char *array_text(const uint64_t *numbers, size_t count)
{
    size_t room = count * 21 + 3, size = 1;
    char *text = malloc(room);
    if (!text)
        return NULL;
    text[0] = '{';
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, room - size, "%s%" PRIu64, i ? "," : "", numbers[i]);
    snprintf(text + size, room - size, "}");
    return text;
}

char *write_known_struck_take(struct write_known *known, bool continued)
{
    char *text = NULL;
    pthread_mutex_lock(&known->lock);
    if (clock_monotonic() < known->untold_until)
        known->struck_count = 0;
    if (known->struck_count && (continued || !known->telling))
        text = array_text(known->struck, known->struck_count);
    if (text)
        known->struck_count = 0;
    if (text || continued)
        known->telling = text != NULL;
    pthread_mutex_unlock(&known->lock);
    return text;
}

void write_known_struck_failed(struct write_known *known)
{
    pthread_mutex_lock(&known->lock);
    known->telling = false;
    known->struck_count = 0;
    known->untold_until = clock_monotonic() + UNSTRUCK_TIME;
    pthread_mutex_unlock(&known->lock);
}

void write_known_forget(struct write_known *known)
{
    pthread_mutex_lock(&known->lock);
    known->constraint_count = 0;
    pthread_mutex_unlock(&known->lock);
}

/* Under the lock. */
static const struct constraint *constraint_find(const struct write_known *known,
                                                const struct db_failure *failure)
{
    for (size_t i = 0; i < known->constraint_count; i++)
        if (strcmp(known->constraints[i].name, failure->constraint) == 0 &&
            strcmp(known->constraints[i].table, failure->table) == 0)
            return &known->constraints[i];
    return NULL;
}

/* A constraint, or an index that is unique without being one. */
static const char columns_sql[] =
    "WITH place AS (SELECT c.oid FROM pg_catalog.pg_class AS c"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = $1 AND c.relname = $2), "
    "keys AS (SELECT o.conrelid AS relation, o.conkey::int2[] AS numbers,"
    "    o.confrelid = o.conrelid AS itself"
    "  FROM pg_catalog.pg_constraint AS o JOIN place ON o.conrelid = place.oid"
    "  WHERE o.conname = $3 AND o.conkey IS NOT NULL "
    "  UNION ALL SELECT i.indrelid, CASE WHEN i.indexprs IS NULL THEN i.indkey::int2[] ELSE ARRAY("
    "    SELECT d.refobjsubid::int2 FROM pg_catalog.pg_depend AS d"
    "    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid"
    "      AND d.refclassid = d.classid AND d.refobjid = i.indrelid AND d.refobjsubid > 0"
    "    ORDER BY 1) END, false"
    "  FROM pg_catalog.pg_index AS i JOIN place ON i.indrelid = place.oid"
    "  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid WHERE c.relname = $3) "
    "SELECT a.attname, k.itself FROM (SELECT * FROM keys LIMIT 1) AS k"
    " CROSS JOIN LATERAL pg_catalog.unnest(k.numbers) WITH ORDINALITY AS u (number, place)"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.relation AND a.attnum = u.number "
    "ORDER BY u.place";

static bool constraint_ask(struct db_connection *connection, const struct db_failure *failure,
                           struct constraint *ret_constraint)
{
    const char *values[] = {failure->schema, failure->table, failure->constraint};
    struct constraint constraint = {0};
    struct db_result *result;
    if (!db_usable(connection) || !db_execute(connection, columns_sql, values, ARRAY_COUNT(values),
                                              ASK_TIMEOUT, &result, NULL))
        return false;
    for (int i = 0; i < db_result_rows(result) && i < DB_FAILURE_COLUMNS; i++)
        snprintf(constraint.columns[constraint.column_count++], DB_NAME_SIZE, "%s",
                 db_result_value(result, i, 0).data);
    constraint.itself = span_is(db_result_value(result, 0, 1), "t");
    db_result_free(result);
    snprintf(constraint.table, sizeof constraint.table, "%s", failure->table);
    snprintf(constraint.name, sizeof constraint.name, "%s", failure->constraint);
    *ret_constraint = constraint;
    return true;
}

static void columns_copy(const struct constraint *constraint, struct db_failure *failure)
{
    memcpy(failure->columns, constraint->columns, sizeof failure->columns);
    failure->column_count = constraint->column_count;
    failure->refers_to_itself = constraint->itself;
}

void write_known_columns(struct write_known *known, struct db_connection *connection,
                         struct db_failure *failure)
{
    struct constraint asked;
    if (!failure->constraint[0] || !failure->table[0])
        return;
    pthread_mutex_lock(&known->lock);
    const struct constraint *found = constraint_find(known, failure);
    if (found)
        columns_copy(found, failure);
    pthread_mutex_unlock(&known->lock);
    if (found || !constraint_ask(connection, failure, &asked))
        return;
    columns_copy(&asked, failure);
    pthread_mutex_lock(&known->lock);
    if (!constraint_find(known, failure) && known->constraint_count < CONSTRAINTS_MAX)
        known->constraints[known->constraint_count++] = asked;
    pthread_mutex_unlock(&known->lock);
}
