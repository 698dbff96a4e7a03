/*
 * Bodies made small, once, when they are made (RFC 1952, RFC 7932).
 */
#ifndef LARDER_CACHE_COMPRESS_H
#define LARDER_CACHE_COMPRESS_H

#include "base/bytes.h"
#include "http/coding.h"

/* One thread's compressors. */
struct compressor;

/* Null: memory. */
struct compressor *compressor_new(void) MUST_CHECK;
void compressor_free(struct compressor *compressor);

/*
 * Appends `body` in `coding` (gzip or brotli) to the empty `out`, in at most `most` bytes. False
 * when memory ran out or the result would be larger: then there is no such variant.
 */
MUST_CHECK bool compress_body(struct compressor *compressor, enum coding coding, struct span body,
                              size_t most, struct bytes *out);

#endif
