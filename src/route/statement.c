#include "route/statement.h"

#include <stdlib.h>

#include "route/place.h"
#include "route/sql_scan.h"
#include "route/statement_kind.h"

/* What stands before a colon decides what the colon is. */
enum before {
    BEFORE_OTHER,   /* nothing, an operator, an opening bracket */
    BEFORE_WORD,    /* a name or a keyword */
    BEFORE_OPERAND, /* a number, a string, a closing bracket, a placeholder */
};

struct bracket {
    char open;
    size_t offset;
};

struct lexer {
    const char *file;
    struct span text;
    size_t at;
    struct arena *arena;
    struct fault_list *faults;

    struct place place; /* follows `at`, for faults and placeholders */
    enum before before;
    size_t before_end; /* where the last lexeme ended; also the statement's end so far */
    size_t begin;      /* the first lexeme; SCAN_OPEN: none yet */
    bool ended;        /* by a ';' */
    bool several;      /* others may follow it */

    struct bytes statements;   /* struct statement: those ended so far, of several */
    struct bytes brackets;     /* struct bracket, innermost last */
    struct bytes placeholders; /* struct placeholder */
    struct bytes names;        /* struct span; the n-th is $n */
};

static void lexer_free(struct lexer *lexer)
{
    bytes_free(&lexer->statements);
    bytes_free(&lexer->brackets);
    bytes_free(&lexer->placeholders);
    bytes_free(&lexer->names);
}

