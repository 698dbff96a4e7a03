#include "serve/download.h"

#include "base/clock.h"
#include "base/log.h"
#include "db/stream.h"
#include "http/csv.h"
#include "serve/answer.h"
#include "serve/download_head.h"
#include "serve/failures.h"
#include "serve/gate.h"
#include "serve/learning.h"
#include "serve/outlet.h"

/* How long more rows are waited for before those at hand are sent, µs. */
#define GATHER (INT64_C(5) * 1000)

/* How often a download that waits for rows looks at the time, µs. */
#define LOOK (INT64_C(200) * 1000)

struct download {
    struct exchange *exchange;
    enum route_format format;
    struct db_stream *rows;
    struct outlet *outlet;
    bool entered; /* its turn to begin has come */
    struct gate_pass pass;
    struct bytes text; /* of one row, where it is not sent as it came */
    int64_t first_until;
    uint64_t count; /* of rows, a CSV's header line included */
};

static void count(const struct exchange *exchange, enum counter counter, int64_t amount)
{
    counters_add(exchange->server->counters, counter, amount);
}

static void write_text(struct download *download)
{
    outlet_write(download->outlet, bytes_span(&download->text));
}

static void table_row(struct download *download, struct span row)
{
    if (download->exchange->served->route->stream.guard) {
        bytes_clear(&download->text);
        csv_row_guarded(row, &download->text);
        write_text(download);
    } else {
        outlet_write(download->outlet, csv_row(row));
    }
    outlet_write(download->outlet, SPAN_LITERAL(CSV_LINE_END));
}

/* A line break can only stand between values, out of a column of the type json. */
static struct span object_text(struct download *download, struct span row)
{
    struct span line = csv_row(row);
    if (!line.size || line.data[0] != LEARNED_OBJECT_QUOTE)
        return line;
    bytes_clear(&download->text);
    for (size_t i = 1; i + 1 < line.size; i++) {
        char byte = line.data[i];
        bytes_append_byte(&download->text, byte == '\n' || byte == '\r' ? ' ' : byte);
    }
    return bytes_span(&download->text);
}

static void line_row(struct download *download, struct span row)
{
    outlet_write(download->outlet, object_text(download, row));
    outlet_write(download->outlet, SPAN_LITERAL("\n"));
}

static void array_row(struct download *download, struct span row)
{
    outlet_write(download->outlet, download->count ? SPAN_LITERAL(",\n") : SPAN_LITERAL("["));
    outlet_write(download->outlet, object_text(download, row));
}

static void table_begin(struct download *download)
{
    if (download->exchange->served->route->stream.mark)
        outlet_write(download->outlet, SPAN_LITERAL(CSV_MARK));
}

static void array_end(struct download *download)
{
    outlet_write(download->outlet, download->count ? SPAN_LITERAL("]\n") : SPAN_LITERAL("[]\n"));
}

static const struct format_row {
    void (*begin)(struct download *); /* null: nothing */
    void (*row)(struct download *, struct span);
    void (*end)(struct download *);
} format_rows[FORMAT_COUNT] = {
    [FORMAT_CSV] = {table_begin, table_row, NULL},
    [FORMAT_NDJSON] = {NULL, line_row, NULL},
    [FORMAT_JSON] = {NULL, array_row, array_end},
};

/* The status is what is counted: the client has seen 200. */
static void sent(struct download *download, unsigned status, bool broken)
{
    struct exchange *exchange = download->exchange;
    exchange->status = status;
    exchange->phase = PHASE_SENT;
    exchange->broken = broken;
    exchange->tier = TIER_DATABASE;
    exchange->opened = outlet_opened(download->outlet);
}

static void broken(struct download *download, unsigned status, enum counter counter)
{
    sent(download, status, true);
    count(download->exchange, counter, 1);
}

static uint64_t row_count(const struct download *download)
{
    return download->count - (download->format == FORMAT_CSV && download->count);
}

static void failure_log(const struct download *download, const struct failure_row *row,
                        const struct db_failure *failure)
{
    log_event(failure_level(download->exchange, row), "stream",
              failure->sqlstate[0] ? "%s: %s (SQLSTATE %s) after %llu rows"
                                   : "%s: %s%s after %llu rows",
              download->exchange->served->route->name, failure->message, failure->sqlstate,
              (unsigned long long)row_count(download));
}

