/*
 * Times the same query again and again over several ways, in turn, from one thread of one process,
 * so that whatever else the machine does falls on all of them alike.
 *
 *   added ROUNDS STATEMENT-FILE VALUE,VALUE WAY...
 *
 * The first way is always bare libpq: a prepared statement on one connection, found by libpq's
 * environment. A WAY is "ADDRESS TARGET", the address as in link.h. Prints one line a round:
 * nanoseconds of each way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "link.h"

#define WAYS_MAX 8
#define VALUES_MAX 8
#define WARM_UP 200
#define STATEMENT_MAX 65536

static PGconn *database;
static const char *values[VALUES_MAX];
static int value_count;

static bool ask_libpq(void)
{
    PGresult *result = PQexecPrepared(database, "page", value_count, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && PQgetlength(result, 0, 0) > 2;
    PQclear(result);
    return good;
}

static bool ask(struct way *way)
{
    if (!way->target)
        return ask_libpq();
    link_ask(&way->link, way->target);
    return link_status(&way->link) == 200;
}

static void statement_read(const char *path, char *text)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("can't be read", path);
    text[fread(text, 1, STATEMENT_MAX - 1, file)] = '\0';
    fclose(file);
}

static void database_open(const char *statement_file)
{
    static char statement[STATEMENT_MAX];
    statement_read(statement_file, statement);
    database = PQconnectdb("");
    if (PQstatus(database) != CONNECTION_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PGresult *result = PQprepare(database, "page", statement, value_count, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PQclear(result);
}

/* One request over each way; every round begins with another one. */
static void round_run(struct way *ways, int count, int number, int64_t *durations)
{
    for (int i = 0; i < count; i++) {
        int chosen = (i + number) % count;
        int64_t begin = now();
        if (!ask(&ways[chosen]))
            fail("an answer is not what it should be",
                 ways[chosen].target ? ways[chosen].target : "libpq");
        durations[chosen] = now() - begin;
    }
}

int main(int argument_count, char **arguments)
{
    static struct way ways[WAYS_MAX];
    int64_t durations[WAYS_MAX];
    int count = 1;
    if (argument_count < 5 || argument_count > 4 + WAYS_MAX - 1)
        fail("usage", "added ROUNDS STATEMENT-FILE VALUE,VALUE WAY...");
    for (char *value = strtok(arguments[3], ","); value && value_count < VALUES_MAX;
         value = strtok(NULL, ","))
        values[value_count++] = value;
    database_open(arguments[2]);
    for (int i = 4; i < argument_count; i++)
        way_open(arguments[i], &ways[count++]);
    for (int i = 0; i < WARM_UP; i++)
        round_run(ways, count, i, durations);
    for (int i = 0; i < atoi(arguments[1]); i++) {
        round_run(ways, count, i, durations);
        for (int way = 0; way < count; way++)
            printf("%lld%c", (long long)durations[way], way == count - 1 ? '\n' : ' ');
    }
    PQfinish(database);
    return 0;
}
