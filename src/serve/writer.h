/*
 * Where an answer's bytes go: the FastCGI stream in the responder, a buffer in a test.
 */
#ifndef LARDER_SERVE_WRITER_H
#define LARDER_SERVE_WRITER_H

#include "base/span.h"

struct writer {
    /* False: the client is gone; the rest may be left out. */
    bool (*write)(struct writer *writer, struct span bytes);
};

static inline bool writer_write(struct writer *writer, struct span bytes)
{
    return bytes.size == 0 || writer->write(writer, bytes);
}

#endif
