/* Messages of the feed: numbers in their bounds, tags inside the text, and no bump taken twice. */
#include <stdint.h>
#include <stdlib.h>

#include "cache/feed_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span text = {.data = (const char *)data, .size = size};
    struct feed_message message;
    if (!feed_message_read(text, &message))
        return 0;
    require(message.number < UINT64_C(1) << 53);
    require(!message.bump || message.previous < message.number);
    if (message.tags.data)
        require(message.tags.data + message.tags.size == text.data + text.size);
    struct feed_place place = {.last = message.previous};
    enum feed_word word = feed_place_hear(&place, &message);
    require(word != FEED_GAP || !message.bump);
    if (message.bump)
        require(place.last == message.number && feed_place_hear(&place, &message) == FEED_GAP);
    return 0;
}
