#include "work/feed.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/outbox.h"
#include "work/backoff.h"
#include "work/condition.h"
#include "work/left.h"
#include "work/loop.h"
#include "work/pace.h"

#define SECOND INT64_C(1000000)

/* How long PostgreSQL may take to let us in, and for one statement. */
#define CONNECT_TIMEOUT (2 * SECOND)
#define STATEMENT_TIMEOUT (5 * SECOND)
#define LEAVE_TIMEOUT (SECOND / 4)

/* The rows of one poll: few at first, so that peers share and redelivery is small. */
#define LIMIT_LEAST 2000
#define LIMIT_MOST 50000

/* Between two looks at definitions there is a second, and each takes its time: µs. */
#define LOOKED_LEAST (2 * SECOND)

/* While the ring keeps it busy so many polls ask that alone, if the outbox was empty before. */
#define RING_POLLS 3

/* How long a responder has for striking what it wrote itself, µs, at most. */
#define LEFT_AGE (SECOND / 2)

struct feed {
    struct counters *counters;
    struct bumper *bumper;
    struct db_settings settings;
    int64_t guard, sleep;               /* µs; the longest sleep */
    int64_t kept[DB_KEPT_COUNT];        /* µs: how long what may come again is kept */
    int64_t forget_next[DB_KEPT_COUNT]; /* monotonic µs */
    struct db_connection *connection;   /* null: away */
    bool sleepless;                     /* behind PgBouncer no notification arrives */
    struct position position;
    struct pace pace;
    struct backoff backoff;
    int limit;
    struct left left;
    int64_t drained; /* monotonic µs: what was committed before is bumped; 0: unknown */
    int ring_polls;  /* how many polls more need not look at the outbox */
    int64_t looked;  /* … what of definitions was other before */
    int64_t beaten;
    bool awaits_look; /* a heartbeat waits for a look at definitions */
    bool beat_due;    /* … which has come since */
    struct condition database, schema, redis, backlog, definitions, forgetting;
};

/* After a long sleep of all daemons the jobs that are claimed at once may find records that old. */
static int64_t jobs_first(int64_t age)
{
    return age / 2 < 60 * SECOND ? age / 2 : 60 * SECOND;
}

struct feed *feed_new(const struct options *options, struct counters *counters,
                      struct bumper *bumper)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return NULL;
    int64_t guard = options_number(options, OPTION_GUARD_TTL);
    int64_t poll = options_number(options, OPTION_POLL);
    feed->counters = counters;
    feed->bumper = bumper;
    feed->guard = guard;
    feed->kept[DB_KEPT_ANSWERS] = options_number(options, OPTION_IDEMPOTENCY_TTL);
    feed->kept[DB_KEPT_JOBS] =
        options_number(options, OPTION_JOB_TTL) + options_number(options, OPTION_DEAD_TTL);
    feed->forget_next[DB_KEPT_JOBS] = clock_monotonic() + jobs_first(feed->kept[DB_KEPT_JOBS]);
    feed->sleep = poll < guard / 8 ? poll : guard / 8;
    feed->settings = db_settings_of(options, STATEMENT_TIMEOUT);
    feed->sleepless = feed->settings.transaction_pooling;
    feed->limit = LIMIT_LEAST;
    return feed;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    db_disconnect(feed->connection);
    position_free(&feed->position);
    left_free(&feed->left);
    free(feed);
}

static int64_t later(struct feed *feed)
{
    return clock_monotonic() + backoff_failed(&feed->backoff, (uint32_t)random());
}

static void hang_up(struct feed *feed)
{
    db_disconnect(feed->connection);
    feed->connection = NULL;
}

/* A failure of PostgreSQL, told once; the next try comes later. */
static int64_t database_failed(struct feed *feed, const struct db_failure *failure)
{
    char text[ERROR_TEXT_MAX + 64];
    if (db_outbox_missing(failure)) {
        snprintf(text, sizeof text, "run \"larder install\" in this database first: %s",
                 failure->message);
        condition_bad(&feed->schema, "outbox", text);
        return later(feed);
    }
    condition_bad(&feed->database, "database", failure->message);
    feed->limit = LIMIT_LEAST;
    feed->ring_polls = 0;
    if (!db_usable(feed->connection))
        hang_up(feed);
    return later(feed);
}

