/*
 * Arrays as texts, as PostgreSQL reads them.
 */
#ifndef LARDER_DB_ARRAY_H
#define LARDER_DB_ARRAY_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/span.h"

/* Appends a text as an element, quoted. */
void db_array_append(struct span text, struct bytes *out);

/* Of texts: {"a","b"}. The caller's to free; null: memory. */
char *db_array_text(const struct span *texts, size_t count) MUST_CHECK;

/* Of byte strings, which may hold anything: {"\\\\x61"}. The caller's to free; null: memory. */
char *db_array_bytes(const struct span *values, size_t count) MUST_CHECK;

#endif
