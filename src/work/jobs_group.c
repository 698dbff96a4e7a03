#include "work/jobs_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/array.h"
#include "http/problem.h"

/* What was recorded of a job: "201 16 9 …\n", then Content-Type, Location and body. */
static struct span record_make(const struct jobs_worker *worker, const struct later *later)
{
    const struct exchange *exchange = &later->exchange;
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    struct span place = later_location(later);
    bytes_append_format(&text, "%u %zu %zu\n", exchange->status, exchange->settled_type.size,
                        place.size);
    bytes_append_span(&text, exchange->settled_type);
    bytes_append_span(&text, place);
    bytes_append_span(&text, exchange->settled_body);
    return text.failed ? (struct span){0} : arena_span(worker->desk->arena, bytes_span(&text));
}

bool jobs_record_read(struct span text, struct queue_end *ret_answer)
{
    char head[64];
    size_t type, place, line = span_find(text, '\n');
    unsigned status;
    if (line >= text.size || line >= sizeof head)
        return false;
    memcpy(head, text.data, line);
    head[line] = '\0';
    text = span_from(text, line + 1);
    if (sscanf(head, "%3u %zu %zu", &status, &type, &place) != 3 || type > text.size ||
        place > text.size - type)
        return false;
    ret_answer->status = status;
    ret_answer->type = span_first(text, type);
    ret_answer->location = span_first(span_from(text, type), place);
    ret_answer->body = span_from(text, type + place);
    return true;
}

static void group_free(struct jobs_group *group)
{
    free(group->keys);
    free(group->records);
    group->keys = group->records = NULL;
}

/* So small a transaction is worth a word of each statement: what comes in larger ones is quick. */
#define PROGRESS_MOST 5

static void made(void *context, size_t at, size_t statements)
{
    const struct jobs_group *group = context;
    struct jobs_worker *worker = group->worker;
    atomic_store(&worker->made[group->tasks[at] - worker->tasks], statements);
}

static bool choose(void *context, const struct db_result *rows, bool *ret_wanted)
{
    struct jobs_group *group = context;
    group->begun = true;
    for (size_t i = 0; i < group->count; i++) {
        struct jobs_task *task = group->tasks[i];
        task->record = (struct span){0};
        made(group, i, 0);
        task->cancelled = jobs_worker_cancelled(group->worker, task->filed->place.id);
        ret_wanted[i] = !task->cancelled;
    }
    for (int row = 0; row < db_result_rows(rows); row++) {
        size_t at = (size_t)strtoull(db_result_value(rows, row, 0).data, NULL, 10) - 1;
        struct span record = db_result_value(rows, row, 1);
        if (at >= group->count)
            continue;
        group->tasks[at]->record = arena_span(group->worker->desk->arena, record);
        ret_wanted[at] = false;
        if (!group->tasks[at]->record.data)
            return false;
    }
    return true;
}

static char *keys_make(const struct jobs_group *group)
{
    struct span keys[QUEUE_TAKE_MAX];
    for (size_t i = 0; i < group->count; i++)
        keys[i] = span_of(group->tasks[i]->filed->place.id);
    return db_array_bytes(keys, group->count);
}

/* The write is done; what it answers is for its page alone, which says so instead. */
static bool answer_bound(const struct jobs_worker *worker, struct exchange *exchange)
{
    int64_t most = options_number(worker->jobs->settings.options, OPTION_JOB_RESULT_MAX);
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    struct arena *arena = worker->desk->arena;
    if (exchange->settled_body.size <= (size_t)most)
        return true;
    const struct problem problem = {
        .status = 413,
        .detail = arena_format(arena,
                               "The job is done. Its result of %zu bytes was not kept: "
                               "LARDER_JOB_RESULT_MAX allows %lld.",
                               exchange->settled_body.size, (long long)most)};
    problem_write(&problem, &text);
    exchange->settled_type = SPAN_LITERAL(PROBLEM_MEDIA_TYPE);
    exchange->settled_body = arena_span(arena, bytes_span(&text));
    return problem.detail && !text.failed && exchange->settled_body.data;
}

