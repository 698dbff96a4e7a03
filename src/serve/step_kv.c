/*
 * Values that Redis alone keeps: the step kv.
 */
#include "serve/steps.h"

void step_kv(struct exchange *exchange)
{
    (void)exchange;
}
