#include "work/behind_batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/batch.h"
#include "http/problem.h"
#include "queue/record.h"
#include "serve/answer.h"
#include "serve/failures.h"
#include "serve/strike.h"
#include "work/split.h"

/* A call of Redis may take so long; no request waits for it: µs. */
#define REDIS_PATIENCE (2 * INT64_C(1000000))

/* A whole batch may take so long at least, µs. */
#define BATCH_PATIENCE (30 * INT64_C(1000000))

/* How often a write whose time is over, or that had an internal error, is tried alone. */
#define DOUBTFUL_TRIES 5

/* How long one waits whose tables are not as its statement wants them: a migration's moment. µs. */
#define DEFINITIONS_PATIENCE (60 * INT64_C(1000000))

struct write {
    struct db_batch_item item;
    struct db_identity identity;
    const char *unfit; /* why it can't be made, whatever PostgreSQL says; null: it may be */
    bool dead;         /* it can't be made, and was put with the dead letters */
};

struct making {
    const struct behind_tools *tools;
    struct behind_stream *stream;
    const struct route *route;
    const struct learned *learned;
    int64_t timeout; /* µs for one statement */
    struct arena *arena;
    struct desk desk; /* with that arena, and nothing else */
    struct queue_behind_taken taken;
    struct write *writes; /* of each entry taken */
    struct error *error;
};

/* Some of them, in one transaction. */
struct turn {
    struct making *making;
    struct db_batch_item *items;
    size_t *places; /* the entry that each item is of */
    size_t count;
    size_t from, taken;                      /* the entries that it is of */
    const struct queue_behind_number *until; /* the last entry's */
    bool begun;                              /* PostgreSQL told how far the stream is made */
    bool peer;                               /* … and that another is at it */
    bool unburied;                           /* Redis does not take its dead letters */
    struct queue_behind_number reached;
    char number[QUEUE_BEHIND_NUMBER_SIZE];
    const char *values[3]; /* of the statements around */
};

static int64_t redis_deadline(void)
{
    return clock_monotonic() + REDIS_PATIENCE;
}

static bool memory(struct making *making)
{
    return error_set_memory(making->error);
}

/* One that was queued with this entry has ended. */
static void count_end(const struct making *making, size_t at, enum counter_job what)
{
    uint64_t filed = making->taken.entries[at].number.milliseconds * 1000;
    counters_job(making->stream->served->counters, what, clock_wall() - (int64_t)filed);
}

/* Dead letters */

static bool bury(struct making *making, size_t at, const struct problem *problem)
{
    const struct behind_tools *tools = making->tools;
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    const struct queue_behind_dead dead = {
        .stream = making->stream->name,
        .entry = &making->taken.entries[at],
        .version = making->stream->served->version.hex,
        .statements = making->route->before_count + 1,
        .timeout = making->timeout,
        .now = clock_wall(),
        .kept = options_number(tools->options, OPTION_DEAD_TTL),
    };
    char id[QUEUE_ID_SIZE];
    problem_write(problem, &text);
    if (text.failed)
        return memory(making);
    if (!queue_behind_bury(tools->queue, tools->redis, &dead, bytes_span(&text),
                           redis_deadline(), id, making->error))
        return false;
    making->writes[at].dead = true;
    counters_add(tools->counters, COUNTER_BEHIND_DEAD, 1);
    count_end(making, at, COUNTER_JOB_FAILED);
    log_event(LOG_ERROR, "behind",
              "%s: a write can't be made, and lies with the dead letters (%s): %s",
              making->route->name, id, problem->detail);
    return true;
}

static bool bury_unfit(struct making *making, size_t at)
{
    return bury(making, at,
                &(struct problem){.status = 500, .detail = making->writes[at].unfit});
}

static bool bury_failed(struct making *making, size_t at, const struct db_failure *failure)
{
    struct problem problem;
    if (!failure_problem_raised(failure, &problem))
        problem.status = 500;
    return bury(making, at, &problem);
}

/* From entries to statements */

