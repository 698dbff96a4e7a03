/*
 * Writes through db/write.h without a responder: for tests that have to stop between a commit and
 * what comes after it.
 *
 * Each line of the input is words with tabs between them, each `name=text`, and makes one write:
 * sql=, value= (of the last sql; an empty one is NULL), timeout= (ms), role=, claims=, once= (any
 * text, of which key and body are made), body= (the same for the body alone); or one of
 * struck= (numbers of transactions, commas between). One line of the output answers each, fields
 * with tabs between them, the first what became of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "db/write.h"
#include "kinds.h"
#include "pool.h"
#include "words.h"

#define MOST 16

struct request {
    struct db_write write;
    struct db_statement statements[MOST];
    const char *values[MOST][MOST];
    struct db_identity identity;
    struct db_once once;
    char key[33], body[33];
    char answer[4096];
    char *struck;
};

static const struct hash_key key;

static void set_sql(void *context, char *text)
{
    struct request *request = context;
    size_t at = request->write.count++;
    if (at >= MOST)
        exit(2);
    request->statements[at] =
        (struct db_statement){.id = hash_of(&key, (struct span){text, strlen(text)}),
                              .sql = text,
                              .values = request->values[at]};
}

static void set_value(void *context, char *text)
{
    struct request *request = context;
    struct db_statement *last = &request->statements[request->write.count - 1];
    request->values[request->write.count - 1][last->parameter_count++] = *text ? text : NULL;
}

static void set_timeout(void *context, char *text)
{
    struct request *request = context;
    request->write.timeout = strtoll(text, NULL, 10) * 1000;
}

static void set_role(void *context, char *text)
{
    struct request *request = context;
    request->identity.role = text;
    request->write.identity = &request->identity;
}

static void set_claims(void *context, char *text)
{
    struct request *request = context;
    request->identity.claims = text;
    request->write.identity = &request->identity;
}

static void set_body(void *context, char *text)
{
    struct request *request = context;
    snprintf(request->body, sizeof request->body, "%-32.32s", text);
    request->once.body = (struct span){request->body, 32};
}

/* As a caller does who makes an answer of the rows; one that says "unfit" can't be made. */
static bool record(void *context, const struct db_result *rows, struct span *ret_record)
{
    struct request *request = context;
    struct span value = db_result_rows(rows) ? db_result_value(rows, 0, 0) : (struct span){0};
    if (span_is(value, "unfit"))
        return false;
    int size = snprintf(request->answer, sizeof request->answer, "answer %.*s", (int)value.size,
                        value.data ? value.data : "");
    *ret_record = (struct span){request->answer, (size_t)size};
    return true;
}

static void set_once(void *context, char *text)
{
    struct request *request = context;
    snprintf(request->key, sizeof request->key, "%-32.32s", text);
    request->once.key = (struct span){request->key, 32};
    set_body(request, text);
    request->write.once = &request->once;
    request->write.record = record;
    request->write.context = request;
}

static void set_struck(void *context, char *text)
{
    struct request *request = context;
    request->struck = text;
}

static const struct word words[] = {
    {"sql", set_sql},       {"value", set_value},   {"timeout", set_timeout}, {"role", set_role},
    {"claims", set_claims}, {"struck", set_struck}, {"once", set_once},       {"body", set_body},
};

static const char *const outcomes[] = {[DB_WRITTEN] = "written",
                                       [DB_WRITTEN_BEFORE] = "before",
                                       [DB_WRITE_OTHER] = "other",
                                       [DB_WRITE_BUSY] = "busy"};

static void print_values(const char *name, const struct db_result *result, int column)
{
    printf("\t%s=", name);
    for (int i = 0; result && i < db_result_rows(result); i++) {
        struct span value = db_result_value(result, i, column);
        printf("%s%.*s", i ? ";" : "", (int)value.size, value.data ? value.data : "null");
    }
}

static void print_lines(const char *name, struct span lines)
{
    printf("\t%s=", name);
    while (lines.data) {
        struct span line = span_split(&lines, '\n');
        printf("%.*s;", (int)line.size, line.data);
    }
}

static void print_written(const struct db_written *written)
{
    printf("%s", outcomes[written->outcome]);
    print_values("result", written->result, 0);
    print_values("record", written->record, 0);
    print_lines("tags", written->struck.tags);
    printf("\ttransaction=%" PRIu64 "\n", written->struck.transaction);
}

static void print_failure(const struct db_failure *failure)
{
    printf("failed\tkind=%s\tsqlstate=%s\tstatement=%zu\tposition=%zu\tmessage=%s",
           kinds[failure->kind], failure->sqlstate, failure->statement, failure->position,
           failure->message);
    printf("\ttable=%s\tconstraint=%s\tcolumn=%s\tcolumns=", failure->table, failure->constraint,
           failure->column);
    for (size_t i = 0; i < failure->column_count; i++)
        printf("%s%s", i ? ";" : "", failure->columns[i]);
    printf("\n");
}

static void tell_struck(struct db_pool *pool, char *numbers)
{
    uint64_t transactions[MOST];
    size_t count = 0;
    for (char *at = numbers; count < MOST && *at; at += *at == ',')
        transactions[count++] = strtoull(at, &at, 10);
    db_pool_struck(pool, transactions, count);
    db_pool_struck_tell(pool);
    puts("struck");
}

static void work(struct db_pool *pool, char *line)
{
    struct request request = {.write = {.timeout = 5000000}};
    struct db_written written = {0};
    struct db_failure failure = {0};
    words_set(words, ARRAY_COUNT(words), &request, line);
    request.write.statements = request.statements;
    if (request.struck) {
        tell_struck(pool, request.struck);
    } else if (db_pool_write(pool, &request.write, &written, &failure)) {
        print_written(&written);
        db_written_free(&written);
    } else {
        print_failure(&failure);
    }
    fflush(stdout);
}

int main(int count, char **arguments)
{
    char *line = NULL;
    size_t room = 0;
    const struct db_pool_settings settings = pool_settings(count, arguments);
    struct counters *counters = counters_open_private();
    struct db_pool *pool = counters ? db_pool_new(&settings, counters) : NULL;
    ssize_t size;
    while (pool && (size = getline(&line, &room, stdin)) > 0) {
        line[size - 1] = '\0';
        work(pool, line);
    }
    db_pool_free(pool);
    counters_close(counters);
    free(line);
    return pool ? 0 : 1;
}