/* It may have been more than Redis could take while the rows were locked. */
static int64_t redis_failed(struct feed *feed, const struct error *error)
{
    feed->limit = LIMIT_LEAST;
    feed->ring_polls = 0;
    condition_bad(&feed->redis, "redis", error->text);
    return later(feed);
}

static bool connect_database(struct feed *feed, struct db_failure *failure)
{
    if (!db_connect(&feed->settings, clock_monotonic() + CONNECT_TIMEOUT, &feed->connection,
                    failure))
        return false;
    if (db_standby(feed->connection)) {
        hang_up(feed);
        return db_failure_set(failure, DB_FAILURE_READ_ONLY,
                              "PostgreSQL is a standby, which takes no changes: larderd needs the "
                              "primary (PGHOST may name both)");
    }
    /* A restored or restarted server may count anew, and nobody notified us meanwhile. */
    position_reset(&feed->position);
    left_reset(&feed->left);
    feed->pace = (struct pace){0};
    feed->ring_polls = 0;
    if (feed->sleepless || db_outbox_listen(feed->connection, STATEMENT_TIMEOUT, failure))
        return true;
    hang_up(feed);
    return false;
}

/* After a poll that is committed: what it says of the backlog, and how many rows come next. */
static void judge(struct feed *feed, const struct db_outbox_batch *batch, int64_t begin)
{
    bool more = batch->more || batch->ring.more;
    if (!more)
        feed->limit = LIMIT_LEAST;
    else if (feed->limit < LIMIT_MOST)
        feed->limit *= 5;
    if (batch->ring.alone) {
        feed->ring_polls = more ? 0 : feed->ring_polls - 1;
        return;
    }
    if (!more && !batch->shared && !batch->ring.held)
        feed->drained = begin;
    bool quiet = !batch->row_count && !batch->more && !batch->shared && batch->marked;
    feed->ring_polls = quiet && batch->ring.taken ? RING_POLLS : 0;
}

/* Behind a pooler its statement would be planned each time, which takes longer than both. */
static bool ring_suffices(const struct feed *feed)
{
    return feed->pace.state == PACE_AWAKE && feed->pace.found && feed->ring_polls > 0 &&
           !feed->settings.transaction_pooling;
}

/* Bumps what was taken and commits that; *position moves on. */
static bool finish(struct feed *feed, struct db_outbox_batch *batch, struct position *position,
                   int64_t *ret_due)
{
    struct db_failure failure = {0};
    struct error error;
    if (!bumper_bump_batch(feed->bumper, batch, &error)) {
        db_outbox_give_back(feed->connection, batch, STATEMENT_TIMEOUT);
        *ret_due = redis_failed(feed, &error);
        return false;
    }
    if (!db_outbox_done(feed->connection, batch, STATEMENT_TIMEOUT, position, &failure)) {
        *ret_due = database_failed(feed, &failure);
        return false;
    }
    return true;
}

/* Takes, bumps, commits. */
static bool deliver(struct feed *feed, struct db_outbox_batch *ret_batch, int64_t *ret_due)
{
    struct db_outbox_batch batch;
    struct db_failure failure = {0};
    int64_t begin = clock_monotonic();
    if (!db_outbox_take(feed->connection, &feed->position, ring_suffices(feed), feed->limit,
                        STATEMENT_TIMEOUT, &batch, &failure)) {
        *ret_due = database_failed(feed, &failure);
        return false;
    }
    condition_good(&feed->schema, "outbox", "the outbox is there");
    *ret_batch = batch;
    if (!finish(feed, &batch, &feed->position, ret_due))
        return false;
    judge(feed, ret_batch, begin);
    counters_add(feed->counters, COUNTER_OUTBOX_POLLS, 1);
    counters_add(feed->counters, COUNTER_OUTBOX_ROWS, ret_batch->row_count);
    counters_add(feed->counters, COUNTER_RING_TAGS, ret_batch->ring.taken);
    return true;
}