static void failed(struct download *download, struct db_failure *failure)
{
    struct exchange *exchange = download->exchange;
    if (failure->kind == DB_FAILURE_VALUE && !failure_has_suspects(exchange))
        failure->kind = DB_FAILURE_STATEMENT;
    const struct failure_row *row = failure_row_of(failure->kind);
    bool opened = download->outlet && outlet_opened(download->outlet);
    count(exchange, COUNTER_QUERY_ERRORS, failure->kind != DB_FAILURE_BUSY);
    count(exchange, COUNTER_QUERY_TIMEOUTS, failure->kind == DB_FAILURE_TIMEOUT);
    if (!opened && failure_answer_raised(exchange, "stream", failure))
        return;
    failure_log(download, row, failure);
    if (opened)
        broken(download, row->status, COUNTER_STREAMS_BROKEN);
    else if (failure->kind == DB_FAILURE_VALUE)
        failure_answer_value(exchange, row, failure);
    else
        failure_answer(exchange, row);
}

static void out_of_time(struct download *download, const char *what)
{
    struct db_failure failure;
    (void)db_failure_set(&failure, DB_FAILURE_TIMEOUT, "%s", what);
    failed(download, &failure);
}

static void memory_failed(struct download *download)
{
    struct db_failure failure;
    (void)db_failure_set(&failure, DB_FAILURE_MEMORY, "out of memory");
    failed(download, &failure);
}

/* The outlet takes no more. */
static void shut(struct download *download)
{
    enum outlet_state state = outlet_state(download->outlet);
    const char *name = download->exchange->served->route->name;
    if (state == OUTLET_LATE) {
        out_of_time(download, "the download took longer than it may");
        return;
    }
    if (state == OUTLET_STALLED)
        log_event(LOG_INFO, "stream", "%s: its reader took nothing for too long", name);
    broken(download, 200, COUNTER_STREAMS_LEFT);
}

/*
 * No row came for a moment: what is at hand goes, and then the time is looked at. A header alone
 * waits for the first row, which may fail.
 */
static void pause_take(struct download *download)
{
    if (row_count(download))
        outlet_flush(download->outlet);
    if (outlet_state(download->outlet) != OUTLET_OPEN)
        shut(download);
    else if (outlet_time_over(download->outlet))
        out_of_time(download, "the download took longer than it may");
    else if (!row_count(download) && clock_monotonic() >= download->first_until)
        out_of_time(download, "no row came in time");
}

/* A representation is there as soon as PostgreSQL has begun to give it (RFC 9110, 13.2.1). */
static void held_take(struct download *download)
{
    download_held(download->exchange);
    count(download->exchange, COUNTER_NOT_MODIFIED, 1);
}

static bool is_header(const struct download *download)
{
    return download->format == FORMAT_CSV && !download->count;
}

static void row_take(struct download *download, struct span row)
{
    if (!is_header(download) && download_is_held(download->exchange)) {
        held_take(download);
        return;
    }
    format_rows[download->format].row(download, row);
    download->count++;
    if (download->text.failed)
        memory_failed(download);
    else if (outlet_state(download->outlet) != OUTLET_OPEN)
        shut(download);
}

static void end_take(struct download *download)
{
    if (!row_count(download) && download_is_held(download->exchange)) {
        held_take(download);
        return;
    }
    if (format_rows[download->format].end)
        format_rows[download->format].end(download);
    outlet_end(download->outlet);
    if (outlet_state(download->outlet) == OUTLET_OPEN)
        sent(download, 200, false);
    else
        shut(download);
}

