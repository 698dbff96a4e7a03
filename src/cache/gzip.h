/*
 * gzip (RFC 1952) of a body that comes in pieces and is never had whole.
 */
#ifndef LARDER_CACHE_GZIP_H
#define LARDER_CACHE_GZIP_H

#include "base/compiler.h"
#include "base/span.h"

struct gzip;

/* Null: memory. */
struct gzip *gzip_new(void) MUST_CHECK;
void gzip_free(struct gzip *gzip);

enum gzip_flush {
    GZIP_GATHER, /* gives what is worth giving */
    GZIP_FLUSH,  /* gives all that has come, so that its reader can read it now */
    GZIP_END,    /* and the end of the stream */
};

/*
 * Takes from the front of *rest and writes to `into` until either is used up; returns the bytes
 * written. When it fills `into` there may be more: call again, with the same flush, until it does
 * not.
 */
size_t gzip_write(struct gzip *gzip, struct span *rest, enum gzip_flush flush, char *into,
                  size_t room);

#endif
