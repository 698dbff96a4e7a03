/*
 * Whether a text is JSON, without building anything.
 */
#ifndef LARDER_ROUTE_JSON_CHECK_H
#define LARDER_ROUTE_JSON_CHECK_H

#include "base/compiler.h"
#include "base/span.h"

/* Arrays and objects within each other. */
#define JSON_DEPTH_MAX 64

/*
 * One JSON value with nothing but white space around it (RFC 8259), in valid UTF-8. Stricter than
 * the RFC where PostgreSQL's jsonb is: no \u0000 and no lone surrogate. Equal keys are allowed. On
 * false *ret_why is a static text and *ret_offset the byte where reading stopped.
 */
MUST_CHECK bool json_check(struct span text, size_t *ret_offset, const char **ret_why);

#endif