/* The path's other methods: one of them may be a read that the write strikes. */
static bool match_make(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    struct span *segments =
        arena_array(exchange->desk->arena, route->segment_count, sizeof *segments);
    for (size_t i = 0; segments && i < route->segment_count; i++) {
        int param = route->segments[i].param;
        segments[i] = param < 0 ? route->segments[i].text : exchange->by_param[param].text;
    }
    if (segments)
        route_table_match(live_table(exchange->live), segments, route->segment_count,
                          &exchange->match);
    return segments != NULL;
}

/* What of a request its tags are made of. False: memory. */
static bool tags_make(struct making *making, const struct value *values, struct db_batch_item *item)
{
    struct exchange exchange = {.desk = &making->desk,
                                .live = making->stream->live,
                                .served = (struct served *)making->stream->served,
                                .by_param = (struct value *)values};
    struct span *tags;
    if (!match_make(&exchange) || !strike_own(&exchange, &tags, &item->tag_count))
        return false;
    item->tags = tags;
    return true;
}

static bool write_make(struct making *making, const struct queue_behind_entry *entry,
                       struct write *write, struct error *error)
{
    const struct route *route = making->route;
    struct queue_record record;
    if (!queue_record_read(entry->document, route, making->arena, &record, error))
        return false;
    write->identity = (struct db_identity){.role = record.role, .claims = record.claims};
    write->item = (struct db_batch_item){
        .statements =
            answer_write(route, making->learned, record.values, making->timeout, making->arena),
        .count = route->before_count + 1,
        .identity = record.role || record.claims ? &write->identity : NULL,
    };
    return write->item.statements && tags_make(making, record.values, &write->item)
               ? true
               : error_set_memory(error);
}

/* What an entry says may fit the route no more, or never have. */
static bool writes_make(struct making *making)
{
    size_t count = making->taken.count;
    making->writes = arena_array(making->arena, count, sizeof *making->writes);
    if (!making->writes)
        return memory(making);
    for (size_t i = 0; i < count; i++) {
        struct error error;
        if (write_make(making, &making->taken.entries[i], &making->writes[i], &error))
            continue;
        if (error.kind != ERROR_INVALID) {
            *making->error = error;
            return false;
        }
        making->writes[i].unfit = arena_text(making->arena, span_of(error.text));
        if (!making->writes[i].unfit)
            return memory(making);
    }
    return true;
}

/* In PostgreSQL */

/* Only now is it known that they were not made by a route that they fitted. */
static bool unfit_bury(struct turn *turn)
{
    struct making *making = turn->making;
    for (size_t i = turn->from; i < turn->from + turn->taken && !turn->unburied; i++) {
        const struct write *write = &making->writes[i];
        bool open =
            write->unfit && !write->dead &&
            queue_behind_number_compare(&making->taken.entries[i].number, &turn->reached) > 0;
        turn->unburied = open && !bury_unfit(making, i);
    }
    return !turn->unburied;
}

/* What was made before, as the position says, is not made again. */
static bool choose(void *context, const struct db_result *rows, bool *ret_wanted)
{
    struct turn *turn = context;
    const struct queue_behind_entry *entries = turn->making->taken.entries;
    struct span told = db_result_rows(rows) ? db_result_value(rows, 0, 0) : (struct span){0};
    turn->begun = true;
    turn->peer = !told.data;
    if (turn->peer || !queue_behind_number_read(told, &turn->reached))
        return false;
    for (size_t i = 0; i < turn->count; i++)
        ret_wanted[i] =
            queue_behind_number_compare(&entries[turn->places[i]].number, &turn->reached) > 0;
    return unfit_bury(turn);
}

static bool move_on(void *context, struct db_result *const *results, struct db_statement *ret_close)
{
    struct turn *turn = context;
    bool before = queue_behind_number_compare(turn->until, &turn->reached) <= 0;
    (void)results;
    queue_behind_number_write(before ? &turn->reached : turn->until, turn->number);
    turn->values[2] = turn->number;
    *ret_close = (struct db_statement){.id = UINT64_C(0x6c61726465726232),
                                       .sql = "SELECT larder.behind_done($1, $2, $3)",
                                       .values = turn->values,
                                       .parameter_count = 3,
                                       .timeout = BATCH_PATIENCE};
    return true;
}

