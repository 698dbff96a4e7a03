/*
 * How the queue's keys in Redis are called, and a job's fields.
 *
 * With P the prefix:
 *   P:q:jobs        stream of jobs that wait or run: {j: id}, read by the group QUEUE_GROUP
 *   P:q:j:<id>      hash of one job, its fields below; times are wall clock µs
 *   P:q:later       sorted set of jobs by the µs of their next try
 *   P:q:dead        stream {j: id} of jobs that failed for good
 *   P:q:d:<digest>  which job stands for all calls alike
 *   P:q:news        channel: "<id> <state>" at each change of a job
 *   P:q:bell        channel: something was filed; see queue/bell.h
 *   P:q:b:<digest>  stream of one route's write-behind {r: route, d: document, o: owner}
 *   P:q:i           the queue's own name, a random one: see queue/behind.h
 */
#ifndef LARDER_QUEUE_NAMES_H
#define LARDER_QUEUE_NAMES_H

#include "base/digest.h"
#include "base/error.h"
#include "base/span.h"

#define QUEUE_GROUP "larder"

#define QUEUE_STATE "s"     /* a name of enum queue_state */
#define QUEUE_ROUTE "r"     /* the route's name: "POST /feeds/{id}/like" */
#define QUEUE_VERSION "v"   /* of its file */
#define QUEUE_OWNER "o"     /* queue_owner's; empty: nobody was signed in */
#define QUEUE_DOCUMENT "d"  /* see queue/record.h */
#define QUEUE_FILED "f"     /* when it was filed, … */
#define QUEUE_BEGUN "b"     /* … its last try was begun, … */
#define QUEUE_ENDED "e"     /* … and it ended */
#define QUEUE_TRIES "a"     /* how often it was begun */
#define QUEUE_RETRIES "w"   /* how often it may be tried again */
#define QUEUE_TIMEOUT "x"   /* µs for one try */
#define QUEUE_NEXT "n"      /* when it is tried next; 0: now */
#define QUEUE_PROGRESS "p"  /* "<statements done>/<of>" */
#define QUEUE_DEDUPE "y"    /* the name of its P:q:d: key; empty: none */
#define QUEUE_DEATHS "z"    /* how often a worker did not end it */
#define QUEUE_TROUBLES "u"  /* how often the server's trouble ended a try, which did not count */
#define QUEUE_CANCEL "c"    /* "1": it is to be cancelled */
#define QUEUE_STATUS "rs"   /* of the answer … */
#define QUEUE_TYPE "rt"     /* … its Content-Type, … */
#define QUEUE_LOCATION "rl" /* … its Location … */
#define QUEUE_BODY "rb"     /* … and its body; of a failed job the problem */
#define QUEUE_WHY "rw"      /* why its last try failed, for who runs the server alone */

enum queue_state {
    QUEUE_QUEUED,
    QUEUE_RUNNING,
    QUEUE_DONE,
    QUEUE_FAILED,
    QUEUE_CANCELLED,
    QUEUE_STATE_COUNT,
};

extern const char *const queue_state_names[QUEUE_STATE_COUNT];

/* False: no state has this name. */
MUST_CHECK bool queue_state_read(struct span name, enum queue_state *ret_state);

/* Has the job come to its end, whatever it was? */
bool queue_state_ended(enum queue_state state);

/* A job's id: 16 random bytes as base64url, terminated. */
#define QUEUE_ID_SIZE 23

/* ERROR_SYSTEM: the system has no random bytes. */
MUST_CHECK bool queue_id_new(char ret_id[static QUEUE_ID_SIZE], struct error *error);

/* Can it be an id? Anything else is never sent to Redis. */
bool queue_id_valid(struct span text);

/* Room for any key, terminated; a prefix has at most 64 bytes. */
#define QUEUE_NAME_SIZE 128

enum queue_key {
    QUEUE_KEY_JOBS,
    QUEUE_KEY_LATER,
    QUEUE_KEY_DEAD,
    QUEUE_KEY_NEWS,
    QUEUE_KEY_BELL,
    QUEUE_KEY_JOB,    /* of an id; empty: what stands before it */
    QUEUE_KEY_DEDUPE, /* of a digest */
    QUEUE_KEY_BEHIND, /* of a digest */
};

/* `rest` is what the key is of; empty where it is of nothing. */
void queue_name(const char *prefix, enum queue_key key, struct span rest,
                char ret_name[static QUEUE_NAME_SIZE]);

/* A digest of texts, terminated: no two lists of texts have the same. */
#define QUEUE_DIGEST_SIZE 23

MUST_CHECK bool queue_digest(const struct span *parts, size_t count,
                             char ret_digest[static QUEUE_DIGEST_SIZE], struct error *error);

/*
 * Whose a job is: a digest of the principal's identity (data null: nobody is signed in, and the
 * owner is empty), so that Redis has no names of people.
 */
#define QUEUE_OWNER_SIZE (2 * DIGEST_SIZE + 1)

MUST_CHECK bool queue_owner(struct span identity, char ret_owner[static QUEUE_OWNER_SIZE],
                            struct error *error);

#endif
