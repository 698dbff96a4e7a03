/*
 * Downloads: the step stream.
 */
#include "serve/steps.h"

void step_stream(struct exchange *exchange)
{
    (void)exchange;
}
