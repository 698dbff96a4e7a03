/*
 * Writes that are made later: the step file. What a front could file with others does not come
 * here.
 */
#include "serve/behind.h"
#include "serve/filing.h"
#include "serve/steps.h"

void step_file(struct exchange *exchange)
{
    if (filing_wanted(exchange))
        filing_run(exchange->server, exchange->desk->queue, &exchange, 1, false);
    else if (behind_wanted(exchange))
        behind_run(exchange->server, exchange->desk->queue, &exchange, 1);
}
