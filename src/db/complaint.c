#include "db/complaint.h"

#include <string.h>

#include "base/bytes.h"
#include "db/learn_unasked.h"
#include "route/sql_scan.h"

/* Of a later statement: nothing is run while it is described. */
#define LATER_NOTE                                                                                 \
    "; the statements of a route are looked at before any of them has run, so what one makes the " \
    "next can't use"

/* Of a parameter that nothing gives a type, or that two places give different ones. */
#define TYPE_NOTE                                                                                  \
    "; give it one, by @param as in \"-- @param name text\", or where it stands, as in "           \
    ":name::text"

/* Of an operator or a function that there is not for a type that the file gives. */
#define GIVEN_NOTE "; leave the type out of @param to have the one that PostgreSQL needs there"

/* Of what jsonb alone has. */
#define BODY_NOTE "; :body is json, so where jsonb is wanted write :body::jsonb"

/* Of what the role may not so much as name. */
#define RIGHT_NOTE                                                                                 \
    "; grant it to the role that asks (PGUSER), and for @auth rls to those of the tokens, as in "  \
    "GRANT USAGE ON SCHEMA name TO role"

/* Those behind them are the key's of a page, which the file does not name. */
static unsigned named_count(const struct route *route, const struct statement *statement)
{
    return route->page.column_count ? route->statement.parameter_count : statement->parameter_count;
}

static bool types_given(const struct route *route, const struct statement *statement)
{
    for (unsigned i = 0; i < named_count(route, statement); i++)
        if (learn_param(route, statement, i)->type != TYPE_UNKNOWN)
            return true;
    return false;
}

static bool has_body(const struct route *route, const struct statement *statement)
{
    for (unsigned i = 0; i < named_count(route, statement); i++)
        if (learn_param(route, statement, i)->place == PLACE_WHOLE_BODY)
            return true;
    return false;
}

static const char *note_of(const struct route *route, const struct statement *statement,
                           const struct db_failure *failure)
{
    const char *state = failure->sqlstate;
    bool later = route->before_count && statement != &route->before[0];
    if (later && strcmp(state, "42P01") == 0)
        return LATER_NOTE;
    if (strcmp(state, "42P08") == 0 || strcmp(state, "42P18") == 0)
        return TYPE_NOTE;
    if (strcmp(state, "42501") == 0)
        return RIGHT_NOTE;
    if (strcmp(state, "42883") == 0 && has_body(route, statement) &&
        strstr(failure->message, "json"))
        return BODY_NOTE;
    return strcmp(state, "42883") == 0 && types_given(route, statement) ? GIVEN_NOTE : "";
}

/* The n of a "$n" that `text` begins with; 0: it begins with something else. */
static unsigned place_number(struct span text, size_t *ret_size)
{
    unsigned number = 0;
    size_t at = 1;
    if (sql_byte(text, 0) != '$')
        return 0;
    for (; sql_byte(text, at) >= '0' && sql_byte(text, at) <= '9' && number < 100000; at++)
        number = number * 10 + (unsigned)(text.data[at] - '0');
    *ret_size = at;
    return number;
}

static void append_named(const struct route *route, const struct statement *statement,
                         struct span text, struct bytes *out)
{
    while (text.size) {
        size_t size = 1;
        unsigned number = place_number(text, &size);
        if (number && number <= named_count(route, statement))
            bytes_append_format(out, ":%s", learn_param(route, statement, number - 1)->name);
        else
            bytes_append_span(out, span_first(text, size));
        text = span_from(text, size);
    }
}

const char *complaint_text(const struct route *route, const struct statement *statement,
                           const struct db_failure *failure, struct arena *arena)
{
    struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&out, "PostgreSQL: ");
    append_named(route, statement, span_of(failure->message), &out);
    bytes_append_format(&out, " (SQLSTATE %s)%s", failure->sqlstate,
                        note_of(route, statement, failure));
    const char *text = out.failed ? NULL : arena_text(arena, bytes_span(&out));
    return text ? text : failure->message;
}
