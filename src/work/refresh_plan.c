#include "work/refresh_plan.h"

#include <stdlib.h>
#include <string.h>

/* When nginx is looked at after a refresh, µs: soon, and once all that was under way has ended. */
static const int64_t looks[] = {50000, 1000000};

#define LOOK_MARGIN INT64_C(500000)

#define RETRY_LEAST INT64_C(100000)
#define RETRY_MOST (5 * INT64_C(1000000))

/* Beginnings of a kind that may follow each other without a pause. */
#define BURST 100

/* µs. Each kind has an allowance of its own: a reader of nginx waits for a fetch, for a look
 * nobody. */
static const int64_t spacings[] = {
    [REFRESH_FETCH] = INT64_C(1000000) / REFRESH_PER_SECOND,
    [REFRESH_LOOK] = INT64_C(1000000) / REFRESH_LOOKS_PER_SECOND,
};

struct item {
    struct refresh_job job;
    bool used;
    bool running;
    bool fetched; /* its last fetch went well */
    unsigned failures;
    size_t look; /* the next of `looks` */
    int64_t due;
    int64_t end;   /* nginx serves it no longer */
    int64_t began; /* the job under way */
    int64_t cost;  /* µs the last fetch took */
    int64_t ended;
    struct url_found found;
    char tag[REFRESH_TAG_MAX + 1];
};

struct refresh_plan {
    struct item items[REFRESH_PLAN_MAX];
    size_t count, running;
    /* A bucket of tokens as a time, by the kind: a beginning is allowed from here on. */
    int64_t allowance[ARRAY_COUNT(spacings)];
};

struct refresh_plan *refresh_plan_new(void)
{
    return calloc(1, sizeof(struct refresh_plan));
}

void refresh_plan_free(struct refresh_plan *plan)
{
    free(plan);
}

static struct item *item_find(struct refresh_plan *plan, uint64_t key)
{
    for (size_t i = 0; i < REFRESH_PLAN_MAX; i++)
        if (plan->items[i].used && plan->items[i].found.key == key)
            return &plan->items[i];
    return NULL;
}

static struct item *item_new(struct refresh_plan *plan)
{
    for (size_t i = 0; i < REFRESH_PLAN_MAX; i++) {
        struct item *item = &plan->items[i];
        if (item->used)
            continue;
        *item = (struct item){.used = true};
        plan->count++;
        return item;
    }
    return NULL;
}

static void item_drop(struct refresh_plan *plan, struct item *item)
{
    item->used = false;
    plan->count--;
}

static void item_failed(struct item *item, int64_t now)
{
    int64_t wait = RETRY_LEAST << (item->failures < 6 ? item->failures : 6);
    item->failures++;
    item->job.kind = REFRESH_FETCH;
    item->due = now + (wait < RETRY_MOST ? wait : RETRY_MOST);
}

/* A page that changes all the time is fetched half of the time at most. */
static void item_fetch(struct item *item, int64_t now)
{
    int64_t rested = item->ended + item->cost;
    item->job.kind = REFRESH_FETCH;
    item->due = item->ended && rested > now ? rested : now;
}

static void item_write(struct item *item, const struct url_found *found)
{
    item->found = *found;
    item->job.target = item->found.target;
    item->job.coding = item->found.coding;
    item->job.tag = item->tag;
}

bool refresh_plan_add(struct refresh_plan *plan, const struct url_found *found, int64_t life,
                      int64_t now)
{
    struct item *item = item_find(plan, found->key);
    bool known = item != NULL;
    if (!known)
        item = item_new(plan);
    if (!item || item->running)
        return true;
    item->end = now + life;
    if (known && item->job.kind == REFRESH_FETCH)
        return true; /* due already, or failed and waiting */
    bool in_vain = known && item->fetched && item->found.clock == found->clock;
    item_write(item, found);
    item->fetched = false;
    if (in_vain)
        item_failed(item, now);
    else
        item_fetch(item, now);
    return !in_vain;
}

