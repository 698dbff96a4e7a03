#include "db/literals.h"

#include <string.h>

#include "db/functions.h"
#include "db/tables.h"
#include "route/sql_scan.h"

/* What PostgreSQL is asked with, and its log then shows. */
#define PROBE "'larder asks whether a date or a time is meant here'"

#define INVALID_DATE "22007"

struct literal {
    size_t begin;
    size_t end; /* behind its quote */
};

struct judging {
    struct db_connection *connection;
    const struct route *route;
    const uint32_t *types;
    struct arena *arena;
    struct bytes *hazards;
    struct db_failure *failure;
};

static const char *const moments[] = {"now", "today", "tomorrow", "yesterday"};

static const char *const time_types[] = {"date", "time", "timetz", "timestamp", "timestamptz"};

static bool is_one_of(struct span word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_is_nocase(word, words[i]))
            return true;
    return false;
}

/* Does one of its words, as in 'tomorrow 12:00', name a moment? */
static bool names_a_moment(struct span text)
{
    for (size_t at = 0; at < text.size;) {
        size_t end = sql_is_word_start(sql_byte(text, at)) ? sql_scan_word(text, at) : at + 1;
        struct span word = {.data = text.data + at, .size = end - at};
        if (is_one_of(word, moments, ARRAY_COUNT(moments)))
            return true;
        at = end;
    }
    return false;
}

/* Past the lexeme at `at`. */
static size_t lexeme_end(struct span sql, size_t at)
{
    char byte = sql_byte(sql, at), next = sql_byte(sql, at + 1);
    size_t end = at + 1;
    if (byte == '-' && next == '-')
        end = sql_scan_line_comment(sql, at);
    else if (byte == '/' && next == '*')
        end = sql_scan_block_comment(sql, at);
    else if (byte == '\'' || byte == '"')
        end = sql_scan_quoted(sql, at);
    else if ((byte == 'e' || byte == 'E') && next == '\'')
        end = sql_scan_escaped(sql, at + 1);
    else if (byte == '$')
        end = sql_scan_dollar(sql, at);
    else if (sql_is_word_start(byte))
        end = sql_scan_word(sql, at);
    return end == SCAN_OPEN ? sql.size : end > at ? end : at + 1;
}

/* The next literal from `at` on that names a moment. */
static bool literal_find(struct span sql, size_t at, struct literal *ret_literal)
{
    for (size_t end; at < sql.size; at = end) {
        end = lexeme_end(sql, at);
        struct span text = {.data = sql.data + at, .size = end - at};
        if (sql_byte(sql, at) != '\'' || !names_a_moment(text))
            continue;
        *ret_literal = (struct literal){.begin = at, .end = end};
        return true;
    }
    return false;
}

static size_t skip_space(struct span sql, size_t at)
{
    while (sql_is_space(sql_byte(sql, at)))
        at++;
    return at;
}

/* 'today'::text::date */
static bool is_cast_from_text(struct span sql, size_t at)
{
    for (;;) {
        at = skip_space(sql, at);
        if (sql_byte(sql, at) != ':' || sql_byte(sql, at + 1) != ':')
            return false;
        at = skip_space(sql, at + 2);
        size_t end = sql_is_word_start(sql_byte(sql, at)) ? sql_scan_word(sql, at) : at;
        struct span type = {.data = sql.data + at, .size = end - at};
        if (is_one_of(type, time_types, ARRAY_COUNT(time_types)))
            return true;
        if (!type.size)
            return false;
        at = end;
    }
}

static bool note(struct judging *judging, const struct literal *literal, enum hazard kind)
{
    struct span sql = judging->route->statement.sql;
    struct span text = {.data = sql.data + literal->begin, .size = literal->end - literal->begin};
    const char *name = arena_text(judging->arena, text);
    if (!name)
        return db_failure_set(judging->failure, DB_FAILURE_MEMORY, "out of memory");
    hazard_add(judging->hazards, kind, name);
    return true;
}

/* Put in its place, what is no moment is refused where a date or a time is meant, and only there.
 */
static bool is_typed_ask(struct judging *judging, const struct literal *literal, bool *ret_typed)
{
    struct span sql = judging->route->statement.sql;
    struct bytes probe CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_description description = {0};
    bytes_append(&probe, sql.data, literal->begin);
    bytes_append_text(&probe, PROBE);
    bytes_append_span(&probe, span_from(sql, literal->end));
    if (probe.failed)
        return db_failure_set(judging->failure, DB_FAILURE_MEMORY, "out of memory");
    bool described = db_describe(judging->connection, bytes_text(&probe), judging->types,
                                 (int)judging->route->statement.parameter_count, TABLES_TIMEOUT,
                                 &description, judging->failure);
    db_description_free(&description);
    if (!described && !db_failure_is_refusal(judging->failure))
        return false;
    *ret_typed = !described && strcmp(judging->failure->sqlstate, INVALID_DATE) == 0;
    return true;
}

static bool literal_judge(struct judging *judging, const struct literal *literal)
{
    bool typed = false;
    if (!is_typed_ask(judging, literal, &typed))
        return false;
    if (typed)
        return note(judging, literal, HAZARD_LITERAL);
    if (is_cast_from_text(judging->route->statement.sql, literal->end))
        return note(judging, literal, HAZARD_CLOCK);
    return true;
}

bool literals_judge(struct db_connection *connection, const struct route *route,
                    const uint32_t *types, struct arena *arena, struct bytes *hazards,
                    struct db_failure *failure)
{
    struct db_failure local = {0};
    struct judging judging = {.connection = connection,
                              .route = route,
                              .types = types,
                              .arena = arena,
                              .hazards = hazards,
                              .failure = &local};
    struct literal literal = {0};
    bool judged = true;
    while (judged && literal_find(route->statement.sql, literal.end, &literal))
        judged = literal_judge(&judging, &literal);
    if (!judged)
        *failure = local;
    return judged;
}
