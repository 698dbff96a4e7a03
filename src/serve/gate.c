#include "serve/gate.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/peer.h"

/* How long a download may take others' turn to begin, µs. */
#define LONGEST (INT64_C(20) * 1000)

struct line {
    struct gate_pass *first, *last;
};

struct gate {
    pthread_mutex_t lock;
    int64_t longest;
    size_t free; /* passes that nobody has: none while somebody waits */
    struct line waiting;
    struct line begun; /* whoever has a pass; the first has had it longest */
};

struct gate *gate_new(size_t passes, int64_t longest)
{
    struct gate *gate = calloc(1, sizeof *gate);
    if (!gate)
        return NULL;
    pthread_mutex_init(&gate->lock, NULL);
    gate->longest = longest;
    gate->free = passes;
    return gate;
}

struct gate *gate_of_host(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return gate_new(processors > 1 ? (size_t)processors : 1, LONGEST);
}

void gate_free(struct gate *gate)
{
    if (!gate)
        return;
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

static void line_append(struct line *line, struct gate_pass *pass)
{
    pass->next = NULL;
    if (line->last)
        line->last->next = pass;
    else
        line->first = pass;
    line->last = pass;
}

static void line_remove(struct line *line, struct gate_pass *pass)
{
    struct gate_pass *before = NULL;
    for (struct gate_pass *at = line->first; at != pass; at = at->next)
        before = at;
    if (before)
        before->next = pass->next;
    else
        line->first = pass->next;
    if (line->last == pass)
        line->last = before;
}

static void pass_give(struct gate *gate, struct gate_pass *pass)
{
    pass->place = GATE_PASSED;
    pass->until = clock_monotonic() + gate->longest;
    line_append(&gate->begun, pass);
}

/* It is the first who looks whether a pass has been had for too long. */
static void first_call(struct gate *gate)
{
    if (gate->waiting.first)
        pthread_cond_signal(&gate->waiting.first->called);
}

static void first_let_in(struct gate *gate)
{
    struct gate_pass *first = gate->waiting.first;
    line_remove(&gate->waiting, first);
    pass_give(gate, first);
    pthread_cond_signal(&first->called);
    first_call(gate);
}

static void pass_take_back(struct gate *gate, struct gate_pass *pass)
{
    line_remove(&gate->begun, pass);
    pass->place = GATE_OUTSIDE;
    if (gate->waiting.first)
        first_let_in(gate);
    else
        gate->free++;
}

static void wait_a_moment(struct gate *gate, struct gate_pass *pass)
{
    int64_t now = clock_monotonic(), look = now + PEER_LOOK;
    struct gate_pass *oldest = gate->begun.first;
    if (gate->waiting.first != pass)
        clock_condition_wait(&pass->called, &gate->lock, look);
    else if (now >= oldest->until)
        pass_take_back(gate, oldest);
    else
        clock_condition_wait(&pass->called, &gate->lock,
                             oldest->until < look ? oldest->until : look);
}

/* False: the peer has left. */
static bool wait_in_line(struct gate *gate, int peer, struct gate_pass *pass)
{
    pthread_cond_t *called = &pass->called;
    clock_condition_init(called);
    pass->place = GATE_WAITING;
    line_append(&gate->waiting, pass);
    while (pass->place == GATE_WAITING && !peer_has_left(peer))
        wait_a_moment(gate, pass);
    bool passed = pass->place != GATE_WAITING;
    if (!passed) {
        line_remove(&gate->waiting, pass);
        pass->place = GATE_OUTSIDE;
        first_call(gate);
    }
    pthread_cond_destroy(called);
    return passed;
}

size_t gate_waiting(struct gate *gate)
{
    size_t count = 0;
    pthread_mutex_lock(&gate->lock);
    for (const struct gate_pass *pass = gate->waiting.first; pass; pass = pass->next)
        count++;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

bool gate_enter(struct gate *gate, int peer, struct gate_pass *ret_pass)
{
    bool passed = true;
    pthread_mutex_lock(&gate->lock);
    if (gate->free) {
        gate->free--;
        pass_give(gate, ret_pass);
    } else {
        passed = wait_in_line(gate, peer, ret_pass);
    }
    pthread_mutex_unlock(&gate->lock);
    return passed;
}

void gate_leave(struct gate *gate, struct gate_pass *pass)
{
    pthread_mutex_lock(&gate->lock);
    if (pass->place == GATE_PASSED)
        pass_take_back(gate, pass);
    pthread_mutex_unlock(&gate->lock);
}
