/*
 * Who asks: the step authenticate.
 */
#include "auth/auth.h"
#include "db/write.h"
#include "serve/bearer.h"
#include "serve/steps.h"

static bool has_role(const struct exchange *exchange, struct span role)
{
    return !role.size || (exchange->principal &&
                          auth_has_role(exchange->server->auth, exchange->principal, role));
}

/* The claims of nobody, as PostgREST has them. */
static const char *anonymous_claims(struct arena *arena, const char *role)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&text, "{\"role\":");
    json_write_string(span_of(role), &text);
    bytes_append_byte(&text, '}');
    return text.failed ? NULL : arena_text(arena, bytes_span(&text));
}

/* "none" would be the session's own role, which may do more than any client (SET ROLE). */
static bool role_fits(const char *role)
{
    return *role && strcmp(role, "none") != 0;
}

/* As whom the database runs the route's statements. */
static void identity_take(struct exchange *exchange)
{
    const struct principal *principal = exchange->principal;
    struct db_identity *identity = arena_alloc(exchange->desk->arena, sizeof *identity);
    const char *role = principal && principal->role.size
                           ? principal->role.data
                           : options_text(exchange->server->options, OPTION_ANON_ROLE);
    if (!role_fits(role)) {
        bearer_forbid(exchange, principal ? "The token has no role that the database has."
                                          : "The route needs a bearer token.");
        return;
    }
    const char *claims =
        principal ? principal->canonical.data : anonymous_claims(exchange->desk->arena, role);
    if (!identity || !claims) {
        exchange_memory(exchange);
        return;
    }
    *identity = (struct db_identity){.role = role, .claims = claims};
    exchange->identity = identity;
}

void step_authenticate(struct exchange *exchange)
{
    const struct route_auth *wanted = &exchange->served->route->auth;
    if (wanted->kind == AUTH_NONE)
        return;
    bearer_take(exchange, wanted->kind == AUTH_REQUIRED);
    if (exchange->phase != PHASE_SEEKING)
        return;
    if (!has_role(exchange, wanted->role))
        bearer_forbid(exchange, "The route is for another role.");
    else if (wanted->rls)
        identity_take(exchange);
}
