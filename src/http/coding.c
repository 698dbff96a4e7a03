#include "http/coding.h"

#include "base/compiler.h"
#include "http/field.h"

const char *const coding_names[CODING_COUNT] = {
    [CODING_IDENTITY] = "identity",
    [CODING_GZIP] = "gzip",
    [CODING_BROTLI] = "br",
};

const char *const coding_etag_suffixes[CODING_COUNT] = {
    [CODING_IDENTITY] = "",
    [CODING_GZIP] = "-gz",
    [CODING_BROTLI] = "-br",
};

#define ANY CODING_COUNT
#define UNSET (-1)
#define QUALITY_LEAST 1

static const struct alias {
    const char *name;
    int coding; /* or ANY */
} aliases[] = {
    {"gzip", CODING_GZIP},
    {"br", CODING_BROTLI},
    {"identity", CODING_IDENTITY},
    {"x-gzip", CODING_GZIP},
    {"*", ANY},
};

static void member_read(struct span member, int qualities[static CODING_COUNT + 1])
{
    unsigned quality;
    struct span name = field_part_next(&member);
    for (size_t i = 0; i < ARRAY_COUNT(aliases); i++) {
        if (!span_is_nocase(name, aliases[i].name))
            continue;
        if (field_quality(member, &quality))
            qualities[aliases[i].coding] = (int)quality;
        return;
    }
}

struct coding_accept coding_accept_parse(struct span header)
{
    if (!header.data)
        return (struct coding_accept){{FIELD_QUALITY_MAX, QUALITY_LEAST, QUALITY_LEAST}};

    int qualities[CODING_COUNT + 1] = {UNSET, UNSET, UNSET, UNSET};
    struct span member;
    while (field_member_next(&header, &member))
        member_read(member, qualities);

    struct coding_accept accept;
    for (int coding = 0; coding < CODING_COUNT; coding++) {
        int unnamed = coding == CODING_IDENTITY ? QUALITY_LEAST : 0;
        int fallback = qualities[ANY] == UNSET ? unnamed : qualities[ANY];
        int quality = qualities[coding] == UNSET ? fallback : qualities[coding];
        accept.quality[coding] = (uint16_t)quality;
    }
    return accept;
}

bool coding_choose(const struct coding_accept *accept, unsigned available, enum coding *ret_coding)
{
    static const enum coding preferred[] = {CODING_BROTLI, CODING_GZIP, CODING_IDENTITY};
    unsigned best = 0;
    for (size_t i = 0; i < ARRAY_COUNT(preferred); i++) {
        enum coding coding = preferred[i];
        if (available & CODING_BIT(coding) && accept->quality[coding] > best) {
            best = accept->quality[coding];
            *ret_coding = coding;
        }
    }
    return best > 0;
}
