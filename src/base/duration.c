#include "base/duration.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Smallest first: formatting takes the last one that divides. */
static const struct unit time_units[] = {
    {"us", 1},          {"ms", MILLISECOND},  {"s", SECOND},
    {"m", 60 * SECOND}, {"h", 3600 * SECOND}, {"d", 86400 * SECOND},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KB", 1024},
    {"MB", 1024 * 1024},
    {"GB", 1024 * 1024 * 1024},
};

/* How many digits `text` begins with; *ret_fits is false when they exceed an int64_t. */
static size_t digits_parse(struct span text, int64_t *ret_number, bool *ret_fits)
{
    int64_t number = 0;
    size_t at = 0;
    *ret_fits = true;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text.data[at] - '0', &number))
            *ret_fits = false;
    *ret_number = number;
    return at;
}

static const struct unit *unit_find(const struct unit *units, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (span_is(name, units[i].name))
            return &units[i];
    return NULL;
}

static bool quantity_parse(struct span text, const struct unit *units, size_t count,
                           const char *allowed, int64_t *ret_value, struct error *error)
{
    int64_t number, value;
    bool fits;
    size_t length = digits_parse(text, &number, &fits);
    if (length == 0)
        return error_set(error, ERROR_INVALID, "\"%.*s\" is not %s", SPAN_PRINTF(text), allowed);
    struct span name = span_from(text, length);
    if (name.size == 0 && number == 0 && fits) {
        *ret_value = 0;
        return true;
    }
    const struct unit *unit = unit_find(units, count, name);
    if (!unit)
        return error_set(error, ERROR_INVALID, "\"%.*s\" is not %s", SPAN_PRINTF(text), allowed);
    if (!fits || __builtin_mul_overflow(number, unit->factor, &value))
        return error_set(error, ERROR_INVALID, "\"%.*s\" is too large", SPAN_PRINTF(text));
    *ret_value = value;
    return true;
}

bool duration_parse(struct span text, int64_t *ret_microseconds, struct error *error)
{
    return quantity_parse(text, time_units, ARRAY_COUNT(time_units),
                          "a duration (a whole number with a unit: us, ms, s, m, h or d, as in 5s)",
                          ret_microseconds, error);
}

bool size_parse(struct span text, int64_t *ret_bytes, struct error *error)
{
    return quantity_parse(text, size_units, ARRAY_COUNT(size_units),
                          "a size (a whole number with a unit: B, KB, MB or GB, as in 64KB)",
                          ret_bytes, error);
}

static const char *quantity_format(int64_t value, const struct unit *units, size_t count,
                                   char buffer[static 32])
{
    const struct unit *best = &units[0];
    for (size_t i = 0; i < count; i++)
        if (value != 0 && value % units[i].factor == 0)
            best = &units[i];
    snprintf(buffer, 32, "%" PRId64 "%s", value / best->factor, value == 0 ? "" : best->name);
    return buffer;
}

const char *duration_format(int64_t microseconds, char buffer[static 32])
{
    return quantity_format(microseconds, time_units, ARRAY_COUNT(time_units), buffer);
}

const char *size_format(int64_t bytes, char buffer[static 32])
{
    return quantity_format(bytes, size_units, ARRAY_COUNT(size_units), buffer);
}
