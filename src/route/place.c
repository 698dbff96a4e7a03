#include "route/place.h"

#include <stdbool.h>

size_t place_mark(struct span text)
{
    return span_starts(text, "\xef\xbb\xbf") ? 3 : 0;
}

/* Whether the byte before `offset` ends a line; of \r\n the \n does. */
static bool ends_line(struct span text, size_t offset)
{
    char byte = text.data[offset - 1];
    bool pair = byte == '\r' && offset < text.size && text.data[offset] == '\n';
    return (byte == '\n' || byte == '\r') && !pair;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

void place_advance(struct place *place, struct span text, size_t offset)
{
    size_t mark = place_mark(text);
    if (place->offset == 0 && offset >= mark)
        place->offset = mark;
    while (place->offset < offset) {
        place->offset++;
        if (ends_line(text, place->offset)) {
            place->line++;
            place->column = 1;
        } else {
            place->column += !is_continuation(text.data[place->offset - 1]);
        }
    }
}

struct place place_of(struct span text, size_t offset)
{
    struct place place = PLACE_START;
    place_advance(&place, text, offset);
    return place;
}
