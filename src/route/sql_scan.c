#include "route/sql_scan.h"

char sql_byte(struct span text, size_t at)
{
    return at < text.size ? text.data[at] : '\0';
}

bool sql_is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

bool sql_is_word_start(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || byte == '_' || (unsigned char)byte >= 0x80;
}

bool sql_is_word(char byte)
{
    return sql_is_word_start(byte) || (byte >= '0' && byte <= '9') || byte == '$';
}

size_t sql_scan_line_comment(struct span text, size_t at)
{
    while (at < text.size && text.data[at] != '\n' && text.data[at] != '\r')
        at++;
    return at;
}

static bool pair_at(struct span text, size_t at, const char *pair)
{
    return at + 1 < text.size && text.data[at] == pair[0] && text.data[at + 1] == pair[1];
}

size_t sql_scan_block_comment(struct span text, size_t at)
{
    size_t depth = 0;
    while (at < text.size) {
        if (pair_at(text, at, "/*")) {
            depth++;
            at += 2;
        } else if (pair_at(text, at, "*/")) {
            at += 2;
            if (--depth == 0)
                return at;
        } else {
            at++;
        }
    }
    return SCAN_OPEN;
}

size_t sql_scan_quoted(struct span text, size_t at)
{
    char quote = text.data[at++];
    for (; at < text.size; at++) {
        if (text.data[at] != quote)
            continue;
        if (sql_byte(text, at + 1) != quote)
            return at + 1;
        at++;
    }
    return SCAN_OPEN;
}

static size_t escaped_part(struct span text, size_t at)
{
    for (at++; at < text.size; at++) {
        if (text.data[at] == '\\')
            at++;
        else if (pair_at(text, at, "''"))
            at++;
        else if (text.data[at] == '\'')
            return at + 1;
    }
    return SCAN_OPEN;
}

/* Strings with only white space, comments and a line's end between them are one string. */
static size_t continuation(struct span text, size_t at)
{
    bool new_line = false;
    for (; at < text.size; at++) {
        if (pair_at(text, at, "--"))
            at = sql_scan_line_comment(text, at);
        char byte = sql_byte(text, at);
        new_line |= byte == '\n' || byte == '\r';
        if (!sql_is_space(byte))
            return byte == '\'' && new_line ? at : SCAN_OPEN;
    }
    return SCAN_OPEN;
}

size_t sql_scan_escaped(struct span text, size_t at)
{
    size_t next = at, end = SCAN_OPEN;
    while (next != SCAN_OPEN) {
        end = escaped_part(text, next);
        next = end == SCAN_OPEN ? SCAN_OPEN : continuation(text, end);
    }
    return end;
}

/* The length of "$tag$" at `at`; 0: none. A tag is a word without '$', or nothing. */
static size_t dollar_tag(struct span text, size_t at)
{
    size_t end = at + 1;
    if (sql_is_word_start(sql_byte(text, end)))
        while (sql_is_word(sql_byte(text, end)) && text.data[end] != '$')
            end++;
    return sql_byte(text, end) == '$' ? end + 1 - at : 0;
}

size_t sql_scan_dollar(struct span text, size_t at)
{
    size_t length = dollar_tag(text, at);
    if (!length)
        return at;
    struct span body = span_from(text, at + length);
    const char *end = memmem(body.data, body.size, text.data + at, length);
    return end ? (size_t)(end - text.data) + length : SCAN_OPEN;
}

size_t sql_scan_word(struct span text, size_t at)
{
    while (sql_is_word(sql_byte(text, at)))
        at++;
    return at;
}

/* Letters too: 0x1F, 1e5, and what PostgreSQL will call junk. */
size_t sql_scan_number(struct span text, size_t at)
{
    while (sql_is_word(sql_byte(text, at)) || sql_byte(text, at) == '.')
        at++;
    return at;
}
