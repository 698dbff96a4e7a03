#include "db/array.h"

#include <string.h>

typedef void appender(struct span value, struct bytes *out);

void db_array_append(struct span text, struct bytes *out)
{
    bytes_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            bytes_append_byte(out, '\\');
        bytes_append_byte(out, text.data[i]);
    }
    bytes_append_byte(out, '"');
}

static void hex_append(struct span value, struct bytes *out)
{
    static const char digits[] = "0123456789abcdef";
    bytes_append_text(out, "\"\\\\x");
    for (size_t i = 0; i < value.size; i++) {
        bytes_append_byte(out, digits[(unsigned char)value.data[i] >> 4]);
        bytes_append_byte(out, digits[(unsigned char)value.data[i] & 15]);
    }
    bytes_append_byte(out, '"');
}

static char *array_of(const struct span *values, size_t count, appender *append)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < count; i++) {
        bytes_append_byte(&text, i ? ',' : '{');
        append(values[i], &text);
    }
    bytes_append_text(&text, count ? "}" : "{}");
    return text.failed ? NULL : strdup(bytes_text(&text));
}

char *db_array_text(const struct span *texts, size_t count)
{
    return array_of(texts, count, db_array_append);
}

char *db_array_bytes(const struct span *values, size_t count)
{
    return array_of(values, count, hex_append);
}
