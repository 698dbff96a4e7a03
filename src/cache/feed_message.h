/*
 * The messages of the feed, and whether one is missing. Pure.
 *
 *   <previous>\n<number>\n<tag>\n<tag>…   a bump: its number is the clock of its tags, and
 *                                         `previous` the number of the bump before
 *   <number>                              larderd's heartbeat: the number of the last bump
 *
 * Numbers are decimal and below 2^53.
 */
#ifndef LARDER_CACHE_FEED_MESSAGE_H
#define LARDER_CACHE_FEED_MESSAGE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

struct feed_message {
    bool bump;         /* false: a heartbeat */
    uint64_t previous; /* of a bump */
    uint64_t number;
    struct span tags; /* of a bump, separated by newlines: span_split; into the text */
};

/* False: not a message of this format. */
MUST_CHECK bool feed_message_read(struct span text, struct feed_message *ret_message);

/* Decimal digits alone, below 2^53. */
MUST_CHECK bool feed_number_read(struct span text, uint64_t *ret_number);

/* Where a listener stands in the order of bumps. */
struct feed_place {
    uint64_t last; /* the last bump known */
    bool moving;   /* a later one than the one known at the beginning was heard */
};

enum feed_word {
    FEED_NEXT,  /* in order */
    FEED_KNOWN, /* of before the beginning: nothing new in it */
    FEED_GAP,   /* something was missed, or Redis has forgotten: begin anew */
};

/* What the message is at this place; FEED_NEXT moves the place on. */
enum feed_word feed_place_hear(struct feed_place *place, const struct feed_message *message);

#endif
