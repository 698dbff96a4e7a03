/* Any bytes as an Idempotency-Key: a key that is taken is the same key written in quotes. */
#include <stdint.h>
#include <stdlib.h>

#include "http/idempotency_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span header = {.data = (const char *)data, .size = size};
    struct idempotency_key key, again;
    char quoted[2 * IDEMPOTENCY_KEY_MAX + 2];
    size_t length = 0;
    if (!idempotency_key_read(header, &key))
        return 0;
    must(key.size >= 1 && key.size <= IDEMPOTENCY_KEY_MAX);
    quoted[length++] = '"';
    for (size_t i = 0; i < key.size; i++) {
        if (strchr("\"\\", key.text[i]))
            quoted[length++] = '\\';
        quoted[length++] = key.text[i];
    }
    quoted[length++] = '"';
    must(idempotency_key_read((struct span){.data = quoted, .size = length}, &again));
    must(again.size == key.size && memcmp(again.text, key.text, key.size) == 0);
    return 0;
}
