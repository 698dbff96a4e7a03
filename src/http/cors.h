/*
 * Cross-origin requests (Fetch, section 3.2): which pages of other origins a browser lets read the
 * answers.
 *
 * Pure. For "*" an answer is the same whoever asks; for a list of origins it differs, and must say
 * so by Vary: Origin, whether this request had an Origin or not.
 */
#ifndef LARDER_HTTP_CORS_H
#define LARDER_HTTP_CORS_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

/* As the options have them: lists with commas. The texts must outlive what is made of them. */
struct cors_settings {
    const char *origins; /* "*", origins as browsers send them, or empty: switched off */
    const char *methods; /* that a preflight may allow, of those a path has */
    const char *headers; /* that a request may have; "*": any */
    const char *expose;  /* of the answer, that a page may read; "*": all */
    int64_t max_age;     /* µs that a preflight's answer holds */
    bool credentials;    /* cookies, and TLS certificates, may come along */
};

struct cors;

/*
 * *ret_cors is null where they switch it off. ERROR_INVALID: credentials don't go with "*", which
 * would lend every page the user's name. ERROR_MEMORY.
 */
MUST_CHECK bool cors_new(const struct cors_settings *settings, struct cors **ret_cors,
                         struct error *error);
void cors_free(struct cors *cors);

/* Do answers differ by Origin? */
bool cors_varies(const struct cors *cors);

/* May a preflight allow the method? */
bool cors_allows_method(const struct cors *cors, struct span method);

/* Appends what every answer to a request with this Origin (data null: none) says. */
void cors_append(const struct cors *cors, struct span origin, struct bytes *head);

/* Appends what a preflight's answer says beside that. `methods`: those allowed, with commas. */
void cors_append_preflight(const struct cors *cors, struct span origin, struct span methods,
                           struct bytes *head);

#endif
