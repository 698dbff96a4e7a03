#include "cache/entry.h"

#include "http/header.h"

#define FORMAT UINT64_C(0x0103) /* format 3, record kind 1; a change of the record changes it */

static void number_write(struct bytes *out, uint64_t number)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    bytes_append(out, bytes, sizeof bytes);
}

static void text_write(struct bytes *out, struct span text)
{
    number_write(out, text.size);
    bytes_append_span(out, text);
}

void entry_meta_write(const struct entry_meta *meta, struct bytes *out)
{
    number_write(out, FORMAT);
    number_write(out, meta->status);
    number_write(out, (uint64_t)meta->created);
    number_write(out, (uint64_t)meta->ttl);
    number_write(out, (uint64_t)meta->stale);
    number_write(out, (uint64_t)meta->error);
    number_write(out, (uint64_t)meta->cost);
    number_write(out, meta->clock);
    number_write(out, meta->variants);
    for (size_t i = 0; i < CODING_COUNT; i++)
        number_write(out, meta->sizes[i]);
    text_write(out, span_of(meta->tag));
    text_write(out, meta->type);
    text_write(out, meta->next);
    text_write(out, meta->previous);
    number_write(out, meta->tag_count);
    for (size_t i = 0; i < meta->tag_count; i++)
        text_write(out, meta->tags[i]);
}

/* Reading: past the end everything is 0 and `bad` stays set, to be looked at once. */
struct reader {
    struct span rest;
    bool bad;
};

static struct span bytes_read(struct reader *reader, uint64_t size)
{
    if (reader->bad || size > reader->rest.size) {
        reader->bad = true;
        return (struct span){0};
    }
    struct span part = span_first(reader->rest, (size_t)size);
    reader->rest = span_from(reader->rest, (size_t)size);
    return part;
}

static uint64_t number_read(struct reader *reader)
{
    struct span bytes = bytes_read(reader, 8);
    uint64_t number = 0;
    for (size_t i = bytes.size; i-- > 0;)
        number = number << 8 | (unsigned char)bytes.data[i];
    return number;
}

static int64_t time_read(struct reader *reader)
{
    uint64_t number = number_read(reader);
    if (number > INT64_MAX / 4)
        reader->bad = true;
    return reader->bad ? 0 : (int64_t)number;
}

static void tag_read(struct reader *reader, struct entry_meta *meta)
{
    struct span tag = bytes_read(reader, number_read(reader));
    if (tag.size < ENTRY_TAG_SIZE || tag.size > ENTRY_TAG_MAX) {
        reader->bad = true;
        return;
    }
    for (size_t i = 0; i < tag.size; i++) {
        meta->tag[i] = tag.data[i];
        /* nothing that could end a header */
        if (tag.data[i] <= ' ' || tag.data[i] == '"' || tag.data[i] >= 0x7f)
            reader->bad = true;
    }
    meta->tag[tag.size] = '\0';
}

static void tags_read(struct reader *reader, struct entry_meta *meta)
{
    uint64_t count = number_read(reader);
    if (count > ENTRY_TAGS_MAX)
        reader->bad = true;
    for (size_t i = 0; !reader->bad && i < count; i++)
        meta->tags[meta->tag_count++] = bytes_read(reader, number_read(reader));
}

static bool sizes_plausible(const struct entry_meta *meta)
{
    for (size_t i = 0; i < CODING_COUNT; i++)
        if (meta->sizes[i] > ENTRY_SIZE_MAX)
            return false;
    return true;
}

static bool cursor_plausible(struct span cursor)
{
    return cursor.size <= ENTRY_CURSOR_MAX && header_value_valid(cursor);
}

static bool meta_plausible(const struct entry_meta *meta)
{
    bool identity = meta->variants & CODING_BIT(CODING_IDENTITY);
    return meta->status >= 100 && meta->status <= 599 && identity &&
           meta->variants < CODING_BIT(CODING_COUNT) && meta->type.size <= ENTRY_TYPE_MAX &&
           header_value_valid(meta->type) && cursor_plausible(meta->next) &&
           cursor_plausible(meta->previous) && sizes_plausible(meta);
}

bool entry_meta_read(struct span record, struct entry_meta *ret_meta)
{
    struct reader reader = {.rest = record};
    if (number_read(&reader) != FORMAT)
        return false;
    ret_meta->status = (unsigned)number_read(&reader);
    ret_meta->created = time_read(&reader);
    ret_meta->ttl = time_read(&reader);
    ret_meta->stale = time_read(&reader);
    ret_meta->error = time_read(&reader);
    ret_meta->cost = time_read(&reader);
    ret_meta->clock = number_read(&reader);
    ret_meta->variants = (unsigned)number_read(&reader);
    for (size_t i = 0; i < CODING_COUNT; i++)
        ret_meta->sizes[i] = number_read(&reader);
    tag_read(&reader, ret_meta);
    ret_meta->type = bytes_read(&reader, number_read(&reader));
    ret_meta->next = bytes_read(&reader, number_read(&reader));
    ret_meta->previous = bytes_read(&reader, number_read(&reader));
    ret_meta->tag_count = 0;
    tags_read(&reader, ret_meta);
    return !reader.bad && reader.rest.size == 0 && meta_plausible(ret_meta);
}

const char *entry_field(unsigned variants, enum coding coding)
{
    static const char *const fields[CODING_COUNT] = {
        [CODING_IDENTITY] = "i", [CODING_GZIP] = "g", [CODING_BROTLI] = "b"};
    return variants == CODING_BIT(CODING_IDENTITY) ? "s" : fields[coding];
}

struct entry_tag entry_tag_of(const struct entry_meta *meta, enum coding coding)
{
    struct entry_tag tag;
    strcpy(tag.text, meta->tag);
    strcat(tag.text, coding_etag_suffixes[coding]);
    return tag;
}

void entry_tags_of(const struct entry_meta *meta, struct entry_tags *ret_tags)
{
    for (enum coding coding = 0; coding < CODING_COUNT; coding++) {
        ret_tags->texts[coding] = entry_tag_of(meta, coding);
        ret_tags->spans[coding] = span_of(ret_tags->texts[coding].text);
    }
}

int64_t entry_fresh_for(const struct entry_meta *meta, int64_t now)
{
    /* A clock that was set back must not make an entry live longer than its ttl. */
    int64_t age = now > meta->created ? now - meta->created : 0;
    return meta->ttl - age;
}

int64_t entry_lifetime(const struct entry_meta *meta)
{
    return meta->ttl + (meta->stale > meta->error ? meta->stale : meta->error);
}
