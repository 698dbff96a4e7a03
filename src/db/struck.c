#include "db/struck.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What larder.note made of it. No query: that alone would cost three times as much. */
static const struct db_statement statement = {.id = UINT64_C(0x6c61726465726d01),
                                              .sql = "SHOW larder.struck"};

/* What is struck from then on, as by a trigger that was put off until the COMMIT, is larderd's. */
void struck_ask(struct attempt *attempt)
{
    attempt_send_statement(attempt, &statement, PURPOSE_TAGS, 0);
    if (attempt->connection->touched)
        attempt_send(attempt, PURPOSE_SETTING, "SET LOCAL larder.struck = ''");
}

/*
 * A RESET took the tags with it, and with the transaction's number all word of them. The session
 * has the setting again only where it was brought back to what it was behind the COMMIT.
 */
static void take_nothing(struct attempt *attempt, struct db_struck *struck)
{
    attempt->writer = attempt->writer && attempt->resets;
    struck->tags = span_of("*");
}

struct db_struck struck_take(struct attempt *attempt)
{
    struct db_struck struck = {.result = attempt_take(attempt, PURPOSE_TAGS, attempt->item)};
    struck.tags = db_result_value(struck.result, 0, 0);
    if (struck.tags.size)
        struck.transaction = strtoull(span_split(&struck.tags, '\n').data, NULL, 10);
    else if (struck.tags.data)
        take_nothing(attempt, &struck);
    return struck;
}

static bool has_more(struct span tags)
{
    while (tags.data)
        if (span_split(&tags, '\n').size == 0)
            return true;
    return false;
}

/* Whoever can't be told has to strike all there is. */
void struck_complete(struct attempt *attempt, struct db_struck *struck)
{
    char number[24];
    const char *const value = number;
    struct db_failure failure = {0};
    if (!has_more(struck->tags))
        return;
    if (attempt->connection->dead) {
        struck->tags = span_of("*");
        return;
    }
    snprintf(number, sizeof number, "%" PRIu64, struck->transaction);
    db_result_free(struck->result);
    struck->result = NULL;
    attempt_clear(attempt);
    attempt_send(attempt, PURPOSE_SETTING, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY");
    attempt_send_values(attempt, PURPOSE_TAGS, "SELECT larder.struck($1::pg_catalog.xid8)", 1,
                        &value);
    attempt_send(attempt, PURPOSE_SETTING, "COMMIT");
    if (attempt_round(attempt, &failure))
        struck->result = attempt_take(attempt, PURPOSE_TAGS, attempt->item);
    else if (failure.kind == DB_FAILURE_UNAVAILABLE)
        attempt->connection->dead = true;
    struck->tags = db_result_value(struck->result, 0, 0);
    if (!struck->tags.size)
        struck->tags = span_of("*");
}

void struck_free(struct db_struck *struck)
{
    db_result_free(struck->result);
    *struck = (struct db_struck){0};
}
