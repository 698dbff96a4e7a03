#include "serve/later.h"

#include "base/clock.h"
#include "queue/record.h"
#include "serve/answer.h"
#include "serve/strike.h"
#include "serve/write_answer.h"
#include "serve/write_failure.h"

static struct served *route_find(struct live *live, struct span name)
{
    for (size_t i = 0; i < live_count(live); i++)
        if (span_is(name, live_at(live, i)->route->name))
            return live_at(live, i);
    return NULL;
}

/* The path of the request, which problems name. */
static bool path_make(struct exchange *exchange, const struct span *segments, size_t count)
{
    struct bytes path CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < count; i++) {
        bytes_append_byte(&path, '/');
        write_path_segment(segments[i], &path);
    }
    exchange->path = arena_span(exchange->desk->arena, bytes_span(&path));
    return !path.failed && exchange->path.data;
}

/* The path's other methods: one of them may be a read that the write strikes. */
static bool match_make(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    struct span *segments =
        arena_array(exchange->desk->arena, route->segment_count, sizeof *segments);
    if (!segments)
        return false;
    for (size_t i = 0; i < route->segment_count; i++) {
        int param = route->segments[i].param;
        segments[i] = param < 0 ? route->segments[i].text : exchange->by_param[param].text;
    }
    route_table_match(live_table(exchange->live), segments, route->segment_count, &exchange->match);
    return path_make(exchange, segments, route->segment_count);
}

static void overtaken(struct exchange *exchange)
{
    exchange_problem(exchange, 412, "The resource has changed since, or is gone.");
}

static bool version_given(const struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].place == PLACE_VERSION && exchange->by_param[i].state == VALUE_TEXT)
            return true;
    return false;
}

static bool record_read(const struct later_filed *filed, struct later *later, struct error *error)
{
    struct exchange *exchange = &later->exchange;
    struct queue_record record;
    struct error reason;
    if (!queue_record_read(filed->document, exchange->served->route, exchange->desk->arena, &record,
                           &reason)) {
        if (reason.kind != ERROR_INVALID)
            return error_set(error, reason.kind, "%s", reason.text);
        return error_set(error, ERROR_INVALID,
                         "The route has changed since the job was filed: %.400s.", reason.text);
    }
    exchange->by_param = (struct value *)record.values;
    later->identity = (struct db_identity){.role = record.role, .claims = record.claims};
    exchange->identity = record.role || record.claims ? &later->identity : NULL;
    exchange->overtaken = version_given(exchange) ? overtaken : NULL;
    return true;
}

static bool item_make(struct later *later, int64_t timeout)
{
    struct exchange *exchange = &later->exchange;
    const struct route *route = exchange->served->route;
    struct span *tags;
    struct db_batch_item item = {
        .statements = answer_write(route, exchange->learned, exchange->by_param, timeout,
                                   exchange->desk->arena),
        .count = route->before_count + 1,
        .identity = exchange->identity,
    };
    if (!item.statements || !match_make(exchange) || !strike_own(exchange, &tags, &item.tag_count))
        return false;
    item.tags = tags;
    later->item = item;
    return true;
}

bool later_make(struct live *live, struct desk *desk, const struct later_filed *filed,
                struct later *ret_later, struct error *error)
{
    static const struct principal somebody;
    struct served *served = route_find(live, filed->route);
    if (!served)
        return error_set(error, ERROR_INVALID, "There is no route %.*s any more.",
                         (int)(filed->route.size < 300 ? filed->route.size : 300),
                         filed->route.data);
    *ret_later = (struct later){
        .exchange = {.desk = desk,
                     .phase = PHASE_SEEKING,
                     .now = clock_wall(),
                     .live = live,
                     .served = served,
                     .principal = filed->signed_in ? &somebody : NULL,
                     .learned = atomic_load_explicit(&served->learned, memory_order_acquire)}};
    const struct learned_write *write = &ret_later->exchange.learned->write;
    if (served->route->method == METHOD_GET || !served->route->statement.sql.size)
        return error_set(error, ERROR_INVALID, "The route is no write any more.");
    if (write->refused)
        return error_set(error, ERROR_INVALID, "PostgreSQL does not take the route's statements.");
    if (!write->known)
        return error_set(error, ERROR_UNAVAILABLE, "PostgreSQL has not told of the route yet");
    if (!record_read(filed, ret_later, error))
        return false;
    return item_make(ret_later, filed->timeout) ? true : error_set_memory(error);
}

/* The rows, and the reference to the routes, are lent. */
static void settled(struct later *later)
{
    later->exchange.result = NULL;
}

void later_answer(struct later *later, const struct db_result *rows)
{
    later->exchange.result = (struct db_result *)rows;
    write_answer(&later->exchange);
    settled(later);
}

/* A client's own fault stays one. */
bool later_failed(struct later *later, const struct db_failure *failure)
{
    write_failure_answer(&later->exchange, failure);
    settled(later);
    return later->exchange.status >= 500;
}

struct span later_location(const struct later *later)
{
    struct span head = later->exchange.settled_head;
    const struct span name = SPAN_LITERAL("Location: ");
    while (head.size) {
        struct span line = span_split(&head, '\n');
        if (line.size > name.size && memcmp(line.data, name.data, name.size) == 0)
            return span_first(span_from(line, name.size), line.size - name.size - 1);
    }
    return (struct span){0};
}
