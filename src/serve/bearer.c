#include "serve/bearer.h"

#include <sys/stat.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"

#define REALM "Bearer realm=\"larder\""

/* Whoever knows a secret can sign with it. */
static void secret_warn(const struct auth_settings *settings)
{
    struct stat status;
    if (settings->algorithm == AUTH_HS256 && stat(settings->key_file, &status) == 0 &&
        status.st_mode & S_IROTH)
        log_event(LOG_WARNING, "tokens",
                  "everybody may read LARDER_JWT_KEY_FILE %s, and so sign tokens; chmod o-r",
                  settings->key_file);
}

bool bearer_options_check(const struct options *options, struct error *error)
{
    enum auth_algorithm algorithm = (enum auth_algorithm)options_number(options, OPTION_JWT_ALG);
    if (algorithm == AUTH_OFF || *options_text(options, OPTION_JWT_KEY_FILE))
        return true;
    return error_set(error, ERROR_INVALID,
                     "LARDER_JWT_ALG is %s, but LARDER_JWT_KEY_FILE names no file with its key",
                     auth_algorithm_names[algorithm]);
}

bool bearer_open(const struct options *options, struct auth **ret_auth, struct error *error)
{
    const struct auth_settings settings = {
        .algorithm = (enum auth_algorithm)options_number(options, OPTION_JWT_ALG),
        .key_file = options_text(options, OPTION_JWT_KEY_FILE),
        .rules = {.audience = options_text(options, OPTION_JWT_AUDIENCE),
                  .issuer = options_text(options, OPTION_JWT_ISSUER),
                  .role = options_text(options, OPTION_JWT_ROLE_CLAIM),
                  .leeway = options_number(options, OPTION_JWT_LEEWAY)}};
    *ret_auth = NULL;
    if (settings.algorithm == AUTH_OFF)
        return true;
    if (!bearer_options_check(options, error) || !auth_open(&settings, ret_auth, error))
        return false;
    secret_warn(&settings);
    return true;
}

void bearer_check(const struct auth *auth, const struct live *live, struct fault_list *faults)
{
    const struct route_table *table = live_table(live);
    for (size_t i = 0; !auth && i < route_table_count(table); i++) {
        const struct route *route = route_table_at(table, i);
        if (route->auth.kind != AUTH_NONE)
            fault_add(
                faults, route->file, route->line, 0,
                "%s has @auth, but tokens are off: LARDER_JWT_ALG and LARDER_JWT_KEY_FILE say "
                "how they are verified",
                route->name);
    }
}

/* How often the key file is looked at: µs. */
#define KEY_FILE_PAUSE INT64_C(1000000)

void bearer_tick(struct server *server)
{
    int64_t now = clock_monotonic();
    struct error error = {0};
    bool changed = false;
    if (!server->auth || now < server->auth_next)
        return;
    server->auth_next = now + KEY_FILE_PAUSE;
    if (!auth_refresh(server->auth, &changed, &error))
        log_event(LOG_ERROR, "tokens", "%s: the old keys stay", error.text);
    if (!changed)
        return;
    counters_add(server->counters, COUNTER_KEY_FILE_RELOADS, 1);
    log_event(LOG_INFO, "tokens", "%s has other keys: tokens are verified by them from now on",
              options_text(server->options, OPTION_JWT_KEY_FILE));
}

struct span bearer_token(struct span authorization)
{
    size_t scheme = span_find(authorization, ' ');
    if (!span_is_nocase(span_first(authorization, scheme), "Bearer"))
        return (struct span){0};
    struct span token = span_trim(span_from(authorization, scheme));
    return token.data ? token : SPAN_LITERAL("");
}

void bearer_challenge(struct exchange *exchange)
{
    exchange_header(exchange, "WWW-Authenticate", REALM);
}

void bearer_ask(struct exchange *exchange, const char *detail)
{
    exchange_problem(exchange, 401, detail);
    bearer_challenge(exchange);
}

/* What the field's text may be made of (RFC 6750, section 3). */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    return true;
}

void bearer_refuse(struct exchange *exchange, const char *problem)
{
    const char *detail = arena_format(exchange->desk->arena, "The token %s.", problem);
    const char *challenge =
        arena_format(exchange->desk->arena,
                     REALM ", error=\"invalid_token\", error_description=\"The token %s\"",
                     is_plain(problem) ? problem : "has a claim that does not fit");
    counters_add(exchange->server->counters, COUNTER_TOKENS_REFUSED, 1);
    exchange_problem(exchange, 401, detail);
    exchange_header(exchange, "WWW-Authenticate", challenge ? challenge : REALM);
}

void bearer_forbid(struct exchange *exchange, const char *detail)
{
    if (!exchange->principal) {
        bearer_ask(exchange, detail);
        return;
    }
    exchange_problem(exchange, 403, detail);
    exchange_header(exchange, "WWW-Authenticate", REALM ", error=\"insufficient_scope\"");
}

static void principal_take(struct exchange *exchange, struct principal *principal,
                           struct span token)
{
    struct server *server = exchange->server;
    struct error error = {0};
    bool known;
    if (auth_verify(server->auth, token, exchange->now, exchange->desk->arena, principal, &known,
                    &error)) {
        exchange->principal = principal;
        counters_add(server->counters, known ? COUNTER_TOKENS_KNOWN : COUNTER_TOKENS_VERIFIED, 1);
    } else if (error.kind == ERROR_INVALID) {
        bearer_refuse(exchange, error.text);
    } else {
        exchange_memory(exchange);
    }
}

void bearer_take(struct exchange *exchange, bool required)
{
    struct span token = bearer_token(exchange->request.authorization);
    struct principal *principal = arena_alloc(exchange->desk->arena, sizeof *principal);
    if (!principal)
        exchange_memory(exchange);
    else if (token.data)
        principal_take(exchange, principal, token);
    else if (required)
        bearer_ask(exchange, "The route needs a bearer token.");
}
