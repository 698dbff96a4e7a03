#include "postgres/lines.h"

#include <common/hashfn.h>

struct slot {
    const char *text; /* null: free */
    uint32 hash;
    uint16 size;
};

/* Of the distinct tags so far. */
struct lines {
    struct slot *slots; /* open addressing; more than there are tags */
    uint32 mask;
    text *text;
    char *end;
};

static int count_of(const struct ring_taken *taken)
{
    struct ring_tag tag;
    int count = 0;
    for (Size place = 0; ring_next(taken, &place, &tag);)
        count++;
    return count;
}

static bool is(const struct slot *slot, const struct ring_tag *tag, uint32 hash)
{
    return slot->hash == hash && slot->size == tag->size &&
           memcmp(slot->text, tag->text, tag->size) == 0;
}

static void append(struct lines *lines, const struct ring_tag *tag)
{
    if (lines->end > VARDATA(lines->text))
        *lines->end++ = '\n';
    memcpy(lines->end, tag->text, tag->size);
    lines->end += tag->size;
}

static void add(struct lines *lines, const struct ring_tag *tag)
{
    uint32 hash = hash_bytes((const unsigned char *)tag->text, tag->size);
    uint32 at = hash & lines->mask;
    while (lines->slots[at].text && !is(&lines->slots[at], tag, hash))
        at = (at + 1) & lines->mask;
    if (lines->slots[at].text)
        return;
    lines->slots[at] = (struct slot){tag->text, hash, tag->size};
    append(lines, tag);
}

text *lines_of(const struct ring_taken *taken, int *ret_count)
{
    struct lines lines;
    struct ring_tag tag;
    Size room = 16;
    *ret_count = count_of(taken);
    while (room < 2 * (Size)*ret_count)
        room *= 2;
    lines.mask = (uint32)room - 1;
    lines.slots = palloc0(room * sizeof *lines.slots);
    /* What stands before a tag in the ring is longer than the end of its line. */
    lines.text = palloc(VARHDRSZ + taken->size);
    lines.end = VARDATA(lines.text);
    for (Size place = 0; ring_next(taken, &place, &tag);)
        add(&lines, &tag);
    SET_VARSIZE(lines.text, lines.end - (char *)lines.text);
    return lines.text;
}
