#include "serve/queue_page.h"

#include "base/clock.h"
#include "http/etag.h"
#include "http/media.h"
#include "http/precondition.h"
#include "http/vary.h"
#include "serve/bearer.h"
#include "serve/head.h"
#include "serve/queue_text.h"
#include "serve/queue_write.h"
#include "serve/steps.h"

/* No client waits longer: seconds. Less than the minute that nginx and others give an answer. */
#define WAIT_MOST 50

bool queue_page_is(const struct exchange *exchange, const struct span *segments, size_t count)
{
    return exchange->server->queue && count == 2 && span_is(segments[0], "jobs") &&
           (!exchange->match.any || route_table_files_jobs(live_table(exchange->live)));
}

static const char *const types[] = {"application/json", "text/event-stream"};

/* False: 406. */
static bool kind_choose(struct exchange *exchange, struct queue_watch *watch)
{
    size_t type;
    size_t offered = watch->look.cancel ? 1 : ARRAY_COUNT(types);
    if (!media_choose(exchange->request.accept, types, offered, &type)) {
        exchange_problem(exchange, 406,
                         watch->look.cancel ? "The page answers application/json alone."
                                            : "The page answers application/json or "
                                              "text/event-stream.");
        return false;
    }
    watch->wait = exchange->prefer.wait < WAIT_MOST ? exchange->prefer.wait : WAIT_MOST;
    if (type == 1)
        watch->kind = QUEUE_WATCH_EVENTS;
    else if (watch->wait > 0 && !watch->look.cancel)
        watch->kind = QUEUE_WATCH_WAIT;
    if (watch->kind == QUEUE_WATCH_WAIT)
        watch->until = clock_monotonic() + watch->wait * 1000000;
    return true;
}

static void answer_missing_job(struct exchange *exchange)
{
    exchange_problem(exchange, 404, "There is no such job.");
}

/* What can't be known of a job can't be a condition for ending it. */
static bool condition_refused(struct exchange *exchange, const struct queue_watch *watch)
{
    if (!watch->look.cancel || !exchange->request.if_match.data)
        return false;
    exchange_problem(exchange, 412,
                     "A job has no versions to compare: cancel it without If-Match.");
    return true;
}

static bool who_asks(struct exchange *exchange, struct queue_watch *watch)
{
    if (exchange->server->auth)
        bearer_take(exchange, false);
    if (exchange->phase != PHASE_SEEKING)
        return false;
    const struct principal *principal = exchange->principal;
    if (queue_owner(principal ? principal->identity : (struct span){0}, watch->look.owner, NULL))
        return true;
    exchange_memory(exchange);
    return false;
}

/* The watch's memory and its place go. */
static void watch_end(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    if (watch->admitted)
        queue_watcher_release(exchange->server->watcher, span_of(watch->look.owner));
    queue_look_end(&watch->look);
    bytes_free(&watch->text);
    queue_event_give_back(exchange->server->events, watch->event);
    exchange->watch = NULL;
}

static void watch_begin(struct exchange *exchange, struct queue_watch *watch)
{
    exchange->watch = watch;
    exchange->watch_end = watch_end;
    exchange->phase = PHASE_WATCHING;
}

void queue_page_begin(struct exchange *exchange, struct span id)
{
    struct queue_watch *watch = arena_alloc(exchange->desk->arena, sizeof *watch);
    if (!watch) {
        exchange_memory(exchange);
        return;
    }
    watch->look.cancel = span_is(exchange->request.method, "DELETE");
    exchange->counters = exchange->server->job_pages[watch->look.cancel];
    if (!kind_choose(exchange, watch) || !who_asks(exchange, watch) ||
        condition_refused(exchange, watch))
        return;
    if (!queue_id_valid(id)) {
        answer_missing_job(exchange);
        return;
    }
    memcpy(watch->look.id, id.data, id.size);
    watch_begin(exchange, watch);
}