/* Nothing is kept of what is answered with an error. */
static bool answer_make(struct jobs_group *group, size_t at, const struct db_result *rows)
{
    struct jobs_task *task = group->tasks[at];
    later_answer(&task->later, rows);
    if (task->later.exchange.status >= 400) {
        group->unfit = at;
        return false;
    }
    if (!answer_bound(group->worker, &task->later.exchange))
        return false;
    task->record = record_make(group->worker, &task->later);
    return task->record.data != NULL;
}

static bool record(void *context, struct db_result *const *results, struct db_statement *ret_close)
{
    struct jobs_group *group = context;
    struct span keys[QUEUE_TAKE_MAX], records[QUEUE_TAKE_MAX];
    size_t made = 0;
    group->unfit = group->count;
    for (size_t i = 0; i < group->count; i++) {
        if (!results[i])
            continue;
        if (!answer_make(group, i, results[i]))
            return false;
        keys[made] = span_of(group->tasks[i]->filed->place.id);
        records[made++] = group->tasks[i]->record;
    }
    if (made == 0)
        return true;
    group_free(group);
    group->keys = db_array_bytes(keys, made);
    group->records = db_array_bytes(records, made);
    group->done_values[0] = group->keys;
    group->done_values[1] = group->records;
    *ret_close = (struct db_statement){.id = UINT64_C(0x6c61726465726a02),
                                       .sql = "SELECT larder.jobs_done($1, $2)",
                                       .values = group->done_values,
                                       .parameter_count = 2};
    return group->keys && group->records;
}

/* Before anybody is told that the jobs are done. */
static void strike(void *context, const struct db_struck *struck, const struct span *own,
                   size_t own_count)
{
    struct jobs_worker *worker = ((struct jobs_group *)context)->worker;
    const struct jobs_settings *settings = &worker->jobs->settings;
    if (striker_strike(settings->striker, worker->responses, struck->tags, own, own_count))
        db_pool_struck(settings->pool, &struck->transaction, 1);
}

/* PostgreSQL's longest statement_timeout: µs. */
#define TIME_MOST (INT64_C(1000) * INT32_MAX)

/* The server ends each statement in its time; the sum is for one that does not even say so. */
static int64_t time_of(const struct jobs_group *group)
{
    int64_t time = 0;
    for (size_t i = 0; i < group->count; i++) {
        int64_t each = group->tasks[i]->filed->timeout, whole;
        int64_t times = group->count > 1 ? (int64_t)group->tasks[i]->later.item.count : 1;
        if (each < 0 || __builtin_mul_overflow(each, times, &whole) || whole > TIME_MOST - time)
            return TIME_MOST;
        time += whole;
    }
    return time;
}

bool jobs_group_run(struct jobs_group *group, size_t *ret_failed, struct db_failure *failure)
{
    struct jobs_worker *worker = group->worker;
    struct db_batch_item items[QUEUE_TAKE_MAX];
    char *keys = keys_make(group);
    const char *values[] = {keys};
    for (size_t i = 0; i < group->count; i++)
        items[i] = group->tasks[i]->later.item;
    group->unfit = group->count;
    group->begun = false;
    const struct db_batch batch = {
        .items = items,
        .count = group->count,
        .timeout = time_of(group),
        .open = {.id = UINT64_C(0x6c61726465726a01),
                 .sql = "SELECT place, pg_catalog.convert_from(record, 'UTF8')"
                        " FROM larder.jobs_begin($1)",
                 .values = values,
                 .parameter_count = 1},
        .choose = choose,
        .close = record,
        .strike = strike,
        .made = group->count <= PROGRESS_MOST ? made : NULL,
        .context = group,
        .stop = worker->stop,
    };
    *ret_failed = group->count;
    bool done = keys ? db_batch_run(worker->jobs->settings.pool, &batch, ret_failed, failure)
                     : db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    if (!done && group->unfit < group->count)
        *ret_failed = group->unfit;
    for (size_t i = 0; !done && i < group->count; i++)
        made(group, i, 0);
    group_free(group);
    free(keys);
    return done;
}
