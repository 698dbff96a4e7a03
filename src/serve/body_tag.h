/*
 * The tag of an answer's body: a keyed digest, so that hosts that share the key agree on it without
 * talking, and a client can't test guesses of a body it may not read.
 */
#ifndef LARDER_SERVE_BODY_TAG_H
#define LARDER_SERVE_BODY_TAG_H

#include "base/digest.h"
#include "base/options.h"
#include "cache/entry.h"

/*
 * The key that LARDER_ETAG_KEY_FILE holds, or else one made from LARDER_PREFIX; freed by
 * digest_key_free. ERROR_SYSTEM or ERROR_INVALID name the file that can't be read or is empty.
 */
MUST_CHECK bool body_tag_key(const struct options *options, struct digest_key **ret_key,
                             struct error *error);

/* The tag of an identity body, terminated. False only if libcrypto refuses or on memory. */
MUST_CHECK bool body_tag_make(const struct digest_key *key, struct span body,
                              char ret_tag[static ENTRY_TAG_SIZE + 1]);

#endif
