#include "base/quiet.h"

bool quiet_over(struct quiet *quiet, int64_t now)
{
    int64_t said = atomic_load(&quiet->said);
    return (!said || now - said > QUIET_TIME) &&
           atomic_compare_exchange_strong(&quiet->said, &said, now ? now : 1);
}