void queue_page_wait(struct exchange *exchange, const char *id, bool again)
{
    struct queue_watch *watch = arena_alloc(exchange->desk->arena, sizeof *watch);
    const struct principal *principal = exchange->principal;
    if (!watch ||
        !queue_owner(principal ? principal->identity : (struct span){0}, watch->look.owner, NULL))
        return;
    memcpy(watch->look.id, id, QUEUE_ID_SIZE);
    watch->filed = true;
    watch->again = again;
    watch->kind = QUEUE_WATCH_WAIT;
    watch->wait = exchange->prefer.wait < WAIT_MOST ? exchange->prefer.wait : WAIT_MOST;
    watch->until = clock_monotonic() + watch->wait * 1000000;
    watch_begin(exchange, watch);
}

/* The text and its tag, once after each look, whose reply is not needed any more. False: settled.
 */
static bool text_make(struct exchange *exchange, struct queue_watch *watch)
{
    unsigned char digest[DIGEST_SIZE];
    if (!watch->look.reply)
        return true;
    bytes_clear(&watch->text);
    queue_text_write(watch->look.id, &watch->look.job, &watch->text);
    queue_look_end(&watch->look);
    if (!watch->text.failed &&
        digest_keyed(exchange->server->etag_key, bytes_span(&watch->text), digest, NULL)) {
        digest_base64url(digest, 16, watch->tag);
        return true;
    }
    exchange_memory(exchange);
    return false;
}

static bool has_ended(const struct queue_watch *watch)
{
    return queue_state_ended(watch->look.job.state);
}

static void append_vary(const struct exchange *exchange, struct bytes *head)
{
    const struct server *server = exchange->server;
    bytes_append_text(head, "Vary: ");
    vary_write(VARY_ACCEPT | (server->auth ? VARY_AUTHORIZATION : 0U) |
                   (server->cors && cors_varies(server->cors) ? VARY_ORIGIN : 0U),
               head);
    bytes_append_text(head, "\r\n");
}

/* Seconds: nothing comes of it before its next try. */
static int64_t look_again_after(const struct queue_job *job)
{
    int64_t left = job->state == QUEUE_QUEUED ? job->next - clock_wall() : 0;
    return left > 1000000 ? (left + 999999) / 1000000 : 1;
}

/* What a 200 and its 304 share. */
static void append_lines(const struct exchange *exchange, struct bytes *head)
{
    const struct queue_watch *watch = exchange->watch;
    bytes_append_format(head, "ETag: \"%s\"\r\nCache-Control: private, no-cache\r\n", watch->tag);
    append_vary(exchange, head);
    if (!has_ended(watch))
        bytes_append_format(head, "Retry-After: %lld\r\n",
                            (long long)look_again_after(&watch->look.job));
    if (watch->kind == QUEUE_WATCH_WAIT)
        bytes_append_format(head, "Preference-Applied: wait=%lld\r\n", (long long)watch->wait);
}

static void settle(struct exchange *exchange, unsigned status)
{
    struct bytes head CLEANUP(bytes_free) = BYTES_EMPTY;
    append_lines(exchange, &head);
    struct span lines = arena_span(exchange->desk->arena, bytes_span(&head));
    if (!lines.size) {
        exchange_memory(exchange);
        return;
    }
    if (status == 304)
        exchange_settle(exchange, 304, (struct span){0}, (struct span){0});
    else
        exchange_settle(exchange, status, SPAN_LITERAL("application/json"),
                        bytes_span(&exchange->watch->text));
    exchange->settled_head = lines;
    exchange->tier = TIER_REDIS;
}

static enum precondition_verdict judge(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    const struct span tag = span_of(exchange->watch->tag);
    const struct precondition_headers headers = {.if_match = request->if_match,
                                                 .if_none_match = request->if_none_match};
    const struct precondition_state state = {
        .exists = true, .tags = &tag, .tag_count = 1, .last_modified = -1};
    return precondition_evaluate(&headers, &state, true);
}

