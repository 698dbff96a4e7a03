/*
 * Where an answer's bytes go: the FastCGI stream in the responder, a buffer in a test.
 */
#ifndef LARDER_SERVE_WRITER_H
#define LARDER_SERVE_WRITER_H

#include <stdint.h>

#include "base/span.h"

enum writer_outcome {
    WRITER_SENT,
    WRITER_LATE, /* not all was taken in time */
    WRITER_GONE, /* nobody takes anything any more */
};

struct writer {
    /* False: the client is gone; the rest may be left out. */
    bool (*write)(struct writer *writer, struct span bytes);
    /*
     * For an answer that is sent while it is made, in place of `write`: sends now, waiting until
     * `until` (monotonic µs) for room. *rest keeps what was not sent; after WRITER_LATE nothing but
     * that may be sent.
     */
    enum writer_outcome (*send)(struct writer *writer, struct span *rest, int64_t until);
    int peer; /* the socket that the client's leaving closes; -1: there is none */
};

static inline bool writer_write(struct writer *writer, struct span bytes)
{
    return bytes.size == 0 || writer->write(writer, bytes);
}

static inline enum writer_outcome writer_send(struct writer *writer, struct span *rest,
                                              int64_t until)
{
    return writer->send(writer, rest, until);
}

#endif