static void lexer_fault(struct lexer *lexer, size_t offset, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void lexer_fault(struct lexer *lexer, size_t offset, const char *format, ...)
{
    va_list arguments;
    struct place place = PLACE_START;
    if (offset >= lexer->place.offset)
        place = lexer->place;
    place_advance(&place, lexer->text, offset);
    if (offset <= lexer->at)
        lexer->place = place;
    va_start(arguments, format);
    fault_add_arguments(lexer->faults, lexer->file, place.line, place.column, format, arguments);
    va_end(arguments);
}

static void lexeme_end(struct lexer *lexer, size_t end, enum before before)
{
    lexer->at = end;
    lexer->before_end = end;
    lexer->before = before;
}

/* Ends the lexeme that began at lexer->at, or tells that it has no end. */
static void quoted_end(struct lexer *lexer, size_t end, const char *what)
{
    if (end == SCAN_OPEN) {
        lexer_fault(lexer, lexer->at, "%s has no end", what);
        end = lexer->text.size;
    }
    lexeme_end(lexer, end, BEFORE_OPERAND);
}

static void space_take(struct lexer *lexer)
{
    lexer->at++;
}

static void line_comment_take(struct lexer *lexer)
{
    size_t end = sql_scan_line_comment(lexer->text, lexer->at);
    struct span comment = {.data = lexer->text.data + lexer->at + 2, .size = end - lexer->at - 2};
    comment = span_trim(comment);
    if (comment.size > 1 && comment.data[0] == '@' && sql_is_word_start(comment.data[1])) {
        size_t length = sql_scan_word(comment, 1);
        lexer_fault(lexer, lexer->at,
                    "%.*s after the statement began: annotations stand on lines before it",
                    (int)length, comment.data);
    }
    lexer->at = end;
}

static void block_comment_take(struct lexer *lexer)
{
    size_t end = sql_scan_block_comment(lexer->text, lexer->at);
    if (end == SCAN_OPEN) {
        lexer_fault(lexer, lexer->at, "the comment /* has no end */");
        end = lexer->text.size;
    }
    lexer->at = end;
}

static void string_take(struct lexer *lexer)
{
    quoted_end(lexer, sql_scan_quoted(lexer->text, lexer->at), "the string '…'");
}

static void quoted_name_take(struct lexer *lexer)
{
    quoted_end(lexer, sql_scan_quoted(lexer->text, lexer->at), "the name \"…\"");
}

static void word_take(struct lexer *lexer)
{
    size_t end = sql_scan_word(lexer->text, lexer->at);
    bool escaped = end - lexer->at == 1 && (lexer->text.data[lexer->at] | 0x20) == 'e' &&
                   sql_byte(lexer->text, end) == '\'';
    if (escaped)
        quoted_end(lexer, sql_scan_escaped(lexer->text, end), "the string E'…'");
    else
        lexeme_end(lexer, end, BEFORE_WORD);
}

static void number_take(struct lexer *lexer)
{
    lexeme_end(lexer, sql_scan_number(lexer->text, lexer->at), BEFORE_OPERAND);
}

static void other_take(struct lexer *lexer)
{
    lexeme_end(lexer, lexer->at + 1, BEFORE_OTHER);
}

static void dollar_take(struct lexer *lexer)
{
    size_t end = sql_scan_dollar(lexer->text, lexer->at);
    char next = sql_byte(lexer->text, lexer->at + 1);
    if (end != lexer->at) {
        quoted_end(lexer, end, "the dollar-quoted string");
    } else if (next >= '0' && next <= '9') {
        end = sql_scan_number(lexer->text, lexer->at + 1);
        lexer_fault(lexer, lexer->at, "%.*s: parameters have names; write :name",
                    (int)(end - lexer->at), lexer->text.data + lexer->at);
        lexeme_end(lexer, end, BEFORE_OPERAND);
    } else {
        other_take(lexer);
    }
}

static void open_take(struct lexer *lexer)
{
    struct bracket bracket = {.open = lexer->text.data[lexer->at], .offset = lexer->at};
    bytes_append(&lexer->brackets, &bracket, sizeof bracket);
    other_take(lexer);
}

static const struct bracket *bracket_innermost(const struct lexer *lexer)
{
    const struct bracket *brackets = (const void *)lexer->brackets.data;
    size_t count = lexer->brackets.size / sizeof *brackets;
    return count ? &brackets[count - 1] : NULL;
}

/* True when there is none; else a fault. */
static bool brackets_closed(struct lexer *lexer)
{
    const struct bracket *open = bracket_innermost(lexer);
    if (open)
        lexer_fault(lexer, open->offset, "this '%c' is never closed", open->open);
    return !open;
}

static void close_take(struct lexer *lexer)
{
    char open = lexer->text.data[lexer->at] == ')' ? '(' : '[';
    const struct bracket *innermost = bracket_innermost(lexer);
    if (innermost && innermost->open == open)
        lexer->brackets.size -= sizeof *innermost;
    else
        lexer_fault(lexer, lexer->at, "no '%c' is open for this '%c'", open,
                    lexer->text.data[lexer->at]);
    lexeme_end(lexer, lexer->at + 1, BEFORE_OPERAND);
}

/* Whether the colon here parts a slice's bounds; the rule is told at statement_parse. */
static bool colon_is_slice(const struct lexer *lexer)
{
    const struct bracket *innermost = bracket_innermost(lexer);
    if (!innermost || innermost->open != '[')
        return false;
    return lexer->before == BEFORE_OPERAND ||
           (lexer->before == BEFORE_WORD && lexer->before_end == lexer->at);
}

/* The end of "name" or "auth.claim.part" at `at`. */
static size_t name_end(struct span text, size_t at)
{
    size_t end = at;
    while (sql_is_word(sql_byte(text, end)) && text.data[end] != '$')
        end++;
    struct span name = {.data = text.data + at, .size = end - at};
    if (!span_is(name, "auth"))
        return end;
    while (sql_byte(text, end) == '.' && sql_is_word_start(sql_byte(text, end + 1)))
        for (end++; sql_is_word(sql_byte(text, end)) && text.data[end] != '$';)
            end++;
    return end;
}

/* The n of $n, or 0 after a fault. */
static unsigned name_number(struct lexer *lexer, struct span name)
{
    const struct span *names = (const void *)lexer->names.data;
    unsigned count = (unsigned)(lexer->names.size / sizeof *names);
    for (unsigned i = 0; i < count; i++)
        if (span_equal(names[i], name))
            return i + 1;
    if (count == STATEMENT_PARAMETERS_MAX) {
        lexer_fault(lexer, lexer->at, "a statement has at most %d parameters",
                    STATEMENT_PARAMETERS_MAX);
        return 0;
    }
    bytes_append(&lexer->names, &name, sizeof name);
    return count + 1;
}

static void placeholder_take(struct lexer *lexer)
{
    size_t end = name_end(lexer->text, lexer->at + 1);
    place_advance(&lexer->place, lexer->text, lexer->at);
    struct placeholder placeholder = {
        .name = {.data = lexer->text.data + lexer->at + 1, .size = end - lexer->at - 1},
        .offset = lexer->at,
        .length = end - lexer->at,
        .line = lexer->place.line,
        .column = lexer->place.column,
    };
    placeholder.number = name_number(lexer, placeholder.name);
    if (placeholder.number)
        bytes_append(&lexer->placeholders, &placeholder, sizeof placeholder);
    lexeme_end(lexer, end, BEFORE_OPERAND);
}

static void colon_take(struct lexer *lexer)
{
    size_t end = lexer->at;
    while (sql_byte(lexer->text, end) == ':')
        end++;
    bool single = end == lexer->at + 1;
    if (single && sql_is_word_start(sql_byte(lexer->text, end)) && !colon_is_slice(lexer))
        placeholder_take(lexer);
    else
        lexeme_end(lexer, end + (single && sql_byte(lexer->text, end) == '='), BEFORE_OTHER);
}

/* The statement's bytes with $n for each placeholder. */
static struct span sql_write(const struct lexer *lexer, const struct placeholder *placeholders,
                             size_t count)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t from = lexer->begin;
    for (size_t i = 0; i < count; i++) {
        bytes_append(&sql, lexer->text.data + from, placeholders[i].offset - from);
        bytes_append_format(&sql, "$%u", placeholders[i].number);
        from = placeholders[i].offset + placeholders[i].length;
    }
    bytes_append(&sql, lexer->text.data + from, lexer->before_end - from);
    return sql.failed ? (struct span){0} : arena_span(lexer->arena, bytes_span(&sql));
}

