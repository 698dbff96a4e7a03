/*
 * Prefer (RFC 7240): what a client would like, and what it need not get.
 */
#ifndef LARDER_HTTP_PREFER_H
#define LARDER_HTTP_PREFER_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

struct prefer {
    bool respond_async; /* 202 rather than to wait (section 4.1) */
    int64_t wait;       /* seconds the client is ready to wait (section 4.3); -1: not said */
};

#define PREFER_NONE ((struct prefer){.wait = -1})

/*
 * Takes a field's value in: the first mention of a preference counts, also when *prefer has it from
 * an earlier line. What is unknown or malformed is passed over.
 */
void prefer_read(struct span value, struct prefer *prefer);

#endif
