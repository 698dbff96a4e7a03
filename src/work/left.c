#include "work/left.h"

#include "base/clock.h"

void left_free(struct left *left)
{
    position_free(&left->position);
    bytes_free(&left->before.snapshot);
    bytes_free(&left->now.snapshot);
}

void left_reset(struct left *left)
{
    position_reset(&left->position);
    left->before.taken = 0;
    left->drained = 0;
}

static struct left_look *due(struct left *left)
{
    return left->before.taken ? &left->before : &left->now;
}

static void look_end(struct left *left)
{
    struct left_look next = left->now;
    left->now = left->before;
    left->before = next;
}

/* Has any transaction come, or ended, since the position? */
static bool is_new(struct left *left)
{
    return !left->position.next || left->position.pending.size ||
           position_end(bytes_span(&due(left)->snapshot)) != left->position.next;
}

bool left_take(struct left *left, struct db_connection *connection, int limit, int64_t timeout,
               struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    left->now.taken = clock_monotonic();
    if (!db_outbox_snapshot(connection, timeout, &left->now.snapshot, failure))
        return false;
    if (is_new(left))
        return db_outbox_take_left(connection, &left->position, bytes_span(&due(left)->snapshot),
                                   limit, timeout, ret_batch, failure);
    *ret_batch = (struct db_outbox_batch){0};
    left->drained = due(left)->taken;
    look_end(left);
    return true;
}

void left_done(struct left *left, const struct db_outbox_batch *batch)
{
    if (batch->more)
        return;
    if (!batch->shared)
        left->drained = due(left)->taken;
    look_end(left);
}
