#include "http/cache_control.h"

#include "http/field.h"
#include "http/header.h"

#define SECONDS_MAX (INT64_C(1) << 31)

enum directive {
    PUBLIC,
    PRIVATE,
    NO_STORE,
    NO_CACHE,
    NO_TRANSFORM,
    MUST_REVALIDATE,
    PROXY_REVALIDATE,
    MUST_UNDERSTAND,
    IMMUTABLE,
    ONLY_IF_CACHED,
    FLAG_COUNT,
    MAX_AGE = FLAG_COUNT,
    S_MAXAGE,
    STALE_WHILE_REVALIDATE,
    STALE_IF_ERROR,
    DIRECTIVE_COUNT,
};

/* The members up to FLAG_COUNT are bool, those after it int64_t. */
static const struct row {
    const char *name;
    size_t offset;
} rows[DIRECTIVE_COUNT] = {
    [PUBLIC] = {"public", offsetof(struct cache_control, public)},
    [PRIVATE] = {"private", offsetof(struct cache_control, private)},
    [NO_STORE] = {"no-store", offsetof(struct cache_control, no_store)},
    [NO_CACHE] = {"no-cache", offsetof(struct cache_control, no_cache)},
    [NO_TRANSFORM] = {"no-transform", offsetof(struct cache_control, no_transform)},
    [MUST_REVALIDATE] = {"must-revalidate", offsetof(struct cache_control, must_revalidate)},
    [PROXY_REVALIDATE] = {"proxy-revalidate", offsetof(struct cache_control, proxy_revalidate)},
    [MUST_UNDERSTAND] = {"must-understand", offsetof(struct cache_control, must_understand)},
    [IMMUTABLE] = {"immutable", offsetof(struct cache_control, immutable)},
    [ONLY_IF_CACHED] = {"only-if-cached", offsetof(struct cache_control, only_if_cached)},
    [MAX_AGE] = {"max-age", offsetof(struct cache_control, max_age)},
    [S_MAXAGE] = {"s-maxage", offsetof(struct cache_control, s_maxage)},
    [STALE_WHILE_REVALIDATE] = {"stale-while-revalidate",
                                offsetof(struct cache_control, stale_while_revalidate)},
    [STALE_IF_ERROR] = {"stale-if-error", offsetof(struct cache_control, stale_if_error)},
};

#define BIT(directive) (1u << (directive))

/* Directives that must not stand together; a duration of 0 does not count. */
static const struct contradiction {
    unsigned one, other;
    const char *text;
} contradictions[] = {
    {BIT(PUBLIC), BIT(PRIVATE), "public and private exclude each other"},
    {BIT(NO_STORE),
     BIT(MAX_AGE) | BIT(S_MAXAGE) | BIT(STALE_WHILE_REVALIDATE) | BIT(STALE_IF_ERROR),
     "no-store excludes a lifetime"},
    {BIT(PRIVATE), BIT(S_MAXAGE), "s-maxage is for shared caches, which private shuts out"},
    {BIT(S_MAXAGE), BIT(STALE_WHILE_REVALIDATE),
     "s-maxage forbids what stale-while-revalidate allows: write max-age"},
};

static bool is_flag(enum directive directive)
{
    return directive < FLAG_COUNT;
}

static bool flag_get(const struct cache_control *control, enum directive directive)
{
    return *(const bool *)((const char *)control + rows[directive].offset);
}

static void flag_set(struct cache_control *control, enum directive directive)
{
    *(bool *)((char *)control + rows[directive].offset) = true;
}

static int64_t seconds_get(const struct cache_control *control, enum directive directive)
{
    return *(const int64_t *)(const void *)((const char *)control + rows[directive].offset);
}

static void seconds_set(struct cache_control *control, enum directive directive, int64_t seconds)
{
    *(int64_t *)(void *)((char *)control + rows[directive].offset) = seconds;
}

static enum directive directive_find(struct span name)
{
    size_t directive = 0;
    while (directive < DIRECTIVE_COUNT && !span_is_nocase(name, rows[directive].name))
        directive++;
    return (enum directive)directive;
}

