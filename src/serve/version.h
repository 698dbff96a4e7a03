/*
 * Versions of rows, so that no update is lost: @version.
 *
 * A read with @version tells the version of the row it shows in its entity tag, behind the digest
 * of its body: "<digest>.<version>", the version in base64url, with '+' for '-', which begins the
 * suffix of a coding. A write with @version takes it out of If-Match and compares it in its own
 * statement, so nothing can come between the comparison and the change. A row that did not come is
 * then a version that has passed: 412, with the entity tag of now.
 */
#ifndef LARDER_SERVE_VERSION_H
#define LARDER_SERVE_VERSION_H

#include "cache/entry.h"
#include "serve/exchange.h"

/* A longer one is left out of the tag, and so no write can be held to it. */
#define VERSION_MAX 48

/* Appends the version that the body, a JSON object, has in the route's column; or nothing. */
void version_append(const struct route *route, struct span body,
                    char tag[static ENTRY_TAG_MAX + 1]);

/*
 * The one version that an If-Match of a write asks for; `text` holds it, terminated. VERSION_OTHER
 * when the list has none that could be a row's, VERSION_SEVERAL when it has different ones.
 */
enum version_kind version_read(struct span if_match, char ret_text[static VERSION_MAX + 1]);

/* Reads the request's If-Match into the exchange; settles it where it must not go on: 400, 428. */
void version_ask(struct exchange *exchange);

/* Was a version asked for that the row, which did not come, does not have? */
bool version_asked(const struct exchange *exchange);

/*
 * Settles with 412 and the entity tag of now; or with 404 where the read at the same path has no
 * row, or one of just that version, which the write's statement left alone for a reason of its own.
 */
void version_answer(struct exchange *exchange);

#endif
