/*
 * Is a kept answer what PostgreSQL would give now? Looks an entry up as a responder does, makes the
 * answer again from the values in its key, and compares the two by their tags.
 *
 * A difference found once proves nothing: a change that was committed a moment ago may still be on
 * its way. It is one when the entry is served even LARDER_GUARD_TTL later, which is as long as a
 * change may take whatever is down; verify_confirm asks that.
 *
 * Takes no lease, writes nothing and is used by one thread.
 */
#ifndef LARDER_SERVE_VERIFY_H
#define LARDER_SERVE_VERIFY_H

#include "base/options.h"
#include "cache/entry.h"
#include "cache/scan.h"
#include "serve/live.h"

struct verifier;

/* What came of an entry; all but the first two are skipped. */
enum verify_outcome {
    VERIFY_SAME,
    VERIFY_DIFFERS,
    VERIFY_HASHED,  /* a long key: the values are not in it */
    VERIFY_UNKNOWN, /* the key is of no route that is loaded: an earlier deployment's */
    VERIFY_CLOCK,   /* the route asks for :now or :today */
    VERIFY_VARYING, /* its statement gives another answer each time by itself */
    VERIFY_ROLE,    /* made as a client's role, whose claims the key has a digest of */
    VERIFY_GONE,    /* not served: expired, struck or gone */
    VERIFY_FAILED,  /* the statement failed: `failure` */
    VERIFY_OUTCOMES,
};

/* One side of a comparison. */
struct verify_side {
    unsigned status;
    char tag[ENTRY_TAG_SIZE + 1]; /* of the identity body; empty: there is none */
};

struct verify_finding {
    enum verify_outcome outcome;
    const struct served *served;    /* null: VERIFY_UNKNOWN and VERIFY_HASHED */
    struct verify_side kept, now;   /* of VERIFY_SAME and VERIFY_DIFFERS */
    char label[ENTRY_TAG_SIZE + 1]; /* the tag the entry says it has; kept.tag, if all is well */
    int64_t created;                /* wall clock µs */
    uint64_t clock;                 /* the entry's */
    struct bytes tags;              /* the entry's, newline between them */
    struct db_failure failure;
};

/*
 * Options and counters must outlive the verifier. Nothing is asked yet. ERROR_INVALID: LARDER_REDIS
 * or the ETag key is at fault.
 */
MUST_CHECK bool verifier_new(const struct options *options, struct counters *counters,
                             struct verifier **ret_verifier, struct error *error);

/* Null is allowed. */
void verifier_free(struct verifier *verifier);

/*
 * Loads the routes of LARDER_ROUTES, if they are others than those loaded, and asks PostgreSQL
 * about them; `again` does so even if they are the same. Faults of files and PostgreSQL's
 * complaints go to `faults`. False when a file has a fault (ERROR_INVALID) or PostgreSQL can't be
 * asked (ERROR_UNAVAILABLE).
 */
MUST_CHECK bool verifier_load(struct verifier *verifier, bool again, struct fault_list *faults,
                              struct error *error);

/* The routes loaded last. */
struct live *verifier_live(struct verifier *verifier);

/* VERIFY_SAME: its entries can be compared; else why not. */
enum verify_outcome verify_route(const struct served *served);

/* Walks all entries: cache_scan. */
MUST_CHECK bool verify_walk(struct verifier *verifier, cache_scan_visit *visit, void *context,
                            struct error *error);

/*
 * Compares one entry. The finding is the caller's (verify_finding_free), who begins with zeros. A
 * VERIFY_DIFFERS is still to be confirmed. False: Redis or PostgreSQL is away.
 */
MUST_CHECK bool verify_entry(struct verifier *verifier, struct span key,
                             struct verify_finding *finding, struct error *error);

/*
 * Looks at a VERIFY_DIFFERS again: it stays one when PostgreSQL gives another answer than the entry
 * and after that this very entry is still served. Errors as verify_entry's.
 */
MUST_CHECK bool verify_confirm(struct verifier *verifier, struct span key,
                               struct verify_finding *finding, struct error *error);

void verify_finding_free(struct verify_finding *finding);

#endif
