/*
 * One request and its answer on their way through the steps.
 *
 * The phase says what the exchange holds, and the step table says in which phases a step runs, so
 * no step needs to know its neighbours. Everything but the reply of Redis and the result of
 * PostgreSQL is in the desk's arena or buffers, which the next request uses again.
 */
#ifndef LARDER_SERVE_EXCHANGE_H
#define LARDER_SERVE_EXCHANGE_H

#include "auth/principal.h"
#include "cache/version_tag.h"
#include "http/cache_status.h"
#include "http/prefer.h"
#include "http/problem.h"
#include "http/query.h"
#include "limit/limiter.h"
#include "serve/reader.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/writer.h"

struct kept;

enum phase {
    PHASE_SEEKING = 1 << 0,  /* no answer yet */
    PHASE_FILLED = 1 << 1,   /* an answer made by this request's query */
    PHASE_HELD = 1 << 2,     /* an answer out of the cache */
    PHASE_SETTLED = 1 << 3,  /* an answer without an entry: problems, OPTIONS, 304, metrics */
    PHASE_SENT = 1 << 4,     /* the answer went out as it came, or as much of it as there was */
    PHASE_WATCHING = 1 << 5, /* no answer yet: what it asks of is a job of the queue */
};

/* What is still to be answered. */
#define PHASE_ANY (PHASE_SEEKING | PHASE_FILLED | PHASE_HELD | PHASE_SETTLED)

/* More parameters in one query string than this is a 400. */
#define QUERY_PAIRS_MAX 256

/*
 * The memory a request is worked on with, kept for the next one. The connection and the compressor
 * are lent by the thread that has the request in hand.
 */
struct desk {
    struct server *server;
    struct arena *arena;
    struct redis_connection *redis; /* null: without Redis */
    struct redis_connection *queue; /* null: nothing is made later */
    struct compressor *compressor;
    struct bytes key;
    struct bytes body;     /* the request's */
    struct bytes document; /* of the job that it files */
    struct query_pair pairs[QUERY_PAIRS_MAX];
    struct bytes head;                     /* the answer's header */
    struct bytes compressed[CODING_COUNT]; /* of a fresh answer */
};

#define STEP_COUNT_MAX 32

struct flight;
struct binding;

/* Making a cached answer anew in the background, when the client has its answer. */
enum refresh {
    REFRESH_NONE,
    REFRESH_LEASED, /* the lease is this exchange's already */
    REFRESH_TRY,    /* ahead of the expiry, unless another has the lease */
};

struct exchange {
    struct desk *desk;
    struct server *server;
    struct writer *writer; /* null: the client has its answer */
    struct reader *reader; /* of the request's body */
    enum phase phase;

    int64_t started; /* monotonic µs */
    int64_t now;     /* wall clock µs: the request's one time */
    struct request request;
    bool whole;              /* all of it has arrived: reading its body waits for nobody */
    bool head_only;          /* HEAD: everything but the body */
    bool profile;            /* ?profile=1, where it is allowed */
    bool led_on;             /* other processes answer, and count, the request */
    struct span path, query; /* raw */

