#include "serve/nginx.h"

#include "serve/policy.h"

#define SECOND INT64_C(1000000)

static bool kept_by_nginx(const struct exchange *exchange)
{
    return exchange->served && exchange->served->route->nginx_ttl &&
           span_is(exchange->request.method, "GET");
}

bool nginx_is_refresh(const struct exchange *exchange)
{
    return span_is(exchange->request.nginx, "refresh");
}

void nginx_begin(struct exchange *exchange)
{
    if (exchange->request.nginx.size && kept_by_nginx(exchange))
        exchange->request.if_none_match = (struct span){0};
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The clock up to which the answer is known to be as the database has it. */
static uint64_t clock_of(const struct exchange *exchange)
{
    if (exchange->kept || exchange->lookup.lease.held)
        return exchange->meta.clock;
    return exchange->phase == PHASE_HELD ? exchange->lookup.clock : exchange->host_clock;
}

/* The route's time, or less where the answer is fresh for less or changes are not heard of. */
static int64_t time_allowed(const struct exchange *exchange)
{
    const struct entry_meta *meta = &exchange->meta;
    int64_t ttl = policy_ttl(exchange, exchange->served->route->nginx_ttl);
    int64_t guard = options_number(exchange->server->options, OPTION_GUARD_TTL);
    if (exchange->served->route->cache.present)
        ttl = least(ttl, entry_fresh_for(meta, exchange->now));
    if (!policy_hears(exchange, clock_of(exchange)))
        ttl = least(ttl, meta->created + guard - exchange->now);
    return ttl > 0 ? ttl : 0;
}

/* Its site lets no request with an Origin meet the zone; of another site this is the guard. */
static bool differs_by_origin(const struct exchange *exchange)
{
    const struct cors *cors = exchange->server->cors;
    return cors && cors_varies(cors) && exchange->request.origin.size;
}

/* In whole seconds, as nginx counts. */
static int64_t seconds_allowed(const struct exchange *exchange, unsigned status)
{
    if (status != 200 || exchange->phase == PHASE_SETTLED || !kept_by_nginx(exchange) ||
        exchange->profile || differs_by_origin(exchange) ||
        exchange->request.target.size > URLS_TARGET_MAX)
        return 0;
    return time_allowed(exchange) / SECOND;
}

/* What is left of them by the note; 0: there is no note, so no change would reach nginx. */
static int64_t seconds_noted(struct exchange *exchange, enum url_coding coding, int64_t seconds)
{
    const struct url_note note = {.target = exchange->request.target,
                                  .coding = coding,
                                  .clock = clock_of(exchange),
                                  .version = exchange->served->version.number,
                                  .tags = exchange->meta.tags,
                                  .tag_count = exchange->meta.tag_count,
                                  .ttl = seconds * SECOND,
                                  .refresh = nginx_is_refresh(exchange)};
    int64_t until;
    if (!urls_note(exchange->server->urls, &note, exchange->now, &until)) {
        counters_add(exchange->server->counters, COUNTER_NGINX_UNNOTED, !note.refresh);
        return 0;
    }
    /* Behind the note, which the look at what is outdated has seen unless this sees its routes. */
    if (!server_serves(exchange->server, exchange->live)) {
        urls_forget(exchange->server->urls, note.target, coding);
        return 0;
    }
    /* Up, for larderd's second look must meet what nginx still keeps (work/refresh_plan.c). */
    return (until - exchange->now + SECOND - 1) / SECOND;
}

static void append(struct exchange *exchange, int64_t seconds, struct bytes *head)
{
    bytes_append_text(head, "X-Accel-Expires: ");
    bytes_append_number(head, seconds);
    bytes_append_text(head, "\r\n");
    if (seconds)
        counters_add(exchange->server->counters, COUNTER_NGINX_KEPT, 1);
    exchange->nginx_keeps = seconds > 0;
}

/* To nginx a time that is over, "@1", is a reason to replace its entry, and none to serve it. */
static void append_end(struct exchange *exchange, enum url_coding coding, struct bytes *head)
{
    bytes_append_text(head, "X-Accel-Expires: @1\r\n");
    if (exchange->server->urls)
        urls_forget(exchange->server->urls, exchange->request.target, coding);
}

void nginx_append(struct exchange *exchange, unsigned status, struct bytes *head)
{
    enum url_coding coding = URL_IDENTITY;
    int64_t seconds = seconds_allowed(exchange, status);
    bool known =
        exchange->request.nginx.size && url_coding_of(exchange->request.accept_encoding, &coding);
    if (known && seconds && exchange->server->urls)
        seconds = seconds_noted(exchange, coding, seconds);
    if (known && !seconds && nginx_is_refresh(exchange) && status < 500)
        append_end(exchange, coding, head);
    else if (seconds || exchange->request.nginx.size)
        append(exchange, seconds, head);
}
