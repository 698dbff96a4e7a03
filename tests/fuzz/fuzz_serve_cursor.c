/* Any bytes as a cursor: none passes that was not made here; what is read has the columns asked
 * for. */
#include <stdint.h>
#include <stdlib.h>

#include "serve/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The bytes as a cursor's own, so that what is behind the base64url is reached. */
static struct span encoded(const uint8_t *data, size_t size, struct arena *arena)
{
    char *text = arena_alloc(arena, (size * 4 + 2) / 3 + 1);
    must(text != NULL);
    digest_base64url(data, size, text);
    return span_of(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cache_version version = {.hex = "0123456789abcdef", .number = 1};
    struct arena *arena = arena_new();
    struct digest_key *key = digest_key_new(SPAN_LITERAL("a key that no input can guess"));
    must(arena && key);
    const struct cursor_owner owner = {key, "GET /a", &version};
    const struct span texts[] = {{.data = (const char *)data, .size = size},
                                 encoded(data, size, arena)};
    struct cursor cursor;
    const char *problem;
    for (size_t i = 0; i < 2; i++) {
        must(!cursor_check(&owner, 1, texts[i], arena, &problem) && problem);
        for (size_t count = 0; count <= ROUTE_PAGE_MAX; count++)
            if (cursor_read(texts[i], count, arena, &cursor))
                for (size_t column = count; column < ROUTE_PAGE_MAX; column++)
                    must(!cursor.texts[column]);
    }
    digest_key_free(key);
    arena_free(arena);
    return 0;
}
