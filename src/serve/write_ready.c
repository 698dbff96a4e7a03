#include "serve/write_ready.h"

#include "base/log.h"
#include "serve/version.h"

/* A condition that nobody can judge is not held to (RFC 9110, section 13.1). */
static bool condition_refused(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    bool versions = exchange->served->route->version.column.size;
    if (versions && exchange->version_kind == VERSION_OTHER)
        version_answer(exchange);
    else if (versions && request->if_none_match.data)
        exchange_problem(exchange, 412,
                         "The route holds a change to If-Match alone: leave If-None-Match out.");
    else if (!versions && (request->if_match.data || request->if_none_match.data))
        exchange_problem(exchange, 412,
                         "The route knows no versions, so it can't hold a change to a condition: "
                         "leave If-Match and If-None-Match out.");
    return exchange->phase != PHASE_SEEKING;
}

/* What PostgreSQL has not told of can't be run: which rows answer is not known. */
static bool unknown_refused(struct exchange *exchange)
{
    const struct learned_write *write = &exchange->learned->write;
    if (write->known)
        return false;
    if (write->refused) {
        log_event(LOG_ERROR, "write", "%s: PostgreSQL did not take its statements, as was logged",
                  exchange->served->route->name);
        exchange_problem(exchange, 500, "The route's statement failed.");
    } else {
        exchange_problem(exchange, 503, "The database can't be reached.");
        exchange_header(exchange, "Retry-After", "1");
    }
    return true;
}

bool write_ready(struct exchange *exchange)
{
    return !condition_refused(exchange) && !unknown_refused(exchange);
}
