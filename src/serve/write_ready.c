#include "serve/write_ready.h"

#include "serve/failures.h"
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

bool write_ready(struct exchange *exchange)
{
    if (condition_refused(exchange))
        return false;
    if (!exchange->learned->write.known)
        failure_answer_unlearned(exchange, "write"); /* which rows answer is not known */
    return exchange->learned->write.known;
}
