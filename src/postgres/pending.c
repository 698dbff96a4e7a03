#include "postgres/pending.h"

#include <access/xact.h>
#include <commands/async.h>
#include <common/hashfn.h>
#include <lib/stringinfo.h>
#include <miscadmin.h>
#include <utils/guc.h>
#include <utils/memutils.h>

#include "postgres/ring.h"

#define CHANNEL "larder" /* as larder.wake() has it */

/* So few are compared one by one. */
#define FEW 8

struct tag {
    struct ring_tag tag;
    char *text; /* the tag's */
    uint32 hash;
    int level; /* of the subtransaction that it ends with */
};

static struct {
    MemoryContext context; /* of the session, for the transaction; null: none was needed so far */
    bool begun;            /* something is struck */
    struct tag *tags;      /* by level */
    int count, room;
    int32 *slots; /* of a hash table of twice the room, index and one; 0: free */
    bool to_ring;
} pending;

static uint64 transaction = 1;

uint64 pending_transaction(void)
{
    return transaction;
}

uint32 pending_hash(const char *text, Size size)
{
    return hash_bytes((const unsigned char *)text, (int)size);
}

/* A responder's transaction strikes by itself what it finds in the outbox. */
static bool is_responders(void)
{
    const char *noted = GetConfigOption("larder.struck", true, false);
    return noted && *noted;
}

static void begin(void)
{
    if (!pending.context)
        pending.context = AllocSetContextCreate(TopMemoryContext, "larder", ALLOCSET_SMALL_SIZES);
    pending.to_ring = !is_responders() && ring_has_room();
    pending.begun = true;
}

/* Emptied, the context keeps its first block: to make one takes longer than what it is used for. */
static void end(void)
{
    if (pending.begun)
        MemoryContextReset(pending.context);
    pending.begun = false;
    pending.tags = NULL;
    pending.slots = NULL;
    pending.count = pending.room = 0;
    transaction++;
}

static bool is(const struct tag *tag, const char *text, Size size, uint32 hash)
{
    return tag->hash == hash && tag->tag.size == size && memcmp(tag->tag.text, text, size) == 0;
}

static bool found_one_by_one(const char *text, Size size, uint32 hash)
{
    for (int i = 0; i < pending.count; i++)
        if (is(&pending.tags[i], text, size, hash))
            return true;
    return false;
}

bool pending_has(const char *text, Size size, uint32 hash)
{
    uint32 mask = 2 * (uint32)pending.room - 1;
    if (!pending.begun)
        return false;
    if (pending.count <= FEW)
        return found_one_by_one(text, size, hash);
    for (uint32 at = hash & mask; pending.slots[at]; at = (at + 1) & mask)
        if (is(&pending.tags[pending.slots[at] - 1], text, size, hash))
            return true;
    return false;
}

static void enter(int index)
{
    uint32 mask = 2 * (uint32)pending.room - 1, at = pending.tags[index].hash & mask;
    while (pending.slots[at])
        at = (at + 1) & mask;
    pending.slots[at] = index + 1;
}

static void index_anew(void)
{
    memset(pending.slots, 0, 2 * (Size)pending.room * sizeof *pending.slots);
    for (int i = 0; i < pending.count; i++)
        enter(i);
}

static void grow(void)
{
    Size room = pending.room ? 2 * (Size)pending.room : FEW;
    struct tag *tags = MemoryContextAllocHuge(pending.context, room * sizeof *tags);
    int32 *slots = MemoryContextAllocHuge(pending.context, 2 * room * sizeof *slots);
    if (pending.count)
        memcpy(tags, pending.tags, (Size)pending.count * sizeof *tags);
    if (pending.room) {
        pfree(pending.tags);
        pfree(pending.slots);
    }
    pending.tags = tags;
    pending.slots = slots;
    pending.room = (int)room;
    index_anew();
}

bool pending_add(const char *text, Size size, uint32 hash)
{
    char *own;
    if (pending_has(text, size, hash))
        return false;
    if (!pending.begun)
        begin();
    if (pending.count == pending.room)
        grow();
    own = MemoryContextAlloc(pending.context, size);
    memcpy(own, text, size);
    pending.tags[pending.count] = (struct tag){.tag = {own, (uint16)size},
                                               .text = own,
                                               .hash = hash,
                                               .level = GetCurrentTransactionNestLevel()};
    enter(pending.count++);
    return true;
}

int pending_count(void)
{
    return pending.count;
}

char *pending_for_outbox(int first)
{
    StringInfoData text;
    if (!pending.begun || pending.to_ring || first == pending.count)
        return NULL;
    initStringInfo(&text);
    for (int i = first; i < pending.count; i++) {
        const struct ring_tag *tag = &pending.tags[i].tag;
        if (text.len)
            appendStringInfoChar(&text, '\n');
        appendBinaryStringInfo(&text, tag->text, tag->size);
    }
    return text.data;
}

static const struct ring_tag *next_tag(void *context)
{
    int *place = context;
    return *place < pending.count ? &pending.tags[(*place)++].tag : NULL;
}

static void push(void)
{
    int place = 0;
    if (pending.begun && pending.to_ring && pending.count)
        ring_push(next_tag, &place);
}

static void wake(void)
{
    if (pending.begun && pending.to_ring && pending.count && ring_enter())
        Async_Notify(CHANNEL, "");
}

static void transaction_ends(XactEvent event, void *argument)
{
    (void)argument;
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        wake();
        break;
    case XACT_EVENT_COMMIT:
        push();
        ring_leave();
        ring_settle(true);
        end();
        break;
    case XACT_EVENT_ABORT:
        ring_leave();
        ring_settle(false);
        end();
        break;
    case XACT_EVENT_PREPARE:
        end();
        break;
    default:
        break;
    }
}

/* Called while the level is still the subtransaction's. */
static void subtransaction_ends(SubXactEvent event, SubTransactionId own, SubTransactionId parent,
                                void *argument)
{
    int level = GetCurrentTransactionNestLevel(), count = pending.count;
    (void)own, (void)parent, (void)argument;
    if (!pending.begun)
        return;
    if (event == SUBXACT_EVENT_COMMIT_SUB)
        for (int i = count - 1; i >= 0 && pending.tags[i].level >= level; i--)
            pending.tags[i].level = level - 1;
    if (event != SUBXACT_EVENT_ABORT_SUB)
        return;
    while (pending.count && pending.tags[pending.count - 1].level >= level)
        pfree(pending.tags[--pending.count].text);
    if (pending.count != count)
        index_anew();
}

void pending_prepare(void)
{
    RegisterXactCallback(transaction_ends, NULL);
    RegisterSubXactCallback(subtransaction_ends, NULL);
}