static void *arena_copy(struct arena *arena, const struct bytes *bytes)
{
    void *copy = arena_alloc(arena, bytes->size);
    if (copy && bytes->size)
        memcpy(copy, bytes->data, bytes->size);
    return copy;
}

static bool statement_build(const struct lexer *lexer, struct statement *ret_statement)
{
    struct statement statement = {
        .placeholder_count = lexer->placeholders.size / sizeof(struct placeholder),
        .parameter_count = (unsigned)(lexer->names.size / sizeof(struct span)),
    };
    statement.placeholders = arena_copy(lexer->arena, &lexer->placeholders);
    statement.param_of =
        arena_array(lexer->arena, statement.parameter_count, sizeof *statement.param_of);
    if (!statement.placeholders || !statement.param_of)
        return false;
    if (lexer->begin != SCAN_OPEN) {
        statement.file_offset = lexer->begin;
        statement.line = place_of(lexer->text, lexer->begin).line;
        statement.sql = sql_write(lexer, statement.placeholders, statement.placeholder_count);
        if (!statement.sql.data)
            return false;
    }
    *ret_statement = statement;
    return true;
}

/* One of several is over, when there is anything of it; the next begins with a new $1. */
static bool statement_end(struct lexer *lexer)
{
    struct statement statement;
    bool memory = true;
    if (lexer->begin == SCAN_OPEN)
        return true;
    const char *problem = statement_problem(span_from(lexer->text, lexer->begin));
    if (lexer->statements.size / sizeof statement == STATEMENTS_MAX)
        lexer_fault(lexer, lexer->begin, "a route has at most %d statements", STATEMENTS_MAX);
    else if (problem)
        lexer_fault(lexer, lexer->begin, "%s", problem);
    else if (brackets_closed(lexer) && (memory = statement_build(lexer, &statement)))
        bytes_append(&lexer->statements, &statement, sizeof statement);
    bytes_clear(&lexer->brackets);
    bytes_clear(&lexer->placeholders);
    bytes_clear(&lexer->names);
    lexer->begin = SCAN_OPEN;
    lexer->before = BEFORE_OTHER;
    return memory;
}

