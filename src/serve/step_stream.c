/*
 * Downloads: the step stream.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/stream.h"
#include "serve/answer.h"
#include "serve/download.h"
#include "serve/download_head.h"
#include "serve/failures.h"
#include "serve/steps.h"

/* There is no entity tag to compare (RFC 9110, section 13.1.1). */
static bool condition_refused(struct exchange *exchange)
{
    struct span wanted = span_trim(exchange->request.if_match);
    if (!wanted.data || span_is(wanted, "*"))
        return false;
    exchange_problem(exchange, 412, "A download has no version that If-Match could name.");
    return true;
}

/* Does the body come in gzip? False, settled: the client takes it in no way there is. */
static bool coding_find(struct exchange *exchange, bool *ret_gzip)
{
    unsigned codings = CODING_BIT(CODING_IDENTITY);
    enum coding coding;
    if (exchange->served->route->cache.compress)
        codings |= CODING_BIT(CODING_GZIP);
    if (!coding_choose(&exchange->accept, codings, &coding)) {
        exchange_problem(exchange, 406, "No coding that the client accepts is available.");
        return false;
    }
    *ret_gzip = coding == CODING_GZIP;
    return true;
}

static void head_alone(struct exchange *exchange, enum route_format format, bool gzip)
{
    if (download_is_held(exchange)) {
        download_held(exchange);
        return;
    }
    if (!download_head_write(exchange, format, gzip, &exchange->desk->head)) {
        exchange_memory(exchange);
        return;
    }
    writer_write(exchange->writer, bytes_span(&exchange->desk->head));
    exchange->status = 200;
    exchange->phase = PHASE_SENT;
}

void step_stream(struct exchange *exchange)
{
    enum route_format format;
    bool gzip;
    if (!exchange->served->route->stream.format_count || condition_refused(exchange))
        return;
    if (!exchange->learned->stream.table) {
        failure_answer_unlearned(exchange, "stream");
        return;
    }
    if (!coding_find(exchange, &gzip))
        return;
    if (!download_format(exchange, &format))
        exchange_problem(exchange, 406, "The client accepts none of the route's formats.");
    else if (exchange->head_only)
        head_alone(exchange, format, gzip);
    else
        download_run(exchange, format, gzip);
}
