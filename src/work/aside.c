#include "work/aside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "db/outbox.h"
#include "work/backoff.h"
#include "work/condition.h"
#include "work/sweep.h"

#define SECOND INT64_C(1000000)

/* How long PostgreSQL may take to let us in, and for one statement. */
#define CONNECT_TIMEOUT (2 * SECOND)
#define STATEMENT_TIMEOUT (5 * SECOND)

/* The rows of one piece at most, and its time: looks wait for it, and the heartbeat for looks. */
#define PIECE_ROWS 2000
#define PIECE_TIMEOUT SECOND

/* Of two that are due at once the first is asked. */
enum question { LOOK, PIECE, QUESTIONS };

struct aside {
    struct counters *counters;
    struct bumper *bumper;
    struct db_settings settings;
    struct db_connection *connection; /* null: away */
    struct backoff backoff;           /* of connecting */
    int64_t due[QUESTIONS];           /* monotonic µs */
    enum question open;               /* while patience is not 0 */
    int64_t patience; /* monotonic µs: until when the answer is awaited; 0: not asked */
    int64_t asked;    /* monotonic µs: before the answer that is awaited */
    int64_t looked;   /* … before the last look that was bumped; 0: none yet */
    struct sweep sweep;
    uint64_t from, until, end; /* the piece that is asked for, and how far the sweep is to go */
    bool broken;               /* a piece of this sweep came to no end */
    bool well;                 /* what was done last is worth telling where it was amiss before */
    struct condition conditions[QUESTIONS];
    struct condition settings_seen;
};

struct aside *aside_new(const struct options *options, struct counters *counters,
                        struct bumper *bumper)
{
    struct aside *aside = calloc(1, sizeof *aside);
    if (!aside)
        return NULL;
    aside->counters = counters;
    aside->bumper = bumper;
    aside->settings = db_settings_of(options, STATEMENT_TIMEOUT);
    return aside;
}

static void hang_up(struct aside *aside)
{
    db_disconnect(aside->connection);
    aside->connection = NULL;
    aside->patience = 0;
}

void aside_free(struct aside *aside)
{
    if (!aside)
        return;
    hang_up(aside);
    free(aside);
}

/* When the next question is due. */
static int64_t next_due(const struct aside *aside)
{
    return aside->due[LOOK] < aside->due[PIECE] ? aside->due[LOOK] : aside->due[PIECE];
}

static void tell_of_settings(struct aside *aside, bool seen)
{
    if (seen)
        condition_good(&aside->settings_seen, "definitions",
                       "ALTER ROLE ... SET and ALTER DATABASE ... SET are heard of");
    else
        condition_bad(&aside->settings_seen, "definitions",
                      "ALTER ROLE ... SET and ALTER DATABASE ... SET are not heard of: the owner of "
                      "larder.changed_definitions() may not read pg_db_role_setting");
}

static bool ask_look(struct aside *aside, struct db_failure *failure)
{
    bool settings;
    if (!db_outbox_definitions_ask(aside->connection, STATEMENT_TIMEOUT, &settings, failure))
        return false;
    tell_of_settings(aside, settings);
    return true;
}

static bool ask_piece(struct aside *aside, struct db_failure *failure)
{
    sweep_piece(&aside->sweep, aside->end, &aside->from, &aside->until);
    return db_outbox_between_ask(aside->connection, aside->from, aside->until, PIECE_ROWS,
                                 PIECE_TIMEOUT, failure);
}

/* The answer is bumped; `batch` is as it was before. Returns the µs to the next question. */
static int64_t look_done(struct aside *aside, const struct db_outbox_batch *batch, int64_t took)
{
    (void)batch;
    (void)took;
    aside->looked = aside->asked;
    aside->well = true;
    return SECOND;
}

static int64_t piece_done(struct aside *aside, const struct db_outbox_batch *batch, int64_t took)
{
    counters_add(aside->counters, COUNTER_OUTBOX_ROWS, batch->row_count);
    int64_t pause = sweep_done(&aside->sweep, aside->until, aside->end, batch->more, took);
    bool ended = aside->sweep.next == 0 && !batch->more;
    aside->well = ended && !aside->broken;
    aside->broken = aside->broken && !ended;
    return pause;
}

static void piece_broken(struct aside *aside)
{
    sweep_broken(&aside->sweep, aside->until);
    aside->broken = true;
}

