#include "work/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* A set of tags: open addressing, at most half full. */
struct half {
    struct arena *arena; /* of the tags' bytes */
    struct span *slots;  /* null data: free */
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

static struct span *slot_of(struct half *half, struct span tag)
{
    size_t at = hash(tag) % half->capacity;
    while (half->slots[at].data && !span_equal(half->slots[at], tag))
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
        if (half->slots[i].data)
            *slot_of(&larger, half->slots[i]) = half->slots[i];
    free(half->slots);
    *half = larger;
    return true;
}

static bool half_add(struct half *half, size_t most, struct span tag)
{
    if (2 * half->count >= half->capacity && !grow(half))
        return false;
    struct span *slot = slot_of(half, tag);
    if (slot->data)
        return true;
    if (half->count >= most || (!half->arena && !(half->arena = arena_new())))
        return false;
    struct span copy = arena_span(half->arena, tag);
    if (!copy.data)
        return false;
    *slot = copy;
    half->count++;
    return true;
}

void recent_add(struct recent *recent, const struct span *tags, size_t count, int64_t last,
                int64_t now)
{
    rotate(recent, now);
    struct half *half = &recent->halves[0];
    for (size_t i = 0; i < count && !half->incomplete; i++)
        half->incomplete = !half_add(half, recent->most, tags[i]);
    recent->last = last;
}

void recent_miss(struct recent *recent, int64_t now)
{
    rotate(recent, now);
    recent->halves[0].incomplete = true;
}

bool recent_covers(const struct recent *recent, int64_t known)
{
    return !recent->halves[0].incomplete && !recent->halves[1].incomplete &&
           known >= recent->halves[1].since;
}

bool recent_list(const struct recent *recent, struct span **ret_tags, size_t *ret_count)
{
    size_t count = 0;
    struct span *tags = calloc(recent->halves[0].count + recent->halves[1].count + 1, sizeof *tags);
    if (!tags)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(recent->halves); i++)
        for (size_t at = 0; at < recent->halves[i].capacity; at++)
            if (recent->halves[i].slots[at].data)
                tags[count++] = recent->halves[i].slots[at];
    *ret_tags = tags;
    *ret_count = count;
    return true;
}