/* Takes the next directive off *rest; *ret_argument has null data when there is no "=". */
static bool directive_next(struct span *rest, struct span *ret_name, struct span *ret_argument)
{
    struct span member;
    if (!field_member_next(rest, &member))
        return false;
    *ret_name = span_split(&member, '=');
    *ret_argument = member;
    return true;
}

static void directive_apply(struct cache_control *control, enum directive directive,
                            struct span argument)
{
    int64_t seconds = 0;
    if (is_flag(directive))
        flag_set(control, directive);
    else if (seconds_get(control, directive) == CACHE_CONTROL_NONE)
        seconds_set(control, directive,
                    field_seconds(argument, SECONDS_MAX, &seconds) ? seconds : 0);
}

/* Is it there? A duration from `least` seconds on is. */
static bool directive_present(const struct cache_control *control, enum directive directive,
                              int64_t least)
{
    return is_flag(directive) ? flag_get(control, directive)
                              : seconds_get(control, directive) >= least;
}

struct cache_control cache_control_parse(struct span header)
{
    struct cache_control control = CACHE_CONTROL_EMPTY;
    struct span name, argument;
    while (directive_next(&header, &name, &argument)) {
        enum directive directive = directive_find(name);
        if (directive < DIRECTIVE_COUNT)
            directive_apply(&control, directive, argument);
    }
    return control;
}

static bool directive_check(struct span name, struct span argument, unsigned *seen,
                            struct error *error)
{
    int64_t seconds;
    enum directive directive = directive_find(name);
    if (directive == DIRECTIVE_COUNT || directive == ONLY_IF_CACHED)
        return error_set(error, ERROR_INVALID,
                         "\"%.*s\" is not a directive of a response: public, private, no-store, "
                         "no-cache, no-transform, must-revalidate, proxy-revalidate, "
                         "must-understand, immutable, max-age=, s-maxage=, "
                         "stale-while-revalidate= and stale-if-error= are",
                         SPAN_PRINTF(name));
    if (*seen & BIT(directive))
        return error_set(error, ERROR_INVALID, "%s is given twice", rows[directive].name);
    *seen |= BIT(directive);
    if (is_flag(directive) && argument.data)
        return error_set(error, ERROR_INVALID, "%s takes no value", rows[directive].name);
    if (!is_flag(directive) && !field_seconds(argument, SECONDS_MAX, &seconds))
        return error_set(error, ERROR_INVALID, "%s must be a whole number of seconds, not \"%.*s\"",
                         rows[directive].name, SPAN_PRINTF(argument));
    return true;
}

static unsigned directives_in(const struct cache_control *control)
{
    unsigned present = 0;
    for (enum directive directive = 0; directive < DIRECTIVE_COUNT; directive++)
        if (directive_present(control, directive, 1))
            present |= BIT(directive);
    return present;
}

bool cache_control_check(struct span header, struct error *error)
{
    struct span rest = header, name, argument;
    unsigned seen = 0;
    while (directive_next(&rest, &name, &argument))
        if (!directive_check(name, argument, &seen, error))
            return false;
    if (!seen)
        return error_set(error, ERROR_INVALID,
                         "there is no directive: write at least one, as in "
                         "no-cache");
    struct cache_control control = cache_control_parse(header);
    unsigned present = directives_in(&control);
    for (size_t i = 0; i < ARRAY_COUNT(contradictions); i++)
        if (present & contradictions[i].one && present & contradictions[i].other)
            return error_set(error, ERROR_INVALID, "%s", contradictions[i].text);
    return true;
}

bool cache_control_shared(const struct cache_control *control)
{
    return (control->public || control->s_maxage > 0) && !control->private && !control->no_store;
}

static void directive_write(const struct cache_control *control, enum directive directive,
                            struct bytes *out)
{
    bytes_append_text(out, rows[directive].name);
    if (is_flag(directive))
        return;
    bytes_append_byte(out, '=');
    bytes_append_number(out, seconds_get(control, directive));
}

void cache_control_write(const struct cache_control *control, struct bytes *out)
{
    const char *separator = "";
    for (enum directive directive = 0; directive < DIRECTIVE_COUNT; directive++) {
        if (!directive_present(control, directive, 0))
            continue;
        bytes_append_text(out, separator);
        directive_write(control, directive, out);
        separator = ", ";
    }
}
