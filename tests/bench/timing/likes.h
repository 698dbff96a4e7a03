/*
 * Likes that nobody has given yet. One that is given again changes nothing, so the transaction
 * writes nothing and waits for no disk: what is measured then is no like.
 */
#ifndef LARDER_BENCH_LIKES_H
#define LARDER_BENCH_LIKES_H

#include <stdint.h>
#include <stdio.h>

/* The likes there may be, and the number of the next. */
struct likes {
    uint64_t feeds, users, next;
};

enum { LIKE_SIZE = 64 };

/* {"id":…,"liker":…}, spread over all feeds; none comes twice before all have come. */
static inline void likes_draw(struct likes *likes, char ret_body[LIKE_SIZE])
{
    static const uint64_t step = 4294967291; /* a prime, so it meets every number */
    uint64_t pairs = likes->feeds * likes->users;
    uint64_t pair = likes->next++ % pairs * (step % pairs) % pairs;
    snprintf(ret_body, LIKE_SIZE, "{\"id\":%llu,\"liker\":%llu}",
             (unsigned long long)(1 + pair / likes->users),
             (unsigned long long)(1 + pair % likes->users));
}

#endif
