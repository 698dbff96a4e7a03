#include <stdio.h>

#include "route/param_rules.h"

/* A date and time of the Gregorian calendar, years 1 to 9999. */
struct moment {
    int year, month, day, hour, minute, second;
    struct span fraction; /* digits after the point, without zeros at the end */
    int zone;             /* minutes east of Greenwich */
};

#define MINUTES_A_DAY 1440

static bool any_take(struct span *rest, const char *bytes)
{
    if (!rest->size || !rest->data[0] || !strchr(bytes, rest->data[0]))
        return false;
    *rest = span_from(*rest, 1);
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool date_take(struct span *rest, struct moment *moment)
{
    if (!span_digits_take(rest, 4, &moment->year) || !any_take(rest, "-") ||
        !span_digits_take(rest, 2, &moment->month) || !any_take(rest, "-") ||
        !span_digits_take(rest, 2, &moment->day))
        return false;
    return moment->year >= 1 && moment->month >= 1 && moment->month <= 12 && moment->day >= 1 &&
           moment->day <= month_days(moment->year, moment->month);
}

static bool fraction_take(struct span *rest, struct moment *moment)
{
    size_t size = 0;
    int digit;
    const char *digits = rest->data;
    while (size < 7 && span_digits_take(rest, 1, &digit))
        size++;
    moment->fraction = (struct span){.data = digits, .size = size};
    while (moment->fraction.size && digits[moment->fraction.size - 1] == '0')
        moment->fraction.size--;
    return size >= 1 && size <= 6;
}

static bool time_take(struct span *rest, struct moment *moment)
{
    if (!span_digits_take(rest, 2, &moment->hour) || !any_take(rest, ":") ||
        !span_digits_take(rest, 2, &moment->minute))
        return false;
    if (any_take(rest, ":")) {
        if (!span_digits_take(rest, 2, &moment->second))
            return false;
        if (any_take(rest, ".") && !fraction_take(rest, moment))
            return false;
    }
    return moment->hour < 24 && moment->minute < 60 && moment->second < 60;
}

/* Z, ±hh, ±hhmm or ±hh:mm; up to 15:59 as PostgreSQL has it. */
static bool zone_take(struct span *rest, struct moment *moment)
{
    int hours, minutes = 0;
    if (any_take(rest, "Zz"))
        return true;
    bool west = rest->size && rest->data[0] == '-';
    if (!any_take(rest, "+-") || !span_digits_take(rest, 2, &hours))
        return false;
    if ((any_take(rest, ":") || rest->size) && !span_digits_take(rest, 2, &minutes))
        return false;
    moment->zone = (hours * 60 + minutes) * (west ? -1 : 1);
    return hours < 16 && minutes < 60;
}

static void day_step(struct moment *moment, int step)
{
    moment->day += step;
    if (moment->day < 1) {
        moment->month = moment->month == 1 ? 12 : moment->month - 1;
        moment->year -= moment->month == 12;
        moment->day = moment->year >= 1 ? month_days(moment->year, moment->month) : 31;
    } else if (moment->day > month_days(moment->year, moment->month)) {
        moment->day = 1;
        moment->month = moment->month == 12 ? 1 : moment->month + 1;
        moment->year += moment->month == 1;
    }
}

/* Brings the moment to Greenwich; false when that leaves the years 1 to 9999. */
static bool moment_to_utc(struct moment *moment)
{
    int minutes = moment->hour * 60 + moment->minute - moment->zone;
    int step = minutes < 0 ? -1 : minutes >= MINUTES_A_DAY;
    minutes -= step * MINUTES_A_DAY;
    moment->hour = minutes / 60;
    moment->minute = minutes % 60;
    moment->zone = 0;
    if (step)
        day_step(moment, step);
    return moment->year >= 1 && moment->year <= 9999;
}

static enum reading text_return(const char *text, struct span *ret_text)
{
    *ret_text = span_of(text);
    return text ? READING_OK : READING_NO_MEMORY;
}

static enum reading moment_write(const struct moment *moment, const char *end, struct arena *arena,
                                 struct span *ret_text)
{
    const char *text =
        arena_format(arena, "%04d-%02d-%02dT%02d:%02d:%02d%s%.*s%s", moment->year, moment->month,
                     moment->day, moment->hour, moment->minute, moment->second,
                     moment->fraction.size ? "." : "", SPAN_PRINTF(moment->fraction), end);
    return text_return(text, ret_text);
}

enum reading read_date(struct span given, struct arena *arena, struct span *ret_text,
                       const char **ret_hint)
{
    (void)ret_hint;
    struct moment moment = {0};
    struct span rest = given;
    if (!date_take(&rest, &moment) || rest.size)
        return READING_WRONG;
    const char *text = arena_format(arena, "%04d-%02d-%02d", moment.year, moment.month, moment.day);
    return text_return(text, ret_text);
}

static bool day_and_time_take(struct span *rest, struct moment *moment)
{
    return date_take(rest, moment) && any_take(rest, "Tt ") && time_take(rest, moment);
}

enum reading read_timestamp(struct span given, struct arena *arena, struct span *ret_text,
                            const char **ret_hint)
{
    struct moment moment = {0};
    struct span rest = given;
    if (!day_and_time_take(&rest, &moment))
        return READING_WRONG;
    if (rest.size) {
        *ret_hint = zone_take(&rest, &moment) && !rest.size ? "a time zone is not allowed" : NULL;
        return READING_WRONG;
    }
    return moment_write(&moment, "", arena, ret_text);
}

static const char *zone_hint(struct span rest)
{
    struct moment moment = {0};
    if (!rest.size)
        return "the time zone is missing";
    if (rest.data[0] != ' ')
        return NULL;
    char zone[8] = "+";
    size_t size = rest.size < sizeof zone ? rest.size : sizeof zone;
    memcpy(zone + 1, rest.data + 1, size - 1);
    struct span mended = {.data = zone, .size = rest.size};
    return rest.size < sizeof zone && zone_take(&mended, &moment) && !mended.size
               ? "a '+' in a query is read as a space: write it as %2B"
               : NULL;
}

enum reading read_timestamptz(struct span given, struct arena *arena, struct span *ret_text,
                              const char **ret_hint)
{
    struct moment moment = {0};
    struct span rest = given;
    if (!day_and_time_take(&rest, &moment))
        return READING_WRONG;
    struct span zone = rest;
    if (!zone_take(&rest, &moment) || rest.size) {
        *ret_hint = zone_hint(zone);
        return READING_WRONG;
    }
    if (!moment_to_utc(&moment)) {
        *ret_hint = "it leaves the years 0001 to 9999";
        return READING_WRONG;
    }
    return moment_write(&moment, "Z", arena, ret_text);
}

/* Up to the seconds all texts are of one width; then come a fraction's digits or none. */
int order_moment(struct span a, struct span b)
{
    static const size_t fixed = sizeof "YYYY-MM-DDThh:mm:ss" - 1;
    if (a.size < fixed || b.size < fixed)
        return memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    int order = memcmp(a.data, b.data, fixed);
    for (size_t i = fixed; !order && (i < a.size || i < b.size); i++) {
        char left = i < a.size && a.data[i] != 'Z' ? a.data[i] : '\0';
        char right = i < b.size && b.data[i] != 'Z' ? b.data[i] : '\0';
        order = (left > right) - (left < right);
    }
    return order;
}
