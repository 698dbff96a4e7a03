/*
 * How long after a commit is an answer fresh?
 *
 *   fresh ADDRESS PATH STATEMENT SECONDS RATE EACH WRITERS FIRST-KEY KEYS
 *
 * Each of WRITERS threads has a connection to PostgreSQL (found by libpq's environment), a kept one
 * to ADDRESS (see link.h) and KEYS rows of its own, RATE writes a second being divided among them.
 * A write is STATEMENT ($1 the key, $2 a number greater than all before). One of EACH is watched,
 * and not those of all threads at once: before it the program makes sure that the answer of PATH
 * followed by the key is kept; it takes the time when PostgreSQL has acknowledged the commit; then
 * it asks again and again, GAP apart, until `"version":` in the answer has that number. Prints one
 * line a write that is watched, and last the number of all writes:
 *
 *   nanoseconds of the write, nanoseconds from its end to the end of the first fresh answer, the
 *   requests that took, and whether the answer was kept when the write began (1 or 0)
 *
 * The floor: where ADDRESS is "postgres" nothing is asked but PostgreSQL. PATH is then a statement
 * that gives key and version of the rows from $1 to $2. One thread runs it on all rows, PAUSE after
 * its last answer, and wakes the writer of each new version; he reads his row with the same
 * statement, and that is the fresh answer. Whoever learns of changes by looking can do no better.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <libpq-fe.h>

#include "link.h"

enum { GAP = 100000, PAUSE = 500000, PATIENCE = 10, WRITERS_MAX = 64 };
static const int64_t SECOND = 1000000000;

static struct settings {
    const char *address, *path, *statement;
    int64_t seconds, rate, each, writers, first_key, keys;
    int64_t start;
    bool floor;
} settings;

static atomic_long last_version = 1, writes;

struct writer {
    int64_t number;
    PGconn *database;
    struct link link;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    long awaited; /* the version that the looker is to wake him for; 0: none */
};

static struct writer writers[WRITERS_MAX];
static atomic_bool ending;

static void prepare(PGconn *database, const char *name, const char *statement)
{
    PGresult *result = PQprepare(database, name, statement, 2, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PQclear(result);
}

static PGconn *database_open(void)
{
    PGconn *database = PQconnectdb("");
    if (PQstatus(database) != CONNECTION_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    prepare(database, "write", settings.statement);
    if (settings.floor)
        prepare(database, "look", settings.path);
    return database;
}

static void row_write(struct writer *writer, int64_t key, long version)
{
    char texts[2][24];
    const char *values[] = {texts[0], texts[1]};
    snprintf(texts[0], sizeof texts[0], "%lld", (long long)key);
    snprintf(texts[1], sizeof texts[1], "%ld", version);
    PGresult *result = PQexecPrepared(writer->database, "write", 2, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK || strcmp(PQcmdTuples(result), "1") != 0)
        fail("a write did not change its row", PQerrorMessage(writer->database));
    PQclear(result);
}

/* Asks until the answer is kept, three times at most: other writes may strike it in between. */
static bool answer_keep(struct link *link, const char *target)
{
    for (int tries = 0; tries < 3; tries++) {
        link_ask(link, target);
        if (link_hit(link))
            return true;
    }
    return false;
}

static long answer_version(const struct link *link)
{
    static const char name[] = "\"version\":";
    const char *place = link_status(link) == 200 ? strstr(link_body(link), name) : NULL;
    if (!place)
        fail("an answer has no version", link->answer.data);
    return atol(place + sizeof name - 1);
}

/* The number of requests until the answer had that version. */
static int answer_await(struct link *link, const char *target, long version)
{
    for (int64_t end = now() + PATIENCE * SECOND, asked = 1;; asked++) {
        link_ask(link, target);
        if (answer_version(link) >= version)
            return (int)asked;
        if (now() > end)
            fail("a change was not seen in time", target);
        wait_for(now() + GAP);
    }
}

/* Key and version of the rows from `first` to `last`. */
static PGresult *rows_look(PGconn *database, int64_t first, int64_t last)
{
    char texts[2][24];
    const char *values[] = {texts[0], texts[1]};
    snprintf(texts[0], sizeof texts[0], "%lld", (long long)first);
    snprintf(texts[1], sizeof texts[1], "%lld", (long long)last);
    PGresult *rows = PQexecPrepared(database, "look", 2, values, NULL, NULL, 0);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK)
        fail("a look failed", PQerrorMessage(database));
    return rows;
}

static void row_seen(int64_t key, long version)
{
    struct writer *writer = &writers[(key - settings.first_key) / settings.keys];
    pthread_mutex_lock(&writer->lock);
    if (writer->awaited && version >= writer->awaited) {
        writer->awaited = 0;
        pthread_cond_signal(&writer->woken);
    }
    pthread_mutex_unlock(&writer->lock);
}

static void *look_on(void *argument)
{
    PGconn *database = database_open();
    int64_t last = settings.first_key + settings.writers * settings.keys - 1;
    while (!atomic_load(&ending)) {
        PGresult *rows = rows_look(database, settings.first_key, last);
        for (int i = 0; i < PQntuples(rows); i++)
            row_seen(atoll(PQgetvalue(rows, i, 0)), atol(PQgetvalue(rows, i, 1)));
        PQclear(rows);
        wait_for(now() + PAUSE);
    }
    PQfinish(database);
    return argument;
}

static int row_await(struct writer *writer, int64_t key, long version)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->awaited)
        pthread_cond_wait(&writer->woken, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
    PGresult *row = rows_look(writer->database, key, key);
    if (PQntuples(row) != 1 || atol(PQgetvalue(row, 0, 1)) < version)
        fail("a change", "it was seen and is not there");
    PQclear(row);
    return 1;
}

