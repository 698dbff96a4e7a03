/*
 * The distinct values of an answer's rows, told once for all tags that go by the same column.
 *
 * A line `=<n>=<values>` among the tags of db_shape_wrap's second column stands for the tags by
 * each of these values of the n-th db_shape_tag, and of those behind it that share its values;
 * `=<n>` for their tables' tags. No tag begins so. To have PostgreSQL write them all out took
 * half of what the tags of a page cost.
 */
#ifndef LARDER_DB_SHAPE_VALUES_H
#define LARDER_DB_SHAPE_VALUES_H

#include "db/shape.h"

/*
 * Are the tag's values told this way? They are where one column of the result has them, which needs
 * no escaping.
 */
bool shape_values_are_told(const struct db_shape_tag *tag);

/*
 * Appends ", <expression>" of tags[index]'s line, as an argument of an aggregate query over
 * larder_row; nothing where an earlier tag's line is its line too.
 */
void shape_values_append(const struct db_shape_tag *tags, size_t index, struct bytes *out);

/*
 * Appends the text of that second column with every tag written out, newline between them, or
 * behind each. `text` is PostgreSQL's; false: it is not of these tags.
 */
MUST_CHECK bool shape_values_expand(const struct db_shape_tag *tags, size_t count, struct span text,
                                    struct bytes *out);

#endif
