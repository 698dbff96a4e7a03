/*
 * Writes: the step write.
 */
#include "serve/steps.h"

void step_write(struct exchange *exchange)
{
    (void)exchange;
}
