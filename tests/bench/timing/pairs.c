/*
 * Is what was written what is read next, whoever is asked?
 *
 *   pairs PAIRS WRITERS KEYS PATH ADDRESS [OTHER-ADDRESS]
 *
 * Each of WRITERS threads has LINKS connections to ADDRESS, which the processes of a host share,
 * and KEYS rows of its own. A pair is a PUT of {"version":N} to PATH and a key over one connection
 * and a GET of the same over another one, sent as soon as the PUT is answered; its `"version":` has
 * to be N. Where OTHER-ADDRESS is given (another host's) the same row is asked for there too, until
 * it shows N.
 *
 * Prints one line a writer: pairs, those whose answer was older, answers that were kept ones. Then
 * one a pair where there is another host: nanoseconds from the PUT's answer to the end of the first
 * fresh answer there.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

enum { LINKS = 4, WRITERS_MAX = 64 };

static struct settings {
    int64_t pairs, writers, keys;
    const char *path, *address, *other;
} settings;

struct writer {
    int64_t number, pairs, older, hits;
    struct link links[LINKS], other;
    int64_t *late; /* of each pair */
};

static long version_of(const struct link *link)
{
    static const char name[] = "\"version\":";
    const char *body = link_status(link) == 200 ? link_body(link) : NULL;
    const char *place = body ? strstr(body, name) : NULL;
    if (!place)
        fail("an answer has no version", link->answer.data);
    return atol(place + sizeof name - 1);
}

static int64_t other_await(struct writer *writer, const char *target, long version, int64_t written)
{
    do
        link_ask(&writer->other, target);
    while (version_of(&writer->other) < version && now() < written + 10000000000);
    return now() - written;
}

static void pair_run(struct writer *writer, int64_t pair)
{
    char target[256], body[64];
    long version = (long)pair + 1;
    struct link *writes = &writer->links[pair % LINKS];
    struct link *reads = &writer->links[(pair / LINKS + pair + 1) % LINKS];
    snprintf(target, sizeof target, "%s%lld", settings.path,
             (long long)(writer->number * settings.keys + pair % settings.keys + 1));
    snprintf(body, sizeof body, "{\"version\":%ld}", version);
    link_ask_json(writes, "PUT", target, body);
    if (link_status(writes) / 100 != 2)
        fail("a write was refused", writes->answer.data);
    int64_t written = now();
    link_ask(reads, target);
    writer->older += version_of(reads) != version;
    if (settings.other)
        writer->late[pair] = other_await(writer, target, version, written);
    /* Kept from here on, in all processes in turn, so that the next write has something to strike.
     */
    link_ask(writes, target);
    writer->hits += link_hit(writes);
}

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    for (int64_t pair = 0; pair < writer->pairs; pair++)
        pair_run(writer, pair);
    return NULL;
}

static void writer_open(struct writer *writer, int64_t number)
{
    writer->number = number;
    writer->pairs = settings.pairs / settings.writers;
    writer->late = calloc((size_t)writer->pairs, sizeof *writer->late);
    for (int i = 0; i < LINKS; i++)
        link_open(settings.address, &writer->links[i]);
    if (settings.other)
        link_open(settings.other, &writer->other);
}

int main(int count, char **words)
{
    static struct writer writers[WRITERS_MAX];
    pthread_t threads[WRITERS_MAX];
    if (count != 6 && count != 7)
        fail("usage", "pairs PAIRS WRITERS KEYS PATH ADDRESS [OTHER-ADDRESS]");
    settings = (struct settings){atoll(words[1]), atoll(words[2]), atoll(words[3]),
                                 words[4],        words[5],        count == 7 ? words[6] : NULL};
    if (settings.writers < 1 || settings.writers > WRITERS_MAX || settings.keys < 1)
        fail("usage", "1 to 64 WRITERS, KEYS at least 1");
    for (int64_t i = 0; i < settings.writers; i++) {
        writer_open(&writers[i], i);
        if (pthread_create(&threads[i], NULL, write_on, &writers[i]) != 0)
            fail("a thread", "it can't be started");
    }
    for (int64_t i = 0; i < settings.writers; i++) {
        pthread_join(threads[i], NULL);
        printf("%lld %lld %lld\n", (long long)writers[i].pairs, (long long)writers[i].older,
               (long long)writers[i].hits);
    }
    for (int64_t i = 0; settings.other && i < settings.writers; i++)
        for (int64_t j = 0; j < writers[i].pairs; j++)
            printf("%lld\n", (long long)writers[i].late[j]);
    return 0;
}
