#include "postgres/ring.h"

#include <access/twophase.h>
#include <commands/dbcommands.h>
#include <limits.h>
#include <miscadmin.h>
#include <port/atomics.h>
#include <storage/ipc.h>
#include <storage/lwlock.h>
#include <storage/shmem.h>
#include <utils/guc.h>

#define TRANCHE "larder"

/* Transactions that have tags in hand at once; one larderd has one. */
#define CLAIMS 8

#define SIZE_SIZE sizeof(uint16)

struct claim {
    enum { CLAIM_NONE, CLAIM_HELD, CLAIM_GIVEN_BACK } state;
    int pid; /* of whoever holds it */
    bool lost;
    uint64 from, to;
};

/* Places count on for good; a place's byte is at its remainder by the size. */
struct ring {
    LWLock *lock;
    Oid database; /* invalid: nobody's */
    bool lost, asleep;
    int entered;           /* who are between ring_enter and ring_leave */
    uint64 tail, next;     /* the first that is not done, the first that nobody claimed */
    pg_atomic_uint64 head; /* where the next is put */
    struct claim claims[CLAIMS];
    char *bytes;
};

struct shared {
    LWLock *lock; /* of the rings' `database` */
    struct ring rings[FLEXIBLE_ARRAY_MEMBER];
};

static int ring_size = 1024, ring_databases = 4; /* kB, and how many */
static struct shared *shared;
static struct ring *mine;
static bool entered, claimed;
static bool telling, told; /* that this session knows of no ring */

#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type request_before;
#endif
static shmem_startup_hook_type startup_before;

static Size bytes_size(void)
{
    return (Size)ring_size * 1024;
}

static Size heads_size(void)
{
    return MAXALIGN(add_size(offsetof(struct shared, rings),
                             mul_size((Size)ring_databases, sizeof(struct ring))));
}

static Size shared_size(void)
{
    return add_size(heads_size(), mul_size((Size)ring_databases, bytes_size()));
}

static void request(void)
{
#if PG_VERSION_NUM >= 150000
    if (request_before)
        request_before();
#endif
    RequestAddinShmemSpace(shared_size());
    RequestNamedLWLockTranche(TRANCHE, ring_databases + 1);
}

static void startup(void)
{
    bool found;
    if (startup_before)
        startup_before();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    shared = ShmemInitStruct("larder", shared_size(), &found);
    if (!found) {
        LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE);
        memset(shared, 0, heads_size());
        shared->lock = &locks[0].lock;
        for (int i = 0; i < ring_databases; i++) {
            shared->rings[i].lock = &locks[i + 1].lock;
            shared->rings[i].bytes = (char *)shared + heads_size() + (Size)i * bytes_size();
        }
    }
    LWLockRelease(AddinShmemInitLock);
}

