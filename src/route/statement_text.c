/*
 * Between a statement as its file has it and as PostgreSQL gets it.
 */
#include "base/utf8.h"
#include "route/place.h"
#include "route/statement.h"

/* How many bytes "$12" takes. */
static size_t number_width(unsigned number)
{
    size_t width = 2;
    for (; number > 9; number /= 10)
        width++;
    return width;
}

/* The offset of the character `skip` characters into `text`. */
static size_t characters_skip(struct span text, size_t skip)
{
    size_t at = 0;
    for (; skip && at < text.size; skip--) {
        size_t length = utf8_character(span_from(text, at));
        at += length ? length : 1;
    }
    return at;
}

void statement_locate(const struct statement *statement, struct span text, size_t position,
                      unsigned *ret_line, unsigned *ret_column)
{
    size_t target = characters_skip(statement->sql, position ? position - 1 : 0);
    size_t sql = 0, file = statement->file_offset;
    for (size_t i = 0; i < statement->placeholder_count; i++) {
        const struct placeholder *placeholder = &statement->placeholders[i];
        size_t at = sql + (placeholder->offset - file);
        if (target < at)
            break;
        sql = at + number_width(placeholder->number);
        file = placeholder->offset + placeholder->length;
        if (target < sql) {
            file = placeholder->offset;
            sql = target;
            break;
        }
    }
    struct place place = place_of(text, file + (target - sql));
    *ret_line = place.line;
    *ret_column = place.column;
}

void statement_write(const struct statement *statement, const char *const *values,
                     struct bytes *out)
{
    size_t sql = 0, file = statement->file_offset;
    for (size_t i = 0; i < statement->placeholder_count; i++) {
        const struct placeholder *placeholder = &statement->placeholders[i];
        size_t size = placeholder->offset - file;
        bytes_append(out, statement->sql.data + sql, size);
        bytes_append_text(out, values[placeholder->number - 1]);
        sql += size + number_width(placeholder->number);
        file = placeholder->offset + placeholder->length;
    }
    bytes_append_span(out, span_from(statement->sql, sql));
}
