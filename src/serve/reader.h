/*
 * Where a request's body comes from: the FastCGI stream in the responder, a buffer in a test.
 */
#ifndef LARDER_SERVE_READER_H
#define LARDER_SERVE_READER_H

#include "base/compiler.h"
#include "base/span.h"

struct reader {
    /*
     * Reads up to `room` bytes and waits for them; fewer came only where the body ends. False: it
     * broke off.
     */
    bool (*read)(struct reader *reader, char *into, size_t room, size_t *ret_size);
};

MUST_CHECK static inline bool reader_read(struct reader *reader, char *into, size_t room,
                                          size_t *ret_size)
{
    return reader->read(reader, into, room, ret_size);
}

#endif