static void change_time(struct writer *writer, int64_t key)
{
    char target[256];
    snprintf(target, sizeof target, "%s%lld", settings.path, (long long)key);
    bool kept = !settings.floor && answer_keep(&writer->link, target);
    long version = atomic_fetch_add(&last_version, 1);
    pthread_mutex_lock(&writer->lock);
    writer->awaited = settings.floor ? version : 0;
    pthread_mutex_unlock(&writer->lock);
    int64_t begun = now();
    row_write(writer, key, version);
    int64_t committed = now();
    int asked = settings.floor ? row_await(writer, key, version)
                               : answer_await(&writer->link, target, version);
    int64_t seen = now();
    printf("%lld %lld %d %d\n", (long long)(committed - begun), (long long)(seen - committed),
           asked, kept);
}

/*
 * Every row is written and asked for once before the clock starts: the first write of a session
 * takes ten times as long as the next (plans, the triggers' functions), and a hundredth of a run is
 * few writes.
 */
static void writer_warm(struct writer *writer)
{
    char target[256];
    int64_t first = settings.first_key + writer->number * settings.keys;
    for (int64_t key = first; key < first + settings.keys; key++) {
        long version = atomic_fetch_add(&last_version, 1);
        row_write(writer, key, version);
        snprintf(target, sizeof target, "%s%lld", settings.path, (long long)key);
        if (settings.floor)
            PQclear(rows_look(writer->database, key, key));
        else
            answer_await(&writer->link, target, version);
    }
}

/* A writer that is late goes on at once and does not catch up: the rate reached shows it. */
static void *write_on(void *argument)
{
    struct writer *writer = argument;
    int64_t apart = SECOND * settings.writers / settings.rate;
    int64_t due = settings.start + writer->number * SECOND / settings.rate;
    int64_t first = settings.first_key + writer->number * settings.keys;
    for (int64_t count = 0; due < settings.start + settings.seconds * SECOND; count++) {
        wait_for(due);
        if ((count + writer->number) % settings.each == 0)
            change_time(writer, first + count % settings.keys);
        else
            row_write(writer, first + count % settings.keys, atomic_fetch_add(&last_version, 1));
        atomic_fetch_add(&writes, 1);
        due = due + apart > now() ? due + apart : now();
    }
    return NULL;
}

static void settings_read(char **words)
{
    settings = (struct settings){words[1],
                                 words[2],
                                 words[3],
                                 atoll(words[4]),
                                 atoll(words[5]),
                                 atoll(words[6]),
                                 atoll(words[7]),
                                 atoll(words[8]),
                                 atoll(words[9]),
                                 0,
                                 strcmp(words[1], "postgres") == 0};
    if (settings.writers < 1 || settings.writers > WRITERS_MAX || settings.rate < 1 ||
        settings.each < 1 || settings.keys < 1)
        fail("usage", "1 to 64 WRITERS; RATE, EACH and KEYS at least 1");
}

int main(int count, char **words)
{
    pthread_t threads[WRITERS_MAX], looker;
    if (count != 10)
        fail("usage", "fresh ADDRESS PATH STATEMENT SECONDS RATE EACH WRITERS FIRST-KEY KEYS");
    settings_read(words);
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (int64_t i = 0; i < settings.writers; i++) {
        writers[i] = (struct writer){.number = i, .database = database_open()};
        pthread_mutex_init(&writers[i].lock, NULL);
        pthread_cond_init(&writers[i].woken, NULL);
        if (!settings.floor)
            link_open(settings.address, &writers[i].link);
        writer_warm(&writers[i]);
    }
    if (settings.floor && pthread_create(&looker, NULL, look_on, NULL) != 0)
        fail("a thread", "it can't be started");
    settings.start = now();
    for (int64_t i = 0; i < settings.writers; i++)
        if (pthread_create(&threads[i], NULL, write_on, &writers[i]) != 0)
            fail("a thread", "it can't be started");
    for (int64_t i = 0; i < settings.writers; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&ending, true);
    if (settings.floor)
        pthread_join(looker, NULL);
    printf("%ld\n", atomic_load(&writes));
    return 0;
}
