#include "http/csv.h"

#include <string.h>

struct span csv_row(struct span row)
{
    if (row.size && row.data[row.size - 1] == '\n')
        row.size--;
    return row;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static size_t digits(struct span *rest)
{
    size_t count = 0;
    while (count < rest->size && is_digit(rest->data[count]))
        count++;
    *rest = span_from(*rest, count);
    return count;
}

static bool take(struct span *rest, const char *one_of)
{
    if (!rest->size || !strchr(one_of, rest->data[0]) || !rest->data[0])
        return false;
    *rest = span_from(*rest, 1);
    return true;
}

/* [+-]1[.5][e[+-]3], as PostgreSQL writes numbers. */
static bool is_number(struct span text)
{
    take(&text, "+-");
    if (!digits(&text) || (take(&text, ".") && !digits(&text)))
        return false;
    if (take(&text, "eE")) {
        take(&text, "+-");
        if (!digits(&text))
            return false;
    }
    return text.size == 0;
}

/* Takes the next value off *rest, as it is written; a quoted one may hold commas. */
static struct span value_take(struct span *rest)
{
    bool quoted = false;
    size_t at = 0;
    while (at < rest->size && (quoted || rest->data[at] != ',')) {
        quoted = quoted != (rest->data[at] == '"');
        at++;
    }
    struct span value = span_first(*rest, at);
    *rest = span_from(*rest, at);
    return value;
}

/* Signs of a formula as East Asian keyboards have them: some spreadsheets take these too. All have
 * the same size. */
static bool is_wide_sign(struct span value)
{
    static const char signs[][4] = {"\uff1d", "\uff0b", "\uff0d", "\uff20"};
    const size_t size = sizeof signs[0] - 1;
    for (size_t i = 0; i < ARRAY_COUNT(signs); i++)
        if (value.size >= size && memcmp(value.data, signs[i], size) == 0)
            return true;
    return false;
}

static bool is_formula(struct span value)
{
    return (value.size && value.data[0] && strchr("=+-@\t\r\n", value.data[0]) &&
            !is_number(value)) ||
           is_wide_sign(value);
}

static void value_write(struct span value, struct bytes *out)
{
    bool quoted = value.size && value.data[0] == '"';
    struct span inner = quoted ? span_from(value, 1) : value;
    if (!is_formula(inner)) {
        bytes_append_span(out, value);
        return;
    }
    bytes_append_text(out, quoted ? "\"'" : "'");
    bytes_append_span(out, inner);
}

void csv_row_guarded(struct span row, struct bytes *out)
{
    struct span rest = csv_row(row);
    value_write(value_take(&rest), out);
    while (rest.size) {
        bytes_append_byte(out, ',');
        rest = span_from(rest, 1);
        value_write(value_take(&rest), out);
    }
}
