/*
 * How often one may ask: the steps limit, limit-param and admit.
 */
#include <inttypes.h>
#include <math.h>

#include "http/client_address.h"
#include "serve/limits.h"
#include "serve/nginx.h"
#include "serve/steps.h"

_Static_assert(ROUTE_LIMITS_MAX <= LIMITER_COUNTS, "a request has room for all limits of a route");

#define SECOND 1e6

/* Lines of X-Forwarded-For that are looked at. */
#define FORWARDED_MAX 16

/* Whose requests one count sums up. */
struct subject {
    const char *kind;
    struct span name;
};

static bool subject_by_ip(const struct exchange *exchange, const struct route_limit *limit,
                          struct subject *ret_subject)
{
    struct span lines[FORWARDED_MAX];
    size_t count =
        request_lines(&exchange->request, "HTTP_X_FORWARDED_FOR", lines, ARRAY_COUNT(lines));
    unsigned char *name = arena_alloc(exchange->desk->arena, CLIENT_NAME_SIZE);
    struct span *found = &ret_subject->name;
    (void)limit;
    if (!name)
        return false;
    ret_subject->kind = "ip";
    found->data = (const char *)name;
    client_name(exchange->request.remote_address, lines, count, exchange->server->proxies, name,
                &found->size);
    return true;
}

/* Who has not said who he is is known by his address. */
static bool subject_by_user(const struct exchange *exchange, const struct route_limit *limit,
                            struct subject *ret_subject)
{
    if (!exchange->principal)
        return subject_by_ip(exchange, limit, ret_subject);
    *ret_subject = (struct subject){"user", exchange->principal->identity};
    return true;
}

static bool subject_by_param(const struct exchange *exchange, const struct route_limit *limit,
                             struct subject *ret_subject)
{
    static const char *const kinds[] = {
        [VALUE_ABSENT] = "absent", [VALUE_NULL] = "null", [VALUE_TEXT] = "value"};
    const struct value *value = &exchange->by_param[limit->param_at];
    *ret_subject = (struct subject){kinds[value->state], value->text};
    return true;
}

typedef bool subject_finder(const struct exchange *exchange, const struct route_limit *limit,
                            struct subject *ret_subject);

static subject_finder *const finders[] = {
    [LIMIT_BY_IP] = subject_by_ip,
    [LIMIT_BY_USER] = subject_by_user,
    [LIMIT_BY_PARAM] = subject_by_param,
};

/* False: memory. */
static bool count_add(struct exchange *exchange, const struct route_limit *limit)
{
    struct arena *arena = exchange->desk->arena;
    struct limit_count *each = &exchange->limits->counts[exchange->limits->count];
    struct subject subject;
    const char *scope =
        arena_format(arena, "%s %" PRId64 "/%" PRId64 " %" PRId64 " %d",
                     exchange->served->route->name, limit->count, limit->period, limit->burst,
                     limit->by == LIMIT_BY_PARAM ? (int)limit->param_at : -1);
    if (!scope || !finders[limit->by](exchange, limit, &subject) ||
        !limiter_name(scope, subject.kind, subject.name, each->name, NULL))
        return false;
    each->rate = rate_of(limit->count, limit->period, limit->burst);
    exchange->limits->count++;
    return true;
}

/* Adds what counts the request, by a parameter or by everything else; refuses what is known over.
 */
static void gather(struct exchange *exchange, bool by_param)
{
    const struct route *route = exchange->served->route;
    size_t before = exchange->limits ? exchange->limits->count : 0;
    bool good = true;
    if (!route->limit_count || nginx_is_refresh(exchange))
        return;
    if (!exchange->limits)
        exchange->limits = arena_alloc(exchange->desk->arena, sizeof *exchange->limits);
    for (size_t i = 0; exchange->limits && good && i < route->limit_count; i++)
        if ((route->limits[i].by == LIMIT_BY_PARAM) == by_param)
            good = count_add(exchange, &route->limits[i]);
    if (!exchange->limits || !good)
        exchange_memory(exchange);
    else if (exchange->limits->count > before &&
             limiter_knows(exchange->server->limiter, exchange->limits))
        step_admit(exchange);
}

