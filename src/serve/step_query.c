/*
 * The steps that make an answer: query, compress.
 */
#include "base/clock.h"
#include "base/log.h"
#include "cache/compress.h"
#include "serve/answer.h"
#include "serve/failures.h"
#include "serve/learning.h"
#include "serve/page.h"
#include "serve/policy.h"
#include "serve/tags.h"
#include "serve/steps.h"

/*
 * While the database is away the last good entry may stand in for error=: what the look-up found
 * though it could not be served.
 */
static bool last_good(struct exchange *exchange)
{
    struct store_query *lookup = &exchange->lookup;
    struct error event = {0};
    bool struck = !lookup->fresh && !lookup->expired;
    if (!lookup->found.reply || lookup->found.meta.status != 200 ||
        !policy_serves_on_error(exchange, &lookup->found.meta, struck))
        return false;
    if (!lookup->body_wanted && !exchange->head_only &&
        cache_store_body(exchange->server->store, exchange->desk->redis, lookup->key,
                         &exchange->redis_budget, &lookup->found, &event) != STORE_HIT)
        return false;
    step_hold_last(exchange);
    exchange->stands_in = true;
    return true;
}

static void answer_failure(struct exchange *exchange, struct db_failure *failure)
{
    if (failure->kind == DB_FAILURE_VALUE && !failure_has_suspects(exchange))
        failure->kind = DB_FAILURE_STATEMENT;
    if (failure_answer_raised(exchange, "query", failure))
        return;
    const struct failure_row *row = failure_row_of(failure->kind);
    log_event(failure_level(exchange, row), "query",
              failure->sqlstate[0] ? "%s: %s (SQLSTATE %s)" : "%s: %s%s",
              exchange->served->route->name, failure->message, failure->sqlstate);
    if (row->away && last_good(exchange))
        return;
    if (failure->kind == DB_FAILURE_VALUE)
        failure_answer_value(exchange, row, failure);
    else
        failure_answer(exchange, row);
    exchange->failure = row->shared ? row : NULL;
}

static bool run(struct exchange *exchange, struct db_failure *failure)
{
    struct db_statement statement;
    if (!answer_statement(exchange->served->route, exchange->learned, exchange->values,
                          exchange->timeout, exchange->desk->arena, &statement))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    statement.identity = exchange->identity;
    statement.plain = learning_is_plain(exchange->server, exchange->live, exchange->learned);
    return db_pool_read(exchange->server->pool, &statement, &exchange->result, &exchange->standby,
                        failure);
}

static void count_query(struct exchange *exchange, int64_t duration,
                        const struct db_failure *failure)
{
    struct counters *counters = exchange->server->counters;
    if (failure->kind == DB_FAILURE_BUSY)
        return; /* no statement ran */
    counters_add(counters, COUNTER_QUERIES, 1);
    counters_query(exchange->counters, duration);
    if (failure->kind != DB_FAILURE_NONE)
        counters_add(counters, COUNTER_QUERY_ERRORS, 1);
    if (failure->kind == DB_FAILURE_TIMEOUT)
        counters_add(counters, COUNTER_QUERY_TIMEOUTS, 1);
}

/* Do the rows come with all tags that what was learnt promises? */
static bool tags_at_hand(const struct exchange *exchange)
{
    const struct depends *depends = exchange->learned->depends;
    return !depends || !depends->narrowed_count || db_result_columns(exchange->result) > 1;
}

/* The narrowed tags that came with the rows (db/learn.h); empty: none. */
static struct span narrowed_tags(const struct exchange *exchange)
{
    if (db_result_columns(exchange->result) < 2 || db_result_rows(exchange->result) < 1)
        return (struct span){0};
    return db_result_value(exchange->result, 0, 1);
}

/* The body becomes an entry: identity only, for now. */
static void fill(struct exchange *exchange, unsigned status, struct span type, struct span body,
                 const struct page_cursors *cursors, int64_t ttl)
{
    const struct route_cache *cache = &exchange->served->route->cache;
    bool heard = policy_changes_heard(exchange);
    exchange->meta = (struct entry_meta){.status = status,
                                         .created = exchange->now,
                                         .ttl = policy_ttl(exchange, ttl),
                                         .stale = status == 200 && heard ? cache->stale : 0,
                                         .error = status == 200 ? cache->error : 0,
                                         .cost = clock_monotonic() - exchange->asked,
                                         .clock = exchange->lookup.lease.clock,
                                         .variants = CODING_BIT(CODING_IDENTITY),
                                         .type = type,
                                         .next = cursors->next,
                                         .previous = cursors->previous};
    exchange->meta.sizes[CODING_IDENTITY] = body.size;
    exchange->bodies[CODING_IDENTITY] = body;
    bool tagged = cache->present || exchange->served->route->nginx_ttl;
    if (tagged && !(tags_at_hand(exchange) && tags_write(exchange, narrowed_tags(exchange))))
        exchange->meta.tag_count = 0;
    if (!page_tag(exchange->server->etag_key, body, cursors, exchange->meta.tag)) {
        exchange_memory(exchange);
        return;
    }
    if (status == 200)
        version_tag_append(body, exchange->served->route->version.column, exchange->meta.tag);
    exchange->phase = PHASE_FILLED;
    exchange->tier = TIER_DATABASE;
    counters_add(exchange->server->counters, COUNTER_FILLS, 1);
}

/* No row: a 404 that is kept where the route says negative=. */
static void fill_missing(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    const struct problem problem = answer_missing(route, exchange->path);
    exchange->tier = TIER_DATABASE;
    exchange_problem_whole(exchange, &problem);
    if (route->cache.negative > 0 && exchange->status == 404)
        fill(exchange, 404, exchange->settled_type, exchange->settled_body,
             &(struct page_cursors){0}, route->cache.negative);
}

