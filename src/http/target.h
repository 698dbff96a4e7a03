/*
 * Request targets, taken apart before anything is decoded (RFC 9112, section 3.2; RFC 3986,
 * sections 2.1 and 3.3).
 *
 * Only a raw "/" parts segments: a %2F inside one is data. Results are views of the raw bytes
 * where nothing had to be decoded and copies in the arena where it had, so they live as long as
 * both; they are not terminated.
 */
#ifndef LARDER_HTTP_TARGET_H
#define LARDER_HTTP_TARGET_H

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

/*
 * Splits "/path?query" or "http://host/path?query" (https too). The path begins with "/"; the
 * query has null data when there is no "?". False, a 400: any other form, a fragment, a space or
 * a control. Bytes above 0x7F pass: they are checked as UTF-8 once decoded.
 */
MUST_CHECK bool target_split(struct span raw, struct span *ret_path, struct span *ret_query);

/*
 * Replaces each %XX by its byte and, if `plus_is_space`, each "+" by a space. ERROR_INVALID names
 * a "%" that two hexadecimal digits don't follow, or a NUL byte, written as %00 or raw.
 */
MUST_CHECK bool percent_decode(struct span raw, bool plus_is_space, struct arena *arena,
                               struct span *ret_decoded, struct error *error);

/*
 * Splits a path into decoded segments, one behind each slash: "/" has one that is empty, "/a/" has
 * "a" and an empty one, "//a" an empty one and "a". Of a path with more than `max` only those are
 * written, and *ret_count is max + 1. ERROR_INVALID, a 400: no "/" in front, what percent_decode
 * refuses, bytes that are not UTF-8, a segment that is "." or ".." (written in any way). On false
 * the content of `segments` is undefined.
 */
MUST_CHECK bool target_segments(struct span path, struct arena *arena, struct span *segments,
                                size_t max, size_t *ret_count, struct error *error);

#endif
