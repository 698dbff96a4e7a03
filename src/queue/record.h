/*
 * The document of a write that is made later: all that running it needs beside its route, as
 *
 *   {"values":{"id":"17","note":null},"role":"web_user","claims":"{…}"}
 *
 * A value is the text that would be bound, or null; a parameter that was not given is left out.
 * role and claims are there where the statements run as somebody (@auth rls). Pure.
 */
#ifndef LARDER_QUEUE_RECORD_H
#define LARDER_QUEUE_RECORD_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "route/route.h"

struct queue_record {
    const struct value *values; /* of each of the route's parameters */
    const char *role;           /* null: the session's own */
    const char *claims;         /* a JSON text; null: not set */
};

/* Appends the document. */
void queue_record_write(const struct route *route, const struct queue_record *record,
                        struct bytes *out);

/*
 * Reads it back for the route as it is now; texts are in `arena`, terminated. ERROR_INVALID: it is
 * none, or has a value the route does not know, or lacks one that it now needs; the text says
 * which.
 */
MUST_CHECK bool queue_record_read(struct span text, const struct route *route, struct arena *arena,
                                  struct queue_record *ret_record, struct error *error);

#endif
