#include "serve/tags.h"

#include "db/depends.h"
#include "db/shape_values.h"
#include "route/template.h"

/* Longer values stand in a tag as their digest. */
#define VALUE_MAX 64

static bool tag_add(struct entry_meta *meta, struct span tag)
{
    if (!tag.data || meta->tag_count == ENTRY_TAGS_MAX)
        return false;
    meta->tags[meta->tag_count++] = tag;
    return true;
}

static bool plain(struct span value)
{
    for (size_t i = 0; i < value.size; i++)
        if ((unsigned char)value.data[i] < ' ' || value.data[i] == 0x7f)
            return false;
    return value.size <= VALUE_MAX;
}

static bool value_write(const struct value *value, struct bytes *out)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    if (value->state != VALUE_TEXT)
        return true;
    if (plain(value->text)) {
        bytes_append_span(out, value->text);
        return true;
    }
    if (!digest_sha256(value->text, digest, NULL))
        return false;
    digest_hex(digest, 16, hex);
    bytes_append_byte(out, '#');
    bytes_append_text(out, hex);
    return true;
}

bool tags_template(const struct exchange *exchange, struct span text, struct bytes *out)
{
    struct span literal, name;
    while (template_next(&text, &literal, &name)) {
        bytes_append_span(out, literal);
        const struct value *value = name.data ? exchange_parameter(exchange, name) : NULL;
        if (value && !value_write(value, out))
            return false;
    }
    return true;
}

/* Has the path of the exchange's route both a read and a write? */
static bool is_written(const struct route_match *match)
{
    bool write = false;
    for (size_t i = 0; i < METHOD_COUNT; i++)
        write = write || (i != METHOD_GET && match->by_method[i]);
    return write && match->by_method[METHOD_GET];
}

bool tags_uri(const struct exchange *exchange, struct bytes *out)
{
    if (!is_written(&exchange->match))
        return true;
    const struct served *read = live_find(exchange->live, exchange->match.by_method[METHOD_GET]);
    const struct learned *learned = atomic_load_explicit(&read->learned, memory_order_acquire);
    if (learned->depends && learned->depends->watched)
        return true;
    bytes_append_text(out, "uri:");
    return tags_template(exchange, exchange->served->route->path, out);
}

static bool uri_add(struct exchange *exchange)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!tags_uri(exchange, &text) || text.failed)
        return false;
    return !text.size ||
           tag_add(&exchange->meta, arena_span(exchange->desk->arena, bytes_span(&text)));
}

static bool templates_add(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    bool good = true;
    for (size_t i = 0; good && i < route->tag_count; i++) {
        struct bytes text = BYTES_EMPTY;
        good = tags_template(exchange, route->tags[i].text, &text) && !text.failed &&
               tag_add(&exchange->meta, arena_span(exchange->desk->arena, bytes_span(&text)));
        bytes_free(&text);
    }
    return good;
}

static bool narrowed_add(struct exchange *exchange, struct span narrowed)
{
    const struct depends *depends = exchange->learned->depends;
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!narrowed.size)
        return true;
    if (!depends ||
        !shape_values_expand(depends->narrowed, depends->narrowed_count, narrowed, &text) ||
        text.failed)
        return false;
    struct span lines = arena_span(exchange->desk->arena, bytes_span(&text));
    bool good = lines.data;
    while (good && lines.size) {
        struct span tag = span_split(&lines, '\n');
        good = !tag.size || tag_add(&exchange->meta, tag);
    }
    return good;
}

bool tags_write(struct exchange *exchange, struct span narrowed)
{
    const struct depends *depends = exchange->learned->depends;
    exchange->meta.tag_count = 0;
    if (!depends && !tag_add(&exchange->meta, SPAN_LITERAL("*")))
        return false;
    for (size_t i = 0; depends && i < depends->tag_count; i++)
        if (!tag_add(&exchange->meta, depends->tags[i]))
            return false;
    return templates_add(exchange) && uri_add(exchange) && narrowed_add(exchange, narrowed);
}
