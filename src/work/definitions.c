#include "work/definitions.h"

#include <stdlib.h>

#include "base/clock.h"
#include "db/outbox.h"
#include "work/backoff.h"
#include "work/condition.h"

#define SECOND INT64_C(1000000)

/* How long PostgreSQL may take to let us in, and for one statement. */
#define CONNECT_TIMEOUT (2 * SECOND)
#define STATEMENT_TIMEOUT (5 * SECOND)

struct definitions {
    struct bumper *bumper;
    struct db_settings settings;
    struct db_connection *connection; /* null: away */
    struct backoff backoff;           /* of connecting */
    int64_t patience; /* monotonic µs: until when the answer is awaited; 0: not asked */
    int64_t asked;    /* monotonic µs: before the answer that is awaited */
    int64_t looked;   /* … before the last one that was bumped; 0: none yet */
    struct condition condition;
};

struct definitions *definitions_new(const struct options *options, struct bumper *bumper)
{
    struct definitions *definitions = calloc(1, sizeof *definitions);
    if (!definitions)
        return NULL;
    definitions->bumper = bumper;
    definitions->settings = db_settings_of(options, STATEMENT_TIMEOUT);
    return definitions;
}

static void hang_up(struct definitions *definitions)
{
    db_disconnect(definitions->connection);
    definitions->connection = NULL;
    definitions->patience = 0;
}

void definitions_free(struct definitions *definitions)
{
    if (!definitions)
        return;
    hang_up(definitions);
    free(definitions);
}

static int64_t failed(struct definitions *definitions, const char *text, int64_t now)
{
    condition_bad(&definitions->condition, "definitions", text);
    if (definitions->connection &&
        (!db_usable(definitions->connection) || db_standby(definitions->connection)))
        hang_up(definitions);
    return now + SECOND;
}

/* Connecting may be waited for, so a server that does not let us in is tried less and less often.
 */
static int64_t refused(struct definitions *definitions, const char *text, int64_t now)
{
    int64_t wait = backoff_failed(&definitions->backoff, (uint32_t)random());
    (void)failed(definitions, text, now);
    return clock_monotonic() + (wait > SECOND ? wait : SECOND);
}

static int64_t ask(struct definitions *definitions, int64_t now)
{
    struct db_failure failure = {0};
    if (!definitions->connection && !db_connect(&definitions->settings, now + CONNECT_TIMEOUT,
                                                &definitions->connection, &failure))
        return refused(definitions, failure.message, now);
    backoff_succeeded(&definitions->backoff);
    if (!db_outbox_definitions_ask(definitions->connection, STATEMENT_TIMEOUT, &failure))
        return failed(definitions, failure.message, now);
    definitions->asked = now;
    definitions->patience = now + STATEMENT_TIMEOUT + DB_GRACE;
    return definitions->patience;
}

static int64_t bump(struct definitions *definitions, struct db_outbox_batch *batch, int64_t now)
{
    struct db_connection *connection = definitions->connection;
    struct db_failure failure = {0};
    struct error error;
    if (!bumper_ready(definitions->bumper, &error) ||
        !bumper_bump_batch(definitions->bumper, batch, &error)) {
        db_outbox_give_back(connection, batch, STATEMENT_TIMEOUT);
        return failed(definitions, error.text, now);
    }
    if (!db_outbox_done(connection, batch, STATEMENT_TIMEOUT, NULL, &failure))
        return failed(definitions, failure.message, now);
    definitions->looked = definitions->asked;
    condition_good(&definitions->condition, "definitions", "definitions are looked at again");
    return now + SECOND;
}

/* What has not come in time costs the connection. */
static int64_t take(struct definitions *definitions, int64_t now)
{
    struct db_outbox_batch batch;
    struct db_failure failure = {0};
    int64_t deadline = definitions->patience;
    definitions->patience = 0;
    if (!db_outbox_definitions_take(definitions->connection, deadline, &batch, &failure))
        return failed(definitions, failure.message, now);
    return bump(definitions, &batch, now);
}

int64_t definitions_run(struct definitions *definitions, bool idle, int64_t now)
{
    if (definitions->patience && now < definitions->patience &&
        !db_outbox_definitions_come(definitions->connection))
        return definitions->patience;
    if (definitions->patience)
        return take(definitions, now);
    return idle ? now + SECOND : ask(definitions, now);
}

int64_t definitions_looked(const struct definitions *definitions)
{
    return definitions->looked;
}

int definitions_fd(const struct definitions *definitions)
{
    return definitions->patience ? db_outbox_fd(definitions->connection) : -1;
}

bool definitions_woken(struct definitions *definitions)
{
    return definitions->patience && db_outbox_definitions_come(definitions->connection);
}
