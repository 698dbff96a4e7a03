/*
 * Who knows what, and when: the cache's protocol, as small as it can be and still go wrong.
 *
 * One answer, made by a view that reads the table A and, after a change of definitions, the table
 * B. Its content is a number that every commit raises which changes it. Writers are somebody with
 * psql and, with OWN_WRITE, the responder itself, which strikes after its answer. larderd takes the
 * outbox and bumps in Redis; the host hears of bumps by its feed, late, or not of one of them. It
 * keeps the answer in Redis and in its memory, with the tag of the table that it learnt the view to
 * read. With CRASH PostgreSQL comes back without the change of the view; with RELOAD the host has
 * other routes from some moment on, while requests may have those of before.
 *
 * Time is left out. An answer `lasts` for its ttl, or else is gone with the guard time, and then
 * this model has nothing to say of it. So what is promised, and looked at in every state, is: when
 * no word of a change is on its way, nothing that lasts is served but what the database has, with
 * the tag by which its next change strikes it; and who wrote through the host and has his answer
 * gets nothing of before from it.
 *
 * Left out too: what is missing from Redis (the journal), larderd's end (the heartbeat), PostgreSQL's
 * standbys, nginx, and that a struck answer is not even kept, which saves room alone here.
 *
 * Each mechanism can be taken out (WITHOUT_…), and then the promise is broken: tests/model/run.
 */
#ifndef WRITES
#define WRITES 1
#endif

/* Tags, and sets of them. */
#define A 0
#define B 1
#define ALL 2  /* "*" */
#define DEFS 3 /* "larder:definitions" */
#define SET(tag) (1 << (tag))
#define HAS(set, tag) (((set) >> (tag)) & 1)
#define MOST(x, y) ((x) > (y) -> (x) : (y))

/* A floor above all numbers: the feed is lost. */
#define NEVER 100

typedef answer {
    bit there, lasts;
    bit table; /* its tag; every answer has ALL too */
    byte content, clock;
};

/* PostgreSQL. */
bit view = A;
byte content = 0;
byte outbox = 0, in_hand = 0; /* sets of tags: committed, and taken by larderd */
byte writes = 0;
bit altered = false, crashed = false;

/* Redis: the clock, the last bump, the last one of definitions, the tags' clocks. */
byte n = 1, b = 1, d = 0;
byte tag[3];
answer kept;

/* The host: the tags' clocks and the newest of all, the feed's place and floor, the memory. */
byte slot[4], newest = 1, floor = 1, place = 1;
answer memory;
bit lost = false; /* a message was */

/* What the view is known to read, as of which bump: to the routes before a reload, and to those now. */
bit now = 0, learnt[2];
byte known[2];

/* The host's own write: is it awaited, what has its client seen, is it all done? */
bit awaited = false, own_tag, own_done = true;
byte own_seen = 0;

chan feed = [6] of {byte, byte, byte}; /* the bump before, the bump, its tags */

/* cache/bump.c */
inline bump(tags)
{
    n++;
    if :: HAS(tags, A) -> tag[A] = n :: else fi;
    if :: HAS(tags, B) -> tag[B] = n :: else fi;
    if :: HAS(tags, ALL) -> tag[ALL] = n :: else fi;
    if :: HAS(tags, DEFS) -> d = n :: else fi;
    feed!b, n, tags;
    b = n
}

/* cache/clocks.c */
inline strike(tags, number)
{
    if :: HAS(tags, A) -> slot[A] = MOST(slot[A], number) :: else fi;
    if :: HAS(tags, B) -> slot[B] = MOST(slot[B], number) :: else fi;
    if :: HAS(tags, ALL) -> slot[ALL] = MOST(slot[ALL], number) :: else fi;
    if :: HAS(tags, DEFS) -> slot[DEFS] = MOST(slot[DEFS], number) :: else fi;
    newest = MOST(newest, number)
}

/* psql, and whoever alters the view. */
active proctype writer()
{
end:
    do
    :: atomic { writes < WRITES ->
        writes++;
        content++;
        outbox = outbox | SET(view) }
    :: atomic { !altered ->
        altered = true;
        view = B;
        content++;
#ifdef WITHOUT_ALL
        outbox = outbox | SET(DEFS)
#else
        outbox = outbox | SET(ALL) | SET(DEFS)
#endif
        }
#ifdef CRASH
    /* The outbox is empty after it, which larderd sees. */
    :: atomic { altered && !crashed ->
        crashed = true;
        view = A;
        content++;
#ifdef WITHOUT_DEFINITIONS_AFTER_CRASH
        outbox = SET(ALL)
#else
        outbox = SET(ALL) | SET(DEFS)
#endif
        }
#endif
    od
}

/* work/feed.c: bumped first, then committed. */
active proctype larderd()
{
end:
    do
    :: atomic { outbox -> in_hand = outbox; outbox = 0 };
        if
        :: atomic { bump(in_hand); in_hand = 0 }
        :: atomic { outbox = outbox | in_hand; in_hand = 0 } /* it failed: the rows come again */
        fi
    od
}

