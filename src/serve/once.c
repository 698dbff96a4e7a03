#include "serve/once.h"

#include <stdio.h>

#include "base/log.h"
#include "db/write.h"
#include "http/idempotency_key.h"
#include "serve/write_answer.h"

/* Length before text, so that no two lists of texts look the same. */
static void part_append(struct bytes *bytes, struct span part)
{
    bytes_append_format(bytes, "%zu:", part.size);
    bytes_append_span(bytes, part);
}

static bool parts_digest(const struct span *parts, size_t count,
                         unsigned char ret_digest[static DIGEST_SIZE])
{
    struct bytes bytes CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < count; i++)
        part_append(&bytes, parts[i]);
    return !bytes.failed && digest_sha256(bytes_span(&bytes), ret_digest, NULL);
}

/* What of the request its target and body don't tell: the headers that the route binds. */
static void headers_append(const struct exchange *exchange, struct bytes *out)
{
    const struct route *route = exchange->served->route;
    for (size_t i = 0; i < route->param_count; i++) {
        enum param_place place = route->params[i].place;
        const struct value *value = &exchange->by_param[i];
        if ((place == PLACE_HEADER || place == PLACE_VERSION) && value->state == VALUE_TEXT) {
            part_append(out, span_of(route->params[i].name));
            part_append(out, value->text);
        }
    }
}

static bool digests_make(const struct exchange *exchange, const struct idempotency_key *key,
                         struct once *once)
{
    const struct principal *principal = exchange->principal;
    struct bytes headers CLEANUP(bytes_free) = BYTES_EMPTY;
    headers_append(exchange, &headers);
    const struct span scope[] = {
        principal ? principal->identity : (struct span){0},
        span_of(exchange->served->route->name),
        {.data = key->text, .size = key->size},
    };
    const struct db_identity *identity = exchange->identity;
    const struct span content[] = {
        exchange->request.method,
        exchange->request.target,
        exchange->request.content_type,
        exchange->body,
        bytes_span(&headers),
        identity ? span_of(identity->role) : (struct span){0}, /* what it saw others may not */
    };
    return !headers.failed && parts_digest(scope, ARRAY_COUNT(scope), once->key) &&
           parts_digest(content, ARRAY_COUNT(content), once->body);
}

/* PUT and DELETE do the same however often they are sent. */
static bool is_idempotent(const struct exchange *exchange)
{
    enum route_method method = exchange->served->route->method;
    return method != METHOD_POST && method != METHOD_PATCH;
}

bool once_read(struct exchange *exchange, struct once *ret_once)
{
    struct idempotency_key key;
    struct span header = exchange->request.idempotency_key;
    ret_once->wanted = header.data && !is_idempotent(exchange);
    if (!ret_once->wanted)
        return true;
    if (!idempotency_key_read(header, &key)) {
        exchange_problem(exchange, 400,
                         "Idempotency-Key must be one string of 1 to 255 visible ASCII characters, "
                         "in quotes or not.");
        return false;
    }
    if (!digests_make(exchange, &key, ret_once)) {
        exchange_memory(exchange);
        return false;
    }
    ret_once->once = (struct db_once){
        .key = {.data = (const char *)ret_once->key, .size = DIGEST_SIZE},
        .body = {.data = (const char *)ret_once->body, .size = DIGEST_SIZE},
    };
    return true;
}

/* "201 16 70\n", then the Content-Type, the header lines and the body, of these sizes. */
static void record_write(const struct exchange *exchange, struct bytes *out)
{
    bytes_append_format(out, "%u %zu %zu\n", exchange->status, exchange->settled_type.size,
                        exchange->settled_head.size);
    bytes_append_span(out, exchange->settled_type);
    bytes_append_span(out, exchange->settled_head);
    bytes_append_span(out, exchange->settled_body);
}

/* Nothing is answered yet: the transaction may still fail. */
static void unsettle(struct exchange *exchange)
{
    exchange->phase = PHASE_SEEKING;
    exchange->result = NULL;
    exchange->settled_type = exchange->settled_body = exchange->settled_head = (struct span){0};
}

bool once_record(void *context, const struct db_result *rows, struct span *ret_record)
{
    struct exchange *exchange = context;
    struct bytes record CLEANUP(bytes_free) = BYTES_EMPTY;
    exchange->result = (struct db_result *)rows;
    exchange->recording = true;
    write_answer(exchange);
    exchange->recording = false;
    exchange->unrecorded = exchange->status >= 400;
    record_write(exchange, &record);
    unsettle(exchange);
    if (exchange->unrecorded)
        return false;
    struct span copy = arena_span(exchange->desk->arena, bytes_span(&record));
    if (record.failed || !copy.data)
        return false;
    *ret_record = copy;
    return true;
}

static bool record_answer(struct exchange *exchange, struct span record)
{
    unsigned status;
    size_t type, head;
    int start = 0;
    struct span text = arena_span(exchange->desk->arena, record);
    if (!text.data || sscanf(text.data, "%3u %zu %zu%n", &status, &type, &head, &start) != 3)
        return false;
    text = span_from(text, (size_t)start);
    if (text.size < 1 || text.data[0] != '\n' || type > text.size - 1 ||
        head > text.size - 1 - type)
        return false;
    text = span_from(text, 1);
    exchange_settle(exchange, status, span_first(text, type), span_from(text, type + head));
    exchange->settled_head = span_first(span_from(text, type), head);
    exchange_header(exchange, "Idempotent-Replayed", "true");
    return true;
}

static void answer_again(struct exchange *exchange, const struct db_written *written)
{
    if (db_result_rows(written->record) > 0 &&
        record_answer(exchange, db_result_value(written->record, 0, 0)))
        return;
    log_event(LOG_ERROR, "write", "%s: what is recorded of a former answer can't be read",
              exchange->served->route->name);
    exchange_problem(exchange, 500, "The request was served before, but its answer is lost.");
}

void once_answer(struct exchange *exchange, const struct db_written *written)
{
    switch (written->outcome) {
    case DB_WRITTEN:
    case DB_WRITTEN_BEFORE:
        answer_again(exchange, written);
        break;
    case DB_WRITE_OTHER:
        exchange_problem(exchange, 422,
                         "This Idempotency-Key was used for another request: give each request a "
                         "key of its own.");
        break;
    case DB_WRITE_BUSY:
        exchange_problem(exchange, 409, "A request with this Idempotency-Key is being worked on.");
        exchange_header(exchange, "Retry-After", "1");
        break;
    }
}
