/*
 * Versions of rows, so that no update is lost: @version.
 *
 * A read with @version tells the version of the row it shows in its entity tag
 * (cache/version_tag.h). A write with @version takes it out of If-Match and compares it in its own
 * statement, so nothing can come between the comparison and the change. A row that did not come is
 * then a version that has passed: 412, with the entity tag of now.
 */
#ifndef LARDER_SERVE_VERSION_H
#define LARDER_SERVE_VERSION_H

#include "serve/exchange.h"

/* Reads the request's If-Match into the exchange; settles it where it must not go on: 400, 428. */
void version_ask(struct exchange *exchange);

/* Settles with 412 and the entity tag of now, or with the 404 of the read at the same path. */
void version_answer(struct exchange *exchange);

#endif
