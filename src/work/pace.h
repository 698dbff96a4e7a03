/*
 * When the outbox is polled next, and when larderd says that it sleeps. Pure.
 *
 * While rows keep coming it polls every half a millisecond; where they are many it waits for twice
 * the time that the poll took, so that the processors are the writers' when these lack them; and it
 * polls at once where one reached its limit. When none come for some polls it lies down: the flag
 * larder.asleep, and that of the ring, ask writers to notify. NOTIFY takes a lock of the whole
 * cluster at commit, so under load writers must not use it, and the flag says when they need to.
 *
 * No wake is missed:
 * - A writer that saw "polling" and has not committed yet will not notify. Its transaction's number
 *   is lower than one drawn after the flag was set, so until every transaction below that number
 *   has ended larderd is drowsy: it goes on polling, if slowly.
 * - Where there is a ring it is drowsy until nobody is about to put tags there, and is so again
 *   when it was woken while somebody is: his notification may have been read with another's, just
 *   before the tags were there, and PostgreSQL signals nobody twice.
 * - Several larderds share the flag. One that is busy sets it to "polling" again; its polls then
 *   serve the sleeper too. Should it be killed, the sleeper finds the flag at "polling" at its next
 *   look, which it takes regularly, and lies down anew. What a sleeper sets too often costs writers
 *   notifications nobody needs, at most one change of the flag in each such look.
 */
#ifndef LARDER_WORK_PACE_H
#define LARDER_WORK_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_LEAST INT64_C(500)
#define PACE_MANY_MOST INT64_C(6000)
#define PACE_AWAKE_MOST INT64_C(2000)
#define PACE_MOST INT64_C(50000)

/* Rows of one poll that are not many: some thousands a second, where half a millisecond passes. */
#define PACE_FEW 4

/* Polls without a row that are no reason yet to poll less often. */
#define PACE_LULL 8

/* Polls without a row, after which it lies down. */
#define PACE_TIRED 25

enum pace_state { PACE_AWAKE, PACE_DROWSY, PACE_ASLEEP };

/* All zeros: awake. */
struct pace {
    enum pace_state state;
    int64_t delay;  /* µs to the next poll while not asleep */
    uint64_t until; /* drowsy until no transaction below this runs */
    bool found;     /* the last poll found rows */
    unsigned empty; /* polls without any since */
};

/* What a poll saw. */
struct pace_poll {
    bool found;
    int64_t rows; /* and tags of the ring */
    int64_t took; /* µs, from when it was sent until it was committed */
    bool more;    /* it left some behind its limit */
    bool coming;  /* transactions are about to put tags into the ring, notifying or not */
    bool some_notify, all_notify; /* the flags ask writers to */
    uint64_t oldest_running;
};

/* What is to be done about the flags. */
enum pace_wish {
    PACE_STAY,
    PACE_LIE_DOWN, /* set them, then pace_lain_down; wished again if that fails */
    PACE_GET_UP,   /* clear them */
};

enum pace_wish pace_polled(struct pace *pace, const struct pace_poll *poll);

/* The flags ask to notify since before the number `until` was drawn. */
void pace_lain_down(struct pace *pace, uint64_t until);

/* µs from the last poll to the next; a sleeper looks every `longest`. */
int64_t pace_wait(const struct pace *pace, int64_t longest);

#endif