static void answer(struct exchange *exchange)
{
    switch (judge(exchange)) {
    case PRECONDITION_PROCEED:
        settle(exchange, 200);
        break;
    case PRECONDITION_NOT_MODIFIED:
        settle(exchange, 304);
        counters_add(exchange->server->counters, COUNTER_NOT_MODIFIED, 1);
        break;
    case PRECONDITION_FAILED:
        exchange_problem(exchange, 412, "The job does not have the state asked for.");
        break;
    }
}

/* Is there anything that the client does not know yet, as far as it says what it knows? */
static bool is_news(const struct exchange *exchange)
{
    return has_ended(exchange->watch) ||
           (exchange->request.if_none_match.data && judge(exchange) != PRECONDITION_NOT_MODIFIED);
}

static bool wait_go_on(struct exchange *exchange)
{
    const struct queue_watch *watch = exchange->watch;
    if (watch->kind == QUEUE_WATCH_WAIT && !watch->alone && !is_news(exchange) &&
        clock_monotonic() < watch->until)
        return true;
    answer(exchange);
    return false;
}

static void append_event_lines(const struct exchange *exchange, struct bytes *head)
{
    bytes_append_text(head, "Cache-Control: no-store\r\n");
    append_vary(exchange, head);
}

/* nginx passes the events on as they come. */
static bool events_open(struct exchange *exchange)
{
    struct bytes *head = &exchange->desk->head;
    bytes_clear(head);
    head_status(200, head);
    head_line(head, "Content-Type", span_of(types[1]));
    append_event_lines(exchange, head);
    bytes_append_text(head, "X-Accel-Buffering: no\r\n");
    head_end(exchange, head);
    exchange->watch->opened = true;
    exchange->opened = clock_monotonic();
    if (!head->failed)
        return queue_write_begin(exchange, bytes_span(head));
    queue_write_end(exchange, true);
    return false;
}

/* The client, connecting anew, has the end already: it is told not to come again. */
static bool knows_the_end(const struct exchange *exchange)
{
    return span_is(request_header(&exchange->request, "last_event_id"), exchange->watch->tag);
}

/* The text itself is not needed after it. */
static void event_take(struct queue_watch *watch, struct queue_events *events)
{
    watch->event =
        queue_event_take(events, watch->look.job.state, watch->tag, bytes_span(&watch->text));
    bytes_free(&watch->text);
}

/* Of a job that has ended before anybody waited: an answer like any other, which nginx buffers. */
static void events_settle(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    struct bytes head CLEANUP(bytes_free) = BYTES_EMPTY;
    append_event_lines(exchange, &head);
    struct span lines = arena_span(exchange->desk->arena, bytes_span(&head));
    event_take(watch, exchange->server->events);
    if (!lines.size || !watch->event)
        exchange_memory(exchange);
    else if (knows_the_end(exchange))
        exchange_settle(exchange, 204, (struct span){0}, (struct span){0});
    else
        exchange_settle(exchange, 200, span_of(types[1]), queue_event_text(watch->event));
    if (exchange->status < 300)
        exchange->settled_head = lines;
}

static void answer_no_place(struct exchange *exchange)
{
    exchange_problem(exchange, 503,
                     "As many clients as may wait for a job do so already; ask without events.");
    exchange_header(exchange, "Retry-After", "5");
}

/* The next event, or a sign of life. True: it goes on. */
static bool events_tell(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    if (strcmp(watch->told, watch->tag) == 0)
        return queue_write_begin(exchange, SPAN_LITERAL(":\n\n"));
    event_take(watch, exchange->server->events);
    if (!watch->event) {
        queue_write_end(exchange, true);
        return false;
    }
    memcpy(watch->told, watch->tag, sizeof watch->told);
    watch->last = has_ended(watch);
    return queue_write_begin(exchange, queue_event_text(watch->event));
}

