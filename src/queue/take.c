#include "queue/take.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/take_scripts.h"
#include "redis/script.h"

/* A worker that has been silent so long and has no jobs is forgotten: ms. */
#define WORKER_FORGOTTEN "3600000"

#define KEY_COUNT 5
#define NUMBER_SIZE 24

enum take_script {
    SCRIPT_BEGIN,
    SCRIPT_END,
    SCRIPT_PROGRESS,
    SCRIPT_TEND,
    SCRIPT_LEAVE,
    SCRIPT_GROUP,
    SCRIPT_COUNT,
};

static const char *const script_texts[SCRIPT_COUNT] = {
    [SCRIPT_BEGIN] = take_begin_text,       [SCRIPT_END] = take_end_text,
    [SCRIPT_PROGRESS] = take_progress_text, [SCRIPT_TEND] = take_tend_text,
    [SCRIPT_LEAVE] = take_leave_text,       [SCRIPT_GROUP] = take_group_text,
};

struct queue_taker {
    char names[KEY_COUNT][QUEUE_NAME_SIZE]; /* as the scripts want their keys */
    char job_ms[NUMBER_SIZE], dead_ms[NUMBER_SIZE];
    struct redis_script scripts[SCRIPT_COUNT];
};

static const enum queue_key key_order[KEY_COUNT] = {QUEUE_KEY_JOBS, QUEUE_KEY_JOB, QUEUE_KEY_NEWS,
                                                    QUEUE_KEY_LATER, QUEUE_KEY_DEAD};

static void number_write(int64_t number, char ret_text[static NUMBER_SIZE])
{
    snprintf(ret_text, NUMBER_SIZE, "%" PRId64, number);
}

struct queue_taker *queue_taker_new(const struct queue *queue, int64_t job_ttl, int64_t dead_ttl)
{
    struct queue_taker *taker = calloc(1, sizeof *taker);
    bool made = taker != NULL;
    for (size_t i = 0; made && i < KEY_COUNT; i++)
        queue_name(queue_prefix(queue), key_order[i], (struct span){0}, taker->names[i]);
    for (size_t i = 0; made && i < SCRIPT_COUNT; i++)
        made = redis_script_init(&taker->scripts[i], script_texts[i], NULL);
    if (!made) {
        free(taker);
        return NULL;
    }
    number_write(job_ttl / 1000, taker->job_ms);
    number_write(dead_ttl / 1000, taker->dead_ms);
    return taker;
}

void queue_taker_free(struct queue_taker *taker)
{
    free(taker);
}

static const char *jobs_of(const struct queue_taker *taker)
{
    return taker->names[0];
}

/* An error reply is an error like any other here. */
static bool reply_good(struct redis_reply *reply, struct error *error)
{
    struct span problem = redis_reply_error(reply);
    if (!problem.data)
        return true;
    error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s",
              (int)(problem.size < 300 ? problem.size : 300), problem.data);
    redis_reply_free(reply);
    return false;
}

static bool script_run(const struct queue_taker *taker, struct redis_connection *connection,
                       enum take_script script, const struct span *arguments, size_t count,
                       int64_t deadline, struct redis_reply **ret_reply, struct error *error)
{
    struct span keys[KEY_COUNT];
    for (size_t i = 0; i < KEY_COUNT; i++)
        keys[i] = span_of(taker->names[i]);
    const struct redis_script_call call = {.script = &taker->scripts[script],
                                           .keys = keys,
                                           .key_count = KEY_COUNT,
                                           .arguments = arguments,
                                           .argument_count = count};
    return redis_script_run(connection, &call, 1, deadline, ret_reply, error) &&
           reply_good(*ret_reply, error);
}

static bool command_run(struct redis_connection *connection, const struct span *words, size_t count,
                        int64_t deadline, struct redis_reply **ret_reply, struct error *error)
{
    const struct redis_command command = {words, count};
    return redis_ask(connection, &command, 1, deadline, ret_reply, error);
}

