/*
 * Content-Disposition of a download (RFC 6266).
 */
#ifndef LARDER_HTTP_DISPOSITION_H
#define LARDER_HTTP_DISPOSITION_H

#include "base/bytes.h"

/*
 * Appends a part of a file's name as values of requests can be one: control characters, slashes,
 * quotes and what Windows doesn't take become '_'; so no name leaves its folder or the header
 * field.
 */
void disposition_append_safe(struct span value, struct bytes *out);

/* No file system takes a longer name, and a header field has no room for any length, bytes. */
#define DISPOSITION_NAME_MAX 255

/* As much of a name's begin as leaves room for its ending; never a part of a character. */
struct span disposition_cut(struct span name, size_t ending_size);

/*
 * Appends "attachment; filename=export.csv". The name is UTF-8; where it is not plain ASCII the
 * field has it twice, for old browsers with '_' in place of what these don't know.
 */
void disposition_write(struct span filename, struct bytes *out);

#endif
