/*
 * Times the same write by a bare libpq connection and through Larder, in turn.
 *
 *   posts ROUNDS FIRST SECOND FEEDS USERS DRAWN PLAIN TARGET ADDRESS...
 *
 * FIRST and SECOND are the statements of a like (likes.h), from the one numbered DRAWN on. They are
 * prepared; $1 is the feed, $2 of the first who likes it. By libpq they are run in the four calls
 * that a program makes of such a transaction (BEGIN, the statements, COMMIT), first in the database
 * PLAIN, and once more with all of them in one pipeline. Each begins at rest, 5 ms after the one
 * before. At each ADDRESS (see link.h) it is a POST to TARGET. Prints one line a round: nanoseconds
 * of the calls in PLAIN and in PGDATABASE, of the pipeline, and at each address.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "likes.h"
#include "link.h"

enum { ADDRESSES_MAX = 4, LIBPQ_WAYS = 3, WAYS_MAX = ADDRESSES_MAX + LIBPQ_WAYS };

static struct field {
    PGconn *plain, *database;
    struct link links[ADDRESSES_MAX];
    int count; /* ways: those of libpq, and the addresses */
    const char *target;
} field;

static void good(PGresult *result, ExecStatusType wanted)
{
    if (PQresultStatus(result) != wanted)
        fail("PostgreSQL", PQresultErrorMessage(result));
    PQclear(result);
}

static void write_by_calls(PGconn *database, const char *const *values)
{
    good(PQexec(database, "BEGIN"), PGRES_COMMAND_OK);
    good(PQexecPrepared(database, "first", 2, values, NULL, NULL, 0), PGRES_TUPLES_OK);
    good(PQexecPrepared(database, "second", 1, values, NULL, NULL, 0), PGRES_TUPLES_OK);
    good(PQexec(database, "COMMIT"), PGRES_COMMAND_OK);
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
        !PQsendQueryPrepared(database, "first", 2, values, NULL, NULL, 0) ||
        !PQsendQueryPrepared(database, "second", 1, values, NULL, NULL, 0) ||
        !PQsendQueryParams(database, "COMMIT", 0, NULL, NULL, NULL, NULL, 0) ||
        !PQpipelineSync(database))
        fail("PostgreSQL", PQerrorMessage(database));
    result_take(PGRES_COMMAND_OK);
    result_take(PGRES_TUPLES_OK);
    result_take(PGRES_TUPLES_OK);
    result_take(PGRES_COMMAND_OK);
    result_take(PGRES_PIPELINE_SYNC);
    PQexitPipelineMode(database);
}

static void write_by_post(struct link *link, const char *body)
{
    link_ask_json(link, "POST", field.target, body);
    if (link_status(link) / 100 != 2)
        fail("a write was refused", link->answer.data);
}

static int64_t write_time(int way, struct likes *likes)
{
    char texts[2][LIKE_SIZE], body[LIKE_SIZE];
    const char *values[] = {texts[0], texts[1]};
    likes_draw(likes, body);
    sscanf(body, "{\"id\":%63[0-9],\"liker\":%63[0-9]}", texts[0], texts[1]);
    int64_t begin = now();
    if (way < 2)
        write_by_calls(way == 0 ? field.plain : field.database, values);
    else if (way < LIBPQ_WAYS)
        write_by_pipeline(values);
    else
        write_by_post(&field.links[way - LIBPQ_WAYS], body);
    return now() - begin;
}

/* What a write sets off elsewhere (larderd, the feed) is over before the next one is timed. */
static void rest(void)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

/* Every round begins with another way. */
static void round_run(int round, struct likes *likes)
{
    int64_t times[WAYS_MAX];
    for (int i = 0; i < field.count; i++) {
        int way = (i + round) % field.count;
        rest();
        times[way] = write_time(way, likes);
    }
    for (int i = 0; i < field.count; i++)
        printf("%lld%c", (long long)times[i], i == field.count - 1 ? '\n' : ' ');
}

/* To the database, PGDATABASE's where it is null. */
static PGconn *connect_to(const char *name, char **statements)
{
    const char *const keys[] = {"dbname", NULL};
    const char *const values[] = {name, NULL};
    PGconn *database = PQconnectdbParams(keys, values, 0);
    if (PQstatus(database) != CONNECTION_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    good(PQprepare(database, "first", statements[0], 2, NULL), PGRES_COMMAND_OK);
    good(PQprepare(database, "second", statements[1], 1, NULL), PGRES_COMMAND_OK);
    return database;
}

enum { FIXED = 9 }; /* words before the addresses */

int main(int count, char **words)
{
    if (count <= FIXED || count > FIXED + ADDRESSES_MAX)
        fail("usage", "posts ROUNDS FIRST SECOND FEEDS USERS DRAWN PLAIN TARGET ADDRESS...");
    struct likes likes = {strtoull(words[4], NULL, 10), strtoull(words[5], NULL, 10),
                          strtoull(words[6], NULL, 10)};
    field.target = words[8];
    field.count = count - FIXED + LIBPQ_WAYS;
    field.plain = connect_to(words[7], words + 2);
    field.database = connect_to(NULL, words + 2);
    for (int i = FIXED; i < count; i++)
        link_open(words[i], &field.links[i - FIXED]);
    for (int round = 0; round < atoi(words[1]); round++)
        round_run(round, &likes);
    PQfinish(field.plain);
    PQfinish(field.database);
    return 0;
}
