/*
 * The rings in shared memory, one for each database that uses the module: the tags of transactions
 * that have committed, until larderd has delivered them.
 *
 * A ring lives as long as PostgreSQL does between two starts, and no backend's crash leaves it half
 * written, for PostgreSQL then starts anew by itself. Whoever takes from a ring that was not there
 * before is told that what it held is lost. Tags are taken as claims of a transaction: its commit
 * ends them, and what it rolls back is taken again.
 */
#ifndef LARDER_POSTGRES_RING_H
#define LARDER_POSTGRES_RING_H

#include <postgres.h>

/* From _PG_init, while PostgreSQL starts: the settings, and the room that is to be kept. */
void ring_prepare(void);

/*
 * Can anything be put in a ring? Not where the library was loaded by a session alone, nor where
 * transactions may be prepared: their end is in no backend's hands.
 */
bool ring_ready(void);

/*
 * Is there a ring for this database, and is it less than half full? Not while nobody has asked what
 * was lost: who delivers then may be a larderd that is older than the module. In a transaction.
 */
bool ring_has_room(void);

/*
 * Before the commit of who is going to push. True: larderd sleeps and is to be notified. Otherwise
 * it goes on looking until ring_leave; so it does when a notification meets somebody between the
 * two, for PostgreSQL sends none to a listener that has read what the committed wrote already.
 */
bool ring_enter(void);

struct ring_tag {
    const char *text;
    uint16 size;
};

/* After the commit, when nothing may fail: what does not fit makes all the ring's tags unknown. */
void ring_push(const struct ring_tag *(*next)(void *context), void *context);

/* Who entered leaves: after the push, or because nothing was committed. */
void ring_leave(void);

struct ring_taken {
    char *bytes; /* palloc: each tag's size in two bytes, and its text */
    Size size;
    bool ring;   /* there is one */
    bool more;   /* some wait that nobody has claimed */
    bool coming; /* somebody is between ring_enter and ring_leave */
    bool held;   /* others have claims */
    bool lost;   /* there were tags that are in the ring no more */
    bool asleep; /* as ring_sleep left it */
};

/*
 * Claims at most so many tags, for the transaction. Where there is no ring there may have been one
 * before PostgreSQL's last start: a session is told once that what it held is lost.
 */
void ring_take(int most, struct ring_taken *ret_taken);

/* The end of a transaction that took. */
void ring_settle(bool committed);

/* Whether larderd wants to be notified. */
void ring_sleep(bool asleep);

/* The next tag of what was taken, by its place; false: no more. */
bool ring_next(const struct ring_taken *taken, Size *place, struct ring_tag *ret_tag);

#endif
