#include "cache/compress.h"

#include <stdlib.h>

#include <brotli/encode.h>
#include <libdeflate.h>

/* Levels near which both codecs' gain for JSON flattens: about 0.1 and 0.2 ms for 10 KB. */
#define GZIP_LEVEL 6
#define BROTLI_QUALITY 5
#define BROTLI_WINDOW 18

struct compressor {
    struct libdeflate_compressor *gzip;
};

struct compressor *compressor_new(void)
{
    return calloc(1, sizeof(struct compressor));
}

void compressor_free(struct compressor *compressor)
{
    if (!compressor)
        return;
    if (compressor->gzip)
        libdeflate_free_compressor(compressor->gzip);
    free(compressor);
}

static size_t compress_gzip(struct compressor *compressor, struct span body, char *to, size_t room)
{
    if (!compressor->gzip)
        compressor->gzip = libdeflate_alloc_compressor(GZIP_LEVEL);
    if (!compressor->gzip)
        return 0;
    return libdeflate_gzip_compress(compressor->gzip, body.data, body.size, to, room);
}

static size_t compress_brotli(struct compressor *compressor, struct span body, char *to,
                              size_t room)
{
    (void)compressor;
    size_t size = room;
    if (!BrotliEncoderCompress(BROTLI_QUALITY, BROTLI_WINDOW, BROTLI_MODE_TEXT, body.size,
                               (const uint8_t *)body.data, &size, (uint8_t *)to))
        return 0;
    return size;
}

bool compress_body(struct compressor *compressor, enum coding coding, struct span body, size_t most,
                   struct bytes *out)
{
    static size_t (*const codecs[CODING_COUNT])(struct compressor *, struct span, char *,
                                                size_t) = {
        [CODING_GZIP] = compress_gzip, [CODING_BROTLI] = compress_brotli};
    char *to = most ? bytes_reserve(out, most) : NULL;
    if (!to)
        return false;
    size_t size = codecs[coding](compressor, body, to, most);
    out->size = size;
    return size > 0;
}
