#include "auth/token.h"

#include "base/base64url.h"

const char *const auth_algorithm_names[] = {
    [AUTH_OFF] = "off",
    [AUTH_HS256] = "HS256",
    [AUTH_RS256] = "RS256",
    [AUTH_ES256] = "ES256",
};

#define DEPTH_MAX 64

static bool refuse(struct error *error, const char *text)
{
    return error_set(error, ERROR_INVALID, "%s", text);
}

/* Memory stays memory; every other complaint of a reader becomes the token's. */
static bool refuse_part(struct error *error, const struct error *reason, const char *text)
{
    return reason->kind == ERROR_MEMORY ? error_set_memory(error) : refuse(error, text);
}

static bool object_read(struct span part, struct arena *arena, struct json *ret_object,
                        const char *problem, struct error *error)
{
    struct error reason = {0};
    struct span text;
    if (!base64url_read(part, arena, &text, &reason) ||
        !json_read(text, DEPTH_MAX, arena, ret_object, &reason))
        return refuse_part(error, &reason, problem);
    return ret_object->kind == JSON_OBJECT ? true : refuse(error, problem);
}

static bool type_good(const struct json *header, struct arena *arena)
{
    struct json type;
    struct span text;
    if (!json_member(header, SPAN_LITERAL("typ"), &type))
        return true;
    return type.kind == JSON_STRING && json_string(&type, arena, &text) &&
           span_is_nocase(text, "JWT");
}

static bool header_check(const struct json *header, enum auth_algorithm algorithm,
                         struct arena *arena, struct error *error)
{
    struct json member;
    if (!json_member(header, SPAN_LITERAL("alg"), &member) || member.kind != JSON_STRING)
        return refuse(error, "does not say how it is signed");
    if (!json_string_is(&member, span_of(auth_algorithm_names[algorithm])))
        return refuse(error, "is signed with another algorithm than this server takes");
    if (json_member(header, SPAN_LITERAL("crit"), &member))
        return refuse(error, "has an extension that this server does not know");
    return type_good(header, arena) ? true : refuse(error, "is not of the type JWT");
}

static bool kid_read(const struct json *header, struct arena *arena, struct span *ret_kid,
                     struct error *error)
{
    struct json member;
    *ret_kid = (struct span){0};
    if (!json_member(header, SPAN_LITERAL("kid"), &member))
        return true;
    if (member.kind != JSON_STRING)
        return refuse(error, "has a kid that is no text");
    return json_string(&member, arena, ret_kid) ? true : error_set_memory(error);
}

/* The three parts; false: not three. */
static bool parts_split(struct span text, struct span parts[static 3])
{
    for (size_t i = 0; i < 3; i++) {
        if (!text.data)
            return false;
        parts[i] = span_split(&text, '.');
    }
    return !text.data;
}

bool token_read(struct span text, enum auth_algorithm algorithm, struct arena *arena,
                struct token *ret_token, struct error *error)
{
    struct span parts[3];
    struct json header;
    struct token token = {0};
    struct error reason = {0};
    if (text.size > TOKEN_MAX)
        return error_set(error, ERROR_INVALID, "is longer than %d bytes", TOKEN_MAX);
    if (!text.size || !parts_split(text, parts))
        return refuse(error, "is not three parts with dots between them");
    if (!object_read(parts[0], arena, &header, "has a header that is no base64url of a JSON object",
                     error) ||
        !header_check(&header, algorithm, arena, error) ||
        !kid_read(&header, arena, &token.kid, error) ||
        !object_read(parts[1], arena, &token.claims,
                     "has claims that are no base64url of a JSON object", error))
        return false;
    if (!base64url_read(parts[2], arena, &token.signature, &reason))
        return refuse_part(error, &reason, "has a signature that is no base64url");
    token.signed_text = span_first(text, parts[0].size + 1 + parts[1].size);
    token.text = arena_text(arena, text);
    if (!token.text)
        return error_set_memory(error);
    *ret_token = token;
    return true;
}