/* Fetches before looks, then what was due first. */
static bool comes_before(const struct item *a, const struct item *b)
{
    if (a->job.kind != b->job.kind)
        return a->job.kind == REFRESH_FETCH;
    return a->due < b->due;
}

static bool is_allowed(const struct refresh_plan *plan, enum refresh_kind kind, int64_t now)
{
    return plan->allowance[kind] <= now;
}

static struct item *item_due(struct refresh_plan *plan, int64_t now)
{
    struct item *first = NULL;
    for (size_t i = 0; i < REFRESH_PLAN_MAX; i++) {
        struct item *item = &plan->items[i];
        if (!item->used || item->running || item->due > now)
            continue;
        if (item->end <= now)
            item_drop(plan, item);
        else if (is_allowed(plan, item->job.kind, now) && (!first || comes_before(item, first)))
            first = item;
    }
    return first;
}

static void token_take(struct refresh_plan *plan, enum refresh_kind kind, int64_t now)
{
    int64_t oldest = now - BURST * spacings[kind];
    if (plan->allowance[kind] < oldest)
        plan->allowance[kind] = oldest;
    plan->allowance[kind] += spacings[kind];
}

struct refresh_job *refresh_plan_begin(struct refresh_plan *plan, int64_t now)
{
    struct item *item;
    if (plan->running >= REFRESH_AT_ONCE || plan->count == plan->running ||
        !(item = item_due(plan, now)))
        return NULL;
    token_take(plan, item->job.kind, now);
    item->running = true;
    item->began = now;
    plan->running++;
    return &item->job;
}

/* A look at what is over would be a reader's request, and have it kept anew. */
static void item_look(struct refresh_plan *plan, struct item *item, int64_t now)
{
    if (item->look == ARRAY_COUNT(looks) || !item->tag[0] ||
        now + looks[item->look] + LOOK_MARGIN > item->end) {
        item_drop(plan, item);
        return;
    }
    item->job.kind = REFRESH_LOOK;
    item->due = now + looks[item->look++];
}

static void fetch_done(struct refresh_plan *plan, struct item *item, struct span tag, int64_t now)
{
    item->fetched = true;
    item->failures = 0;
    item->look = 0;
    item->cost = now - item->began;
    item->ended = now;
    size_t size = tag.size <= REFRESH_TAG_MAX ? tag.size : 0;
    if (size)
        memcpy(item->tag, tag.data, size);
    item->tag[size] = '\0';
    item_look(plan, item, now);
}

void refresh_plan_end(struct refresh_plan *plan, struct refresh_job *job,
                      enum refresh_outcome outcome, struct span tag, int64_t now)
{
    struct item *item = (struct item *)(void *)job; /* its first member */
    bool look = job->kind == REFRESH_LOOK;
    item->running = false;
    plan->running--;
    if (outcome == REFRESH_GONE)
        item_drop(plan, item);
    else if (outcome == REFRESH_OTHER)
        item_fetch(item, now);
    else if (outcome == REFRESH_FAILED)
        look ? item_look(plan, item, now) : item_failed(item, now);
    else if (look)
        item_look(plan, item, now);
    else
        fetch_done(plan, item, tag, now);
}

int64_t refresh_plan_next(const struct refresh_plan *plan)
{
    int64_t next = INT64_MAX;
    if (plan->running >= REFRESH_AT_ONCE || plan->count == plan->running)
        return next;
    for (size_t i = 0; i < REFRESH_PLAN_MAX; i++) {
        const struct item *item = &plan->items[i];
        int64_t allowed = plan->allowance[item->job.kind];
        int64_t begins = item->due > allowed ? item->due : allowed;
        if (item->used && !item->running && begins < next)
            next = begins;
    }
    return next;
}

size_t refresh_plan_count(const struct refresh_plan *plan)
{
    return plan->count;
}
