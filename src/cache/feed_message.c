#include "cache/feed_message.h"

/* Numbers up to here every reader of decimals holds exactly, Lua's doubles among them. */
#define NUMBER_MOST ((UINT64_C(1) << 53) - 1)

bool feed_number_read(struct span text, uint64_t *ret_number)
{
    return span_number(text, NUMBER_MOST, ret_number);
}

bool feed_message_read(struct span text, struct feed_message *ret_message)
{
    struct feed_message message = {0};
    struct span rest = text, first = span_split(&rest, '\n');
    if (!rest.data) {
        if (!feed_number_read(first, &message.number))
            return false;
    } else {
        struct span second = span_split(&rest, '\n');
        if (!feed_number_read(first, &message.previous) ||
            !feed_number_read(second, &message.number) || message.number <= message.previous)
            return false;
        message.bump = true;
        message.tags = rest;
    }
    *ret_message = message;
    return true;
}

enum feed_word feed_place_hear(struct feed_place *place, const struct feed_message *message)
{
    if (message->number <= place->last && !place->moving)
        return FEED_KNOWN;
    if (message->bump ? message->previous != place->last : message->number != place->last)
        return FEED_GAP;
    if (message->bump) {
        place->last = message->number;
        place->moving = true;
    }
    return FEED_NEXT;
}
