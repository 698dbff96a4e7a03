/* Any bytes as an If-Match: a version that is taken comes back from the tag that is made of it. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "cache/version_tag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void round_trip(const char *version)
{
    struct bytes body = BYTES_EMPTY, header = BYTES_EMPTY;
    char tag[ENTRY_TAG_MAX + 1] = "abcdefghijklmnopqrstuv", again[VERSION_MAX + 1];
    bytes_append_text(&body, "{\"v\":");
    bytes_append_json(&body, span_of(version));
    bytes_append_text(&body, "}");
    version_tag_append(bytes_span(&body), SPAN_LITERAL("v"), tag);
    bytes_append_format(&header, "\"%s-gz\"", tag);
    must(version_tag_read(bytes_span(&header), again) == VERSION_GIVEN);
    must(strcmp(version, again) == 0);
    bytes_free(&body);
    bytes_free(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char version[VERSION_MAX + 1];
    struct span header = {.data = (const char *)data, .size = size};
    if (version_tag_read(header, version) != VERSION_GIVEN)
        return 0;
    must(*version && strlen(version) <= VERSION_MAX);
    if (utf8_valid(span_of(version)))
        round_trip(version);
    return 0;
}
