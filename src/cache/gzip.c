#include "cache/gzip.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include <zlib.h>

struct gzip {
    z_stream stream;
};

/*
 * The fastest level: a download is as fast as its slowest part, and the next level takes half as
 * long again for a few parts in a hundred.
 */
#define LEVEL 1

/* The largest window, and a gzip header around. */
#define WINDOW (MAX_WBITS + 16)

struct gzip *gzip_new(void)
{
    struct gzip *gzip = calloc(1, sizeof *gzip);
    if (gzip && deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, WINDOW, MAX_MEM_LEVEL - 1,
                             Z_DEFAULT_STRATEGY) == Z_OK)
        return gzip;
    free(gzip);
    return NULL;
}

void gzip_free(struct gzip *gzip)
{
    if (!gzip)
        return;
    deflateEnd(&gzip->stream);
    free(gzip);
}

static unsigned part(size_t size)
{
    return size > UINT_MAX / 2 ? UINT_MAX / 2 : (unsigned)size;
}

size_t gzip_write(struct gzip *gzip, struct span *rest, enum gzip_flush flush, char *into,
                  size_t room)
{
    static const int flushes[] = {
        [GZIP_GATHER] = Z_NO_FLUSH, [GZIP_FLUSH] = Z_SYNC_FLUSH, [GZIP_END] = Z_FINISH};
    z_stream *stream = &gzip->stream;
    unsigned given = part(rest->size), space = part(room);
    stream->next_in = (unsigned char *)(uintptr_t)rest->data;
    stream->avail_in = given;
    stream->next_out = (unsigned char *)into;
    stream->avail_out = space;
    deflate(stream, flushes[flush]);
    *rest = span_from(*rest, given - stream->avail_in);
    return space - stream->avail_out;
}
