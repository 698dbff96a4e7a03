/*
 * Any bytes as a token, and, since few of them are base64url of JSON, as claims: what is taken has
 * a bearer, and the bearer's canonical claims are JSON without the claims that pass.
 */
#include <stdint.h>
#include <stdlib.h>

#include "auth/claims.h"
#include "auth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void is_a_sentence(const struct error *error)
{
    must(error->kind != ERROR_INVALID || (*error->text && !strpbrk(error->text, "\"\\\r\n")));
}

static void claims_walk(const struct json *claims, struct arena *arena)
{
    static const struct claims_rules rules = {
        .audience = "a", .issuer = "", .role = "a.b", .leeway = 30000000};
    struct principal principal;
    struct json canonical, found;
    struct error error = {0};
    int64_t until;
    if (!claims_check(claims, &rules, INT64_C(1700000000000000), &until, &error))
        is_a_sentence(&error);
    must(claims_principal(claims, &rules, arena, &principal));
    must(json_read(principal.canonical, JSON_DEPTH_MAX, arena, &canonical, NULL));
    must(!json_member(&canonical, SPAN_LITERAL("exp"), &found));
    must(principal.identity.size > 0);
    must(strlen(principal.canonical.data) == principal.canonical.size);
    claims_have_role(claims, &rules, principal.role);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span given = {.data = (const char *)data, .size = size};
    struct arena *arena = arena_new();
    struct error error = {0};
    struct token token;
    struct json claims;
    for (enum auth_algorithm algorithm = AUTH_HS256; algorithm <= AUTH_ES256; algorithm++) {
        if (token_read(given, algorithm, arena, &token, &error))
            claims_walk(&token.claims, arena);
        else
            is_a_sentence(&error);
    }
    if (json_read(given, JSON_DEPTH_MAX, arena, &claims, NULL) && claims.kind == JSON_OBJECT)
        claims_walk(&claims, arena);
    arena_free(arena);
    return 0;
}
