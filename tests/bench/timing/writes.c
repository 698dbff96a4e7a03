/*
 * Times the same write in several databases, in turn, so that whatever else the machine does falls
 * on all of them alike.
 *
 *   writes ROUNDS STATEMENT KEYS DATABASE...
 *
 * STATEMENT is prepared; with KEYS above 0 its $1 is a key from 1 to KEYS, the same in a round for
 * all databases, and $2 a text that no write had before. The rest of the connections is libpq's
 * environment's. Prints one line a round: nanoseconds of the write, commit included, in each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "link.h"

enum { DATABASES_MAX = 8 };

static PGconn *database_open(const char *name, const char *statement, int parameters)
{
    PGconn *database =
        PQconnectdbParams((const char *[]){"dbname", NULL}, (const char *[]){name, NULL}, 0);
    if (PQstatus(database) != CONNECTION_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PGresult *result = PQprepare(database, "write", statement, parameters, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PQclear(result);
    return database;
}

static int64_t write_time(PGconn *database, int parameters, const char *const *values)
{
    int64_t begin = now();
    PGresult *result = PQexecPrepared(database, "write", parameters, values, NULL, NULL, 0);
    int64_t end = now();
    if (PQresultStatus(result) != PGRES_COMMAND_OK || strcmp(PQcmdTuples(result), "0") == 0)
        fail("a write changed nothing", PQerrorMessage(database));
    PQclear(result);
    return end - begin;
}

/* Every round begins with another database. */
static void round_run(PGconn **databases, int count, int round, long keys)
{
    char texts[2][24];
    const char *values[] = {texts[0], texts[1]};
    int64_t times[DATABASES_MAX];
    snprintf(texts[0], sizeof texts[0], "%ld", keys ? 1 + random() % keys : 0);
    snprintf(texts[1], sizeof texts[1], "%d", round);
    for (int i = 0; i < count; i++) {
        int chosen = (i + round) % count;
        times[chosen] = write_time(databases[chosen], keys ? 2 : 0, values);
    }
    for (int i = 0; i < count; i++)
        printf("%lld%c", (long long)times[i], i == count - 1 ? '\n' : ' ');
}

int main(int count, char **words)
{
    PGconn *databases[DATABASES_MAX];
    if (count < 5 || count > 4 + DATABASES_MAX)
        fail("usage", "writes ROUNDS STATEMENT KEYS DATABASE...");
    long keys = atol(words[3]);
    for (int i = 4; i < count; i++)
        databases[i - 4] = database_open(words[i], words[2], keys ? 2 : 0);
    for (int round = 0; round < atoi(words[1]); round++)
        round_run(databases, count - 4, round, keys);
    for (int i = 4; i < count; i++)
        PQfinish(databases[i - 4]);
    return 0;
}
