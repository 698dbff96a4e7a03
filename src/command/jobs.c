/*
 * Jobs seen and handled by hand: list, show, retry, drop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "command/command.h"
#include "queue/manage.h"

#define USAGE                                                                                      \
    "list [waiting|later|dead] [--json] | show ID [--json] | retry ID...|--dead | drop ID...|"     \
    "--dead"

/* How long Redis may take for each call: µs. */
#define PATIENCE (5 * INT64_C(1000000))

struct call {
    const struct options *options;
    struct queue_manager *manager;
    struct redis_connection *connection;
    struct error error;
    bool json;
    bool dead; /* all dead letters are meant */
    size_t shown;
    enum queue_change change;
    struct bytes ids; /* char[QUEUE_ID_SIZE] each */
    int count;
    char **words; /* what is named */
};

static int64_t number(struct span text)
{
    char copy[24];
    snprintf(copy, sizeof copy, "%.*s", text.size < sizeof copy ? (int)text.size : 0,
             text.data ? text.data : "");
    return strtoll(copy, NULL, 10);
}

static const char *time_text(struct span microseconds, char text[static 32])
{
    time_t seconds = (time_t)(number(microseconds) / 1000000);
    struct tm parts;
    if (seconds <= 0 || !gmtime_r(&seconds, &parts) ||
        !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &parts))
        strcpy(text, "-");
    return text;
}

/* Printing */

static void json_member(const char *name, struct span text, struct bytes *out)
{
    bytes_append_format(out, ",\"%s\":", name);
    bytes_append_json(out, text);
}

static void json_number(const char *name, struct span text, struct bytes *out)
{
    bytes_append_format(out, ",\"%s\":%" PRId64, name, number(text));
}

static void json_write(const struct queue_listed *job, bool whole, struct bytes *out)
{
    bytes_append_text(out, "{\"id\":");
    bytes_append_json(out, span_of(job->id));
    json_member("state", job->state, out);
    json_member("route", job->route, out);
    json_number("tries", job->tries, out);
    json_number("filed", job->filed, out);
    json_number("next", job->next, out);
    json_number("status", job->status, out);
    if (whole) {
        json_member("progress", job->progress, out);
        json_member("document", job->document, out);
        json_member("answer", job->body, out);
        json_member("failure", job->why, out);
    }
    bytes_append_byte(out, '}');
}

static void json_print(struct call *call, const struct queue_listed *job, bool whole)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    json_write(job, whole, &text);
    printf("%s%s", !whole ? call->shown ? ",\n" : "[" : "", bytes_text(&text));
}

