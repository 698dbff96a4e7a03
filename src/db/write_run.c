#include "db/write_run.h"

#include "db/struck.h"

/* Beside the statements, of which each may need a setting, its preparing, and itself. */
#define COMMANDS_AROUND (19 + ATTEMPT_RESET_COMMANDS)
#define COMMANDS_EACH 3

struct writing {
    struct attempt attempt;
    const struct db_write *write;
    const struct write_terms *terms;
};

/* The caller has these tags, so the setting needs the transaction's number alone. */
static const struct db_statement leave_statement = {
    .id = UINT64_C(0x6c61726465726d02),
    .sql = "WITH left_there AS (INSERT INTO larder.outbox (tag)"
           " SELECT pg_catalog.unnest($1::pg_catalog.text[]))"
           " SELECT pg_catalog.set_config('larder.struck',"
           " pg_catalog.pg_current_xact_id()::pg_catalog.text, true)",
    .parameter_count = 1};

/* As the session's own role: the identity's need not be let at the outbox. */
static void send_leave(struct writing *writing)
{
    struct db_statement statement = leave_statement;
    statement.values = &writing->terms->leave;
    if (writing->terms->leave)
        attempt_send_statement(&writing->attempt, &statement, PURPOSE_TAGS, 0);
}

/* What is deferred strikes before the end, where it can still be told and counted. */
static void send_statements(struct writing *writing)
{
    for (size_t i = 0; i < writing->write->count; i++) {
        if (i > 0)
            attempt_send_time_left(&writing->attempt);
        attempt_send_statement(&writing->attempt, &writing->write->statements[i], PURPOSE_STATEMENT,
                               i);
    }
    attempt_send_constraints(&writing->attempt);
    if (writing->terms->tags)
        struck_ask(&writing->attempt);
}

static struct span first_value(const PGresult *result, int column)
{
    return db_result_value((const struct db_result *)result, 0, column);
}

static const struct {
    const char *name;
    enum db_write_outcome outcome;
} once_outcomes[] = {{"new", DB_WRITTEN},
                     {"before", DB_WRITTEN_BEFORE},
                     {"other", DB_WRITE_OTHER},
                     {"busy", DB_WRITE_BUSY}};

/* Opens the transaction; whether the write is to be run at all stands in *ret_written. */
static bool once_begin(struct writing *writing, struct db_written *ret_written,
                       struct db_failure *failure)
{
    const struct db_once *once = writing->write->once;
    const struct span values[] = {once->key, once->body, {once->key.data, sizeof(uint64_t)}};
    attempt_send_begin(&writing->attempt);
    attempt_send_bytes(&writing->attempt, PURPOSE_ONCE,
                       "SELECT kept, outcome, pg_catalog.current_setting('transaction_isolation') "
                       "FROM larder.once($1::pg_catalog.bytea, $2::pg_catalog.bytea, "
                       "$3::pg_catalog.int8)",
                       values, ARRAY_COUNT(values));
    if (!attempt_round(&writing->attempt, failure))
        return false;
    PGresult *told = (PGresult *)attempt_take(&writing->attempt, PURPOSE_ONCE, 0);
    for (size_t i = 0; i < ARRAY_COUNT(once_outcomes); i++)
        if (span_is(first_value(told, 1), once_outcomes[i].name))
            ret_written->outcome = once_outcomes[i].outcome;
    writing->attempt.frozen = !span_is(first_value(told, 2), "read committed");
    if (ret_written->outcome == DB_WRITTEN_BEFORE)
        ret_written->record = (struct db_result *)told;
    else
        PQclear(told);
    attempt_clear(&writing->attempt);
    return true;
}

/* The answer is kept with what it answers, or both are not. */
static bool once_end(struct writing *writing, const struct db_written *written,
                     struct db_failure *failure)
{
    const struct db_write *write = writing->write;
    struct span record = {0};
    if (!write->record(write->context, written->result, &record))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "the answer could not be recorded");
    const struct span values[] = {write->once->key, write->once->body, record};
    attempt_clear(&writing->attempt);
    if (write->identity && write->identity->role)
        attempt_send(&writing->attempt, PURPOSE_SETTING, "SET LOCAL ROLE NONE");
    attempt_send_bytes(&writing->attempt, PURPOSE_RECORD,
                       "SELECT larder.once_done($1::pg_catalog.bytea, $2::pg_catalog.bytea, "
                       "$3::pg_catalog.bytea)",
                       values, ARRAY_COUNT(values));
    attempt_send_commit(&writing->attempt);
    return attempt_round(&writing->attempt, failure);
}

static bool run_all(struct writing *writing, struct db_written *ret_written,
                    struct db_failure *failure)
{
    bool once = writing->write->once != NULL;
    if (once && !once_begin(writing, ret_written, failure))
        return false;
    if (ret_written->outcome != DB_WRITTEN)
        return true;
    if (!once)
        attempt_send_begin(&writing->attempt);
    attempt_send_writer(&writing->attempt, writing->terms->tags);
    send_leave(writing);
    attempt_send_identity(&writing->attempt, writing->write->identity);
    send_statements(writing);
    if (!once)
        attempt_send_commit(&writing->attempt);
    if (!attempt_round(&writing->attempt, failure) ||
        !attempt_stayed_within(&writing->attempt, failure))
        return false;
    ret_written->result = attempt_take(&writing->attempt, PURPOSE_STATEMENT, 0);
    if (writing->terms->tags)
        ret_written->struck = struck_take(&writing->attempt);
    if (once && !once_end(writing, ret_written, failure))
        return false;
    struck_complete(&writing->attempt, &ret_written->struck);
    writing->attempt.connection->writer = writing->attempt.writer;
    return true;
}

bool db_write_run(struct db_connection *connection, const struct db_write *write,
                  const struct write_terms *terms, struct db_written *ret_written,
                  enum write_again *ret_again, struct db_failure *failure)
{
    struct writing writing = {.write = write, .terms = terms};
    struct db_written written = {.outcome = DB_WRITTEN};
    bool done = attempt_begin(&writing.attempt, connection, terms->timeout,
                              COMMANDS_AROUND + COMMANDS_EACH * write->count, failure) &&
                run_all(&writing, &written, failure);
    if (!done) {
        db_written_free(&written);
        *ret_again = attempt_failed(&writing.attempt, failure);
    }
    attempt_end(&writing.attempt);
    if (!done)
        return false;
    db_wear(connection, (PGresult *)written.result);
    *ret_written = written;
    return true;
}
