#include "cache/feed_message.h"

/* Numbers that every reader of decimals holds exactly, Lua's doubles among them. */
#define NUMBER_END (UINT64_C(1) << 53)

bool feed_number_read(struct span text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
        if (number >= NUMBER_END)
            return false;
    }
    *ret_number = number;
    return text.size > 0;
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
