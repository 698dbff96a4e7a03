#include "route/annotation.h"

#include "http/cache_control.h"

/* For nginx and old proxies a header line must not be long. */
#define CONTROL_MAX 256

void annotate_control(struct draft *draft, struct span rest)
{
    struct span control = words_rest(rest);
    struct error error;
    if (control.size == 0 || control.size > CONTROL_MAX)
        draft_fault(draft, (struct span){0},
                    "@control needs Cache-Control directives of at most %d bytes, as in "
                    "\"public, max-age=3600\"",
                    CONTROL_MAX);
    else if (!cache_control_check(control, &error))
        draft_fault(draft, control, "@control: %s", error.text);
    else
        draft->route->control = control;
}