/* Rows that can be no page: rather no answer than one whose next page leaves rows out. */
static void refuse_page(struct exchange *exchange, enum page_outcome outcome)
{
    const struct route *route = exchange->served->route;
    if (outcome == PAGE_MEMORY) {
        exchange_memory(exchange);
        return;
    }
    log_event(LOG_ERROR, "query", "%s: @page: %s", route->name,
              outcome == PAGE_TIED
                  ? "two rows have the same values in all columns of by=; add one that tells "
                    "them apart, such as the primary key"
                  : "the values of the columns of by= are too long for a cursor");
    exchange_problem(exchange, 500, "The route's rows can't be parted into pages.");
}

static void fill_body(struct exchange *exchange)
{
    const struct served *served = exchange->served;
    const struct cursor_owner owner = {exchange->server->etag_key, served->route->name,
                                       &served->version};
    struct page_cursors cursors;
    enum page_outcome outcome = page_cursors_of(&owner, served->route, exchange->values,
                                                exchange->result, exchange->desk->arena, &cursors);
    if (outcome == PAGE_GOOD)
        fill(exchange, 200, SPAN_LITERAL("application/json"), answer_body(exchange->result),
             &cursors, served->route->cache.ttl);
    else
        refuse_page(exchange, outcome);
}

static void fill_empty(struct exchange *exchange)
{
    exchange_settle(exchange, 204, (struct span){0}, (struct span){0});
    exchange_header(exchange, "Cache-Control", "no-store");
}

static void fill_too_many(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    log_event(LOG_ERROR, "query", "%s: @result %s, but the statement gave more than one row",
              route->name, route_result_names[route->result]);
    exchange_problem(exchange, 500, "The route's statement gave more than one row.");
}

static void fill_rows(struct exchange *exchange)
{
    static void (*const fills[])(struct exchange *) = {
        [ANSWER_BODY] = fill_body,
        [ANSWER_MISSING] = fill_missing,
        [ANSWER_EMPTY] = fill_empty,
        [ANSWER_TOO_MANY] = fill_too_many,
    };
    fills[answer_kind(exchange->served->route, exchange->result)](exchange);
}

/*
 * All bumps up to this one were there before the query. The floor was Redis' clock when the feed
 * began: where nothing changed since, the newest bump is older than it.
 */
static uint64_t clock_known(const struct server *server)
{
    uint64_t newest = clocks_newest(server->clocks), floor = feed_floor(server->feed);
    return floor != UINT64_MAX && floor > newest ? floor : newest;
}

void step_query(struct exchange *exchange)
{
    struct db_failure failure = {0};
    exchange->asked = clock_monotonic();
    exchange->host_clock = clock_known(exchange->server);
    if (exchange->waits_until)
        exchange->now = clock_wall(); /* it may have waited, or the client had its answer before */
    bool done = run(exchange, &failure);
    int64_t lasted = clock_monotonic() - exchange->asked;
    atomic_store_explicit(&exchange->served->lasted, lasted, memory_order_relaxed);
    count_query(exchange, lasted, &failure);
    if (done)
        fill_rows(exchange);
    else
        answer_failure(exchange, &failure);
}

static void compress_to(struct exchange *exchange, enum coding coding, size_t most)
{
    struct bytes *out = &exchange->desk->compressed[coding];
    bytes_clear(out);
    if (!compress_body(exchange->desk->compressor, coding, exchange->bodies[CODING_IDENTITY], most,
                       out))
        return;
    exchange->bodies[coding] = bytes_span(out);
    exchange->meta.sizes[coding] = out->size;
    exchange->meta.variants |= CODING_BIT(coding);
}

static bool identity_refused(const struct exchange *exchange)
{
    return exchange->accept.quality[CODING_IDENTITY] == 0;
}

static bool worth_compressing(const struct exchange *exchange)
{
    return exchange->served->route->cache.compress && exchange->meta.status == 200 &&
           exchange->bodies[CODING_IDENTITY].size >=
               (uint64_t)options_number(exchange->server->options, OPTION_COMPRESS_MIN);
}

/* The one variant this client gets; gzip before brotli, which takes twice the time. */
static void compress_for_client(struct exchange *exchange, size_t most)
{
    const unsigned quick = CODING_BIT(CODING_IDENTITY) | CODING_BIT(CODING_GZIP);
    enum coding coding;
    if (!coding_choose(&exchange->accept, quick, &coding) &&
        !coding_choose(&exchange->accept, quick | CODING_BIT(CODING_BROTLI), &coding))
        return;
    if (coding != CODING_IDENTITY)
        compress_to(exchange, coding, most);
}

/* Every variant for the cache; of an answer that is not kept only what this client gets. */
void step_compress(struct exchange *exchange)
{
    size_t size = exchange->bodies[CODING_IDENTITY].size;
    if (!worth_compressing(exchange))
        return;
    if (policy_keeps(exchange)) {
        compress_to(exchange, CODING_GZIP, size - 1);
        compress_to(exchange, CODING_BROTLI, size - 1);
    } else {
        compress_for_client(exchange, size - 1);
    }
}

/* What a coding may add to a body it can't make smaller. */
#define CODING_OVERHEAD ((size_t)1024)

/* A client that refuses identity gets a coding it takes, however small the body is. */
void step_suit(struct exchange *exchange)
{
    enum coding coding;
    size_t size = exchange->bodies[CODING_IDENTITY].size;
    if (identity_refused(exchange) && exchange->served->route->cache.compress &&
        exchange->meta.status == 200 && size &&
        !coding_choose(&exchange->accept, exchange->meta.variants, &coding))
        compress_for_client(exchange, size + size / 8 + CODING_OVERHEAD);
}
