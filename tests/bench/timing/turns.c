/*
 * Times a POST to several targets in turn.
 *
 *   turns ROUNDS FEEDS USERS ADDRESS TARGET...
 *
 * Each is {"id":…,"liker":…} with a feed and a user drawn from 1 to FEEDS and to USERS, sent to
 * ADDRESS (see link.h) from rest, 5 ms after the answer before. Prints one line a round:
 * nanoseconds at each target.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "link.h"

enum { FIXED = 5, TARGETS_MAX = 8 };

static struct link field;

static int64_t post_time(const char *target, long feeds, long users)
{
    char body[128];
    snprintf(body, sizeof body, "{\"id\":%ld,\"liker\":%ld}", 1 + random() % feeds,
             1 + random() % users);
    int64_t begin = now();
    link_ask_json(&field, "POST", target, body);
    int64_t taken = now() - begin;
    if (link_status(&field) / 100 != 2)
        fail("a write was refused", field.answer.data);
    return taken;
}

/* What the one before set off elsewhere is over before the next is timed. */
static void rest(void)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

int main(int count, char **words)
{
    int targets = count - FIXED;
    if (targets < 1 || targets > TARGETS_MAX)
        fail("usage", "turns ROUNDS FEEDS USERS ADDRESS TARGET...");
    link_open(words[4], &field);
    for (int round = 0; round < atoi(words[1]); round++) {
        int64_t times[TARGETS_MAX];
        for (int i = 0; i < targets; i++) {
            int way = (i + round) % targets;
            rest();
            times[way] = post_time(words[FIXED + way], atol(words[2]), atol(words[3]));
        }
        for (int i = 0; i < targets; i++)
            printf("%lld%c", (long long)times[i], i == targets - 1 ? '\n' : ' ');
    }
    return 0;
}
