/*
 * Batches through db/batch.h without larderd.
 *
 * Each line of the input is words with tabs between them, each `name=text`, and makes one batch:
 * item= begins an item with its key, and then come its sql=, value= (of the last sql; an empty one
 * is NULL), limit= (ms, of the last sql), role=, claims=, tag=; timeout= (ms) is the batch's. One
 * line of the output answers each, fields with tabs between them: "done" and what became of each
 * item, or "failed". SIGUSR1 cancels what runs.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "db/array.h"
#include "db/batch.h"
#include "kinds.h"
#include "pool.h"
#include "words.h"

#define MOST 128
#define MOST_EACH 8

struct item {
    struct span key;
    struct db_statement statements[MOST_EACH];
    const char *values[MOST_EACH][MOST_EACH];
    struct db_identity identity;
    struct span tags[MOST_EACH];
    char record[256];
};

struct request {
    struct db_batch batch;
    struct db_batch_item parts[MOST];
    struct item items[MOST];
    const char *open_values[1], *close_values[2];
};

static const struct hash_key key;

static size_t place_of(const struct request *request)
{
    return request->batch.count ? request->batch.count - 1 : 0;
}

static struct db_batch_item *part_of(struct request *request)
{
    return &request->parts[place_of(request)];
}

static struct item *item_of(struct request *request)
{
    return &request->items[place_of(request)];
}

static void set_sql(void *context, char *text)
{
    struct db_batch_item *part = part_of(context);
    struct item *item = item_of(context);
    size_t at = part->count++;
    if (at >= MOST_EACH)
        exit(2);
    item->statements[at] =
        (struct db_statement){.id = hash_of(&key, (struct span){text, strlen(text)}),
                              .sql = text,
                              .values = item->values[at]};
    part->statements = item->statements;
}

static void set_value(void *context, char *text)
{
    struct db_batch_item *part = part_of(context);
    struct item *item = item_of(context);
    struct db_statement *last = &item->statements[part->count - 1];
    item->values[part->count - 1][last->parameter_count++] = *text ? text : NULL;
}

static void set_limit(void *context, char *text)
{
    struct db_batch_item *part = part_of(context);
    struct item *item = item_of(context);
    item->statements[part->count - 1].timeout = strtoll(text, NULL, 10) * 1000;
}

static void set_role(void *context, char *text)
{
    struct db_batch_item *part = part_of(context);
    struct item *item = item_of(context);
    item->identity.role = text;
    part->identity = &item->identity;
}

static void set_claims(void *context, char *text)
{
    struct db_batch_item *part = part_of(context);
    struct item *item = item_of(context);
    item->identity.claims = text;
    part->identity = &item->identity;
}

static void set_tag(void *context, char *text)
{
    struct db_batch_item *part = part_of(context);
    struct item *item = item_of(context);
    item->tags[part->tag_count++] = (struct span){text, strlen(text)};
    part->tags = item->tags;
}

static void set_item(void *context, char *text)
{
    struct request *request = context;
    if (request->batch.count >= MOST)
        exit(2);
    request->items[request->batch.count++].key = (struct span){text, strlen(text)};
}

static void set_timeout(void *context, char *text)
{
    struct request *request = context;
    request->batch.timeout = strtoll(text, NULL, 10) * 1000;
}

static const struct word words[] = {
    {"item", set_item}, {"sql", set_sql},       {"value", set_value}, {"limit", set_limit},
    {"role", set_role}, {"claims", set_claims}, {"tag", set_tag},     {"timeout", set_timeout},
};

static const char *keys_of(const struct request *request)
{
    struct span keys[MOST];
    for (size_t i = 0; i < request->batch.count; i++)
        keys[i] = request->items[i].key;
    return db_array_bytes(keys, request->batch.count);
}

static bool choose(void *context, const struct db_result *rows, bool *ret_wanted)
{
    struct request *request = context;
    for (int i = 0; i < db_result_rows(rows); i++) {
        size_t place = strtoull(db_result_value(rows, i, 0).data, NULL, 10) - 1;
        struct span record = db_result_value(rows, i, 1);
        ret_wanted[place] = false;
        snprintf(request->items[place].record, sizeof request->items[place].record, "before %.*s",
                 (int)record.size, record.data);
    }
    return true;
}

static bool record(void *context, struct db_result *const *results, struct db_statement *ret_close)
{
    struct request *request = context;
    struct span keys[MOST], records[MOST];
    size_t count = 0;
    for (size_t i = 0; i < request->batch.count; i++) {
        struct item *item = &request->items[i];
        if (!results[i])
            continue;
        struct span value =
            db_result_rows(results[i]) ? db_result_value(results[i], 0, 0) : (struct span){0};
        snprintf(item->record, sizeof item->record, "%.*s", (int)value.size,
                 value.data ? value.data : "");
        keys[count] = item->key;
        records[count++] = (struct span){item->record, strlen(item->record)};
    }
    if (count == 0)
        return true;
    free((void *)(uintptr_t)request->close_values[0]);
    free((void *)(uintptr_t)request->close_values[1]);
    request->close_values[0] = db_array_bytes(keys, count);
    request->close_values[1] = db_array_bytes(records, count);
    *ret_close = (struct db_statement){.id = 2,
                                       .sql = "SELECT larder.jobs_done($1, $2)",
                                       .values = request->close_values,
                                       .parameter_count = 2};
    return true;
}

static void work(struct db_pool *pool, struct db_stop *stop, char *line)
{
    struct request *request = calloc(1, sizeof *request);
    struct db_failure failure = {0};
    size_t failed;
    if (!request)
        exit(2);
    request->batch = (struct db_batch){.items = request->parts,
                                       .timeout = 10000000,
                                       .choose = choose,
                                       .close = record,
                                       .context = request,
                                       .stop = stop};
    words_set(words, ARRAY_COUNT(words), request, line);
    request->open_values[0] = keys_of(request);
    request->batch.open = (struct db_statement){
        .id = 1,
        .sql = "SELECT place, pg_catalog.convert_from(record, 'UTF8') FROM larder.jobs_begin($1)",
        .values = request->open_values,
        .parameter_count = 1};
    if (db_batch_run(pool, &request->batch, &failed, &failure)) {
        printf("done\titems=");
        for (size_t i = 0; i < request->batch.count; i++)
            printf("%s%s", i ? ";" : "", request->items[i].record);
        puts("");
    } else {
        printf("failed\tkind=%s\titem=%zu\tof=%zu\tmessage=%s\n", kinds[failure.kind], failed,
               request->batch.count, failure.message);
    }
    fflush(stdout);
    free((void *)(uintptr_t)request->open_values[0]);
    free((void *)(uintptr_t)request->close_values[0]);
    free((void *)(uintptr_t)request->close_values[1]);
    free(request);
}

static void *fire(void *stop)
{
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    while (sigwait(&signals, &number) == 0)
        db_stop_fire(stop);
    return NULL;
}

int main(int count, char **arguments)
{
    char *line = NULL;
    size_t room = 0;
    const struct db_pool_settings settings = pool_settings(count, arguments);
    sigset_t signals;
    pthread_t thread;
    struct db_stop *stop = db_stop_new();
    struct counters *counters = counters_open_private();
    struct db_pool *pool = counters ? db_pool_new(&settings, counters) : NULL;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (!pool || !stop || pthread_create(&thread, NULL, fire, stop) != 0)
        return 1;
    ssize_t size;
    while ((size = getline(&line, &room, stdin)) > 0) {
        line[size - 1] = '\0';
        work(pool, stop, line);
    }
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    db_pool_free(pool);
    counters_close(counters);
    db_stop_free(stop);
    free(line);
    return 0;
}
