#include "cache/kept.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cache/clocks.h"

/* What malloc adds to a block. */
#define MALLOC_OVERHEAD 16

/* The fixed part of an entry_meta; its tags would make it four times as large. */
struct kept {
    _Atomic unsigned references;
    unsigned status;
    unsigned variants; /* of the entry */
    unsigned held;     /* of them, here */
    size_t size;       /* of the block */
    int64_t created, ttl, stale, error, cost, end;
    uint64_t clock;
    uint64_t sizes[CODING_COUNT];
    char tag[ENTRY_TAG_MAX + 1];
    struct span type, next, previous;
    struct span bodies[CODING_COUNT];
    struct span *tags;
    size_t tag_count;
    uint64_t hashes[]; /* then the tags' spans, then the texts and bodies */
};

static size_t block_size(const struct entry_meta *meta, const struct span *bodies)
{
    size_t size = sizeof(struct kept) + meta->type.size + meta->next.size + meta->previous.size;
    for (size_t i = 0; i < meta->tag_count; i++)
        size += sizeof(uint64_t) + sizeof(struct span) + meta->tags[i].size;
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        if (bodies[coding].data)
            size += bodies[coding].size;
    return size;
}

/* Copies the bytes to *to, moves it on and returns where they are now. */
static struct span place(char **to, struct span from)
{
    struct span copy = {.data = *to, .size = from.size};
    if (from.size)
        memcpy(*to, from.data, from.size);
    *to += from.size;
    return copy;
}

static void fixed_set(struct kept *kept, const struct entry_meta *meta)
{
    kept->status = meta->status;
    kept->variants = meta->variants;
    kept->created = meta->created;
    kept->ttl = meta->ttl;
    kept->stale = meta->stale;
    kept->error = meta->error;
    kept->cost = meta->cost;
    kept->end = meta->created + entry_lifetime(meta);
    kept->clock = meta->clock;
    kept->tag_count = meta->tag_count;
    memcpy(kept->sizes, meta->sizes, sizeof kept->sizes);
    memcpy(kept->tag, meta->tag, sizeof kept->tag);
}

static void texts_set(struct kept *kept, const struct entry_meta *meta, const struct span *bodies)
{
    kept->tags = (struct span *)&kept->hashes[meta->tag_count];
    char *to = (char *)&kept->tags[meta->tag_count];
    for (size_t i = 0; i < meta->tag_count; i++) {
        kept->hashes[i] = clocks_hash(meta->tags[i]);
        kept->tags[i] = place(&to, meta->tags[i]);
    }
    kept->type = place(&to, meta->type);
    kept->next = place(&to, meta->next);
    kept->previous = place(&to, meta->previous);
    kept->held = 0;
    for (enum coding coding = 0; coding < CODING_COUNT; coding++) {
        kept->bodies[coding] = (struct span){0};
        if (!bodies[coding].data)
            continue;
        kept->bodies[coding] = place(&to, bodies[coding]);
        kept->held |= CODING_BIT(coding);
    }
}

struct kept *kept_new(const struct entry_meta *meta, const struct span bodies[CODING_COUNT])
{
    size_t size = block_size(meta, bodies);
    struct kept *kept = malloc(size);
    if (!kept)
        return NULL;
    atomic_init(&kept->references, 1);
    kept->size = size;
    fixed_set(kept, meta);
    texts_set(kept, meta, bodies);
    return kept;
}

/* The tag is a digest of the identity body: whatever the clocks say, the bodies are the same. */
static bool same_answer(const struct kept *one, const struct kept *other)
{
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        if (one->variants & CODING_BIT(coding) && one->sizes[coding] != other->sizes[coding])
            return false;
    return one->variants == other->variants && strcmp(one->tag, other->tag) == 0;
}

struct kept *kept_merge(const struct kept *newer, const struct kept *older)
{
    struct entry_meta meta;
    struct span bodies[CODING_COUNT];
    if (!same_answer(newer, older))
        return NULL;
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        bodies[coding] = kept_body(newer->bodies[coding].data ? newer : older, coding);
    kept_meta(newer, &meta);
    return kept_new(&meta, bodies);
}

struct kept *kept_ref(struct kept *kept)
{
    atomic_fetch_add_explicit(&kept->references, 1, memory_order_relaxed);
    return kept;
}

void kept_unref(struct kept *kept)
{
    if (kept && atomic_fetch_sub_explicit(&kept->references, 1, memory_order_acq_rel) == 1)
        free(kept);
}

size_t kept_size(const struct kept *kept)
{
    return kept->size + MALLOC_OVERHEAD;
}

void kept_meta(const struct kept *kept, struct entry_meta *ret_meta)
{
    ret_meta->status = kept->status;
    ret_meta->variants = kept->variants;
    ret_meta->created = kept->created;
    ret_meta->ttl = kept->ttl;
    ret_meta->stale = kept->stale;
    ret_meta->error = kept->error;
    ret_meta->cost = kept->cost;
    ret_meta->clock = kept->clock;
    ret_meta->type = kept->type;
    ret_meta->next = kept->next;
    ret_meta->previous = kept->previous;
    ret_meta->tag_count = kept->tag_count;
    memcpy(ret_meta->sizes, kept->sizes, sizeof kept->sizes);
    memcpy(ret_meta->tag, kept->tag, sizeof kept->tag);
    memcpy(ret_meta->tags, kept->tags, kept->tag_count * sizeof *kept->tags);
}

struct span kept_body(const struct kept *kept, enum coding coding)
{
    return kept->bodies[coding];
}

unsigned kept_held(const struct kept *kept)
{
    return kept->held;
}

const uint64_t *kept_hashes(const struct kept *kept, size_t *ret_count)
{
    *ret_count = kept->tag_count;
    return kept->hashes;
}

uint64_t kept_clock(const struct kept *kept)
{
    return kept->clock;
}

int64_t kept_created(const struct kept *kept)
{
    return kept->created;
}

int64_t kept_ttl(const struct kept *kept)
{
    return kept->ttl;
}

int64_t kept_end(const struct kept *kept)
{
    return kept->end;
}
