#include "route/statement_kind.h"

#include "base/compiler.h"
#include "route/sql_scan.h"

/* The offset of the next lexeme at or behind `at`; text.size at the end. */
static size_t skip_silent(struct span text, size_t at)
{
    while (at < text.size) {
        struct span rest = span_from(text, at);
        if (sql_is_space(rest.data[0]))
            at++;
        else if (span_starts(rest, "--"))
            at = sql_scan_line_comment(text, at);
        else if (span_starts(rest, "/*"))
            at = sql_scan_block_comment(text, at);
        else
            break;
    }
    return at < text.size ? at : text.size;
}

/* The word at `at`, which is moved behind it; empty when there is none. */
static struct span word_take(struct span text, size_t *at)
{
    size_t begin = skip_silent(text, *at);
    *at = begin;
    if (sql_is_word_start(sql_byte(text, begin)))
        *at = sql_scan_word(text, begin);
    return (struct span){.data = text.data + begin, .size = *at - begin};
}

/* The first word, also behind opening brackets. */
static struct span first_word(struct span text, size_t *ret_end)
{
    size_t at = skip_silent(text, 0);
    while (sql_byte(text, at) == '(')
        at = skip_silent(text, at + 1);
    struct span word = word_take(text, &at);
    *ret_end = at;
    return word;
}

static const struct refused {
    const char *first;
    const char *second; /* null: any */
    const char *problem;
} refused[] = {
#define TRANSACTION "a write's statements are one transaction already, which ends with the last one"
    {"begin", NULL, TRANSACTION},
    {"start", NULL, TRANSACTION},
    {"commit", NULL, TRANSACTION},
    {"end", NULL, TRANSACTION},
    {"rollback", NULL, TRANSACTION},
    {"abort", NULL, TRANSACTION},
    {"savepoint", NULL, TRANSACTION},
    {"release", NULL, TRANSACTION},
    {"prepare", "transaction", TRANSACTION},
#undef TRANSACTION
    {"copy", NULL, "a write can't COPY: it has no stream of rows"},
    {"set", "local", NULL},
    {"set", "constraints", NULL},
    {"set", NULL, "SET would last for other requests: write SET LOCAL"},
    {"reset", NULL, "RESET would last for other requests: write SET LOCAL"},
    {"discard", NULL, "DISCARD would last for other requests"},
    {"deallocate", NULL, "DEALLOCATE would last for other requests"},
};

const char *statement_problem(struct span text)
{
    size_t at;
    struct span first = first_word(text, &at), second = word_take(text, &at);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        if (span_is_nocase(first, refused[i].first) &&
            (!refused[i].second || span_is_nocase(second, refused[i].second)))
            return refused[i].problem;
    return NULL;
}

static bool is_one_of(struct span word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_is_nocase(word, words[i]))
            return true;
    return false;
}

static bool first_is(struct span sql, const char *const *words, size_t count)
{
    size_t end;
    return is_one_of(first_word(sql, &end), words, count);
}

bool statement_is_relation(struct span sql)
{
    static const char *const words[] = {"select", "values", "table", "insert",
                                        "update", "delete", "merge", "with"};
    return first_is(sql, words, ARRAY_COUNT(words));
}

bool statement_deletes(struct span sql)
{
    static const char *const words[] = {"delete"};
    size_t main = statement_main(sql);
    return first_is(span_from(sql, main), words, ARRAY_COUNT(words));
}

/* Behind one lexeme that is no word. */
static size_t lexeme_skip(struct span text, size_t at)
{
    struct span rest = span_from(text, at);
    size_t end = at + 1;
    if (rest.data[0] == '\'' || rest.data[0] == '"')
        end = sql_scan_quoted(text, at);
    else if (rest.data[0] == '$' && sql_scan_dollar(text, at) != at)
        end = sql_scan_dollar(text, at);
    return end < text.size ? end : text.size;
}

/* Behind a word, or behind E'…' as a whole. */
static size_t word_skip(struct span text, size_t at)
{
    size_t end = sql_scan_word(text, at);
    bool escaped = end == at + 1 && (text.data[at] | 0x20) == 'e' && sql_byte(text, end) == '\'';
    if (escaped)
        end = sql_scan_escaped(text, end);
    return end < text.size ? end : text.size;
}

/* Behind the bracket that closes the one at `at`; text.size when none does. */
static size_t brackets_skip(struct span text, size_t at)
{
    size_t depth = 0;
    while ((at = skip_silent(text, at)) < text.size) {
        char byte = text.data[at];
        if (sql_is_word_start(byte)) {
            at = word_skip(text, at);
            continue;
        }
        at = lexeme_skip(text, at);
        depth += byte == '(';
        if (byte == ')' && --depth == 0)
            break;
    }
    return at;
}

static bool word_take_if(struct span text, size_t *at, const char *wanted)
{
    size_t after = *at;
    if (!span_is_nocase(word_take(text, &after), wanted))
        return false;
    *at = after;
    return true;
}

/*
 * Moves behind "name [(columns)] AS [[NOT] MATERIALIZED] (…)", whose last bracket opens at
 * *ret_body; false: it is something else.
 */
static bool common_table_skip(struct span text, size_t *at, size_t *ret_body)
{
    *at = skip_silent(text, *at);
    if (sql_byte(text, *at) == '"')
        *at = lexeme_skip(text, *at);
    else if (word_take(text, at).size == 0)
        return false;
    *at = skip_silent(text, *at);
    if (sql_byte(text, *at) == '(')
        *at = brackets_skip(text, *at);
    if (!word_take_if(text, at, "as"))
        return false;
    bool negated = word_take_if(text, at, "not");
    if (!word_take_if(text, at, "materialized") && negated)
        return false;
    *at = skip_silent(text, *at);
    if (sql_byte(text, *at) != '(')
        return false;
    *ret_body = *at;
    *at = skip_silent(text, brackets_skip(text, *at));
    return true;
}

