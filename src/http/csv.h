/*
 * Rows of CSV (RFC 4180) out of rows as PostgreSQL's COPY writes them. Pure.
 *
 * COPY quotes as the RFC has it, and tells NULL (nothing) from an empty text (""), but ends a line
 * with a line feed alone.
 */
#ifndef LARDER_HTTP_CSV_H
#define LARDER_HTTP_CSV_H

#include "base/bytes.h"

#define CSV_LINE_END "\r\n"

/* What a file begins with that spreadsheets are to take for UTF-8. */
#define CSV_MARK "\xef\xbb\xbf"

/* The row without its line end, which is CSV_LINE_END from now on. */
struct span csv_row(struct span row);

/*
 * Appends the row, without its line end, so that no spreadsheet takes a value for a formula: an
 * apostrophe is put before each that begins with = + - @, in their wide forms too, a tab or a line
 * break, and is not a plain number such as -1.5e3. One that takes other signs than the comma to
 * part values sees values that begin elsewhere.
 */
void csv_row_guarded(struct span row, struct bytes *out);

#endif
