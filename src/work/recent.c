#include "work/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct slot {
    struct span tag; /* null data: free */
    int64_t number;  /* of its last bump, or a little higher */
};

/* A set of tags: open addressing, at most half full. */
struct half {
    struct arena *arena; /* of the tags' bytes */
    struct slot *slots;
    size_t capacity, count;
    int64_t since;   /* the number of the last bump before the first in here */
    bool incomplete; /* there was more than is in here */
};

struct recent {
    struct half halves[2]; /* the newer first */
    size_t most;
    int64_t window;
    int64_t rotated; /* when the newer half began */
    int64_t last;
};

static void half_clear(struct half *half, int64_t since)
{
    arena_free(half->arena);
    free(half->slots);
    *half = (struct half){.since = since};
}

struct recent *recent_new(size_t most, int64_t window, int64_t last, int64_t now)
{
    struct recent *recent = calloc(1, sizeof *recent);
    if (!recent)
        return NULL;
    recent->most = most;
    recent->window = window;
    recent_begin(recent, last, now);
    return recent;
}

void recent_free(struct recent *recent)
{
    if (!recent)
        return;
    half_clear(&recent->halves[0], 0);
    half_clear(&recent->halves[1], 0);
    free(recent);
}

void recent_begin(struct recent *recent, int64_t last, int64_t now)
{
    half_clear(&recent->halves[0], last);
    half_clear(&recent->halves[1], last);
    recent->last = last;
    recent->rotated = now;
}

static void rotate(struct recent *recent, int64_t now)
{
    if (now - recent->rotated < recent->window)
        return;
    half_clear(&recent->halves[1], 0);
    recent->halves[1] = recent->halves[0];
    recent->halves[0] = (struct half){.since = recent->last};
    recent->rotated = now;
}

/* FNV-1a. */
static size_t hash(struct span tag)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < tag.size; i++)
        value = (value ^ (unsigned char)tag.data[i]) * UINT64_C(0x100000001b3);
    return (size_t)(value ^ value >> 32);
}

static struct slot *slot_of(struct half *half, struct span tag)
{
    size_t at = hash(tag) % half->capacity;
    while (half->slots[at].tag.data && !span_equal(half->slots[at].tag, tag))
        at = (at + 1) % half->capacity;
    return &half->slots[at];
}

static bool grow(struct half *half)
{
    struct half larger = *half;
    larger.capacity = half->capacity ? 2 * half->capacity : 256;
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < half->capacity; i++)
        if (half->slots[i].tag.data)
            *slot_of(&larger, half->slots[i].tag) = half->slots[i];
    free(half->slots);
    *half = larger;
    return true;
}

static bool half_add(struct half *half, size_t most, struct span tag, int64_t number)
{
    if (2 * half->count >= half->capacity && !grow(half))
        return false;
    struct slot *slot = slot_of(half, tag);
    if (slot->tag.data) {
        slot->number = number;
        return true;
    }
    if (half->count >= most || (!half->arena && !(half->arena = arena_new())))
        return false;
    struct span copy = arena_span(half->arena, tag);
    if (!copy.data)
        return false;
    *slot = (struct slot){.tag = copy, .number = number};
    half->count++;
    return true;
}

/* The turn comes last: the tags may lie in the half that goes. */
void recent_add(struct recent *recent, const struct span *tags, size_t count, int64_t last,
                int64_t now)
{
    struct half *half = &recent->halves[0];
    for (size_t i = 0; i < count && !half->incomplete; i++)
        half->incomplete = !half_add(half, recent->most, tags[i], last);
    recent->last = last;
    rotate(recent, now);
}

void recent_miss(struct recent *recent)
{
    recent->halves[0].incomplete = true;
}

bool recent_covers(const struct recent *recent, int64_t known)
{
    return !recent->halves[0].incomplete && !recent->halves[1].incomplete &&
           known >= recent->halves[1].since;
}

static size_t half_list(const struct half *half, int64_t known, struct span *tags)
{
    size_t count = 0;
    for (size_t at = 0; at < half->capacity; at++)
        if (half->slots[at].tag.data && half->slots[at].number > known)
            tags[count++] = half->slots[at].tag;
    return count;
}

bool recent_list(const struct recent *recent, int64_t known, struct span **ret_tags,
                 size_t *ret_count)
{
    const struct half *newer = &recent->halves[0], *older = &recent->halves[1];
    struct span *tags = calloc(newer->count + older->count + 1, sizeof *tags);
    if (!tags)
        return false;
    size_t count = half_list(newer, known, tags);
    *ret_count = count + half_list(older, known, tags + count);
    *ret_tags = tags;
    return true;
}
