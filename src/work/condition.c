#include "work/condition.h"

#include "base/log.h"

void condition_bad(struct condition *condition, const char *event, const char *text)
{
    if (!condition->bad)
        log_event(LOG_WARNING, event, "%s", text);
    condition->bad = true;
}

void condition_good(struct condition *condition, const char *event, const char *text)
{
    if (condition->bad)
        log_event(LOG_INFO, event, "%s", text);
    condition->bad = false;
}
