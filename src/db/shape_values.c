#include "db/shape_values.h"

#include <string.h>

#define MARK '='

bool shape_values_are_told(const struct db_shape_tag *tag)
{
    return tag->watch->narrow_count == 1 && !tag->values->parameter && tag->values->brief;
}

static bool share(const struct db_shape_tag *left, const struct db_shape_tag *right)
{
    return shape_values_are_told(left) && shape_values_are_told(right) &&
           strcmp(left->values->column, right->values->column) == 0;
}

/* NULL is one of the values, and stands there as nothing; without rows there is no array. */
void shape_values_append(const struct db_shape_tag *tags, size_t index, struct bytes *out)
{
    struct bytes array CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < index; i++)
        if (share(&tags[i], &tags[index]))
            return;
    bytes_append_text(&array, "pg_catalog.array_agg(DISTINCT larder_row.");
    watch_append_identifier(tags[index].values->column, &array);
    bytes_append_byte(&array, ')');
    bytes_append_format(out,
                        ", CASE WHEN pg_catalog.cardinality(%s) OPERATOR(pg_catalog.<=) %u THEN"
                        " '=%zu=' OPERATOR(pg_catalog.||) pg_catalog.array_to_string(%s, ',', '')"
                        " ELSE '=%zu' END",
                        bytes_text(&array), tags[index].most, index, bytes_text(&array), index);
    out->failed = out->failed || array.failed;
}

/* The tag of each value; of no values (null data) the table's. */
static void append_tags(const struct watch *watch, struct span values, struct bytes *out)
{
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!values.data) {
        watch_append_tag(watch, out);
        bytes_append_byte(out, '\n');
        return;
    }
    watch_append_narrowed(watch, &name);
    while (values.data) {
        struct span value = span_split(&values, ',');
        bytes_append_span(out, bytes_span(&name));
        bytes_append_text(out, value.size ? "=" : " is null");
        bytes_append_span(out, value);
        bytes_append_byte(out, '\n');
    }
    out->failed = out->failed || name.failed;
}

/* `line` is behind its mark. */
static bool expand_line(const struct db_shape_tag *tags, size_t count, struct span line,
                        struct bytes *out)
{
    uint64_t first;
    struct span number = span_split(&line, MARK); /* what is left are the values */
    if (!count || !span_number(number, count - 1, &first) || !shape_values_are_told(&tags[first]))
        return false;
    for (size_t i = (size_t)first; i < count; i++)
        if (share(&tags[first], &tags[i]))
            append_tags(tags[i].watch, line, out);
    return true;
}

bool shape_values_expand(const struct db_shape_tag *tags, size_t count, struct span text,
                         struct bytes *out)
{
    bool good = true;
    while (good && text.size) {
        struct span line = span_split(&text, '\n');
        if (line.size && line.data[0] == MARK) {
            good = expand_line(tags, count, span_from(line, 1), out);
        } else {
            bytes_append_span(out, line);
            bytes_append_byte(out, '\n');
        }
    }
    return good;
}