static bool events_go_on(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    if (!watch->opened && has_ended(watch)) {
        events_settle(exchange);
        return false;
    }
    if (exchange->head_only) {
        if (events_open(exchange))
            queue_write_end(exchange, false);
        return false;
    }
    if (!watch->opened && !watch->admitted) {
        if (watch->alone)
            answer_no_place(exchange);
        return !watch->alone;
    }
    if (!watch->opened && !events_open(exchange))
        return false;
    if (!queue_writes(exchange) && !events_tell(exchange))
        return false;
    if (watch->alone && !queue_writes(exchange))
        queue_write_end(exchange, false);
    return exchange->phase == PHASE_WATCHING;
}

static bool away(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    if (!watch->opened) {
        exchange_problem(exchange, 503, "The queue of writes to be made later can't be reached.");
        exchange_header(exchange, "Retry-After", "1");
        return false;
    }
    if (watch->alone)
        queue_write_end(exchange, false);
    return !watch->alone && queue_write_begin(exchange, SPAN_LITERAL(":\n\n"));
}

static bool missing(struct exchange *exchange)
{
    if (exchange->watch->opened)
        queue_write_end(exchange, false);
    else
        answer_missing_job(exchange);
    return false;
}

static bool found(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    if (!text_make(exchange, watch))
        return false;
    if (watch->look.cancel) {
        settle(exchange, watch->look.job.state == QUEUE_CANCELLED ? 200 : 202);
        return false;
    }
    return watch->kind == QUEUE_WATCH_EVENTS ? events_go_on(exchange) : wait_go_on(exchange);
}

static bool ended_already(struct exchange *exchange)
{
    exchange_problem(exchange, 409,
                     arena_format(exchange->desk->arena,
                                  "The job can't be cancelled any more: it is %s.",
                                  queue_state_names[exchange->watch->look.job.state]));
    return false;
}

/* What the write itself would have answered; a job that was cancelled has no answer. */
static void answer_as_made(struct exchange *exchange)
{
    const struct queue_watch *watch = exchange->watch;
    const struct queue_job *job = &watch->look.job;
    struct arena *arena = exchange->desk->arena;
    exchange_settle(exchange, (unsigned)job->status, arena_span(arena, job->type),
                    bytes_span(&watch->text));
    exchange->settled_head = (struct span){0};
    exchange_header(exchange, "Cache-Control", "no-store");
    if (job->location.size)
        exchange_header(exchange, "Location",
                        arena_format(arena, "%.*s", SPAN_PRINTF(job->location)));
    exchange_header(exchange, "Preference-Applied",
                    arena_format(arena, "wait=%lld", (long long)watch->wait));
    if (watch->again)
        exchange_header(exchange, "Idempotent-Replayed", "true");
}

static bool has_answer(const struct queue_look *look)
{
    return look->found == QUEUE_FOUND && look->job.status >= 200 && look->job.status <= 599 &&
           (look->job.state == QUEUE_DONE || look->job.state == QUEUE_FAILED) &&
           !queue_job_resultless(&look->job);
}

/* Whatever becomes of the waiting, the job is filed. */
static bool filed_go_on(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    const struct queue_look *look = &watch->look;
    bool ended = look->found == QUEUE_MISSING || (look->found == QUEUE_FOUND && has_ended(watch));
    if (!ended && !watch->alone && clock_monotonic() < watch->until)
        return true;
    bytes_clear(&watch->text);
    if (has_answer(look))
        bytes_append_span(&watch->text, look->job.body);
    if (has_answer(look) && !watch->text.failed)
        answer_as_made(exchange);
    else
        exchange->phase = PHASE_SETTLED;
    return false;
}

bool queue_page_go_on(struct exchange *exchange)
{
    static bool (*const by_found[])(struct exchange *) = {
        [QUEUE_FOUND] = found,
        [QUEUE_MISSING] = missing,
        [QUEUE_ENDED_ALREADY] = ended_already,
        [QUEUE_LOOK_AWAY] = away,
    };
    return exchange->watch->filed ? filed_go_on(exchange)
                                  : by_found[exchange->watch->look.found](exchange);
}
