/*
 * The version of a row within an entity tag: "<digest>.<version>", behind the digest of the body
 * and before the suffix of a coding. It is base64url with '+' for '-', with which those suffixes
 * begin.
 */
#ifndef LARDER_CACHE_VERSION_TAG_H
#define LARDER_CACHE_VERSION_TAG_H

#include "cache/entry.h"

/* A longer one is left out of the tag, and so no write can be held to it. */
#define VERSION_MAX 48

/* What an If-Match asks of a row. */
enum version_kind {
    VERSION_NONE,    /* there is none */
    VERSION_ANY,     /* "*" */
    VERSION_GIVEN,   /* this version */
    VERSION_OTHER,   /* tags that no row has */
    VERSION_SEVERAL, /* different versions */
};

/*
 * Appends to the digest in `tag` the version that the body, a JSON object from PostgreSQL, has in
 * this column: a text or a number. Nothing where the column is empty, null, or too long.
 */
void version_tag_append(struct span body, struct span column, char tag[static ENTRY_TAG_MAX + 1]);

/*
 * Reads a list of entity tags by strong comparison: those of all codings of one answer have one
 * version. The text is written, terminated, with VERSION_GIVEN alone.
 */
enum version_kind version_tag_read(struct span if_match, char ret_text[static VERSION_MAX + 1]);

#endif
