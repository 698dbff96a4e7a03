/*
 * Times a POST to several targets in turn.
 *
 *   turns ROUNDS FEEDS USERS FIRST WAY...
 *
 * A WAY is "ADDRESS TARGET", the address as in link.h. Each POST is a like (likes.h), from the one
 * numbered FIRST on, sent from rest, 5 ms after the answer before.
 * Prints one line a round: nanoseconds of each way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "likes.h"
#include "link.h"

enum { FIXED = 5, WAYS_MAX = 8 };

static int64_t post_time(struct way *way, struct likes *likes)
{
    char body[LIKE_SIZE];
    likes_draw(likes, body);
    int64_t begin = now();
    link_ask_json(&way->link, "POST", way->target, body);
    int64_t taken = now() - begin;
    if (link_status(&way->link) / 100 != 2)
        fail("a write was refused", way->link.answer.data);
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
    static struct way ways[WAYS_MAX];
    int way_count = count - FIXED;
    if (way_count < 1 || way_count > WAYS_MAX)
        fail("usage", "turns ROUNDS FEEDS USERS FIRST WAY...");
    struct likes likes = {strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10),
                          strtoull(words[4], NULL, 10)};
    for (int i = 0; i < way_count; i++)
        way_open(words[FIXED + i], &ways[i]);
    for (int round = 0; round < atoi(words[1]); round++) {
        int64_t times[WAYS_MAX];
        for (int i = 0; i < way_count; i++) {
            int way = (i + round) % way_count;
            rest();
            times[way] = post_time(&ways[way], &likes);
        }
        for (int i = 0; i < way_count; i++)
            printf("%lld%c", (long long)times[i], i == way_count - 1 ? '\n' : ' ');
    }
    return 0;
}
