/*
 * Writes that are made later: the step file.
 */
#include "serve/steps.h"

void step_file(struct exchange *exchange)
{
    (void)exchange;
}