static bool group_make(const struct queue_taker *taker, struct redis_connection *connection,
                       int64_t deadline, struct error *error)
{
    const struct span arguments[] = {SPAN_LITERAL(QUEUE_GROUP)};
    struct redis_reply *reply;
    if (!script_run(taker, connection, SCRIPT_GROUP, arguments, ARRAY_COUNT(arguments), deadline,
                    &reply, error))
        return false;
    redis_reply_free(reply);
    return true;
}

static bool text_take(struct span text, char *ret_text, size_t room)
{
    if (!text.data || text.size >= room)
        return false;
    memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
    return true;
}

/* [entry, [j, id]]; what is not such was not put there by us, and is passed over. */
static size_t places_read(const struct redis_reply *entries, size_t most,
                          struct queue_place *ret_places)
{
    size_t count = 0;
    for (size_t i = 0; i < redis_reply_count(entries) && count < most; i++) {
        const struct redis_reply *entry = redis_reply_at(entries, i);
        struct queue_place *place = &ret_places[count];
        if (redis_reply_count(entry) != 2)
            continue;
        struct span id = redis_reply_element(redis_reply_at(entry, 1), 1);
        if (text_take(redis_reply_element(entry, 0), place->entry, sizeof place->entry) &&
            queue_id_valid(id) && text_take(id, place->id, sizeof place->id))
            count++;
    }
    return count;
}

struct taking {
    const char *worker;
    enum queue_from from;
    char most[NUMBER_SIZE];
    char after[QUEUE_ENTRY_SIZE]; /* where a look at what others have goes on */
};

static bool take_send(const struct queue_taker *taker, struct redis_connection *connection,
                      const struct taking *taking, int64_t deadline, struct redis_reply **ret_reply,
                      struct error *error)
{
    char claim[NUMBER_SIZE];
    number_write(QUEUE_CLAIM_AFTER / 1000, claim);
    struct span jobs = span_of(jobs_of(taker)), group = SPAN_LITERAL(QUEUE_GROUP);
    struct span worker = span_of(taking->worker), most = span_of(taking->most);
    const struct span dead[] = {
        SPAN_LITERAL("XAUTOCLAIM"), jobs, group, worker, span_of(claim), span_of(taking->after),
        SPAN_LITERAL("COUNT"),      most};
    const struct span read[] = {SPAN_LITERAL("XREADGROUP"),
                                SPAN_LITERAL("GROUP"),
                                group,
                                worker,
                                SPAN_LITERAL("COUNT"),
                                most,
                                SPAN_LITERAL("STREAMS"),
                                jobs,
                                taking->from == QUEUE_FROM_OWN ? SPAN_LITERAL("0")
                                                               : SPAN_LITERAL(">")};
    if (taking->from == QUEUE_FROM_DEAD)
        return command_run(connection, dead, ARRAY_COUNT(dead), deadline, ret_reply, error);
    return command_run(connection, read, ARRAY_COUNT(read), deadline, ret_reply, error);
}

/*
 * Redis looks at ten times as many places as are wanted, from the oldest, and says where it
 * stopped: what the living have in hand must not hide what the dead left behind it.
 */
static bool goes_on(struct taking *taking, const struct redis_reply *reply)
{
    const struct redis_reply *entries = redis_reply_at(reply, 1);
    struct span next = redis_reply_element(reply, 0);
    return taking->from == QUEUE_FROM_DEAD && entries && redis_reply_count(entries) == 0 &&
           !span_is(next, "0-0") && text_take(next, taking->after, sizeof taking->after);
}

static bool is_groupless(const struct redis_reply *reply)
{
    struct span problem = redis_reply_error(reply);
    return problem.data && memmem(problem.data, problem.size, "NOGROUP", 7) != NULL;
}

