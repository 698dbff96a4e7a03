/*
 * What an answer depends on, by name: the tags its entry carries.
 */
#ifndef LARDER_SERVE_TAGS_H
#define LARDER_SERVE_TAGS_H

#include "serve/exchange.h"

/*
 * Writes the answer's tags into exchange->meta: those of the tables the route reads, those its
 * @tags name, and the `narrowed` ones as they came with the rows (db/shape.h). The spans live as
 * long as the exchange. False: there are more than an entry can have, or memory is out; the answer
 * then can't be kept.
 */
MUST_CHECK bool tags_write(struct exchange *exchange, struct span narrowed);

/*
 * Appends "feed:{id}" with the request's values in its places; one that is long or has controls
 * stands there as its digest. False: memory.
 */
MUST_CHECK bool tags_template(const struct exchange *exchange, struct span text, struct bytes *out);

/*
 * Appends the tag of the URI itself ("uri:/users/7") where a write to it would not be heard of
 * otherwise: the path has reads and writes, and not all that the read depends on has triggers. Both
 * the read's entry carries it and the write strikes it (RFC 9111, section 4.4). False: memory.
 */
MUST_CHECK bool tags_uri(const struct exchange *exchange, struct bytes *out);

#endif
