/*
 * What a download asks of PostgreSQL. Not for other folders.
 */
#ifndef LARDER_DB_LEARN_STREAM_H
#define LARDER_DB_LEARN_STREAM_H

#include "db/learn.h"

/* Does it offer rows as objects, whose columns must differ in name? */
bool learn_stream_has_objects(const struct route_stream *stream);

/*
 * A statement around the route's that PostgreSQL can't describe where that is none to select from:
 * an INSERT with RETURNING. Null: memory.
 */
const char *learn_stream_probe(const struct route *route, struct arena *arena,
                               size_t *ret_offset) MUST_CHECK;

/*
 * Makes the texts of a download whose parameters have these types, whose names it asks for, and
 * whose columns are those of `bare`. False: memory, or PostgreSQL could not be asked.
 */
MUST_CHECK bool learn_stream(struct db_connection *connection, const struct route *route,
                             const uint32_t *types, const struct db_description *bare,
                             int64_t timeout, struct arena *arena,
                             struct learned_stream *ret_stream, struct db_failure *failure);

#endif
