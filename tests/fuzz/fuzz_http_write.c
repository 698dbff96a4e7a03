/* Writers fed with outside text: nothing they write can split a header or break a JSON body. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "http/cache_status.h"
#include "http/header.h"
#include "http/link.h"
#include "http/problem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* RFC 8259, section 7: a JSON text holds no raw control, though DEL is none there. */
static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20)
            return true;
    return false;
}

static void problem_check(const char *text, struct span raw)
{
    struct bytes out = BYTES_EMPTY;
    const struct problem_item item = {.name = text, .in = "query", .detail = text};
    const struct problem problem = {
        .status = 422, .detail = text, .instance = raw, .items = &item, .item_count = 1};
    problem_write(&problem, &out);
    require(utf8_valid(bytes_span(&out)) && !has_control(bytes_span(&out)));
    bytes_free(&out);
}

static void headers_check(const char *text, struct span raw)
{
    struct bytes out = BYTES_EMPTY;
    const struct cache_status status = {.forward = text, .detail = text};
    cache_status_write(&status, &out);
    require(header_value_valid(bytes_span(&out)));
    bytes_clear(&out);
    link_write(raw, "next", &out);
    require(header_value_valid(bytes_span(&out)));
    require(span_find(bytes_span(&out), '>') == out.size - strlen("; rel=\"next\"") - 1);
    bytes_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span raw = {.data = (const char *)data, .size = size};
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    problem_check(text, raw);
    headers_check(text, raw);
    free(text);
    return 0;
}