    struct live *live; /* a reference */
    struct served *served;
    struct route_match match;
    /* The one generation of it that this exchange binds, asks and tags by; set with `served`. */
    const struct learned *learned;
    const struct principal *principal; /* who asks; null: nobody is signed in */
    /* As whom the route's statements run (@auth rls); null: as the session's own role. */
    const struct db_identity *identity;
    struct limit_request *limits; /* what counts this request; null: nothing does */
    int64_t redis_waited; /* µs for Redis before it is asked for an answer: off the budget */
    bool nginx_keeps;     /* the answer is one for everybody */
    struct span body;     /* the request's, as it came: from the body step on; data null: none */
    size_t pair_count;    /* of desk->pairs: the query's */
    enum version_kind version_kind;
    struct span version; /* of VERSION_GIVEN; terminated */
    /* Settles where the row is not there with the version asked for; null: none was asked for. */
    void (*overtaken)(struct exchange *exchange);
    bool recording;  /* the answer is made to be recorded, within the write's transaction … */
    bool unrecorded; /* … which was given up, for there was no row to answer with */
    struct queue_watch *watch;                    /* of WATCHING, until the end; null: none */
    void (*watch_end)(struct exchange *exchange); /* frees what the watch has */
    struct binding *binding; /* goes on in the body step; null: nothing comes in the body */
    struct value
        *by_param;        /* of each of the route's parameters; the body's from the body step on */
    struct value *values; /* of each $n */
    struct coding_accept accept;
    struct prefer prefer;
    int64_t timeout;           /* µs for the statement */
    int64_t redis_budget;      /* µs this request may still wait for Redis */
    bool asks;                 /* the cache is to be asked what `lookup` says */
    struct store_query lookup; /* and has answered in it before the lookup step */
    int64_t asked;             /* monotonic µs: when the look-up or the query at hand began */
    bool standby;              /* … which a standby answered */
    uint64_t host_clock;       /* all bumps up to it were there before the query */
    struct flight *flight;     /* led by this exchange; null: none */
    bool sought;               /* what fills an answer is behind it */
    bool filed;                /* a job: once it is answered the queue's bell is to be rung */
    bool alone;                /* fills without a lease and without waiting for anybody */
    bool waits;                /* another process has the lease */
    int64_t waits_until;       /* monotonic µs: when this stops; 0: has not waited yet */
    int64_t wait_next;         /* monotonic µs: when to look again */
    int64_t wait_pause;        /* µs between the last two looks */
    enum refresh refresh;

    struct entry_meta meta;           /* FILLED, HELD */
    struct span bodies[CODING_COUNT]; /* the variants at hand; data null: none */
    struct redis_reply *reply;        /* what HELD bodies point into */
    struct kept *kept;                /* … or they point into this; a reference */
    bool redis_failed;                /* this request leaves Redis alone from now on */
    struct db_result *result;         /* what FILLED bodies point into */

    struct strike *strike; /* of a write: Redis is to be told after the answer; or null */
    uint64_t
        transaction; /* of a write: its tags are bumped, which the pool is to be told; 0: none */

    bool stands_in;                    /* the HELD answer stands in for a failed query */
    const struct failure_row *failure; /* why the query gave nothing, where others share it */

    unsigned status; /* SETTLED, and after respond always */
    struct span settled_type, settled_body;
    struct span settled_head; /* further header lines, each with CRLF */
    struct cache_status cache;
    enum counter_tier tier;
    struct route_counters *counters;
    bool broken;    /* SENT: but not whole, so that the connection must not end as if it were */
    int64_t opened; /* SENT: monotonic µs: when its first byte went out */

    int64_t step_ends[STEP_COUNT_MAX]; /* monotonic µs; 0: the step did not run */
};

/* Settles with a body-less or ready-made answer. The spans must live as long as the exchange. */
void exchange_settle(struct exchange *exchange, unsigned status, struct span type,
                     struct span body);

/* Settles with problem+json; `detail` may be null. */
void exchange_problem(struct exchange *exchange, unsigned status, const char *detail);
void exchange_problem_items(struct exchange *exchange, unsigned status, const char *detail,
                            const struct problem_item *items, size_t count);

/* Settles with a problem made whole by the caller. */
void exchange_problem_whole(struct exchange *exchange, const struct problem *problem);

/* Adds a header line ("Allow: GET") to a settled answer. */
void exchange_header(struct exchange *exchange, const char *name, const char *value);

/* Out of memory within a request: a constant answer that needs none. */
void exchange_memory(struct exchange *exchange);

/* The value of the route's parameter of this name; null: it has none. */
const struct value *exchange_parameter(const struct exchange *exchange, struct span name);

/* Logs what the cache has to say of Redis, if anything. */
void exchange_redis_event(const struct error *event);

/*
 * Before the request's memory goes and the exchange is worked on: copies what a query needs of it.
 * False: memory.
 */
MUST_CHECK bool exchange_detach(struct exchange *exchange);

/*
 * A read that another request needs on its way: by the same client, with its memory and routes,
 * not yet of a path. exchange_end is the caller's.
 */
struct exchange exchange_for_read(const struct exchange *exchange, const struct route *route);

/* Frees the foreign handles and the reference to the routes. */
void exchange_end(struct exchange *exchange);

#endif
