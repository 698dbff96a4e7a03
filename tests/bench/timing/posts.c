/*
 * Times the same write by a bare libpq connection and through Larder, in turn.
 *
 *   posts ROUNDS STATEMENT KEYS TARGET ADDRESS...
 *
 * STATEMENT is prepared; its $1 is a key from 1 to KEYS, $2 a text. By libpq it is run in the three
 * calls that a program makes of a transaction (BEGIN, the statement, COMMIT), and once more with
 * all of them in one pipeline. Each begins at rest, 5 ms after the one before. At each ADDRESS (see
 * link.h) it is a POST of {"key":…,"text":…} to TARGET. Prints one line a round: nanoseconds of the
 * calls, of the pipeline, and at each address.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "link.h"

enum { ADDRESSES_MAX = 4, WAYS_MAX = ADDRESSES_MAX + 2 };

static struct field {
    PGconn *database;
    struct link links[ADDRESSES_MAX];
    int count; /* ways: two of libpq, and the addresses */
    const char *target;
} field;

static void good(PGresult *result, ExecStatusType wanted)
{
    if (PQresultStatus(result) != wanted)
        fail("PostgreSQL", PQerrorMessage(field.database));
    PQclear(result);
}

static void write_by_calls(const char *const *values)
{
    good(PQexec(field.database, "BEGIN"), PGRES_COMMAND_OK);
    good(PQexecPrepared(field.database, "write", 2, values, NULL, NULL, 0), PGRES_TUPLES_OK);
    good(PQexec(field.database, "COMMIT"), PGRES_COMMAND_OK);
}

static void result_take(ExecStatusType wanted)
{
    good(PQgetResult(field.database), wanted);
    if (wanted != PGRES_PIPELINE_SYNC)
        PQclear(PQgetResult(field.database));
}

static void write_by_pipeline(const char *const *values)
{
    PGconn *database = field.database;
    if (!PQenterPipelineMode(database) ||
        !PQsendQueryParams(database, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) ||
        !PQsendQueryPrepared(database, "write", 2, values, NULL, NULL, 0) ||
        !PQsendQueryParams(database, "COMMIT", 0, NULL, NULL, NULL, NULL, 0) ||
        !PQpipelineSync(database))
        fail("PostgreSQL", PQerrorMessage(database));
    result_take(PGRES_COMMAND_OK);
    result_take(PGRES_TUPLES_OK);
    result_take(PGRES_COMMAND_OK);
    result_take(PGRES_PIPELINE_SYNC);
    PQexitPipelineMode(database);
}

static void write_by_post(struct link *link, const char *const *values)
{
    char body[512];
    snprintf(body, sizeof body, "{\"key\":%s,\"text\":\"%s\"}", values[0], values[1]);
    link_ask_json(link, "POST", field.target, body);
    if (link_status(link) / 100 != 2)
        fail("a write was refused", link->answer.data);
}

static int64_t write_time(int way, const char *const *values)
{
    int64_t begin = now();
    if (way == 0)
        write_by_calls(values);
    else if (way == 1)
        write_by_pipeline(values);
    else
        write_by_post(&field.links[way - 2], values);
    return now() - begin;
}

/* What a write sets off elsewhere (larderd, the feed) is over before the next one is timed. */
static void rest(void)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

/* Every round begins with another way. */
static void round_run(int round, long keys)
{
    char texts[2][64];
    const char *values[] = {texts[0], texts[1]};
    int64_t times[WAYS_MAX];
    for (int i = 0; i < field.count; i++) {
        int way = (i + round) % field.count;
        snprintf(texts[0], sizeof texts[0], "%ld", 1 + random() % keys);
        snprintf(texts[1], sizeof texts[1], "Written in round %d by way %d", round, way);
        rest();
        times[way] = write_time(way, values);
    }
    for (int i = 0; i < field.count; i++)
        printf("%lld%c", (long long)times[i], i == field.count - 1 ? '\n' : ' ');
}

int main(int count, char **words)
{
    if (count < 6 || count > 5 + ADDRESSES_MAX)
        fail("usage", "posts ROUNDS STATEMENT KEYS TARGET ADDRESS...");
    field.target = words[4];
    field.count = count - 3;
    field.database = PQconnectdb("");
    good(PQprepare(field.database, "write", words[2], 2, NULL), PGRES_COMMAND_OK);
    for (int i = 5; i < count; i++)
        link_open(words[i], &field.links[i - 5]);
    for (int round = 0; round < atoi(words[1]); round++)
        round_run(round, atol(words[3]));
    PQfinish(field.database);
    return 0;
}