static void semicolon_take(struct lexer *lexer)
{
    if (lexer->several)
        lexer->statements.failed |= !statement_end(lexer);
    else
        lexer->ended = true;
    lexer->at++;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

struct lexeme {
    bool (*begins)(char byte);         /* or by the text: */
    const char *text;                  /* how it begins */
    void (*take)(struct lexer *lexer); /* moves lexer->at past it */
    bool silent;                       /* not a part of the statement: may stand behind it */
};

static const struct lexeme lexemes[] = {
    {.begins = sql_is_space, .take = space_take, .silent = true},
    {.begins = sql_is_word_start, .take = word_take},
    {.begins = is_digit, .take = number_take},
    {.text = "--", .take = line_comment_take, .silent = true},
    {.text = "/*", .take = block_comment_take, .silent = true},
    {.text = ":", .take = colon_take},
    {.text = "'", .take = string_take},
    {.text = "\"", .take = quoted_name_take},
    {.text = "$", .take = dollar_take},
    {.text = "(", .take = open_take},
    {.text = "[", .take = open_take},
    {.text = ")", .take = close_take},
    {.text = "]", .take = close_take},
    {.text = ";", .take = semicolon_take, .silent = true},
    {.text = "", .take = other_take},
};

static const struct lexeme *lexeme_at(const struct lexer *lexer)
{
    struct span rest = span_from(lexer->text, lexer->at);
    const struct lexeme *lexeme = lexemes;
    while (lexeme->begins ? !lexeme->begins(rest.data[0]) : !span_starts(rest, lexeme->text))
        lexeme++;
    return lexeme;
}

static bool memory_failed(const struct lexer *lexer)
{
    return lexer->brackets.failed || lexer->placeholders.failed || lexer->names.failed ||
           lexer->statements.failed || lexer->faults->failed;
}

static void lexemes_take(struct lexer *lexer)
{
    while (lexer->at < lexer->text.size && !memory_failed(lexer)) {
        const struct lexeme *lexeme = lexeme_at(lexer);
        if (!lexeme->silent && lexer->ended) {
            lexer_fault(lexer, lexer->at,
                        "more after the ';': a route file has one statement, and only comments "
                        "may follow it");
            return;
        }
        if (!lexeme->silent && lexer->begin == SCAN_OPEN)
            lexer->begin = lexer->at;
        lexeme->take(lexer);
    }
    if (lexer->several)
        lexer->statements.failed |= !statement_end(lexer);
    else if (!memory_failed(lexer))
        brackets_closed(lexer);
}

/* False after a fault. What memory lacked is memory_failed's to say. */
static bool statement_lex(struct lexer *lexer)
{
    size_t before = lexer->faults->count;
    lexemes_take(lexer);
    return lexer->faults->count == before || memory_failed(lexer);
}

static struct lexer lexer_at(const char *file, struct span text, size_t start, struct arena *arena,
                             struct fault_list *faults)
{
    return (struct lexer){
        .file = file,
        .text = text,
        .at = start,
        .arena = arena,
        .faults = faults,
        .place = PLACE_START,
        .begin = SCAN_OPEN,
    };
}

bool statement_parse(const char *file, struct span text, size_t start, struct arena *arena,
                     struct fault_list *faults, struct statement *ret_statement)
{
    struct lexer lexer CLEANUP(lexer_free) = lexer_at(file, text, start, arena, faults);
    if (!statement_lex(&lexer))
        return false;
    if (!memory_failed(&lexer) && statement_build(&lexer, ret_statement))
        return true;
    faults->failed = true;
    return false;
}

bool statement_parse_all(const char *file, struct span text, size_t start, struct arena *arena,
                         struct fault_list *faults, struct statement **ret_statements,
                         size_t *ret_count)
{
    struct lexer lexer CLEANUP(lexer_free) = lexer_at(file, text, start, arena, faults);
    lexer.several = true;
    if (!statement_lex(&lexer))
        return false;
    struct statement *statements =
        memory_failed(&lexer) ? NULL : arena_copy(arena, &lexer.statements);
    if (!statements) {
        faults->failed = true;
        return false;
    }
    *ret_statements = statements;
    *ret_count = lexer.statements.size / sizeof *statements;
    return true;
}