static bool turn_begin(struct turn *turn, size_t from, size_t count)
{
    struct making *making = turn->making;
    const char *queue = arena_text(making->arena, making->taken.queue);
    turn->items = arena_array(making->arena, count, sizeof *turn->items);
    turn->places = arena_array(making->arena, count, sizeof *turn->places);
    if (!queue || !turn->items || !turn->places)
        return false;
    for (size_t i = from; i < from + count; i++) {
        if (making->writes[i].dead || making->writes[i].unfit)
            continue;
        turn->items[turn->count] = making->writes[i].item;
        turn->places[turn->count++] = i;
    }
    turn->from = from;
    turn->taken = count;
    turn->until = &making->taken.entries[from + count - 1].number;
    turn->values[0] = queue;
    turn->values[1] = making->route->name;
    return true;
}

/* *ret_failed is, of the `count` from `from`, the one at fault; `count`: none that is known. */
static bool turn_run(struct turn *turn, size_t from, size_t count, size_t *ret_failed,
                     struct db_failure *failure)
{
    size_t item;
    if (!turn_begin(turn, from, count))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    const struct db_batch batch = {
        .items = turn->items,
        .count = turn->count,
        .timeout = BATCH_PATIENCE,
        .open = {.id = UINT64_C(0x6c61726465726231),
                 .sql = "SELECT larder.behind_begin($1, $2)",
                 .values = turn->values,
                 .parameter_count = 2,
                 .timeout = BATCH_PATIENCE},
        .choose = choose,
        .close = move_on,
        .context = turn,
    };
    if (db_batch_run(turn->making->tools->pool, &batch, &item, failure))
        return true;
    *ret_failed = item < turn->count ? turn->places[item] - from : count;
    return false;
}

/*
 * internal_error: what a function raises for the log alone, or trouble of PostgreSQL's own, which
 * may pass. XX001 and XX002 are damaged data.
 */
static bool is_internal(const struct db_failure *failure)
{
    return strcmp(failure->sqlstate, "XX000") == 0;
}

/* Classes of SQLSTATE that say nothing of the write itself. */
static bool is_passing(const struct db_failure *failure)
{
    static const char *const classes[] = {"08", "25", "40", "53", "55", "57", "58", "XX"};
    for (size_t i = 0; i < ARRAY_COUNT(classes) && !is_internal(failure); i++)
        if (strncmp(failure->sqlstate, classes[i], 2) == 0)
            return true;
    switch (failure->kind) {
    case DB_FAILURE_UNAVAILABLE:
    case DB_FAILURE_BUSY:
    case DB_FAILURE_RETRY:
    case DB_FAILURE_UNKNOWN:
    case DB_FAILURE_UNINSTALLED:
    case DB_FAILURE_MEMORY:
        return true;
    default:
        return false;
    }
}

/* What PostgreSQL says where definitions are other than they were. */
static bool is_of_definitions(const struct db_failure *failure)
{
    static const char *const states[] = {
        "3F000", /* invalid_schema_name */
        "42P01", /* undefined_table */
        "42703", /* undefined_column */
        "42883", /* undefined_function */
        "42804", /* datatype_mismatch */
    };
    for (size_t i = 0; i < ARRAY_COUNT(states); i++)
        if (strcmp(failure->sqlstate, states[i]) == 0)
            return true;
    return failure->kind == DB_FAILURE_STALE;
}

