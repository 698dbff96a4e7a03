/*
 * A request as the web server passes it on (CGI/1.1, RFC 3875, section 4.1): views into the
 * FastCGI parameters, which live until the request is finished.
 */
#ifndef LARDER_SERVE_REQUEST_H
#define LARDER_SERVE_REQUEST_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

/* Data null: not sent. */
struct request {
    struct span method;
    struct span target;         /* REQUEST_URI: raw, undecoded */
    struct span content_length; /* empty: not known */
    struct span content_type;
    struct span content_encoding;
    struct span remote_address;
    struct span accept;
    struct span accept_encoding;
    struct span authorization;
    struct span origin;
    struct span cors_method; /* Access-Control-Request-Method */
    struct span if_match;
    struct span if_none_match;
    struct span if_modified_since;
    struct span if_unmodified_since;
    struct span idempotency_key;
    struct span prefer;          /* the last line of several */
    struct span nginx;           /* LARDER_NGINX: see serve/nginx.h */
    struct span export_location; /* LARDER_EXPORT: nginx' way to the processes of downloads */
    size_t header_size;          /* all header fields' names and values */
    char *const *parameters;     /* NAME=value texts, null-terminated */
};

/* Reads the parameters in one pass. */
void request_read(char *const *parameters, struct request *ret_request);

/* The body's length; 0 where it is not known. False: no number. */
MUST_CHECK bool request_content_length(const struct request *request, uint64_t *ret_length);

/*
 * The values of a header field that was sent in several lines, named as its parameter is
 * ("HTTP_X_FORWARDED_FOR"), in their order; of more than `most` the last. Returns how many.
 */
size_t request_lines(const struct request *request, const char *parameter, struct span *ret_lines,
                     size_t most);

/* The header field that a route calls `name` ("user_agent" is User-Agent); data null: not sent. */
struct span request_header(const struct request *request, const char *name);

#endif
