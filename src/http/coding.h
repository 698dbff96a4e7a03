/*
 * Content codings: what a client accepts and which of the stored variants it gets (RFC 9110,
 * sections 8.4.1 and 12.5.3).
 */
#ifndef LARDER_HTTP_CODING_H
#define LARDER_HTTP_CODING_H

#include <stdint.h>

#include "base/span.h"

enum coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_BROTLI,
    CODING_COUNT,
};

/* The bit of a coding in a mask of available ones. */
#define CODING_BIT(coding) (1u << (coding))

/* "identity", "gzip", "br": for Content-Encoding, which identity never appears in. */
extern const char *const coding_names[CODING_COUNT];

/* "", "-gz", "-br": what a variant's entity tag ends with, so that strong tags differ. */
extern const char *const coding_etag_suffixes[CODING_COUNT];

/* Weights in thousandths: 0 is not acceptable, 1000 is best. */
struct coding_accept {
    uint16_t quality[CODING_COUNT];
};

/*
 * Reads Accept-Encoding; data null: absent. Absent, everything is acceptable and identity
 * preferred; empty, identity alone is. Identity that is neither named nor met by "*" has the
 * least weight. x-gzip is gzip. A malformed member is passed over; of a coding named twice the
 * last counts.
 */
struct coding_accept coding_accept_parse(struct span header);

/*
 * The best of the codings in `available` (CODING_BIT); of equal ones brotli, then gzip, then
 * identity. False: none is acceptable, the answer is 406.
 */
bool coding_choose(const struct coding_accept *accept, unsigned available, enum coding *ret_coding);

#endif