/* Alone it failed, but perhaps only by what others hold or have changed: it is tried again. */
static bool is_doubtful(struct behind_stream *stream, const struct queue_behind_number *number,
                        const struct db_failure *failure)
{
    int64_t now = clock_monotonic();
    if (queue_behind_number_compare(&stream->doubtful, number) != 0) {
        stream->doubtful = *number;
        stream->doubtful_tries = 0;
        stream->doubtful_since = now;
    }
    stream->doubtful_tries++;
    if (failure->kind == DB_FAILURE_TIMEOUT || is_internal(failure))
        return stream->doubtful_tries < DOUBTFUL_TRIES;
    return is_of_definitions(failure) && now - stream->doubtful_since < DEFINITIONS_PATIENCE;
}

static bool later(struct making *making, const struct db_failure *failure)
{
    return error_set(making->error, ERROR_UNAVAILABLE, "PostgreSQL: %.400s", failure->message);
}

static bool made(struct making *making, const struct turn *turn)
{
    const struct behind_tools *tools = making->tools;
    counters_add(tools->counters, COUNTER_BEHIND_MADE, (int64_t)turn->count);
    counters_add(tools->counters, COUNTER_BEHIND_BATCHES, 1);
    for (size_t i = 0; i < turn->count; i++)
        count_end(making, turn->places[i], COUNTER_JOB_DONE);
    return queue_behind_trim(tools->redis, making->stream->name, turn->until, redis_deadline(),
                             making->error);
}

/* What failed is tried in smaller parts, or given up; false: it waits. */
static bool failed(struct making *making, struct split *split, const struct turn *turn,
                   size_t place, const struct db_failure *failure)
{
    size_t from = split->at;
    bool timeout = failure->kind == DB_FAILURE_TIMEOUT;
    if (!turn->begun || (is_passing(failure) && !timeout))
        return later(making, failure);
    if (!split_failed(split, place))
        return true;
    if (making->writes[from].dead) /* nothing is left of it but how far the stream is made */
        return later(making, failure);
    if (is_doubtful(making->stream, &making->taken.entries[from].number, failure))
        return later(making, failure);
    if (!bury_failed(making, from, failure))
        return false;
    split_given_up(split);
    return true;
}

static enum behind_outcome writes_run(struct making *making)
{
    struct split split = {.count = making->taken.count};
    size_t from, count;
    while (split_next(&split, &from, &count)) {
        struct turn turn = {.making = making};
        struct db_failure failure = {0};
        size_t place = 0;
        if (turn_run(&turn, from, count, &place, &failure)) {
            if (!made(making, &turn))
                return BEHIND_LATER;
            split_made(&split);
        } else if (turn.peer) {
            return BEHIND_PEER;
        } else if (turn.unburied) {
            return BEHIND_LATER;
        } else if (!failed(making, &split, &turn, place, &failure)) {
            return BEHIND_LATER;
        }
    }
    return BEHIND_MADE;
}

static bool learned_ready(struct making *making)
{
    const struct learned_write *write = &making->learned->write;
    if (write->known)
        return true;
    return error_set(making->error, ERROR_UNAVAILABLE,
                     write->refused ? "PostgreSQL does not take the route's statements"
                                    : "PostgreSQL could not be asked about the route yet");
}

enum behind_outcome behind_batch(const struct behind_tools *tools, struct behind_stream *stream,
                                 struct error *ret_error)
{
    const struct route *route = stream->served->route;
    struct making making = {
        .tools = tools,
        .stream = stream,
        .route = route,
        .learned = atomic_load_explicit(&stream->served->learned, memory_order_acquire),
        .timeout = answer_timeout(route, options_number(tools->options, OPTION_TIMEOUT)),
        .arena = arena_new(),
        .error = ret_error,
    };
    enum behind_outcome outcome = BEHIND_LATER;
    making.desk.arena = making.arena;
    if (!making.arena)
        (void)memory(&making);
    else if (learned_ready(&making) &&
             queue_behind_take(tools->queue, tools->redis, stream->name,
                               (size_t)route->behind.batch, redis_deadline(), &making.taken,
                               ret_error) &&
             writes_make(&making))
        outcome = writes_run(&making);
    queue_behind_taken_free(&making.taken);
    arena_free(making.arena);
    return outcome;
}
