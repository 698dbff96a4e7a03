/*
 * The body of a write: the step body.
 */
#include "serve/steps.h"

void step_body(struct exchange *exchange)
{
    (void)exchange;
}