/* What others sent is shown without control characters. */
static void clean_print(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        putchar((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f ? '?' : text.data[i]);
}

static bool row_print(void *context, const struct queue_listed *job)
{
    struct call *call = context;
    char filed[32], next[32];
    if (call->json) {
        json_print(call, job, false);
    } else {
        if (!call->shown)
            printf("%-22s  %-9s %5s %6s  %-19s  %-19s  %s\n", "ID", "STATE", "TRIES", "STATUS",
                   "FILED", "NEXT TRY", "ROUTE");
        printf("%-22s  %-9.*s %5" PRId64 " %6.*s  %-19s  %-19s  ", job->id, SPAN_PRINTF(job->state),
               number(job->tries), SPAN_PRINTF(job->status), time_text(job->filed, filed),
               time_text(job->next, next));
        clean_print(job->route);
        putchar('\n');
    }
    call->shown++;
    return true;
}

static void field_print(const char *name, struct span text)
{
    if (!text.size)
        return;
    printf("%-9s ", name);
    clean_print(text);
    putchar('\n');
}

static bool whole_print(void *context, const struct queue_listed *job)
{
    struct call *call = context;
    char text[32];
    call->shown++;
    if (call->json) {
        json_print(call, job, true);
        putchar('\n');
        return true;
    }
    field_print("id", span_of(job->id));
    field_print("state", job->state);
    field_print("route", job->route);
    field_print("filed", span_of(time_text(job->filed, text)));
    field_print("tries", job->tries);
    if (number(job->next))
        field_print("next try", span_of(time_text(job->next, text)));
    field_print("progress", job->progress);
    field_print("document", job->document);
    field_print("status", job->status);
    field_print("answer", job->body);
    field_print("failure", job->why);
    return true;
}

/* The subcommands; each gives the exit status. */

static int wrong(const char *word)
{
    fprintf(stderr, "larder jobs: \"%s\" is not allowed; allowed: " USAGE "\n", word);
    return 2;
}

static int missing(const char *what)
{
    fprintf(stderr, "larder jobs: %s is missing; allowed: " USAGE "\n", what);
    return 2;
}

static int failed(const struct call *call)
{
    fprintf(stderr, "larder jobs: LARDER_QUEUE: %s\n", call->error.text);
    return 1;
}

static const struct {
    const char *word;
    enum queue_place_kind place;
} places[] = {
    {"waiting", QUEUE_PLACE_JOBS}, {"later", QUEUE_PLACE_LATER}, {"dead", QUEUE_PLACE_DEAD}};

static bool is_named(const struct call *call, const char *word)
{
    bool named = call->count == 0;
    for (int i = 0; i < call->count; i++)
        named = named || strcmp(call->words[i], word) == 0;
    return named;
}

static int list(struct call *call)
{
    for (int i = 0; i < call->count; i++) {
        bool known = false;
        for (size_t j = 0; j < ARRAY_COUNT(places); j++)
            known = known || strcmp(call->words[i], places[j].word) == 0;
        if (!known)
            return wrong(call->words[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(places); i++)
        if (is_named(call, places[i].word) &&
            !queue_list(call->manager, call->connection, places[i].place, PATIENCE, row_print, call,
                        &call->error))
            return failed(call);
    if (call->json)
        puts(call->shown ? "]" : "[]");
    else if (!call->shown)
        puts("no jobs");
    return 0;
}

static bool id_allowed(const char *word)
{
    if (queue_id_valid(span_of(word)))
        return true;
    fprintf(stderr,
            "larder jobs: \"%s\" is no job's id, which has %d letters, digits, \"-\" and \"_\"\n",
            word, QUEUE_ID_SIZE - 1);
    return false;
}

static int show(struct call *call)
{
    if (call->count != 1)
        return missing("one job's id");
    if (!id_allowed(call->words[0]))
        return 2;
    if (!queue_show(call->manager, call->connection, call->words[0], PATIENCE, whole_print, call,
                    &call->error))
        return failed(call);
    if (!call->shown)
        fprintf(stderr, "larder jobs: there is no job %s\n", call->words[0]);
    return call->shown ? 0 : 1;
}

static bool id_keep(void *context, const struct queue_listed *job)
{
    struct call *call = context;
    bytes_append(&call->ids, job->id, QUEUE_ID_SIZE);
    return true;
}

static const char *const done_words[] = {
    [QUEUE_CHANGE_RETRY] = "will be tried again", [QUEUE_CHANGE_DROP] = "is dropped"};
static const char *const allowed_words[] = {
    [QUEUE_CHANGE_RETRY] = "only failed jobs are tried again",
    [QUEUE_CHANGE_DROP] = "only failed and queued jobs are dropped (DELETE /jobs/ID cancels one "
                          "that runs)"};

/* 0: it is changed; 1: it is not. */
static int change_one(struct call *call, const char *id)
{
    bool changed;
    enum queue_state state;
    if (!queue_change(call->manager, call->connection, call->change, id, PATIENCE, &changed, &state,
                      &call->error))
        return failed(call);
    if (changed)
        printf("%s %s\n", id, done_words[call->change]);
    else if (state == QUEUE_STATE_COUNT)
        fprintf(stderr, "larder jobs: there is no job %s\n", id);
    else
        fprintf(stderr, "larder jobs: %s is %s: %s\n", id, queue_state_names[state],
                allowed_words[call->change]);
    return changed ? 0 : 1;
}

static int change(struct call *call)
{
    int status = 0;
    if (call->dead == (call->count > 0))
        return call->dead ? wrong("--dead") : missing("a job's id");
    for (int i = 0; i < call->count; i++) {
        if (!id_allowed(call->words[i]))
            return 2;
        bytes_append(&call->ids, call->words[i], QUEUE_ID_SIZE);
    }
    if (call->dead && !queue_list(call->manager, call->connection, QUEUE_PLACE_DEAD, PATIENCE,
                                  id_keep, call, &call->error))
        return failed(call);
    for (size_t at = 0; at < call->ids.size; at += QUEUE_ID_SIZE)
        status |= change_one(call, call->ids.data + at);
    return status;
}

static int retry(struct call *call)
{
    call->change = QUEUE_CHANGE_RETRY;
    return change(call);
}

static int drop(struct call *call)
{
    call->change = QUEUE_CHANGE_DROP;
    return change(call);
}

static const struct row {
    const char *word;
    int (*run)(struct call *call);
    bool changes;
} rows[] = {
    {"list", list, false}, {"show", show, false}, {"retry", retry, true}, {"drop", drop, true}};

/* Takes the options out of the words. */
static bool options_take(struct call *call, const struct row *row, int count, char **arguments)
{
    call->words = arguments;
    for (int i = 0; i < count; i++) {
        bool json = strcmp(arguments[i], "--json") == 0, dead = strcmp(arguments[i], "--dead") == 0;
        if ((json && row->changes) || (dead && !row->changes) ||
            (arguments[i][0] == '-' && !json && !dead && !queue_id_valid(span_of(arguments[i])))) {
            wrong(arguments[i]);
            return false;
        }
        call->json = call->json || json;
        call->dead = call->dead || dead;
        if (!json && !dead)
            call->words[call->count++] = arguments[i];
    }
    return true;
}

static int row_run(struct call *call, const struct row *row, struct queue *queue)
{
    if (!queue_resolve(queue, clock_monotonic(), &call->error))
        return failed(call);
    call->manager = queue_manager_new(queue, options_number(call->options, OPTION_JOB_TTL));
    call->connection = queue_connection(queue);
    int status = 1;
    if (call->manager && call->connection)
        status = row->run(call);
    else
        fprintf(stderr, "larder jobs: out of memory\n");
    bytes_free(&call->ids);
    redis_connection_free(call->connection);
    queue_manager_free(call->manager);
    return status;
}

static int with_queue(struct call *call, const struct row *row, struct arena *arena)
{
    struct counters *counters = counters_open_private();
    struct queue *queue = NULL;
    int status = 1;
    if (!arena || !counters)
        fprintf(stderr, "larder jobs: out of memory\n");
    else if (!queue_open(call->options, arena, counters, &queue, &call->error))
        failed(call);
    else if (!queue)
        fprintf(stderr, "larder jobs: LARDER_QUEUE is not set: there are no jobs\n");
    else
        status = row_run(call, row, queue);
    queue_free(queue);
    counters_close(counters);
    return status;
}

int command_jobs(const struct options *options, int count, char **arguments)
{
    struct call call = {.options = options};
    const char *word = count > 1 ? arguments[1] : "";
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (strcmp(word, rows[i].word) != 0)
            continue;
        if (!options_take(&call, &rows[i], count - 2, arguments + 2))
            return 2;
        struct arena *arena = arena_new();
        int status = with_queue(&call, &rows[i], arena);
        arena_free(arena);
        return status;
    }
    return *word ? wrong(word) : missing("a command");
}