void ring_prepare(void)
{
    DefineCustomIntVariable(
        "larder.ring_size", "Memory for the changes of a database that wait for larderd.", NULL,
        &ring_size, 1024, 16, INT_MAX / 1024, PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
    DefineCustomIntVariable("larder.ring_databases",
                            "Databases whose changes are kept in memory for larderd.", NULL,
                            &ring_databases, 4, 1, 1000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
#if PG_VERSION_NUM >= 150000
    request_before = shmem_request_hook;
    shmem_request_hook = request;
#else
    request();
#endif
    startup_before = shmem_startup_hook;
    shmem_startup_hook = startup;
}

bool ring_ready(void)
{
    return shared && max_prepared_xacts == 0;
}

/* What a ring held in the life of another database, or of PostgreSQL's before, is not known. */
static void begin(struct ring *ring)
{
    ring->database = MyDatabaseId;
    ring->lost = true;
    ring->asleep = true;
    ring->entered = 0;
    ring->tail = ring->next = 0;
    pg_atomic_init_u64(&ring->head, 0);
    memset(ring->claims, 0, sizeof ring->claims);
}

/* The ring of this database or, where there is none, the one that `gone` had. */
static struct ring *find(Oid gone)
{
    struct ring *found = NULL;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    for (int i = 0; i < ring_databases && !(found && found->database == MyDatabaseId); i++)
        if (shared->rings[i].database == MyDatabaseId ||
            (!found && shared->rings[i].database == gone))
            found = &shared->rings[i];
    if (found && found->database != MyDatabaseId)
        begin(found);
    LWLockRelease(shared->lock);
    return found;
}

static Oid dropped_database(void)
{
    for (int i = 0; i < ring_databases; i++) {
        Oid database = shared->rings[i].database;
        char *name = OidIsValid(database) ? get_database_name(database) : NULL;
        if (OidIsValid(database) && !name)
            return database;
    }
    return InvalidOid;
}

/* Null: there is none to be had. */
static struct ring *own(void)
{
    if (mine || !ring_ready() || !OidIsValid(MyDatabaseId))
        return mine;
    mine = find(InvalidOid);
    if (!mine) {
        Oid gone = dropped_database();
        mine = OidIsValid(gone) ? find(gone) : NULL;
    }
    return mine;
}

bool ring_has_room(void)
{
    struct ring *ring = own();
    return ring && !ring->lost && pg_atomic_read_u64(&ring->head) - ring->tail < bytes_size() / 2;
}

bool ring_enter(void)
{
    bool asleep;
    LWLockAcquire(mine->lock, LW_EXCLUSIVE);
    asleep = mine->asleep;
    mine->entered++;
    LWLockRelease(mine->lock);
    entered = true;
    return asleep;
}

static void copy_in(struct ring *ring, uint64 place, const void *bytes, Size size)
{
    Size at = place % bytes_size(), first = Min(size, bytes_size() - at);
    memcpy(ring->bytes + at, bytes, first);
    memcpy(ring->bytes, (const char *)bytes + first, size - first);
}

static void copy_out(const struct ring *ring, uint64 place, void *bytes, Size size)
{
    Size at = place % bytes_size(), first = Min(size, bytes_size() - at);
    memcpy(bytes, ring->bytes + at, first);
    memcpy((char *)bytes + first, ring->bytes, size - first);
}

void ring_push(const struct ring_tag *(*next)(void *context), void *context)
{
    uint64 head;
    const struct ring_tag *tag;
    LWLockAcquire(mine->lock, LW_EXCLUSIVE);
    head = pg_atomic_read_u64(&mine->head);
    while ((tag = next(context))) {
        if (head + SIZE_SIZE + tag->size - mine->tail > bytes_size()) {
            mine->lost = true;
            break;
        }
        copy_in(mine, head, &tag->size, SIZE_SIZE);
        copy_in(mine, head + SIZE_SIZE, tag->text, tag->size);
        head += SIZE_SIZE + tag->size;
    }
    pg_atomic_write_u64(&mine->head, head);
    mine->entered -= entered;
    entered = false;
    LWLockRelease(mine->lock);
}

void ring_leave(void)
{
    if (!entered)
        return;
    LWLockAcquire(mine->lock, LW_EXCLUSIVE);
    mine->entered--;
    LWLockRelease(mine->lock);
    entered = false;
}

/* The place after at most so many tags. */
static uint64 end_of(const struct ring *ring, uint64 place, uint64 to, int most)
{
    for (int i = 0; i < most && place < to; i++) {
        uint16 size;
        copy_out(ring, place, &size, SIZE_SIZE);
        place += SIZE_SIZE + size;
    }
    return place;
}

static struct claim *claim_in(struct ring *ring, int state)
{
    for (int i = 0; i < CLAIMS; i++)
        if ((int)ring->claims[i].state == state)
            return &ring->claims[i];
    return NULL;
}

/* Nobody's so far. Null: nothing to be had, or too many have some. */
static struct claim *claim_new(struct ring *ring, int most)
{
    struct claim *made = claim_in(ring, CLAIM_NONE);
    uint64 head = pg_atomic_read_u64(&ring->head);
    if (!made || (!ring->lost && ring->next == head))
        return NULL;
    made->from = ring->next;
    made->to = ring->next = end_of(ring, ring->next, head, most);
    made->lost = ring->lost;
    ring->lost = false;
    return made;
}

/* It may have been given back because it was more than could be delivered in time. */
static void claim_split(struct ring *ring, struct claim *claim, int most)
{
    struct claim *rest = claim_in(ring, CLAIM_NONE);
    uint64 end = end_of(ring, claim->from, claim->to, most);
    if (!rest || end == claim->to)
        return;
    *rest = (struct claim){.state = CLAIM_GIVEN_BACK, .from = end, .to = claim->to};
    claim->to = end;
}

/* What was given back goes first. */
static struct claim *claim(struct ring *ring, int most)
{
    struct claim *found = claim_in(ring, CLAIM_GIVEN_BACK);
    if (found)
        claim_split(ring, found, most);
    else
        found = claim_new(ring, most);
    if (!found)
        return NULL;
    found->state = CLAIM_HELD;
    found->pid = MyProcPid;
    return found;
}

static bool held_by_others(const struct ring *ring)
{
    for (int i = 0; i < CLAIMS; i++)
        if (ring->claims[i].state == CLAIM_HELD && ring->claims[i].pid != MyProcPid)
            return true;
    return false;
}

static bool waits(struct ring *ring)
{
    return ring->lost || ring->next != pg_atomic_read_u64(&ring->head) ||
           claim_in(ring, CLAIM_GIVEN_BACK);
}

void ring_take(int most, struct ring_taken *ret_taken)
{
    struct ring *ring = own();
    struct claim *taken;
    memset(ret_taken, 0, sizeof *ret_taken);
    ret_taken->ring = ring;
    if (!ring) {
        ret_taken->lost = telling = !told;
        return;
    }
    LWLockAcquire(ring->lock, LW_EXCLUSIVE);
    taken = claim(ring, most);
    claimed = claimed || taken;
    if (taken) {
        ret_taken->lost = taken->lost;
        ret_taken->size = (Size)(taken->to - taken->from);
        ret_taken->bytes = palloc(ret_taken->size);
        copy_out(ring, taken->from, ret_taken->bytes, ret_taken->size);
    }
    ret_taken->more = waits(ring);
    ret_taken->coming = ring->entered > 0;
    ret_taken->asleep = ring->asleep;
    ret_taken->held = held_by_others(ring);
    LWLockRelease(ring->lock);
}

static uint64 first_held(const struct ring *ring)
{
    uint64 first = ring->next;
    for (int i = 0; i < CLAIMS; i++)
        if (ring->claims[i].state != CLAIM_NONE)
            first = Min(first, ring->claims[i].from);
    return first;
}

static void settle_claims(bool committed)
{
    LWLockAcquire(mine->lock, LW_EXCLUSIVE);
    for (int i = 0; i < CLAIMS; i++) {
        struct claim *each = &mine->claims[i];
        if (each->state == CLAIM_HELD && each->pid == MyProcPid)
            each->state = committed ? CLAIM_NONE : CLAIM_GIVEN_BACK;
    }
    mine->tail = first_held(mine);
    LWLockRelease(mine->lock);
}

void ring_settle(bool committed)
{
    told = told || (telling && committed);
    if (claimed)
        settle_claims(committed);
    telling = claimed = false;
}

void ring_sleep(bool asleep)
{
    struct ring *ring = own();
    if (!ring)
        return;
    LWLockAcquire(ring->lock, LW_EXCLUSIVE);
    ring->asleep = asleep;
    LWLockRelease(ring->lock);
}

bool ring_next(const struct ring_taken *taken, Size *place, struct ring_tag *ret_tag)
{
    if (*place == taken->size)
        return false;
    memcpy(&ret_tag->size, taken->bytes + *place, SIZE_SIZE);
    ret_tag->text = taken->bytes + *place + SIZE_SIZE;
    *place += SIZE_SIZE + ret_tag->size;
    return true;
}
