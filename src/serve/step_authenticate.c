/*
 * Who asks: the step authenticate.
 */
#include "serve/steps.h"

void step_authenticate(struct exchange *exchange)
{
    (void)exchange;
}