#ifdef OWN_WRITE
/* serve/strike.c. What follows a change of the view that is not heard of yet is no promise. */
active proctype own_writer()
{
    byte number, defined, seen;
    atomic {
        own_done = false;
        own_tag = view;
        content++;
        if :: !altered -> seen = content :: else fi;
#ifndef WITHOUT_AWAIT
        awaited = true
#endif
    };
    own_seen = seen; /* its client has the answer */
    atomic { bump(SET(own_tag)); number = n; defined = d };
    atomic {
#ifndef WITHOUT_DEFINITIONS_OF_A_BUMP
        strike(SET(DEFS), defined);
#endif
        strike(SET(own_tag), number);
        awaited = false; own_done = true; number = 0; defined = 0; seen = 0
    }
}
#endif

/* serve/feed.c: one after the other, or from the start. */
active proctype listener()
{
    byte before, number, tags;
end:
    do
    :: atomic { feed?before, number, tags ->
        if
        :: !lost -> lost = true
        :: strike(tags, number);
            if
            :: number <= place
            :: number > place && before == place -> place = number
            :: number > place && before != place ->
#ifdef WITHOUT_GAPS
                place = number
#else
                floor = NEVER
#endif
            fi
        fi;
        before = 0; number = 0; tags = 0 }
    :: atomic { floor == NEVER -> memory.there = false; place = b; floor = n }
    /* A heartbeat tells of the last bump. */
    :: atomic { empty(feed) && floor != NEVER && place != b -> floor = NEVER }
    od
}

/* serve/learning.c, and a reload */
#define CHANGED MOST(floor, slot[DEFS])
active proctype learner()
{
    byte clock;
end:
    do
    :: atomic { floor != NEVER && CHANGED > known[now] -> clock = CHANGED };
        learnt[now] = view;
        atomic { known[now] = clock; clock = 0 }
#ifdef RELOAD
    :: atomic { now == 0 && floor != NEVER -> now = 1; learnt[1] = view; known[1] = CHANGED }
#endif
    od
}

/* serve/policy.c, policy_changes_heard */
#ifdef WITHOUT_KNOWN_OF_EACH_LIVE
#define KNOWN known[now]
#else
#define KNOWN known[live]
#endif
#ifdef WITHOUT_DEFINITIONS_OF_A_LEASE
#define TOLD true
#else
#define TOLD (told <= KNOWN)
#endif
#define HEARD (made.table == learnt[live] && TOLD && CHANGED <= KNOWN)

/* May what is kept be served? */
#ifdef WITHOUT_FLOOR
#define HEARD_SINCE(a) true
#else
#define HEARD_SINCE(a) (floor <= a.clock || !a.lasts)
#endif
#define UNSTRUCK(a) (slot[a.table] <= a.clock && slot[ALL] <= a.clock && \
    !(awaited && a.table == own_tag))
#define IN_REDIS (kept.there && tag[kept.table] <= kept.clock && tag[ALL] <= kept.clock)
#define IN_MEMORY (memory.there && UNSTRUCK(memory) && HEARD_SINCE(memory))

/* serve/step_query.c, clock_known */
#define BEFORE_QUERY (floor != NEVER -> MOST(newest, floor) : newest)

inline copy(from, to)
{
    to.there = true;
    to.lasts = from.lasts;
    to.table = from.table;
    to.content = from.content;
    to.clock = from.clock
}

/* Requests that seek the answer: look-up, query, keeping it in Redis and in the memory. */
active proctype seeker()
{
    byte told;
    bit leased, live; /* live: it has the routes of now, not those before a reload */
    answer made;
end:
    do
    ::
#ifdef RELOAD
        live = now;
#endif
        atomic {
            if
            :: IN_REDIS && UNSTRUCK(kept) ->
                assert(kept.content >= own_seen || !kept.lasts);
                copy(kept, made);
                made.clock = n;
                goto keep
            :: !IN_REDIS -> leased = true; made.clock = n; told = d
            :: made.clock = BEFORE_QUERY /* Redis is not asked, or gives no lease */
            fi;
            made.table = learnt[live]
        };
        made.content = content;
#ifdef WITHOUT_CLOCK_BEFORE_QUERY
        made.clock = n;
#endif
        atomic { made.lasts = HEARD; told = 0 };
        atomic {
            if :: leased -> copy(made, kept) :: else fi;
            leased = false
        };
keep:
        atomic {
            copy(made, memory);
            made.there = false; made.lasts = false; made.table = 0; made.content = 0; made.clock = 0
        }
    od
}

#define TOLD_ALL (outbox == 0 && in_hand == 0 && own_done)
#define HEARD_ALL (TOLD_ALL && empty(feed) && place == b)
#define WRONG(a) (a.lasts && (a.content != content || a.table != view))
active proctype monitor()
{
end:
    do
    :: atomic {
        (IN_REDIS && TOLD_ALL && WRONG(kept)) || (IN_MEMORY && HEARD_ALL && WRONG(memory)) ||
        (IN_MEMORY && memory.lasts && memory.content < own_seen) -> assert(false) }
    od
}