static void rows_send(struct download *download)
{
    const struct exchange *exchange = download->exchange;
    struct db_failure failure;
    struct span bytes;
    while (exchange->phase == PHASE_SEEKING) {
        int64_t wait = row_count(download) && outlet_holds(download->outlet) ? GATHER : LOOK;
        switch (db_stream_next(download->rows, exchange->writer->peer, wait, &bytes, &failure)) {
        case DB_STREAM_ROW:
            row_take(download, bytes);
            break;
        case DB_STREAM_PAUSE:
            pause_take(download);
            break;
        case DB_STREAM_LEFT:
            broken(download, 200, COUNTER_STREAMS_LEFT);
            break;
        case DB_STREAM_END:
            end_take(download);
            break;
        case DB_STREAM_FAILED:
            failed(download, &failure);
            break;
        }
    }
}

static bool turn_wait(void *context)
{
    struct download *download = context;
    const struct exchange *exchange = download->exchange;
    if (!download->entered)
        download->entered =
            gate_enter(exchange->server->gate, exchange->writer->peer, &download->pass);
    return download->entered;
}

static void beginning_end(void *context)
{
    struct download *download = context;
    gate_leave(download->exchange->server->gate, &download->pass);
}

/* False: settled. */
static bool rows_open(struct download *download)
{
    struct exchange *exchange = download->exchange;
    const struct learned_stream *learned = &exchange->learned->stream;
    struct db_statement bound;
    struct db_failure failure = {0};
    if (!answer_statement(exchange->served->route, exchange->learned, exchange->values,
                          exchange->timeout, exchange->desk->arena, &bound)) {
        exchange_memory(exchange);
        return false;
    }
    const struct db_stream_statement statement = {
        .settings = learned->settings,
        .copy = download->format == FORMAT_CSV ? learned->table : learned->objects,
        .values = bound.values,
        .value_count = bound.parameter_count,
        .begin_timeout = exchange->timeout,
        .timeout = options_number(exchange->server->options, OPTION_STREAM_TIMEOUT),
        .identity = exchange->identity,
        .plain = learning_is_plain(exchange->server, exchange->live, exchange->learned),
        .guest = {.peer = exchange->writer->peer, .turn = turn_wait, .context = download}};
    if (db_stream_open(exchange->server->pool, &statement, &download->rows, &failure))
        return true;
    failed(download, &failure);
    return false;
}

/* False: settled. */
static bool outlet_open(struct download *download, bool gzip)
{
    struct exchange *exchange = download->exchange;
    const struct options *options = exchange->server->options;
    struct bytes *head = &exchange->desk->head;
    if (!download_head_write(exchange, download->format, gzip, head)) {
        exchange_memory(exchange);
        return false;
    }
    const struct outlet_terms terms = {.writer = exchange->writer,
                                       .head = bytes_span(head),
                                       .gzip = gzip,
                                       .until = clock_monotonic() +
                                                options_number(options, OPTION_STREAM_TIMEOUT),
                                       .end = &exchange->server->downloads_until,
                                       .notice = options_number(options, OPTION_STREAM_DRAIN),
                                       .stall = options_number(options, OPTION_STREAM_STALL),
                                       .full = beginning_end,
                                       .context = download};
    download->outlet = outlet_new(&terms);
    if (!download->outlet)
        exchange_memory(exchange);
    return download->outlet;
}

static void run(struct download *download)
{
    struct exchange *exchange = download->exchange;
    int64_t begun = clock_monotonic();
    count(exchange, COUNTER_STREAMS, 1);
    count(exchange, COUNTER_QUERIES, 1);
    download->first_until = begun + exchange->timeout;
    if (format_rows[download->format].begin)
        format_rows[download->format].begin(download);
    rows_send(download);
    count(exchange, COUNTER_STREAM_ROWS, (int64_t)row_count(download));
    count(exchange, COUNTER_STREAM_BYTES, (int64_t)outlet_sent(download->outlet));
    counters_query(exchange->counters, clock_monotonic() - begun);
}

void download_run(struct exchange *exchange, enum route_format format, bool gzip)
{
    struct download download = {.exchange = exchange, .format = format};
    exchange->asked = clock_monotonic();
    count(exchange, COUNTER_STREAMS_RUNNING, 1);
    if (outlet_open(&download, gzip) && rows_open(&download))
        run(&download);
    beginning_end(&download);
    db_stream_close(download.rows);
    outlet_free(download.outlet);
    bytes_free(&download.text);
    count(exchange, COUNTER_STREAMS_RUNNING, -1);
}
