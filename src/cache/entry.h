/*
 * An answer worth keeping: its metadata and its bodies, one a content coding.
 *
 * In Redis an entry is a hash:
 *   m  the metadata, enough for a 304
 *   s  the body, where identity is the only variant
 *   i, g, b  identity, gzip and brotli bodies, where there are several
 * so that a 200 asks for "m", the wanted coding's field and "s", and gets just one body.
 *
 * The metadata is a fixed little-endian record behind a format number; a record of another format
 * or of impossible content is no entry (a miss), never an error.
 */
#ifndef LARDER_CACHE_ENTRY_H
#define LARDER_CACHE_ENTRY_H

#include <stdint.h>

#include "base/bytes.h"
#include "http/coding.h"

/* 16 bytes of a keyed SHA-256 of the identity body, in base64url. */
#define ENTRY_TAG_SIZE 22

/* With the version of what it shows (serve/version.h) behind it. */
#define ENTRY_TAG_MAX (ENTRY_TAG_SIZE + 1 + 64)

/* The longest Content-Type and cursor, and the most dependencies, an entry may have. */
#define ENTRY_TYPE_MAX 255
#define ENTRY_CURSOR_MAX 2048
#define ENTRY_SIZE_MAX ((uint64_t)1 << 30)
#define ENTRY_TAGS_MAX 128

struct entry_meta {
    unsigned status;
    int64_t created; /* wall clock, µs: when the query began */
    int64_t ttl;     /* µs of freshness from `created` */
    int64_t stale;   /* µs beyond, for stale-while-revalidate */
    int64_t error;   /* µs beyond, for stale-if-error */
    int64_t cost;    /* µs the fill took */
    uint64_t clock;  /* the logical clock read before the query; 0: none */
    char tag[ENTRY_TAG_MAX + 1];
    uint64_t sizes[CODING_COUNT];     /* of each variant; meaningful where the mask has its bit */
    unsigned variants;                /* CODING_BIT mask */
    struct span type;                 /* Content-Type */
    struct span next, previous;       /* cursors of the pages beside this one; empty: none */
    struct span tags[ENTRY_TAGS_MAX]; /* the dependencies' tags */
    size_t tag_count;
};

/* Appends the record. */
void entry_meta_write(const struct entry_meta *meta, struct bytes *out);

/* Reads a record; spans point into `record`. False: not an entry of this format. */
MUST_CHECK bool entry_meta_read(struct span record, struct entry_meta *ret_meta);

/* The hash's field that holds a variant ("s" when it is the only one). */
const char *entry_field(unsigned variants, enum coding coding);

/* The variant's strong entity tag without quotes: tag and the coding's suffix. */
struct entry_tag {
    char text[ENTRY_TAG_MAX + 4];
};
struct entry_tag entry_tag_of(const struct entry_meta *meta, enum coding coding);

/* The tags of all variants, also of those not made: a client may hold one from another host. */
struct entry_tags {
    struct entry_tag texts[CODING_COUNT];
    struct span spans[CODING_COUNT]; /* of texts: not to be copied apart from them */
};
void entry_tags_of(const struct entry_meta *meta, struct entry_tags *ret_tags);

/* Microseconds of freshness left at `now` (wall clock); negative: stale since. */
int64_t entry_fresh_for(const struct entry_meta *meta, int64_t now);

/* How long Redis keeps the entry: the ttl and the longer of its stale windows. */
int64_t entry_lifetime(const struct entry_meta *meta);

#endif
