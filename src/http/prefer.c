#include "http/prefer.h"

#include "http/field.h"

/* More seconds than this are as good as for ever. */
#define WAIT_MAX INT64_C(1000000)

/* What stands in quotes, or all of it. */
static struct span unquoted(struct span text)
{
    bool quoted = text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"';
    return quoted ? span_first(span_from(text, 1), text.size - 2) : text;
}

/* -1: no number. */
static int64_t seconds_read(struct span text)
{
    int64_t seconds = 0;
    text = unquoted(span_trim(text));
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        seconds = seconds * 10 + (text.data[i] - '0');
        seconds = seconds > WAIT_MAX ? WAIT_MAX : seconds;
    }
    return text.size ? seconds : -1;
}

/* "wait=10", without its parameters. */
static void preference_take(struct span preference, struct prefer *prefer)
{
    struct span value = preference;
    struct span name = span_trim(span_split(&value, '='));
    bool empty = !value.data || unquoted(span_trim(value)).size == 0;
    if (span_is_nocase(name, "respond-async") && empty)
        prefer->respond_async = true;
    else if (span_is_nocase(name, "wait") && value.data && prefer->wait < 0)
        prefer->wait = seconds_read(value);
}

void prefer_read(struct span value, struct prefer *prefer)
{
    struct span member;
    while (field_member_next(&value, &member))
        preference_take(field_part_next(&member), prefer);
}