static const struct {
    bool (*ask)(struct aside *aside, struct db_failure *failure);
    int64_t (*done)(struct aside *aside, const struct db_outbox_batch *batch, int64_t took);
    void (*broken)(struct aside *aside); /* no answer came; null: that changes nothing */
    const char *event, *good;
} questions[QUESTIONS] = {
    [LOOK] = {ask_look, look_done, NULL, "definitions", "definitions are looked at again"},
    [PIECE] = {ask_piece, piece_done, piece_broken, "sweep", "the outbox is swept again"},
};

static int64_t failed(struct aside *aside, enum question question, const char *text, int64_t now)
{
    condition_bad(&aside->conditions[question], questions[question].event, text);
    if (aside->connection && (!db_usable(aside->connection) || db_standby(aside->connection)))
        hang_up(aside);
    aside->due[question] = now + SECOND;
    return next_due(aside);
}

/* Connecting may be waited for, so a server that does not let us in is tried less and less often.
 */
static int64_t refused(struct aside *aside, const char *text, int64_t now)
{
    int64_t wait = backoff_failed(&aside->backoff, (uint32_t)random());
    (void)failed(aside, LOOK, text, now);
    aside->due[LOOK] = clock_monotonic() + (wait > SECOND ? wait : SECOND);
    aside->due[PIECE] = aside->due[LOOK];
    return next_due(aside);
}

static int64_t ask(struct aside *aside, enum question question, int64_t now)
{
    struct db_failure failure = {0};
    if (!aside->connection &&
        !db_connect(&aside->settings, now + CONNECT_TIMEOUT, &aside->connection, &failure))
        return refused(aside, failure.message, now);
    backoff_succeeded(&aside->backoff);
    if (!questions[question].ask(aside, &failure))
        return failed(aside, question, failure.message, now);
    aside->open = question;
    aside->asked = now;
    aside->patience = now + STATEMENT_TIMEOUT + DB_GRACE;
    return aside->patience;
}

static int64_t bump(struct aside *aside, struct db_outbox_batch *batch, int64_t now)
{
    enum question question = aside->open;
    const struct db_outbox_batch taken = *batch;
    struct db_failure failure = {0};
    struct error error;
    if (!bumper_ready(aside->bumper, &error) || !bumper_bump_batch(aside->bumper, batch, &error)) {
        db_outbox_give_back(aside->connection, batch, STATEMENT_TIMEOUT);
        return failed(aside, question, error.text, now);
    }
    if (!db_outbox_done(aside->connection, batch, STATEMENT_TIMEOUT, NULL, &failure))
        return failed(aside, question, failure.message, now);
    int64_t end = clock_monotonic();
    aside->due[question] = end + questions[question].done(aside, &taken, end - aside->asked);
    if (aside->well)
        condition_good(&aside->conditions[question], questions[question].event,
                       questions[question].good);
    return next_due(aside);
}

/* What has not come in time costs the connection. */
static int64_t take(struct aside *aside, int64_t now)
{
    struct db_outbox_batch batch;
    struct db_failure failure = {0};
    int64_t deadline = aside->patience;
    aside->patience = 0;
    if (!db_outbox_answer_take(aside->connection, deadline, &batch, &failure)) {
        if (questions[aside->open].broken)
            questions[aside->open].broken(aside);
        return failed(aside, aside->open, failure.message, now);
    }
    return bump(aside, &batch, now);
}

int64_t aside_run(struct aside *aside, bool idle, uint64_t end, int64_t now)
{
    if (aside->patience && now < aside->patience && !db_outbox_answer_come(aside->connection))
        return aside->patience;
    if (aside->patience)
        return take(aside, now);
    if (idle)
        return now + SECOND;
    if (aside->due[LOOK] <= now)
        return ask(aside, LOOK, now);
    if (aside->due[PIECE] > now)
        return next_due(aside);
    aside->end = end;
    if (end)
        return ask(aside, PIECE, now);
    aside->due[PIECE] = now + SWEEP_INTERVAL;
    return next_due(aside);
}

int64_t aside_looked(const struct aside *aside)
{
    return aside->looked;
}

int aside_fd(const struct aside *aside)
{
    return aside->patience ? db_outbox_fd(aside->connection) : -1;
}

bool aside_woken(struct aside *aside)
{
    return aside->patience && db_outbox_answer_come(aside->connection);
}
