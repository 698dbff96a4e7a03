/*
 * How often one may ask: the step limit.
 */
#include "serve/steps.h"

void step_limit(struct exchange *exchange)
{
    (void)exchange;
}
