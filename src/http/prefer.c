#include "http/prefer.h"

#include "http/field.h"

/* More seconds than this are as good as for ever. */
#define WAIT_MAX INT64_C(1000000)

/* "wait=10", without its parameters. */
static void preference_take(struct span preference, struct prefer *prefer)
{
    struct span value = preference;
    struct span name = span_trim(span_split(&value, '='));
    bool empty = !value.data || field_unquoted(span_trim(value)).size == 0;
    if (span_is_nocase(name, "respond-async") && empty)
        prefer->respond_async = true;
    else if (span_is_nocase(name, "wait") && value.data && prefer->wait < 0)
        (void)field_seconds(span_trim(value), WAIT_MAX, &prefer->wait);
}

void prefer_read(struct span value, struct prefer *prefer)
{
    struct span member;
    while (field_member_next(&value, &member))
        preference_take(field_part_next(&member), prefer);
}