void step_limit(struct exchange *exchange)
{
    gather(exchange, false);
}

void step_limit_param(struct exchange *exchange)
{
    gather(exchange, true);
}

/* Up, and at least one: who waits that long does not come too early. */
static int64_t seconds(double microseconds)
{
    double whole = ceil(microseconds / SECOND);
    return whole < 1 ? 1 : (int64_t)whole;
}

static double wait_longest(const struct limit_request *limits)
{
    double longest = 0;
    for (size_t i = 0; i < limits->count; i++)
        longest = fmax(longest, rate_wait(&limits->counts[i].rate, limits->counts[i].debt));
    return longest;
}

static void refuse(struct exchange *exchange)
{
    struct arena *arena = exchange->desk->arena;
    int64_t wait = seconds(wait_longest(exchange->limits));
    const char *after = arena_format(arena, "%" PRId64, wait);
    exchange_problem(exchange, 429,
                     arena_format(arena,
                                  "There were more requests than the route takes; the next may "
                                  "come in %" PRId64 " second%s.",
                                  wait, wait == 1 ? "" : "s"));
    exchange_header(exchange, "Retry-After", after ? after : "1");
    counters_add(exchange->server->counters, COUNTER_LIMIT_REFUSED, 1);
}

static void refuse_uncounted(struct exchange *exchange)
{
    double probe = (double)options_number(exchange->server->options, OPTION_REDIS_PROBE);
    const char *after = arena_format(exchange->desk->arena, "%" PRId64, seconds(probe));
    exchange_problem(exchange, 503, "Requests to this route can't be counted at present.");
    exchange_header(exchange, "Retry-After", after ? after : "1");
}

void step_admit(struct exchange *exchange)
{
    static const int64_t closed = 1;
    if (!exchange->limits)
        return;
    if (exchange->limits->outcome == LIMITER_REFUSED && exchange->status != 429)
        refuse(exchange);
    else if (exchange->limits->outcome == LIMITER_AWAY &&
             options_number(exchange->server->options, OPTION_LIMIT_AWAY) == closed)
        refuse_uncounted(exchange);
}

/* The limit of which least is left; of several, the one that comes back last. */
static const struct limit_count *nearest(const struct limit_request *limits)
{
    const struct limit_count *best = &limits->counts[0];
    for (size_t i = 1; i < limits->count; i++) {
        const struct limit_count *each = &limits->counts[i];
        int64_t left = rate_remaining(&each->rate, each->debt);
        int64_t least = rate_remaining(&best->rate, best->debt);
        if (left < least || (left == least && each->debt > best->debt))
            best = each;
    }
    return best;
}

static void append_policy(const struct limit_request *limits, struct bytes *head)
{
    bytes_append_text(head, "RateLimit-Policy: ");
    for (size_t i = 0; i < limits->count; i++) {
        const struct rate *rate = &limits->counts[i].rate;
        bytes_append_format(head, "%s%" PRId64 ";w=%" PRId64, i ? ", " : "", rate->count,
                            rate->period / (int64_t)SECOND);
        if (rate->burst != rate->count)
            bytes_append_format(head, ";burst=%" PRId64, rate->burst);
    }
    bytes_append_text(head, "\r\n");
}

void limits_append(const struct exchange *exchange, struct bytes *head)
{
    const struct limit_request *limits = exchange->limits;
    if (!limits || !limits->count || limits->outcome == LIMITER_UNDECIDED || exchange->nginx_keeps)
        return;
    const struct limit_count *near = nearest(limits);
    bytes_append_format(head,
                        "RateLimit-Limit: %" PRId64 "\r\nRateLimit-Remaining: %" PRId64
                        "\r\nRateLimit-Reset: %" PRId64 "\r\n",
                        near->rate.burst, rate_remaining(&near->rate, near->debt),
                        seconds(near->debt));
    append_policy(limits, head);
}
