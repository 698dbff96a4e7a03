#include "http/idempotency_key.h"

static bool key_append(struct idempotency_key *key, char character)
{
    if (key->size == IDEMPOTENCY_KEY_MAX)
        return false;
    key->text[key->size++] = character;
    return true;
}

/* What stands between the quotes, its backslashes taken out. */
static bool string_read(struct span inside, struct idempotency_key *key)
{
    for (size_t i = 0; i < inside.size; i++) {
        char byte = inside.data[i];
        bool escape = byte == '\\';
        if (escape && ++i == inside.size)
            return false;
        byte = inside.data[i];
        if (escape ? byte != '"' && byte != '\\' : byte == '"' || byte < ' ' || byte > '~')
            return false;
        if (!key_append(key, byte))
            return false;
    }
    return true;
}

static bool bare_read(struct span text, struct idempotency_key *key)
{
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (byte <= ' ' || byte > '~' || strchr("\"\\,;", byte) || !key_append(key, byte))
            return false;
    }
    return true;
}

bool idempotency_key_read(struct span header, struct idempotency_key *ret_key)
{
    struct idempotency_key key = {.size = 0};
    struct span text = span_trim(header);
    bool quoted = text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"';
    bool read = quoted
                    ? string_read((struct span){.data = text.data + 1, .size = text.size - 2}, &key)
                    : bare_read(text, &key);
    if (!read || key.size == 0)
        return false;
    *ret_key = key;
    return true;
}