size_t statement_main(struct span sql)
{
    size_t at = 0, body;
    if (!word_take_if(sql, &at, "with"))
        return 0;
    word_take_if(sql, &at, "recursive");
    while (common_table_skip(sql, &at, &body)) {
        if (sql_byte(sql, at) != ',')
            return at < sql.size && statement_is_relation(span_from(sql, at)) ? at : 0;
        at++;
    }
    return 0;
}

/* The word that `sql` begins with where it changes data; else empty. */
static struct span change_word(struct span sql)
{
    static const char *const words[] = {"insert", "update", "delete", "merge"};
    size_t end;
    struct span first = first_word(sql, &end);
    return is_one_of(first, words, ARRAY_COUNT(words)) ? first : (struct span){0};
}

struct span statement_change(struct span sql)
{
    size_t at = 0, body;
    if (!word_take_if(sql, &at, "with"))
        return change_word(sql);
    word_take_if(sql, &at, "recursive");
    while (common_table_skip(sql, &at, &body)) {
        struct span word = change_word(span_from(sql, body));
        if (word.size)
            return word;
        if (sql_byte(sql, at) != ',')
            return change_word(span_from(sql, at));
        at++;
    }
    return (struct span){0};
}

/* The words of a text one by one, with the depth of brackets they stand at. */
struct word_walk {
    struct span text;
    size_t at;
    size_t depth;
};

/* False at the end. What stands behind a dot is a column's name, never a keyword. */
static bool walk_next(struct word_walk *walk, struct span *ret_word)
{
    bool named = false;
    while ((walk->at = skip_silent(walk->text, walk->at)) < walk->text.size) {
        char byte = walk->text.data[walk->at];
        size_t begin = walk->at;
        if (!sql_is_word_start(byte)) {
            walk->at = lexeme_skip(walk->text, begin);
            walk->depth += byte == '(' || byte == '[';
            walk->depth -= (byte == ')' || byte == ']') && walk->depth;
            named = byte == '.';
            continue;
        }
        walk->at = word_skip(walk->text, begin);
        *ret_word = (struct span){.data = walk->text.data + begin, .size = walk->at - begin};
        if (!named)
            return true;
        named = false;
    }
    return false;
}

bool statement_has_outermost(struct span sql, const char *word)
{
    struct word_walk walk = {.text = sql};
    struct span found;
    while (walk_next(&walk, &found))
        if (walk.depth == 0 && span_is_nocase(found, word))
            return true;
    return false;
}

bool statement_may_add_nulls(struct span sql)
{
    static const char *const sides[] = {"left", "right", "full"}, *const joins[] = {"join",
                                                                                    "outer"};
    static const char *const alone[] = {"union",  "intersect", "except",
                                        "rollup", "cube",      "grouping"};
    struct word_walk walk = {.text = sql};
    struct span word, before = {0};
    for (; walk_next(&walk, &word); before = word)
        if (is_one_of(word, alone, ARRAY_COUNT(alone)) ||
            (is_one_of(before, sides, ARRAY_COUNT(sides)) &&
             is_one_of(word, joins, ARRAY_COUNT(joins))))
            return true;
    return false;
}

/* The n of a "$n", with or without a cast, that is all of the expression at `at`; else 0. */
static unsigned lone_parameter(struct span sql, size_t at)
{
    static const char *const behind[] = {"asc", "desc", "nulls", "limit", "offset", "fetch", "for"};
    unsigned number = 0;
    at = skip_silent(sql, at);
    if (sql_byte(sql, at++) != '$')
        return 0;
    for (; sql_byte(sql, at) >= '0' && sql_byte(sql, at) <= '9' && number < 100000; at++)
        number = number * 10 + (unsigned)(sql.data[at] - '0');
    at = skip_silent(sql, at);
    if (span_starts(span_from(sql, at), "::")) {
        at += 2;
        word_take(sql, &at);
        at = skip_silent(sql, at);
    }
    char next = sql_byte(sql, at);
    bool alone = at == sql.size || next == ',' || next == ')' ||
                 is_one_of(word_take(sql, &at), behind, ARRAY_COUNT(behind));
    return alone ? number : 0;
}

unsigned statement_order_parameter(struct span sql)
{
    struct word_walk walk = {.text = sql};
    struct span word, before = {0};
    for (; walk_next(&walk, &word); before = word) {
        bool order = span_is_nocase(before, "order") && span_is_nocase(word, "by");
        unsigned number = order ? lone_parameter(sql, walk.at) : 0;
        if (number)
            return number;
    }
    return 0;
}

/* Also in quotes, which a name may have. */
static bool mentions(struct span sql, const char *name)
{
    const struct span wanted = span_of(name);
    for (size_t at = 0; at + wanted.size <= sql.size; at++)
        if (span_is_nocase((struct span){.data = sql.data + at, .size = wanted.size}, name))
            return true;
    return false;
}

bool statement_keeps(struct span sql)
{
    static const char *const calls[] = {"set_config", "advisory_lock", "set_limit",
                                        "dblink",     "pg_temp",       "u&"};
    static const char *const temporary[] = {"temp", "temporary"};
    struct word_walk walk = {.text = sql};
    struct span word;
    if (!statement_is_relation(sql))
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        if (mentions(sql, calls[i]))
            return true;
    while (walk_next(&walk, &word))
        if (is_one_of(word, temporary, ARRAY_COUNT(temporary)))
            return true;
    return false;
}