bool queue_take(const struct queue_taker *taker, struct redis_connection *connection,
                const char *worker, enum queue_from from, size_t most, int64_t deadline,
                struct queue_place *ret_places, size_t *ret_count, struct error *error)
{
    struct taking taking = {.worker = worker, .from = from, .after = "0-0"};
    struct redis_reply *reply;
    number_write((int64_t)most, taking.most);
    if (!take_send(taker, connection, &taking, deadline, &reply, error))
        return false;
    if (is_groupless(reply)) {
        redis_reply_free(reply);
        if (!group_make(taker, connection, deadline, error) ||
            !take_send(taker, connection, &taking, deadline, &reply, error))
            return false;
    }
    while (goes_on(&taking, reply)) {
        redis_reply_free(reply);
        if (!take_send(taker, connection, &taking, deadline, &reply, error))
            return false;
    }
    if (!reply_good(reply, error))
        return false;
    /* A read answers [[stream, entries]], or nothing; a claim [next, entries]. */
    const struct redis_reply *part = from == QUEUE_FROM_DEAD ? reply : redis_reply_at(reply, 0);
    *ret_count = places_read(redis_reply_at(part, 1), most, ret_places);
    redis_reply_free(reply);
    return true;
}

static int64_t number_read(struct span text)
{
    char copy[NUMBER_SIZE];
    return text_take(text, copy, sizeof copy) ? strtoll(copy, NULL, 10) : 0;
}

/* r v o d a w x f z c u */
static void task_read(const struct redis_reply *fields, struct queue_task *task)
{
    task->wanted = redis_reply_count(fields) == 11;
    if (!task->wanted)
        return;
    task->route = redis_reply_element(fields, 0);
    task->version = redis_reply_element(fields, 1);
    task->owner = redis_reply_element(fields, 2);
    task->document = redis_reply_element(fields, 3);
    task->tries = number_read(redis_reply_element(fields, 4));
    task->retries = number_read(redis_reply_element(fields, 5));
    task->timeout = number_read(redis_reply_element(fields, 6));
    task->filed = number_read(redis_reply_element(fields, 7));
    task->deaths = number_read(redis_reply_element(fields, 8));
    task->cancelled = span_is(redis_reply_element(fields, 9), "1");
    task->troubles = number_read(redis_reply_element(fields, 10));
}

bool queue_begin(const struct queue_taker *taker, struct redis_connection *connection,
                 const struct queue_place *places, size_t count, int64_t deadline,
                 struct queue_begun *ret_begun, struct error *error)
{
    struct span arguments[2 * QUEUE_TAKE_MAX] = {{0}};
    struct redis_reply *reply;
    for (size_t i = 0; i < count; i++) {
        arguments[2 * i] = span_of(places[i].entry);
        arguments[2 * i + 1] = span_of(places[i].id);
    }
    if (!script_run(taker, connection, SCRIPT_BEGIN, arguments, 2 * count, deadline, &reply, error))
        return false;
    ret_begun->reply = reply;
    ret_begun->count = count;
    for (size_t i = 0; i < count; i++) {
        ret_begun->tasks[i] = (struct queue_task){.place = places[i]};
        task_read(redis_reply_at(reply, i), &ret_begun->tasks[i]);
    }
    return true;
}

#define END_ARGUMENTS 10

bool queue_end(const struct queue_taker *taker, struct redis_connection *connection,
               const struct queue_end *ends, size_t count, int64_t deadline, struct error *error)
{
    struct span arguments[2 + END_ARGUMENTS * QUEUE_TAKE_MAX] = {span_of(taker->job_ms),
                                                                 span_of(taker->dead_ms)};
    char delays[QUEUE_TAKE_MAX][NUMBER_SIZE], statuses[QUEUE_TAKE_MAX][NUMBER_SIZE];
    struct redis_reply *reply;
    for (size_t i = 0; i < count; i++) {
        const struct queue_end *end = &ends[i];
        number_write(end->delay, delays[i]);
        number_write(end->status, statuses[i]);
        const struct span words[END_ARGUMENTS] = {
            span_of(end->place.entry),
            span_of(end->place.id),
            span_of(queue_state_names[end->state]),
            span_of(delays[i]),
            end->trouble     ? SPAN_LITERAL("2")
            : end->uncounted ? SPAN_LITERAL("1")
                             : SPAN_LITERAL("0"),
            span_of(statuses[i]),
            end->type,
            end->location,
            end->body,
            end->why,
        };
        memcpy(&arguments[2 + END_ARGUMENTS * i], words, sizeof words);
    }
    if (!script_run(taker, connection, SCRIPT_END, arguments, 2 + END_ARGUMENTS * count, deadline,
                    &reply, error))
        return false;
    redis_reply_free(reply);
    return true;
}

