#include "auth/claims.h"

#include <math.h>
#include <stdlib.h>

static bool refuse(struct error *error, const char *text)
{
    return error_set(error, ERROR_INVALID, "%s", text);
}

#define NUMBER_MAX 64

/* Seconds since 1970, fractions allowed, as µs; beyond 64 bits: the end of time. */
static bool date_read(const struct json *value, int64_t *ret_date)
{
    char text[NUMBER_MAX];
    if (value->kind != JSON_NUMBER || value->text.size >= sizeof text)
        return false;
    memcpy(text, value->text.data, value->text.size);
    text[value->text.size] = '\0';
    double date = strtod(text, NULL) * 1e6;
    if (isnan(date))
        return false;
    *ret_date = date >= 0x1p63 ? INT64_MAX : date <= -0x1p63 ? INT64_MIN : (int64_t)date;
    return true;
}

/* *ret_date is left alone where there is no such claim. */
static bool date_claim(const struct json *claims, const char *name, int64_t *ret_date,
                       struct error *error)
{
    struct json value;
    if (!json_member(claims, span_of(name), &value))
        return true;
    return date_read(&value, ret_date)
               ? true
               : error_set(error, ERROR_INVALID, "has a claim %s that is no date", name);
}

static int64_t add(int64_t date, int64_t leeway)
{
    int64_t sum;
    return __builtin_add_overflow(date, leeway, &sum) ? INT64_MAX : sum;
}

static bool dates_check(const struct json *claims, int64_t leeway, int64_t now, int64_t *ret_until,
                        struct error *error)
{
    int64_t until = INT64_MAX, from = INT64_MIN, made = INT64_MIN;
    if (!date_claim(claims, "exp", &until, error) || !date_claim(claims, "nbf", &from, error) ||
        !date_claim(claims, "iat", &made, error))
        return false;
    if (until != INT64_MAX && now >= add(until, leeway))
        return refuse(error, "has expired");
    if (from > add(now, leeway))
        return refuse(error, "is not valid yet");
    if (made > add(now, leeway))
        return refuse(error, "was made in the future");
    *ret_until = until;
    return true;
}

/* A string, or an array that has it. */
static bool names(const struct json *claim, struct span wanted)
{
    struct json_place place = {0};
    struct json element;
    if (claim->kind == JSON_STRING)
        return json_string_is(claim, wanted);
    if (claim->kind != JSON_ARRAY)
        return false;
    while (json_next_element(claim, &place, &element))
        if (element.kind == JSON_STRING && json_string_is(&element, wanted))
            return true;
    return false;
}

static bool member_names(const struct json *claims, const char *name, const char *wanted)
{
    struct json claim;
    return !*wanted ||
           (json_member(claims, span_of(name), &claim) && names(&claim, span_of(wanted)));
}

bool claims_check(const struct json *claims, const struct claims_rules *rules, int64_t now,
                  int64_t *ret_until, struct error *error)
{
    struct json issuer;
    int64_t until = INT64_MAX;
    if (!dates_check(claims, rules->leeway, now, &until, error))
        return false;
    if (!member_names(claims, "aud", rules->audience))
        return refuse(error, "is for another audience");
    if (*rules->issuer &&
        (!json_member(claims, SPAN_LITERAL("iss"), &issuer) || issuer.kind != JSON_STRING ||
         !json_string_is(&issuer, span_of(rules->issuer))))
        return refuse(error, "is of another issuer");
    *ret_until = until;
    return true;
}

bool claims_find(const struct json *claims, struct span path, struct json *ret_claim)
{
    struct json outer = *claims, inner;
    for (;;) {
        size_t dot = span_find(path, '.');
        if (json_member(&outer, path, ret_claim))
            return true;
        if (dot == path.size || !json_member(&outer, span_first(path, dot), &inner))
            return false;
        path = span_from(path, dot + 1);
        outer = inner;
    }
}

static bool canonical_text(const struct json *claim, struct arena *arena, struct span *ret_text)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    json_write_canonical(claim, &text);
    *ret_text = text.failed ? (struct span){0} : arena_span(arena, bytes_span(&text));
    return ret_text->data != NULL;
}

bool claims_text(const struct json *claim, struct arena *arena, struct span *ret_text)
{
    switch (claim->kind) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return canonical_text(claim, arena, ret_text);
    case JSON_STRING:
        return json_string(claim, arena, ret_text);
    default:
        *ret_text = arena_span(arena, claim->text);
        return ret_text->data != NULL;
    }
}

/* A claim that is a text or a number; anything else is none. */
static bool plain_text(const struct json *claims, struct span path, struct arena *arena,
                       struct span *ret_text)
{
    struct json claim;
    *ret_text = (struct span){.data = ""};
    if (!claims_find(claims, path, &claim) ||
        (claim.kind != JSON_STRING && claim.kind != JSON_NUMBER))
        return true;
    return claims_text(&claim, arena, ret_text);
}

/* Claims that change from token to token and say nothing of the bearer. */
static bool is_passing(const struct json *name)
{
    static const char *const passing[] = {"exp", "nbf", "iat", "jti"};
    for (size_t i = 0; i < ARRAY_COUNT(passing); i++)
        if (json_string_is(name, span_of(passing[i])))
            return true;
    return false;
}

static bool canonical_make(const struct json *claims, struct arena *arena,
                           struct span *ret_canonical)
{
    struct bytes lasting CLEANUP(bytes_free) = BYTES_EMPTY;
    struct json_place place = {0};
    struct json name, value;
    while (json_next_member(claims, &place, &name, &value)) {
        if (is_passing(&name))
            continue;
        bytes_append_byte(&lasting, lasting.size ? ',' : '{');
        bytes_append_span(&lasting, name.text);
        bytes_append_byte(&lasting, ':');
        bytes_append_span(&lasting, value.text);
    }
    bytes_append_text(&lasting, lasting.size ? "}" : "{}");
    if (lasting.failed)
        return false;
    const struct json object = {.kind = JSON_OBJECT, .text = bytes_span(&lasting)};
    return canonical_text(&object, arena, ret_canonical);
}

/* Issuer and subject with the length of the first before it, so that no pair can imitate another.
 */
static bool identity_make(const struct json *claims, struct arena *arena,
                          struct principal *principal)
{
    struct span issuer;
    if (!principal->subject.size) {
        principal->identity = principal->canonical;
        return true;
    }
    if (!plain_text(claims, SPAN_LITERAL("iss"), arena, &issuer))
        return false;
    const char *identity = arena_format(arena, "%zu:%.*s%.*s", issuer.size, SPAN_PRINTF(issuer),
                                        SPAN_PRINTF(principal->subject));
    principal->identity = span_of(identity);
    return identity != NULL;
}

bool claims_principal(const struct json *claims, const struct claims_rules *rules,
                      struct arena *arena, struct principal *ret_principal)
{
    struct principal principal = {.claims = *claims};
    if (!plain_text(claims, SPAN_LITERAL("sub"), arena, &principal.subject) ||
        !plain_text(claims, span_of(rules->role), arena, &principal.role) ||
        !canonical_make(claims, arena, &principal.canonical) ||
        !identity_make(claims, arena, &principal))
        return false;
    *ret_principal = principal;
    return true;
}

bool claims_have_role(const struct json *claims, const struct claims_rules *rules, struct span role)
{
    struct json claim;
    return claims_find(claims, span_of(rules->role), &claim) && names(&claim, role);
}