/* The same for what responders left. */
static bool deliver_left(struct feed *feed, int64_t *ret_due)
{
    struct db_outbox_batch batch, taken;
    struct db_failure failure = {0};
    if (!left_take(&feed->left, feed->connection, LIMIT_MOST, STATEMENT_TIMEOUT, &batch,
                   &failure)) {
        *ret_due = database_failed(feed, &failure);
        return false;
    }
    if (!batch.result)
        return true;
    taken = batch;
    if (!finish(feed, &batch, &feed->left.position, ret_due))
        return false;
    left_done(&feed->left, &taken);
    counters_add(feed->counters, COUNTER_OUTBOX_LEFT, taken.row_count);
    return true;
}

/* Sets the flag as the pace wishes. */
static bool follow(struct feed *feed, enum pace_wish wish, struct db_failure *failure)
{
    uint64_t until;
    if (wish == PACE_GET_UP)
        return db_outbox_get_up(feed->connection, STATEMENT_TIMEOUT, failure);
    if (wish == PACE_STAY || feed->sleepless)
        return true;
    if (!db_outbox_lie_down(feed->connection, STATEMENT_TIMEOUT, &until, failure))
        return false;
    pace_lain_down(&feed->pace, until);
    return true;
}

/* A view that is another and is not heard of is a change that waits. */
static bool definitions_known(struct feed *feed, int64_t now)
{
    int64_t most = feed->guard / 2 > LOOKED_LEAST ? feed->guard / 2 : LOOKED_LEAST;
    feed->awaits_look = !feed->looked || now - feed->looked > most;
    if (!feed->awaits_look) {
        condition_good(&feed->definitions, "heartbeat", "definitions are looked at again");
        return true;
    }
    if (feed->looked)
        condition_bad(&feed->definitions, "heartbeat",
                      "definitions could not be looked at for too long: no heartbeat");
    return false;
}

static bool beat(struct feed *feed, struct error *error)
{
    int64_t now = clock_monotonic();
    if (now - feed->beaten < feed->guard / 8)
        return true;
    int64_t drained = feed->left.drained < feed->drained ? feed->left.drained : feed->drained;
    if (now - drained > feed->guard / 2) {
        condition_bad(&feed->backlog, "outbox",
                      "changes wait for longer than half of LARDER_GUARD_TTL: no heartbeat");
        return true;
    }
    condition_good(&feed->backlog, "outbox", "no change waits for long any more");
    if (!definitions_known(feed, now))
        return true;
    if (!bumper_beat(feed->bumper, feed->guard / 2, error))
        return false;
    feed->beaten = now;
    return true;
}

/* The two servers, asked for in turn; false: *ret_due says when to try again. */
static bool ready(struct feed *feed, int64_t *ret_due)
{
    struct db_failure failure = {0};
    struct error error;
    if (feed->connection && !db_usable(feed->connection))
        hang_up(feed);
    if (!feed->connection && !connect_database(feed, &failure)) {
        condition_bad(&feed->database, "database", failure.message);
        *ret_due = later(feed);
        return false;
    }
    if (!bumper_ready(feed->bumper, &error)) {
        *ret_due = redis_failed(feed, &error);
        return false;
    }
    return true;
}

/* Where peers have all that the ring lets go there is more, but nothing to be had at once. */
static struct pace_poll seen(const struct db_outbox_batch *batch, int64_t took)
{
    const struct db_outbox_ring *ring = &batch->ring;
    return (struct pace_poll){.found = batch->row_count > 0 || batch->more || ring->taken > 0 ||
                                       ring->more,
                              .rows = batch->row_count + ring->taken,
                              .took = took,
                              .more = batch->more || (ring->more && ring->taken > 0),
                              .coming = ring->coming,
                              .some_notify = batch->some_notify,
                              .all_notify = batch->all_notify,
                              .oldest_running = batch->oldest_running};
}