bool queue_keep(const struct queue_taker *taker, struct redis_connection *connection,
                const char *worker, const struct queue_place *places, size_t count,
                int64_t deadline, struct error *error)
{
    struct span words[6 + QUEUE_TAKE_MAX] = {SPAN_LITERAL("XCLAIM"), span_of(jobs_of(taker)),
                                             SPAN_LITERAL(QUEUE_GROUP), span_of(worker),
                                             SPAN_LITERAL("0")};
    struct redis_reply *reply;
    for (size_t i = 0; i < count; i++)
        words[5 + i] = span_of(places[i].entry);
    words[5 + count] = SPAN_LITERAL("JUSTID");
    if (!command_run(connection, words, 6 + count, deadline, &reply, error) ||
        !reply_good(reply, error))
        return false;
    redis_reply_free(reply);
    return true;
}

bool queue_progress(const struct queue_taker *taker, struct redis_connection *connection,
                    const struct queue_place *places, const size_t *made, size_t count,
                    int64_t deadline, bool *ret_cancelled, struct error *error)
{
    struct span arguments[2 * QUEUE_TAKE_MAX] = {{0}};
    char numbers[QUEUE_TAKE_MAX][NUMBER_SIZE];
    struct redis_reply *reply;
    for (size_t i = 0; i < count; i++) {
        number_write((int64_t)made[i], numbers[i]);
        arguments[2 * i] = span_of(places[i].id);
        arguments[2 * i + 1] = span_of(numbers[i]);
    }
    if (!script_run(taker, connection, SCRIPT_PROGRESS, arguments, 2 * count, deadline, &reply,
                    error))
        return false;
    for (size_t i = 0; i < count; i++)
        ret_cancelled[i] = redis_reply_number(redis_reply_at(reply, i), 0) == 1;
    redis_reply_free(reply);
    return true;
}

bool queue_tend(const struct queue_taker *taker, struct redis_connection *connection,
                int64_t deadline, struct queue_sizes *ret_sizes, struct error *error)
{
    const struct span arguments[] = {SPAN_LITERAL(QUEUE_GROUP), span_of(taker->dead_ms),
                                     SPAN_LITERAL(WORKER_FORGOTTEN)};
    struct redis_reply *reply;
    if (!script_run(taker, connection, SCRIPT_TEND, arguments, ARRAY_COUNT(arguments), deadline,
                    &reply, error))
        return false;
    *ret_sizes = (struct queue_sizes){
        .jobs = redis_reply_number(redis_reply_at(reply, 0), 0),
        .running = redis_reply_number(redis_reply_at(reply, 1), 0),
        .later = redis_reply_number(redis_reply_at(reply, 2), 0),
        .dead = redis_reply_number(redis_reply_at(reply, 3), 0),
    };
    redis_reply_free(reply);
    return true;
}

void queue_leave(const struct queue_taker *taker, struct redis_connection *connection,
                 const char *worker, int64_t deadline)
{
    const struct span arguments[] = {SPAN_LITERAL(QUEUE_GROUP), span_of(worker)};
    struct redis_reply *reply;
    struct error ignored;
    if (script_run(taker, connection, SCRIPT_LEAVE, arguments, ARRAY_COUNT(arguments), deadline,
                   &reply, &ignored))
        redis_reply_free(reply);
}
