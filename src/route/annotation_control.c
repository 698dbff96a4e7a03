#include "route/annotation.h"

/* One directive of a Cache-Control (RFC 9111, section 5.2): token [= token | quoted-string]. */
struct directive {
    struct span name;
    struct span value; /* data null: none */
};

/* RFC 9110, section 5.6.2. */
static bool is_token_byte(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static struct span token_take(struct span *rest)
{
    size_t size = 0;
    while (size < rest->size && is_token_byte(rest->data[size]))
        size++;
    struct span token = span_first(*rest, size);
    *rest = span_from(*rest, size);
    return token;
}

/* A quoted-string, quotes included; empty when it has no end or holds more than printable ASCII. */
static struct span quoted_take(struct span *rest)
{
    size_t at = 1;
    while (at < rest->size && rest->data[at] != '"') {
        at += rest->data[at] == '\\';
        if (at < rest->size && (rest->data[at] < ' ' || rest->data[at] > '~'))
            return (struct span){0};
        at++;
    }
    if (at >= rest->size)
        return (struct span){0};
    struct span quoted = span_first(*rest, at + 1);
    *rest = span_from(*rest, at + 1);
    return quoted;
}

/* Takes "name[=value]" and the comma behind it off *rest. */
static bool directive_take(struct span *rest, struct directive *ret_directive)
{
    struct directive directive = {0};
    *rest = span_trim(*rest);
    directive.name = token_take(rest);
    if (rest->size && rest->data[0] == '=') {
        *rest = span_from(*rest, 1);
        bool quoted = rest->size && rest->data[0] == '"';
        directive.value = quoted ? quoted_take(rest) : token_take(rest);
        if (directive.value.size == 0)
            return false;
    }
    *rest = span_trim(*rest);
    bool comma = rest->size && rest->data[0] == ',';
    if (directive.name.size == 0 || (rest->size && !comma) || (comma && rest->size == 1))
        return false;
    *rest = comma ? span_from(*rest, 1) : *rest;
    *ret_directive = directive;
    return true;
}

static bool directive_find(struct span control, struct span name, struct directive *ret_directive)
{
    struct directive directive;
    while (control.size && directive_take(&control, &directive)) {
        if (directive.name.size != name.size ||
            strncasecmp(directive.name.data, name.data, name.size) != 0)
            continue;
        *ret_directive = directive;
        return true;
    }
    return false;
}

bool control_has(struct span control, const char *directive)
{
    struct directive found;
    return directive_find(control, span_of(directive), &found);
}

static bool is_seconds(struct span value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
    return value.size > 0 && value.size <= 10;
}

static bool directive_check(struct draft *draft, const struct directive *directive,
                            struct span before)
{
    static const char *const in_seconds[] = {"max-age", "s-maxage", "stale-while-revalidate",
                                             "stale-if-error"};
    struct directive other;
    for (size_t i = 0; i < ARRAY_COUNT(in_seconds); i++) {
        if (!span_is_nocase(directive->name, in_seconds[i]) || is_seconds(directive->value))
            continue;
        draft_fault(draft, directive->name, "@control: %s needs whole seconds, as in %s=60",
                    in_seconds[i], in_seconds[i]);
        return false;
    }
    if (!directive_find(before, directive->name, &other))
        return true;
    draft_fault(draft, directive->name, "@control: %.*s stands here twice",
                SPAN_PRINTF(directive->name));
    return false;
}

static bool contradictions_check(struct draft *draft, struct span control)
{
    static const struct {
        const char *one, *other, *why;
    } pairs[] = {
        {"public", "private", "an answer is for all or for one"},
        {"s-maxage", "stale-while-revalidate", "s-maxage forbids a shared cache to serve stale"},
        {"s-maxage", "stale-if-error", "s-maxage forbids a shared cache to serve stale"},
        {"s-maxage", "private", "s-maxage is for shared caches"},
        {"no-store", "public", "no-store lets nobody keep the answer"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        if (!control_has(control, pairs[i].one) || !control_has(control, pairs[i].other))
            continue;
        draft_fault(draft, control, "@control: %s and %s contradict: %s", pairs[i].one,
                    pairs[i].other, pairs[i].why);
        return false;
    }
    return true;
}

/* For nginx and old proxies a header line must not be long. */
#define CONTROL_MAX 256

void annotate_control(struct draft *draft, struct span rest)
{
    struct span control = words_rest(rest), left = control;
    struct directive directive;
    if (control.size == 0 || control.size > CONTROL_MAX) {
        draft_fault(draft, (struct span){0},
                    "@control needs Cache-Control directives of at most %d bytes, as in "
                    "\"public, max-age=3600\"",
                    CONTROL_MAX);
        return;
    }
    while (left.size) {
        struct span at = span_trim(left);
        if (!directive_take(&left, &directive)) {
            draft_fault(draft, at,
                        "@control: \"%.*s\" must be directives with commas between them, as in "
                        "\"public, max-age=3600\" (RFC 9111, section 5.2)",
                        SPAN_PRINTF(at));
            return;
        }
        struct span before = span_first(control, (size_t)(at.data - control.data));
        before = span_trim(before);
        before.size -= before.size > 0; /* the comma */
        if (!directive_check(draft, &directive, before))
            return;
    }
    if (contradictions_check(draft, control))
        draft->route->control = control;
}