int64_t feed_poll(struct feed *feed, int64_t now)
{
    struct db_outbox_batch batch;
    struct db_failure failure = {0};
    struct error error;
    int64_t due = now;
    feed->beat_due = false;
    if (!ready(feed, &due))
        return due;
    int64_t begin = clock_monotonic();
    if (!deliver(feed, &batch, &due))
        return due;
    const struct pace_poll poll = seen(&batch, clock_monotonic() - begin);
    if (clock_monotonic() - feed->left.drained > feed->guard / 4 && !deliver_left(feed, &due))
        return due;
    if (!follow(feed, pace_polled(&feed->pace, &poll), &failure))
        return database_failed(feed, &failure);
    if (!beat(feed, &error))
        return redis_failed(feed, &error);
    backoff_succeeded(&feed->backoff);
    condition_good(&feed->database, "database", "PostgreSQL answers again");
    condition_good(&feed->redis, "redis", "Redis answers again");
    return clock_monotonic() + pace_wait(&feed->pace, feed->sleep);
}

bool feed_idle(const struct feed *feed)
{
    return !feed->connection || feed->database.bad || feed->schema.bad || feed->redis.bad;
}

int64_t feed_left(struct feed *feed, int64_t now)
{
    int64_t due = now + (LEFT_AGE < feed->guard / 8 ? LEFT_AGE : feed->guard / 8);
    struct error error;
    if (feed_idle(feed) || !db_usable(feed->connection) || !bumper_ready(feed->bumper, &error))
        return due;
    (void)!deliver_left(feed, &due);
    return due;
}

uint64_t feed_behind(const struct feed *feed)
{
    return feed_idle(feed) || feed->limit > LIMIT_LEAST ? 0 : feed->position.next;
}

/* Some of what is old; when to go on with it: monotonic µs. */
static int64_t forget(struct feed *feed, enum db_kept kept, int64_t now)
{
    int64_t age = feed->kept[kept];
    int64_t pause = age / 10 < 60 * SECOND ? age / 10 : 60 * SECOND;
    struct db_failure failure = {0};
    int64_t count;
    if (!db_outbox_forget(feed->connection, kept, age, STATEMENT_TIMEOUT, &count, &failure)) {
        condition_bad(&feed->forgetting, "kept answers", failure.message);
        return now + pause;
    }
    condition_good(&feed->forgetting, "kept answers", "old ones are forgotten again");
    return count ? now + SECOND / 10 : now + pause;
}

int64_t feed_forget(struct feed *feed, int64_t now)
{
    int64_t due = LOOP_NEVER;
    if (feed_idle(feed) || !db_usable(feed->connection))
        return now + SECOND;
    for (enum db_kept kept = 0; kept < DB_KEPT_COUNT; kept++) {
        if (feed->forget_next[kept] <= now)
            feed->forget_next[kept] = forget(feed, kept, now);
        due = feed->forget_next[kept] < due ? feed->forget_next[kept] : due;
    }
    return due;
}

void feed_looked(struct feed *feed, int64_t time)
{
    feed->beat_due = feed->beat_due || (feed->awaits_look && time != feed->looked);
    feed->looked = time;
}

int feed_fd(const struct feed *feed)
{
    return feed->connection && !feed->sleepless ? db_outbox_fd(feed->connection) : -1;
}

bool feed_woken(struct feed *feed)
{
    bool notified = false;
    if (!feed->connection || feed->sleepless)
        return feed->connection && feed->beat_due;
    if (!db_outbox_notified(feed->connection, &notified, NULL))
        return true; /* the connection is lost, which feed_poll finds */
    if (notified)
        counters_add(feed->counters, COUNTER_OUTBOX_WAKES, 1);
    return notified || feed->beat_due;
}

void feed_leave(struct feed *feed)
{
    uint64_t until;
    if (feed_idle(feed) || feed->sleepless || !db_usable(feed->connection))
        return;
    if (db_outbox_lie_down(feed->connection, LEAVE_TIMEOUT, &until, NULL) &&
        !db_outbox_notify(feed->connection, LEAVE_TIMEOUT, NULL))
        hang_up(feed);
}

const char *feed_status(const struct feed *feed)
{
    if (!feed->connection || feed->database.bad)
        return "PostgreSQL is away";
    if (feed->schema.bad)
        return "waiting for larder install";
    if (feed->redis.bad)
        return "Redis is away";
    if (feed->backlog.bad || feed->definitions.bad)
        return "catching up with changes";
    return "changes are delivered";
}
